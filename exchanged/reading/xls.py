"""Reads an old .xls (Excel 97 to 2003, WPS .et) with calamine; what calamine hides comes from a look at the records.

Takes   an open binary file
Gives   a reading
Redo    it only reads
Ends    file-encrypted, file-unreadable (Excel 95 and older with hint=save-as-xlsx), file-too-large, header-missing,
        sheet-ambiguous; calamine may abort the process on what no guard foresaw: hence the child
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, BinaryIO

from python_calamine import CalamineWorkbook

from exchanged.batch import Kind, Limits, Reading
from exchanged.reading import biff, compound
from exchanged.reading.cells import Value, iso_text, number_text
from exchanged.reading.rows import Sheets
from exchanged.reading.trouble import damaged

_NOTHING: Value = (Kind.EMPTY, None)


def read(source: BinaryIO, name: str, limits: Limits) -> Reading:
    """An .xls workbook as a reading; raises Trouble for what makes it unusable as a whole."""
    records = biff.stream(source)
    facts = biff.look(records, limits)
    sheets = Sheets(name, limits)
    try:
        workbook = open_book(records, facts)
        for index, sheet in enumerate(facts.sheets):
            sheets.begin(sheet)
            for number, row in rows(workbook, sheet, facts.odd[index]):
                sheets.take(number, row)
            sheets.end()
    except BaseException as error:
        # calamine's own errors and its PanicException; their text may quote the file
        if type(error).__module__.startswith(("python_calamine", "pyo3_runtime", "_python_calamine")):
            raise damaged("damaged") from None
        raise
    return sheets.reading(facts.epoch_1904)


def open_book(records: bytes, facts: biff.Facts) -> Any:
    """A calamine workbook of the records, without what in them would mislead it."""
    return CalamineWorkbook.from_filelike(io.BytesIO(compound.wrapped("Workbook", biff.honest(records, facts))))


def rows(book: Any, sheet: str, odd: Mapping[tuple[int, int], Value]) -> Iterator[tuple[int, dict[int, Value]]]:
    """The filled rows of one sheet of a calamine workbook; `odd`, by row and column from 0, are cells that it does not
    tell, or not as they are."""
    table = book.get_sheet_by_name(sheet)
    at: dict[int, dict[int, Value]] = {}
    for (place, column), value in odd.items():
        at.setdefault(place, {})[column] = value
    start = table.start
    left = start[1] if start else 0
    seen = -1
    for seen, values in enumerate(table.iter_rows() if start else ()):
        row = _row(values, left)
        row.update(at.pop(seen, {}))
        if row:
            yield seen + 1, row
    for index in sorted(at):  # rows that hold nothing but errors at the end of the sheet
        yield index + 1, at[index]


def _row(values: Sequence[Any], left: int) -> dict[int, Value]:
    return {left + i: made for i, value in enumerate(values) if value != "" and (made := _value(value))[0]}


def _value(value: Any) -> Value:
    match value:
        case str():
            return Kind.TEXT, value
        case bool():
            return Kind.BOOL, "TRUE" if value else "FALSE"
        case float() | int():
            return number_text(value)
        case datetime() | date():
            return iso_text(value.isoformat())
        case time():
            return number_text((value.hour * 3600 + value.minute * 60 + value.second) / 86400)
        case timedelta():
            return number_text(value.total_seconds() / 86400)
        case _:
            return _NOTHING
