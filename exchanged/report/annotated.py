"""A clerk's own sheet with every wrong cell marked, a reason column at its right and a summary in front, as xlsx.

Takes   the sheet as it was read, what is wrong with it, what the summary says
Gives   the workbook, written to a file or pipe in one go: xlsxwriter makes everything but the rows of the sheet, in
        memory; the rows are streamed into their place, so that memory does not grow with them
Redo    it only computes
Ends    TooLong for a sheet that no xlsx can hold
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, BinaryIO

import numpy as np
import xlsxwriter

from exchanged.batch import Cells, Chunk, Kind
from exchanged.messages import clean, text, width
from exchanged.reading.cells import cells as made_of
from exchanged.reading.header import OURS
from exchanged.reading.whole import Whole
from exchanged.report import front
from exchanged.report.formats import FAMILIES, FIELD, HEADER, OTHER, REASON, TITLE, properties
from exchanged.report.marks import WHOLE, Marks
from exchanged.report.sheetxml import GRAVITIES, SLOTS, TEXT, Column, Formats, rows
from exchanged.standard import arrow
from exchanged.standard.columns import Table

ROWS, COLUMNS = 1_048_576, 16_384  # of a sheet
LARGEST = 2_000_000_000  # bytes of a sheet's XML: more, and older programs cannot open it
COMMENTS = 5_000  # cells with a comment; each is a drawing of its own, which programs load slowly
LONGEST_REASON = 4_000
_SAMPLE = 200  # rows whose cells tell how wide a column should be
_NARROW, _WIDE, _REASONS_WIDE = 8.0, 48.0, 64.0
_MARGIN = 5 / 7  # digits beside the text of a cell; xlsxwriter adds it to a width
_ROWS = re.compile(rb"<sheetData>(.*?)</sheetData>", re.S)
_STYLE = re.compile(rb'<c r="[A-Z]+1" s="(\d+)"')
_DIMENSION = re.compile(rb"<dimension [^>]*/>")


class TooLong(Exception):
    """The sheet has more rows or columns than an xlsx can hold, or could not be handed in again for its size."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """The sheet to write: as it was read, what is wrong, the last row with a record, the 0-based column for the
    reasons, the sheet's name, and whether its dates are counted from 1904 on."""

    whole: Whole
    marks: Marks
    last: int
    reason: int
    name: str
    epoch_1904: bool = False


def reason_column(whole: Whole) -> int:
    """Where the reasons stand: right of the data and its header, or where they stood before."""
    header = next((row for number, row in whole.above if number == whole.layout.row), {})
    filled = {*whole.columns, *header} - whole.layout.ours
    return max(max(whole.layout.ours, default=-1), max(filled, default=-1) + 1)


def last_row(table: Table, file: int, header: int) -> int:
    """The last row of a file that holds a record or a total."""
    parts = [part for part in table.parts if part.file == file]
    return max(
        [header, *(int(numbers.max()) for part in parts for numbers in (part.numbers, part.sums) if len(numbers))]
    )


def write(out: BinaryIO, sheet: Sheet, told: front.Told, most: int = LARGEST) -> None:
    """Write the workbook to `out`, which need not be seekable. `most`: bytes that its rows may be, not compressed."""
    if sheet.last > ROWS or sheet.reason >= COLUMNS:
        raise TooLong
    language = sheet.marks.language
    chunks = sheet.whole.chunks
    first = next(chunks, None)
    frame, member, styles = _frame(sheet, told, first, language)
    whole = chain(_above(sheet, styles, language), _below(sheet, styles, chain([first] if first else [], chunks)))
    _pack(out, frame, member, whole, min(most, LARGEST))


# --- everything but the rows ------------------------------------------------------------------------------------------


def _frame(sheet: Sheet, told: front.Told, first: Chunk | None, language: str) -> tuple[bytes, str, dict[Any, int]]:
    """The workbook without the sheet's rows, the member they belong in, and the number of each cell format."""
    made = io.BytesIO()
    book = xlsxwriter.Workbook(made, {"in_memory": True, "date_1904": sheet.epoch_1904})
    book.set_properties({"title": clean(told.file), "author": "exchanged"})
    names = front.sheet_names(sheet.name, language)
    summary, page = book.add_worksheet(names[0]), book.add_worksheet(names[1])
    front.write(book, summary, sheet.marks, told, names[1], sheet.whole, sheet.reason)
    looks = [(family, slot, gravity) for family in FAMILIES for slot in SLOTS for gravity in GRAVITIES]
    formats = {look: book.add_format(properties(*look)) for look in looks}
    for place, look in enumerate(looks):
        page.write_blank(0, place, None, formats[look])  # a row of samples, which the real rows replace
    _arrange(page, sheet, first, formats[FIELD, TEXT, 0])
    _comment(page, sheet)
    book.close()
    with zipfile.ZipFile(made) as archive:
        member = "xl/worksheets/sheet2.xml"
        found = _ROWS.search(archive.read(member))
        numbers = _STYLE.findall(found[1]) if found else []
    return made.getvalue(), member, {look: int(number) for look, number in zip(looks, numbers, strict=True)}


def _arrange(page: Any, sheet: Sheet, first: Chunk | None, as_text: Any) -> None:
    """Widths, the fixed header, the filter, and how it prints."""
    layout, reason = sheet.whole.layout, sheet.reason
    fields = set(layout.fields.values())
    for column, size in _widths(sheet.whole, first).items():
        page.set_column(column, column, size, as_text if column in fields else None)
    page.set_column(reason, reason, _REASONS_WIDE)
    page.freeze_panes(layout.row, 0)
    page.autofilter(layout.row - 1, 0, max(sheet.last, layout.row) - 1, reason)
    page.ignore_errors({"number_stored_as_text": "A1:XFD1048576"})
    page.set_landscape()
    page.set_paper(9)
    page.fit_to_pages(1, 0)
    page.repeat_rows(layout.row - 1)


def _widths(whole: Whole, first: Chunk | None) -> dict[int, float]:
    """As the clerk's sheet has them, else as the first rows need it."""
    found: dict[int, float] = {}
    head = dict(whole.above).get(whole.layout.row, {})
    for column in whole.columns:
        if column in whole.widths:
            found[column] = max(1.0, min(whole.widths[column], 255.0) - _MARGIN)
            continue
        cells = first.columns.get(str(column)) if first else None
        texts = [head.get(column, (0, None))[1] or ""]
        texts += [each or "" for each in cells.text.slice(0, _SAMPLE).to_pylist()] if cells else []
        found[column] = min(_WIDE, max(_NARROW, max(width(each[:100]) for each in texts) + 3.0))
    return found


def _comment(page: Any, sheet: Sheet) -> None:
    """A comment on each wrong cell, as far as there may be so many."""
    marks, first = sheet.marks, min(sheet.whole.columns, default=0)
    said: dict[tuple[int, int], list[int]] = {}
    for entry in range(len(marks)):
        column = int(marks.columns[entry])
        place = (int(marks.rows[entry]), first if column == WHOLE else column)
        if place not in said and len(said) == COMMENTS:
            break
        said.setdefault(place, []).append(entry)
    for (row, column), entries in said.items():
        words = front.comment(marks, entries)
        lines = sum(1 + width(line) // 40 for line in words.splitlines())
        options = {"author": "exchanged", "width": 290, "height": 12 + 17 * lines, "font_size": 9}
        page.write_comment(row - 1, column, words, options)


# --- the rows ---------------------------------------------------------------------------------------------------------


def _formats(styles: Mapping[Any, int], family: int) -> Formats:
    return lambda slot, gravity: styles[family, slot, gravity]


def _above(sheet: Sheet, styles: Mapping[Any, int], language: str) -> Iterator[bytes]:
    """Title rows, and the header with the reason column's own."""
    ours = f"{text('book.reason', language)} {OURS}"
    for number, row in sheet.whole.above:
        header = number == sheet.whole.layout.row
        given = {column: value for column, value in row.items() if column not in sheet.whole.layout.ours}
        if header:
            given[sheet.reason] = (Kind.TEXT, ours)
        family = _formats(styles, HEADER if header else TITLE)
        gravity = _gravity(sheet.marks, np.array([number], np.int32), [*given])
        columns = [
            Column(column, _as_numbers(made_of([value[1]], [value[0]])), gravity[column], family, sheet.epoch_1904)
            for column, value in sorted(given.items())
        ]
        yield from rows(np.array([number], np.int32), columns)


def _below(sheet: Sheet, styles: Mapping[Any, int], chunks: Iterator[Chunk]) -> Iterator[bytes]:
    """The rows of the clerk, each with its reasons."""
    fields = set(sheet.whole.layout.fields.values())
    for chunk in chunks:
        present = [column for column in sheet.whole.columns if str(column) in chunk.columns]
        gravity = _gravity(sheet.marks, chunk.numbers, present)
        columns = [
            Column(
                column,
                chunk.columns[str(column)] if column in fields else _as_numbers(chunk.columns[str(column)]),
                gravity[column],
                _formats(styles, FIELD if column in fields else OTHER),
                sheet.epoch_1904,
            )
            for column in present
        ]
        texts, worst = _reasons(sheet.marks, chunk.numbers)
        columns.append(Column(sheet.reason, Cells(texts, Kind.TEXT), worst, _formats(styles, REASON)))
        yield from rows(chunk.numbers, columns)


def _as_numbers(cells: Cells) -> Cells:
    """Cells that are no fields: the number stored for a formula may be its value there, so that it is shown."""
    if isinstance(cells.kind, Kind):
        return cells
    stored = (cells.kind == Kind.FORMULA) & (arrow.lengths(arrow.filled(cells.text)) > 0)
    return Cells(cells.text, np.where(stored, np.uint8(Kind.NUMBER), cells.kind))


def _gravity(marks: Marks, numbers: Any, columns: Sequence[int]) -> dict[int, Any]:
    """For each column how grave each of these rows is in it."""
    found = {column: np.zeros(len(numbers), np.uint8) for column in columns}
    entries, at = _entries(marks, numbers)
    place, weight = marks.columns[entries], marks.gravity[entries].astype(np.uint8)
    for column, worst in found.items():
        mine = (place == column) | (place == WHOLE)
        np.maximum.at(worst, at[mine], weight[mine])
    return found


def _entries(marks: Marks, numbers: Any) -> tuple[Any, Any]:
    """The marks of these rows, and the place of each one's row among them."""
    entries = np.array(marks.between(int(numbers[0]), int(numbers[-1])) if len(numbers) else range(0), np.int64)
    at = np.searchsorted(numbers, marks.rows[entries])
    there = numbers[at] == marks.rows[entries] if len(at) else np.zeros(0, np.bool_)
    return entries[there], at[there]


def _reasons(marks: Marks, numbers: Any) -> tuple[Any, Any]:
    """What is wrong with each row, in words, and how grave it is."""
    said: dict[int, list[str]] = {}
    worst = np.zeros(len(numbers), np.uint8)
    entries, places = _entries(marks, numbers)
    np.maximum.at(worst, places, marks.gravity[entries].astype(np.uint8))
    for entry, at in zip(entries.tolist(), places.tolist(), strict=True):
        said.setdefault(at, []).append(marks.reason(entry))
    between = text("book.between", marks.language)
    texts = [between.join(said[at])[:LONGEST_REASON] if at in said else "" for at in range(len(numbers))]
    return arrow.column(texts), worst


# --- the file ---------------------------------------------------------------------------------------------------------


def _pack(out: BinaryIO, frame: bytes, member: str, whole: Iterator[bytes], left: int) -> None:
    """The frame with the rows in it."""
    with (
        zipfile.ZipFile(io.BytesIO(frame)) as source,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target,
    ):
        for info in source.infolist():
            content = source.read(info)
            if info.filename != member:
                target.writestr(info, content)
                continue
            samples = _ROWS.search(content)
            if samples is None:
                raise ValueError("no rows")
            head, tail = content[: samples.start()], content[samples.end() :]
            with target.open(member, "w") as sheet:
                sheet.write(_DIMENSION.sub(b"", head) + b"<sheetData>")
                for piece in whole:
                    left -= len(piece)
                    if left < 0:
                        raise TooLong
                    sheet.write(piece)
                sheet.write(b"</sheetData>" + tail)
