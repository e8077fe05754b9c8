"""The sheet that holds the data as it stands: all of its columns, the rows above the header, the widths.

Takes   an open binary file, and where a `Reading` has found the data: sheet, header row, columns without a header
Gives   a `Whole`, enough to write the sheet once more; row numbers are those of the spreadsheet program
Redo    it only reads
Ends    None where the data is not found there again; as `read`, but by Trouble, for what cannot be read
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from exchanged.batch import Cells, Chunk, Kind, Limits
from exchanged.reading import biff, csvfile, exact, header, ods, sniff, strings, widths, xls, xlsx
from exchanged.reading.archive import SMALL, Archive
from exchanged.reading.bytescan import Unusual
from exchanged.reading.cells import Collector, Value
from exchanged.reading.columns import Columns
from exchanged.reading.csvtext import Text
from exchanged.reading.rows import Row, Sheets, texts_of
from exchanged.reading.scan import Scanner
from exchanged.reading.workbook import Workbook, date_styles, open_workbook


@dataclass(frozen=True, slots=True)
class Place:
    """Where the data of a file is: its sheet (None in a CSV), the header row, 0-based columns that have no header."""

    sheet: str | None
    header_row: int
    bare: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Whole:
    """A sheet to copy. `above`: the rows down to the header as (number, row). `chunks`: those below it, the columns
    under their 0-based place as text, those of `columns` alone: a reason column of ours is not among them."""

    layout: header.Layout
    above: Sequence[tuple[int, Row]]
    columns: tuple[int, ...]
    widths: Mapping[int, float]
    chunks: Iterator[Chunk]


def read(source: BinaryIO, name: str, limits: Limits, place: Place) -> Whole | None:
    """The sheet that a reading of this very file has found its data in."""
    source.seek(0)
    kind = sniff.kind(source.read(sniff.HEAD), source, name)
    source.seek(0)
    if kind == "csv":
        return _csv(source, name, limits, place)
    if kind == "xlsx":
        return _xlsx(source, limits, place)
    return _ods(source, limits, place) if kind == "ods" else _xls(source, limits, place)


class _Rows:
    """Takes the rows of a sheet one by one: those down to the header stay as they are, those below become columns."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.above: list[tuple[int, Row]] = []
        self._below: Collector | None = None

    def take(self, number: int, row: Row) -> None:
        """One filled row, in order."""
        if number <= self.place.header_row:
            self.above.append((number, row))
            return
        if self._below is None:
            found = self.layout()
            self._below = Collector({} if found is None else _named(_columns(found, self.place)))
        self._below.add(number, row)

    def layout(self) -> header.Layout | None:
        """The columns of the header row; None when it is not there."""
        if not self.above or self.above[-1][0] != self.place.header_row:
            return None
        return header.layout(self.place.header_row, texts_of(self.above[-1][1]), "", None)[0]

    def whole(self, found: Mapping[int, float], chunks: Iterator[Chunk] | None = None) -> Whole | None:
        """All of it."""
        layout = self.layout()
        if layout is None:
            return None
        below = self._below.chunks() if self._below else iter(())
        return Whole(layout, self.above, _columns(layout, self.place), found, below if chunks is None else chunks)


def _columns(layout: header.Layout, place: Place) -> tuple[int, ...]:
    return tuple(sorted((layout.named | place.bare) - layout.ours))


def _named(columns: Sequence[int]) -> dict[int, str]:
    return {column: str(column) for column in columns}


# --- xlsx -------------------------------------------------------------------------------------------------------------


def _xlsx(source: BinaryIO, limits: Limits, place: Place) -> Whole | None:
    archive = Archive(source, limits)
    workbook = open_workbook(archive)
    texts = strings.load(archive, workbook.strings, limits.rows)
    book = exact.Book(xlsx.Texts(texts), date_styles(archive, workbook.styles), workbook.epoch_1904)
    for member in _members(workbook, place):
        rows = _above(archive, member, book, place)
        layout = rows.layout()
        if layout is not None:
            columns = _columns(layout, place)
            below = _below(archive, member, book, texts, layout, columns, limits)
            return rows.whole(widths.of_xlsx(archive, member), below)
    return None


def _members(workbook: Workbook, place: Place) -> list[str]:
    return [member for sheet, member in workbook.sheets if sheet == place.sheet]


def _above(archive: Archive, member: str, book: exact.Book, place: Place) -> _Rows:
    rows = _Rows(place)
    exact.read(archive.xml(member, SMALL), book, rows.take, place.header_row)
    return rows


def _below(
    archive: Archive,
    member: str,
    book: exact.Book,
    texts: Any,
    layout: header.Layout,
    wanted: Sequence[int],
    limits: Limits,
) -> Iterator[Chunk]:
    """The rows below the header: by the scan where it understands the sheet, else cell by cell."""
    places = {str(column): column for column in wanted}
    columns = Columns(book, texts, header.Layout(layout.row, places, None, layout.named | {*wanted}), limits)
    try:
        for block in Scanner().blocks(archive.xml(member)):
            columns.add(block)
        return columns.chunks()
    except Unusual:
        book.strings = texts.to_pylist()
        rows = Collector(_named(wanted))
        exact.read(archive.xml(member), book, lambda n, row: rows.add(n, row) if n > layout.row else None)
        return rows.chunks()


# --- ods, xls, csv ----------------------------------------------------------------------------------------------------


class _One(Sheets):
    """The rows of one sheet of several."""

    def __init__(self, name: str, limits: Limits, place: Place) -> None:
        super().__init__(name, limits)
        self.rows = _Rows(place)
        self._inside = False

    def begin(self, sheet: str) -> None:
        """A new sheet starts."""
        self._inside = sheet == self.rows.place.sheet

    def take(self, number: int, row: Row) -> None:
        """One filled row, in order."""
        if self._inside:
            self.rows.take(number, row)

    def end(self) -> None:
        """The sheet ends."""
        self._inside = False


def _ods(source: BinaryIO, limits: Limits, place: Place) -> Whole | None:
    archive = Archive(source, limits)
    one = _One("", limits, place)
    ods.Content(one, limits).parse(archive)
    return one.rows.whole(widths.of_ods(archive, place.sheet or ""))


def _xls(source: BinaryIO, limits: Limits, place: Place) -> Whole | None:
    records = biff.stream(source)
    facts = biff.look(records, limits)
    if place.sheet not in facts.sheets:
        return None
    at = facts.sheets.index(place.sheet)
    rows = _Rows(place)
    for number, row in xls.rows(xls.open_book(records, facts), facts.sheets[at], facts.odd[at]):
        rows.take(number, row)
    return rows.whole(biff.widths(records, at))


def _csv(source: BinaryIO, name: str, limits: Limits, place: Place) -> Whole | None:
    table = csvfile.Table(Text(source), name, limits)
    records = _records(table)
    above = [(n, _texts(record)) for n, record in enumerate(islice(records, place.header_row), 1)]
    rows = _Rows(place)
    for number, row in above:
        rows.take(number, row)
    layout = rows.layout()
    if layout is None:
        return None
    return rows.whole({}, _chunks(records, place.header_row, _columns(layout, place)))


def _records(table: csvfile.Table) -> Iterator[list[str]]:
    lines = (line for n, block in enumerate(table.blocks()) for line in io.StringIO(block.decode("utf-8"), newline=""))
    return csv.reader(lines, delimiter=table.separator, strict=True)


def _texts(record: Sequence[str]) -> dict[int, Value]:
    return {column: (Kind.TEXT, text) for column, text in enumerate(record) if text}


def _chunks(records: Iterator[list[str]], number: int, columns: Sequence[int]) -> Iterator[Chunk]:
    while batch := list(islice(records, csvfile.ROWS)):
        numbers = np.arange(number + 1, number + 1 + len(batch), dtype=np.int32)
        number += len(batch)
        by_place = list(zip_longest(*batch, fillvalue=""))
        made = {
            str(c): Cells(pa.array((t or None for t in by_place[c]), pa.string()), Kind.TEXT)
            for c in columns
            if c < len(by_place)
        }
        yield Chunk(numbers, made)
