"""Reads an xlsx workbook: guards first, then the sheet that holds the header.

Takes   an open binary file
Gives   a reading; the sheet is read in one go into compact columns and handed out in chunks
Redo    it only reads
Ends    file-encrypted, file-unreadable, file-too-large, header-missing, sheet-ambiguous
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from exchanged.batch import Chunk, Limits, Reading
from exchanged.reading import exact, header, strings
from exchanged.reading.archive import SMALL, Archive
from exchanged.reading.bytescan import Unusual
from exchanged.reading.columns import Columns
from exchanged.reading.rows import Watch, texts_of
from exchanged.reading.scan import Scanner
from exchanged.reading.trouble import Trouble, too_large
from exchanged.reading.workbook import date_styles, open_workbook


def read(source: BinaryIO, name: str, limits: Limits) -> Reading:
    """An xlsx workbook as a reading; raises Trouble for what makes it unusable as a whole."""
    archive = Archive(source, limits)
    workbook = open_workbook(archive)
    texts = strings.load(archive, workbook.strings, limits.rows)
    book = exact.Book(Texts(texts), date_styles(archive, workbook.styles), workbook.epoch_1904)
    hits = [(sheet, member, hit) for sheet, member in workbook.sheets if (hit := _head(archive, member, book))]
    if not hits:
        raise Trouble("header-missing")
    hits = [hit for hit in hits if header.of_records(hit[2][1])] or hits
    if len(hits) > 1:
        raise Trouble("sheet-ambiguous", sheets=len(hits))
    sheet, member, (number, row) = hits[0]
    if max(row) >= limits.columns:
        raise too_large("columns", limits.columns)
    layout, findings = header.layout(number, row, name, sheet)
    stray, chunks = _rows(archive, member, book, texts, layout, limits)
    findings += [header.unnamed(c, n, name, sheet) for c, n in sorted(stray.items())]
    return Reading(name, sheet, number, workbook.epoch_1904, tuple(findings), chunks)


def _rows(
    archive: Archive, member: str, book: exact.Book, texts: Any, layout: header.Layout, limits: Limits
) -> tuple[dict[int, int], Iterator[Chunk]]:
    """Data in columns without a header, and the rows: by the scan where it understands the sheet, else exactly."""
    try:
        columns = Columns(book, texts, layout, limits)
        for block in Scanner().blocks(archive.xml(member)):
            columns.add(block)
        return columns.stray, columns.chunks()
    except Unusual:
        watch = Watch(layout, limits)
        book.strings = texts.to_pylist()
        exact.read(archive.xml(member), book, watch.take)
        return watch.stray, watch.chunks()


class Texts:
    """Shared strings looked up one by one, without a Python object for each."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, index: int) -> str | None:
        text: str | None = self.array[index].as_py()
        return text


def _head(archive: Archive, member: str, book: exact.Book) -> tuple[int, header.Row] | None:
    rows: list[tuple[int, header.Row]] = []

    def take(number: int, row: exact.Row) -> None:
        rows.append((number, texts_of(row)))

    exact.read(archive.xml(member, SMALL), book, take, header.LOOK)
    return header.best(rows)
