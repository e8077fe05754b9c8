"""Annotated workbooks for the tests: a file in, what came out as openpyxl reads it."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import openpyxl

from exchanged import marking
from exchanged.batch import Checks
from exchanged.checking import Checked, check
from tests.support import books
from tests.support.checks import TODAY, checks, spots
from tests.support.records import HEADERS, records

ROWS = records(12, today=TODAY)


def annotated(
    *files: tuple[str, bytes],
    at: int = 0,
    language: str = "zh",
    given_back: bool = True,
    more: Sequence[Mapping[str, Any]] = (),
    depends: Checks | None = None,
) -> bytes | None:
    """The annotated workbook of one of some files, None where there is none."""
    out = io.BytesIO()
    told = {"language": language, "given_back": given_back, "more": list(more)}
    opened = [(name, io.BytesIO(content)) for name, content in files]
    return out.getvalue() if marking.annotate(out, opened, at, depends or checks(), told) else None


def marked(content: bytes, name: str = "一月.xlsx", **over: Any) -> bytes:
    """The annotated workbook of one file, which there must be."""
    made = annotated((name, content), **over)
    assert made is not None
    return made


def opened(made: bytes) -> Any:
    """As openpyxl reads it."""
    return openpyxl.load_workbook(io.BytesIO(made))


def data(made: bytes) -> Any:
    """The clerk's sheet."""
    return opened(made).worksheets[1]


def lines(rows: Iterable[Mapping[str, str]] = ROWS) -> list[list[Any]]:
    """Header and rows."""
    return [list(HEADERS), *([row[header] for header in HEADERS] for row in rows)]


def sheet(**wrong: Any) -> bytes:
    """Twelve right rows as an xlsx, with some cells (`B3=…`) changed."""

    def change(page: Any) -> None:
        for place, value in wrong.items():
            page[place] = value

    return books.by_openpyxl(lines(), change=change)


def checked(content: bytes, name: str = "a.xlsx") -> Checked:
    """What a check says about a file."""
    return check([(name, io.BytesIO(content))], checks())


def found(content: bytes, name: str = "a.xlsx") -> list[tuple[str, int | None, str | None]]:
    """Rule, row and column of every finding in a file."""
    return spots(checked(content, name))


def reasons(page: Any) -> dict[int, str]:
    """The reason column of the clerk's sheet, by row."""
    header = next(cell for row in page.iter_rows() for cell in row if "[exchanged]" in str(cell.value))
    return {
        row: str(value)
        for row in range(header.row + 1, page.max_row + 1)
        if (value := page.cell(row, header.column).value)
    }
