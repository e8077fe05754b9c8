"""Rows of a sheet as xlsx XML, whole columns at a time: text stays text, numbers numbers, dates dates.

Takes   columns as they were read, with row numbers; the number of the cell format for every kind of cell
Gives   the bytes of `<row>` elements. No cell is ever a formula or a link
Redo    it only computes
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from exchanged.batch import Cells, Kind
from exchanged.reading.header import letters
from exchanged.standard import arrow

LONGEST = 32_767  # UTF-16 units that a cell of an xlsx may hold
PIECE = 32 << 20  # bytes of XML made at a time, about
CELL = 80  # bytes of XML around a value, about

# How a cell is written; the format of each has a number of its own.
NOTHING, TEXT, GUARDED, NUMBER, LONG, DATE, MOMENT, ERROR, BLANK = range(9)
SLOTS = range(1, 9)
GRAVITIES = range(4)  # 0: nothing wrong with it; else as in `marks`

_PRESERVED = 10  # added to TEXT and GUARDED where outer white space must be kept
_FORMULA_STARTS = b"=+-@\t\r"
_BLANKS = b" \t\r\n"
_ODD = r"[\x00-\x08\x0b-\x1f]|\x{FFFE}|\x{FFFF}|_x[0-9A-Fa-f]{4}_"  # RE2
_ODD_ONE = re.compile(r"[\x00-\x08\x0b-\x1f\uFFFE\uFFFF]|_(?=x[0-9A-Fa-f]{4}_)")
_GENERAL = 1e11  # from here on Excel's general format no longer shows all digits of a whole number
_EPOCH, _EPOCH_1904 = datetime(1899, 12, 30), datetime(1904, 1, 1)
_FIRST, _LEAP = datetime(1900, 1, 1), datetime(1900, 3, 1)  # Excel believes in 1900-02-29

Formats = Callable[[int, int], int]  # slot and gravity to the number of a cell format
Gravities = npt.NDArray[np.uint8]
Slots = npt.NDArray[np.uint8]
_compute = cast(Any, pc)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of some rows: its 0-based place, its cells, how grave each is, its formats, and whether the days of
    its dates are counted from 1904 on, as in the clerk's workbook: a bare number may be one of them."""

    place: int
    cells: Cells
    gravity: Gravities
    formats: Formats
    epoch_1904: bool = False


def rows(numbers: npt.NDArray[np.int32], columns: Sequence[Column]) -> Iterator[bytes]:
    """The rows with these numbers (ascending) as XML, in bounded pieces; columns in the order of their place."""
    if not len(numbers):
        return
    size = sum(len(arrow.content(arrow.filled(one.cells.text))) for one in columns)
    each = size // len(numbers) + CELL * (len(columns) + 1)
    step = max(1, PIECE // each)
    for at in range(0, len(numbers), step):
        yield _piece(numbers[at : at + step], [_part(one, at, step) for one in columns])


def _part(column: Column, at: int, step: int) -> Column:
    kind = column.cells.kind
    cells = Cells(column.cells.text.slice(at, step), kind if isinstance(kind, Kind) else kind[at : at + step])
    return replace(column, cells=cells, gravity=column.gravity[at : at + step])


def _piece(numbers: npt.NDArray[np.int32], columns: Sequence[Column]) -> bytes:
    written = pa.array(numbers).cast(pa.string())
    cells = [_cells(written, one) for one in columns]
    start = _compute.binary_join_element_wise('<row r="', written, '">', "")
    lines = _compute.binary_join_element_wise(start, *cells, "</row>", "", null_handling="skip")
    return arrow.content(lines).tobytes()


def _cells(written: Any, column: Column) -> Any:
    """The cells of one column; null where there is none."""
    values, slots = _values(column.cells, column.epoch_1904)
    slots[(slots == NOTHING) & (column.gravity > 0)] = BLANK
    code = slots * 4 + column.gravity
    used = np.unique(code)
    heads, tails = [""] * 128, [""] * 128
    for each in used.tolist():
        if each // 4:
            slot = each // 4
            style = column.formats(slot - _PRESERVED * (slot > BLANK), each % 4)
            heads[each], tails[each] = _around(slot, style)
    place = letters(column.place)
    taken = pa.array(code)
    alone = len(used) == 1
    head, tail = (each[used[0]] if alone else arrow.column(each).take(taken) for each in (heads, tails))
    made = _compute.binary_join_element_wise(f'<c r="{place}', written, head, values, tail, "")
    empty = slots == NOTHING
    return _compute.if_else(pa.array(empty), pa.scalar(None, pa.string()), made) if empty.any() else made


def _around(slot: int, style: int) -> tuple[str, str]:
    """What stands before and after a value, from the number of its row on."""
    space = ' xml:space="preserve"' if slot > BLANK else ""
    if slot in (TEXT, GUARDED) or slot > BLANK:
        return f'" s="{style}" t="inlineStr"><is><t{space}>', "</t></is></c>"
    if slot == BLANK:
        return f'" s="{style}"/>', ""
    kind = ' t="e"' if slot == ERROR else ""
    return f'" s="{style}"{kind}><v>', "</v></c>"


def _values(cells: Cells, epoch_1904: bool) -> tuple[pa.StringArray, Slots]:
    """What is written into each cell, and how."""
    text = arrow.filled(cells.text)
    length = arrow.lengths(text)
    kinds = (length > 0) * np.uint8(cells.kind) if isinstance(cells.kind, Kind) else cells.kind
    slots = np.zeros(len(text), np.uint8)
    is_text = (kinds == Kind.TEXT) & (length > 0)
    slots[is_text] = TEXT
    if is_text.any():
        text = _shortened(text, length)
        _look(text, is_text, slots)
        text = _escaped(text)
    for kind, write in _OTHERS.items():
        at = np.flatnonzero(kinds == kind)
        if len(at):
            text = _written(text, at, _date_1904 if epoch_1904 and kind is Kind.DATE else write, slots)
    return text, slots


def _look(text: pa.StringArray, is_text: npt.NDArray[np.bool_], slots: Slots) -> None:
    """Texts that begin like a formula, and those whose outer white space XML would lose."""
    data, where = arrow.payload(text), arrow.offsets(text)
    at = np.flatnonzero(is_text)
    first, last = data[where[at]], data[where[at + 1] - 1]
    slots[at[_among(first, _FORMULA_STARTS)]] = GUARDED
    slots[at[_among(first, _BLANKS) | _among(last, _BLANKS)]] += _PRESERVED


def _among(values: npt.NDArray[np.uint8], wanted: bytes) -> npt.NDArray[np.bool_]:
    table = np.zeros(256, np.bool_)
    table[list(wanted)] = True
    return cast(npt.NDArray[np.bool_], table[values])


def _shortened(text: pa.StringArray, length: npt.NDArray[np.int32]) -> pa.StringArray:
    """What is longer than a cell may be, cut."""
    long = length > LONGEST
    if not long.any():
        return text
    shorter = [cut(each, LONGEST) for each in arrow.texts(arrow.pick(text, np.flatnonzero(long)))]
    return arrow.replaced(text, long, arrow.column(shorter))


def cut(text: str, most: int) -> str:
    """A text of at most so many UTF-16 units, which is how spreadsheet programs count."""
    return text.encode("utf-16-le")[: 2 * most].decode("utf-16-le", "ignore")


def _escaped(text: pa.StringArray) -> pa.StringArray:
    """Fit for XML. Characters that it cannot hold stand as Excel writes them: _x0001_."""
    data = arrow.content(text)
    if len(data) and (int(data.min()) < 32 or b"_x" in (whole := data.tobytes()) or b"\xef\xbf" in whole):
        odd = arrow.matches(text, _ODD)
        if odd.any():
            changed = [_ODD_ONE.sub(_code, each) for each in arrow.texts(arrow.pick(text, np.flatnonzero(odd)))]
            text = arrow.replaced(text, odd, arrow.column(changed))
    for sign, by in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        if (data == ord(sign)).any():
            text = _compute.replace_substring(text, sign, by)
    return text


def _code(match: re.Match[str]) -> str:
    return f"_x{ord(match[0]):04X}_"


# --- what is no text --------------------------------------------------------------------------------------------------


def _written(
    text: pa.StringArray, at: npt.NDArray[np.intp], write: Callable[[str], tuple[str, int]], slots: Slots
) -> pa.StringArray:
    """The column with the cells `at` written by `write`, each distinct value once."""
    values, which = arrow.encoded(arrow.pick(text, at))
    made = [write(value) for value in values]
    slots[at] = np.array([slot for _, slot in made], np.uint8)[which]
    where = np.zeros(len(text), np.bool_)
    where[at] = True
    return arrow.replaced(text, where, arrow.pick(arrow.column([each for each, _ in made]), which))


def _number(value: str) -> tuple[str, int]:
    number = float(value)
    return value, LONG if abs(number) >= _GENERAL and number.is_integer() else NUMBER


def _date(value: str) -> tuple[str, int]:
    """An Excel serial. Dates before its calendar begins stay text."""
    if value.startswith("1900-02-29"):
        return "60", DATE
    moment = datetime.fromisoformat(value).replace(tzinfo=None)
    if moment < _FIRST:
        return value, TEXT
    past = moment - _EPOCH
    return _serial(past.days - (moment < _LEAP), past.seconds)


def _date_1904(value: str) -> tuple[str, int]:
    moment = datetime.fromisoformat(value).replace(tzinfo=None)
    past = moment - _EPOCH_1904
    return (value, TEXT) if moment < _EPOCH_1904 else _serial(past.days, past.seconds)


def _serial(days: int, seconds: int) -> tuple[str, int]:
    return (repr(days + seconds / 86_400), MOMENT) if seconds else (str(days), DATE)


def _truth(value: str) -> tuple[str, int]:
    """TRUE or FALSE as text: other programs make numbers or formulas of them, and no field may hold them anyway."""
    return value, TEXT


def _error(_value: str) -> tuple[str, int]:
    return "#N/A", ERROR


_OTHERS: Mapping[Kind, Callable[[str], tuple[str, int]]] = {
    Kind.NUMBER: _number,
    Kind.DATE: _date,
    Kind.BOOL: _truth,
    Kind.ERROR: _error,
    Kind.FORMULA: _error,
}
