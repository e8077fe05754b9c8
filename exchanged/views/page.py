"""A page of lines and tables, shown with colour on a terminal and as plain aligned text when piped.

Everything shown passes `clean`, so no file name can move the cursor, hide a line or turn the reading direction.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from exchanged.errors import NotYet
from exchanged.messages import clean, width

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

__all__ = ["Line", "Page", "Span", "Table", "clean", "plain", "reaching", "show", "width"]

Span = str | tuple[str, str]  # text, or text and style
GAP = "  "
NARROW = 8  # columns of a terminal below which a column of words is not squeezed
WHOLE = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|(?=[!-~]*\d)[!-~]{10,80}"
)  # a time, an identifier, a digest: not to be broken


@dataclass(frozen=True, slots=True)
class Line:
    spans: tuple[Span, ...]
    indent: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    rows: tuple[tuple[Span, ...], ...]
    head: tuple[str, ...] = ()
    right: frozenset[int] = frozenset()
    indent: int = 0


@dataclass(slots=True)
class Page:
    """Lines and tables in order."""

    blocks: list[Line | Table] = field(default_factory=list)

    def line(self, *spans: Span, indent: int = 0) -> None:
        self.blocks.append(Line(spans, indent))

    def blank(self) -> None:
        self.line("")

    def heading(self, text: str) -> None:
        if self.blocks:
            self.blank()
        self.line((text, "bold"))

    def table(
        self, rows: Sequence[Sequence[Span]], head: Sequence[str] = (), right: Sequence[int] = (), indent: int = 0
    ) -> None:
        if rows:
            self.blocks.append(Table(tuple(tuple(row) for row in rows), tuple(head), frozenset(right), indent))

    def pairs(self, rows: Sequence[tuple[str, Span]], indent: int = 0) -> None:
        """Names and values, one pair a line."""
        self.table([((name, "dim"), value) for name, value in rows], indent=indent)


def show(page: Page, stream: TextIO | None = None) -> None:
    """Writes a page: in colour where the stream is a terminal, as plain text elsewhere."""
    out = stream or sys.stdout
    with reaching(out):
        if out.isatty():
            _colour(page, out)
        else:
            out.write(plain(page))


@contextlib.contextmanager
def reaching(out: TextIO) -> Iterator[None]:
    """What is written within this has left the program at its end, or its reader had seen enough and went.

    Raises NotYet("output.failed") where it cannot be written. After either, what follows is written to nowhere.
    """
    try:
        yield
        out.flush()
    except OSError as error:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, out.fileno())
        os.close(nowhere)
        if not isinstance(error, BrokenPipeError):
            raise NotYet("output.failed", errno=error.errno or 0) from None


def plain(page: Page) -> str:
    """The page as aligned text without colour."""
    lines = []
    for block in page.blocks:
        indent = " " * block.indent
        rows = _aligned(block) if isinstance(block, Table) else ["".join(_text(span) for span in block.spans)]
        lines += [(indent + row).rstrip() for row in rows]
    return "".join(f"{line}\n" for line in lines)


def _text(span: Span) -> str:
    return clean(span if isinstance(span, str) else span[0])


def _style(span: Span) -> str:
    return "" if isinstance(span, str) else span[1]


def _aligned(table: Table) -> list[str]:
    rows = [[_text(span) for span in row] for row in table.rows]
    if table.head:
        rows.insert(0, [clean(name) for name in table.head])
    columns = max(len(row) for row in rows)
    widths = [max((width(row[n]) for row in rows if n < len(row)), default=0) for n in range(columns)]
    return [GAP.join(_padded(cell, widths[n], n in table.right) for n, cell in enumerate(row)) for row in rows]


def _padded(cell: str, size: int, right: bool) -> str:
    space = " " * (size - width(cell))
    return space + cell if right else cell + space


def _colour(page: Page, out: TextIO) -> None:
    from rich.console import Console
    from rich.padding import Padding

    console = Console(file=out, highlight=False, markup=False, emoji=False)
    for block in page.blocks:
        if isinstance(block, Line):
            console.print(Padding(_rich(block.spans), (0, 0, 0, block.indent)), soft_wrap=False)
        elif (sizes := fitted(block, console.width - block.indent)) is not None:
            console.print(Padding(_rich_table(block, sizes), (0, 0, 0, block.indent)), soft_wrap=False)
        else:  # the terminal wraps it, and copies an identifier as the one word that it is
            for line in _aligned(block):
                console.print(" " * block.indent + line.rstrip(), soft_wrap=True)


def fitted(table: Table, room: int) -> list[int] | None:
    """Widths of columns that fit into so much room and break no identifier or time; None where there are none."""
    cells = [[_text(span) for span in row] for row in table.rows] + [list(table.head)]
    columns = max(len(row) for row in cells)
    held = [[row[n] for row in cells if n < len(row)] for n in range(columns)]
    sizes = [max(map(width, column)) for column in held]
    floors = [
        max(min(size, NARROW), *(len(word) for cell in column for word in WHOLE.findall(cell)), 0)
        for size, column in zip(sizes, held, strict=True)
    ]
    left = room - len(GAP) * (columns - 1)
    if sum(floors) > left:
        return None
    while sum(sizes) > left:
        widest = max((n for n in range(columns) if sizes[n] > floors[n]), key=lambda n: sizes[n])
        sizes[widest] -= 1
    return sizes


def _rich(spans: Sequence[Span]) -> Text:
    from rich.text import Text

    return Text.assemble(*((_text(span), _style(span)) for span in spans))


def _rich_table(table: Table, sizes: Sequence[int]) -> RenderableType:
    from rich.table import Table as RichTable

    grid = RichTable(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=bool(table.head), header_style="dim")
    for n, size in enumerate(sizes):
        name = clean(table.head[n]) if n < len(table.head) else ""
        grid.add_column(name, justify="right" if n in table.right else "left", overflow="fold", width=size)
    for row in table.rows:
        grid.add_row(*(_rich((span,)) for span in row))
    return grid
