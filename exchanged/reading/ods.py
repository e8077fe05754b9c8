"""Reads an ods spreadsheet with expat, in one pass and small memory.

Takes   an open binary file
Gives   a reading; repeated rows and cells are counted before they are made
Redo    it only reads
Ends    file-encrypted, file-unreadable, file-too-large, header-missing, sheet-ambiguous
"""

from __future__ import annotations

import re
from typing import BinaryIO

from exchanged.batch import Kind, Limits, Reading
from exchanged.reading.archive import SMALL, Archive, local, safe_parser
from exchanged.reading.cells import Value, formula_text, iso_text, number_text
from exchanged.reading.exact import TEXT
from exchanged.reading.rows import Sheets
from exchanged.reading.trouble import Trouble, damaged, too_large

_ROWS, _COLUMNS = 1 << 20, 1 << 14
REPEATED = 10_000  # filled rows made by repeating: all but the first are wrong, and a few bytes could make millions
BLANKS = 16 << 20  # blanks given by their number in a whole file: a few bytes could make millions
_ERROR = re.compile(r"#(N/A|REF!|VALUE!|DIV/0!|NAME\?|NUM!|NULL!)|Err:\d+")
_SKIPPED = frozenset({"annotation", "ruby-text", "shapes", "frame", "custom-shape", "tracked-changes", "dde-link"})


def read(source: BinaryIO, name: str, limits: Limits) -> Reading:
    """An ods spreadsheet as a reading; raises Trouble for what makes it unusable as a whole."""
    archive = Archive(source, limits)
    if "encrypted-package" in archive or _encrypted(archive):
        raise Trouble("file-encrypted")
    content = Content(Sheets(name, limits), limits)
    content.parse(archive)
    return content.sheets.reading(content.epoch_1904)


def _encrypted(archive: Archive) -> bool:
    found = [False]

    def start(tag: str, _attributes: dict[str, str]) -> None:
        found[0] = found[0] or local(tag) == "encryption-data"

    if "META-INF/manifest.xml" in archive:
        archive.parse("META-INF/manifest.xml", start)
    return found[0]


def _count(attributes: dict[str, str], name: str) -> int:
    """A repeat count, at least 1."""
    return max(1, int(attributes.get(name, "1")))


class Content:
    """The state between two XML events of content.xml."""

    def __init__(self, sheets: Sheets, limits: Limits) -> None:
        self.sheets, self.limits = sheets, limits
        self.epoch_1904 = False
        self.tables = self.skipped = 0
        self.row = self.repeat_row = self.repeated = 0
        self.column = self.repeat = 0
        self.cells: dict[int, Value] = {}
        self.cell: dict[str, str] | None = None
        self.parts: list[str] = []
        self.paragraphs = 0
        self.size = 0
        self.in_paragraph = 0
        self.blanks = 0

    def parse(self, archive: Archive) -> None:
        """All of the content, piece by piece."""
        parser = safe_parser()
        parser.StartElementHandler = self.start
        parser.EndElementHandler = self.end
        parser.CharacterDataHandler = self.text
        for block in archive.xml("content.xml", SMALL):
            parser.Parse(block, False)
        parser.Parse(b"", True)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = local(tag)
        if self.skipped or name in _SKIPPED:
            self.skipped += 1
        elif name == "null-date":
            self.epoch_1904 = attributes.get("table:date-value", "").startswith("1904")
        elif name == "table" and tag != "draw:table":
            self._table(attributes)
        elif self.tables != 1:
            return
        elif name == "table-row":
            self.repeat_row, self.column, self.cells = _count(attributes, "table:number-rows-repeated"), 0, {}
        elif name in ("table-cell", "covered-table-cell"):
            self.cell, self.parts, self.paragraphs, self.size = attributes, [], 0, 0
            self.repeat = _count(attributes, "table:number-columns-repeated")
        elif self.cell is not None:
            self._inside(name, attributes)

    def _table(self, attributes: dict[str, str]) -> None:
        self.tables += 1
        if self.tables == 1:
            self.row = 0
            self.sheets.begin(attributes.get("table:name", ""))

    def _inside(self, name: str, attributes: dict[str, str]) -> None:
        if name in ("p", "h"):
            if self.paragraphs and not self.in_paragraph:
                self._add("\n")
            self.paragraphs += 1
            self.in_paragraph += 1
        elif name == "s":
            count = _count(attributes, "text:c")
            self.blanks += count
            if self.blanks > BLANKS:
                raise too_large("piece", BLANKS)
            self._add(" " * count)
        elif name == "tab":
            self._add("\t")
        elif name == "line-break":
            self._add("\n")

    def text(self, data: str) -> None:
        if self.in_paragraph and not self.skipped:
            self._add(data)

    def _add(self, data: str) -> None:
        self.size += len(data)
        if self.size > TEXT:
            raise too_large("piece", TEXT)
        self.parts.append(data)

    def end(self, tag: str) -> None:
        if self.skipped:
            self.skipped -= 1
            return
        name = local(tag)
        if name == "table" and tag != "draw:table":
            self.tables -= 1
            if not self.tables:
                self.sheets.end()
        elif name in ("p", "h"):
            self.in_paragraph = max(0, self.in_paragraph - 1)
        elif self.tables == 1 and name in ("table-cell", "covered-table-cell") and self.cell is not None:
            self._end_cell(self.cell)
        elif self.tables == 1 and name == "table-row":
            self._end_row()

    def _end_cell(self, attributes: dict[str, str]) -> None:
        self.cell = None
        value = _value(attributes, "".join(self.parts))
        if value[0]:
            last = self.column + self.repeat
            if last > max(self.limits.columns, 1) and self.repeat > 1:
                raise too_large("columns", self.limits.columns)
            self.cells.update(dict.fromkeys(range(self.column, last), value))
        self.column += self.repeat

    def _end_row(self) -> None:
        first, self.row = self.row + 1, self.row + self.repeat_row
        if not self.cells:
            return
        if self.row > _ROWS or (self.column > _COLUMNS and max(self.cells) >= _COLUMNS):
            raise too_large("rows", self.limits.rows)
        self.repeated += self.repeat_row - 1
        if self.repeated > REPEATED:
            raise too_large("rows", REPEATED)
        for number in range(first, self.row + 1):
            self.sheets.take(number, self.cells)


def _value(attributes: dict[str, str], text: str) -> Value:
    kind = attributes.get("office:value-type", "")
    formula = "table:formula" in attributes
    if attributes.get("calcext:value-type") == "error" or (formula and _ERROR.fullmatch(text)):
        return Kind.ERROR, None
    if kind in ("float", "percentage", "currency"):
        number = float(attributes["office:value"])
        return (formula and formula_text(number)) or number_text(number)
    if kind == "date":
        return iso_text(attributes.get("office:date-value", ""))
    if kind == "boolean":
        return Kind.BOOL, "TRUE" if attributes.get("office:boolean-value") == "true" else "FALSE"
    if kind not in ("", "string", "time", "void"):
        raise damaged("cell-type")
    text = attributes.get("office:string-value", text) if kind == "string" else text
    if text:
        return Kind.TEXT, text
    return (Kind.FORMULA, None) if formula and kind in ("", "void") else (Kind.EMPTY, None)
