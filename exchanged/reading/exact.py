"""Reads a worksheet's XML cell by cell with expat: slow, exact, in small memory, for any legal way to write it.

Takes   an XML worksheet in blocks, the shared strings, the styles that show dates
Gives   row number and {0-based column: (kind, text)} for each row with something in it
Redo    it only reads
Ends    file-unreadable for rows or cells out of order, places or strings that do not exist; file-too-large
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from exchanged.batch import Kind
from exchanged.reading.archive import local, safe_parser
from exchanged.reading.cells import Value, date_text, formula_text, iso_text, number_text
from exchanged.reading.trouble import damaged, too_large

ROWS, COLUMNS, TEXT = 1_048_576, 16_384, 1 << 20
_PLACE = re.compile(r"\$?([A-Z]{1,3})\$?([1-9][0-9]{0,6})", re.I)
_ESCAPE = re.compile(r"_x([0-9A-Fa-f]{4})_")

EMPTY: Value = (Kind.EMPTY, None)
Row = dict[int, Value]


class _Enough(Exception):
    """The rows that are wanted have all been seen."""


class Strings(Protocol):
    """Shared strings by index."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> str | None: ...


@dataclass(slots=True)
class Book:
    """What cells refer to."""

    strings: Strings
    dates: Sequence[bool]
    epoch_1904: bool


def column_of(letters: str) -> int:
    """0-based column of its letters."""
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - 64
    return number - 1


def unescape(text: str) -> str:
    """Excel's own escapes for characters XML cannot hold: _x000D_ is a carriage return."""
    return _ESCAPE.sub(_escaped, text) if "_x" in text else text


def _escaped(match: re.Match[str]) -> str:
    code = int(match[1], 16)
    return "\ufffd" if 0xD800 <= code < 0xE000 else chr(code)


def decode(kind: str, style: int, value: str | None, formula: bool, book: Book) -> Value:
    """One cell's stored value by its type attribute, as kind and text."""
    if kind == "e":
        return Kind.ERROR, None
    if value is None or (value == "" and kind not in ("str", "s", "inlineStr")):
        return (Kind.FORMULA, None) if formula else EMPTY
    if kind in ("str", "inlineStr"):
        return _text(unescape(value))
    if kind == "s":
        index = int(value)
        if not 0 <= index < len(book.strings):
            raise damaged("string")
        return _text(book.strings[index])
    if kind == "b":
        return Kind.BOOL, "TRUE" if value.strip() in ("1", "true") else "FALSE"
    if kind == "d":
        return iso_text(value)
    if kind not in ("n", ""):
        raise damaged("cell-type")
    if formula and (stand_in := formula_text(float(value))):
        return stand_in
    if 0 <= style < len(book.dates) and book.dates[style]:
        return date_text(float(value), book.epoch_1904)
    return number_text(float(value))


def _text(text: str | None) -> Value:
    return (Kind.TEXT, text) if text else EMPTY


@dataclass(slots=True)
class Sheet:
    """The state between two XML events; `take` gets every row up to the last one wanted that holds something."""

    book: Book
    take: Callable[[int, Row], None]
    last: int = ROWS
    row: int = 0
    column: int = -1
    cells: Row = field(default_factory=dict)
    kind: str = ""
    style: int = 0
    value: str | None = None
    formula: bool = False
    depth_skipped: int = 0
    buffer: list[str] | None = None
    size: int = 0
    inside: bool = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = local(tag)
        if name == "c" and self.inside:
            self._cell(attributes)
        elif name == "row" and self.inside:
            self._row(attributes)
        elif name in ("v", "t") and self.inside:
            self.buffer, self.size = [], 0
        elif name == "f":
            self.formula = True
        elif name == "rPh":
            self.depth_skipped += 1
        elif name == "sheetData":
            self.inside = True

    def _row(self, attributes: dict[str, str]) -> None:
        number = int(attributes["r"]) if "r" in attributes else self.row + 1
        if not self.row < number <= ROWS:
            raise damaged("row-order")
        if number > self.last:
            raise _Enough
        self.row, self.column, self.cells = number, -1, {}

    def _cell(self, attributes: dict[str, str]) -> None:
        place = attributes.get("r")
        column = self.column + 1
        if place is not None:
            match = _PLACE.fullmatch(place)
            if not match or int(match[2]) != self.row:
                raise damaged("cell-place")
            column = column_of(match[1])
        if column >= COLUMNS or column in self.cells:
            raise damaged("cell-place")
        self.column = column
        self.kind = attributes.get("t", "")
        self.style = int(attributes.get("s") or 0)
        self.value, self.formula = None, False

    def text(self, data: str) -> None:
        if self.buffer is not None:
            self.size += len(data)
            if self.size > TEXT:
                raise too_large("piece", TEXT)
            self.buffer.append(data)

    def end(self, tag: str) -> None:
        name = local(tag)
        if name in ("v", "t") and self.buffer is not None:
            if not self.depth_skipped:
                self.value = (self.value or "") + "".join(self.buffer)
            self.buffer = None
        elif name == "c" and self.inside:
            value = decode(self.kind, self.style, self.value, self.formula, self.book)
            if value[0]:
                self.cells[self.column] = value
        elif name == "row" and self.inside:
            if self.cells:
                self.take(self.row, self.cells)
        elif name == "rPh":
            self.depth_skipped -= 1
        elif name == "sheetData":
            self.inside = False


def read(blocks: Iterable[bytes], book: Book, take: Callable[[int, Row], None], last: int = ROWS) -> None:
    """Gives every filled row of a worksheet to `take`; looks at none after the row `last`."""
    sheet = Sheet(book, take, last)
    parser = safe_parser()
    parser.StartElementHandler = sheet.start
    parser.EndElementHandler = sheet.end
    parser.CharacterDataHandler = sheet.text
    try:
        for block in blocks:
            parser.Parse(block, False)
        parser.Parse(b"", True)
    except _Enough:
        return
