"""Bring the cells of a sheet into the one form that is checked, digested and sent.

Takes   the chunks of a reading, cells as they stand in the file
Gives   parts of the compact table: codes, dates and clean texts; empty rows gone, total rows set apart
Redo    it only computes: the same chunks give the same parts
Ends    never by a cell: what has no normal form keeps its cleaned text and the rule it breaks
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from exchanged.batch import Cells, Chunk, Kind
from exchanged.standard import arrow, codes, dates, identity, text
from exchanged.standard.arrow import (
    Bits,
    Codes,
    filled,
    from_bytes,
    lengths,
    offsets,
    payload,
    pick,
    replaced,
    text_at,
    texts,
)
from exchanged.standard.columns import CODED, DATES, EMPTY, TEXTS, UNREADABLE, DateWords, Meaning, Part, Words
from exchanged.standard.kernels import plain_names, plain_numbers

NONE = "无"
_CODE_FIELDS = frozenset(codes.CODES)
_SUM = re.compile(r"(?:合计|总计|小计|本页小计).*|(?:备注|说明|注)(?:\W.*)?", re.DOTALL)


class Normaliser:
    """Normalises the chunks of a batch's files in turn and remembers every distinct value."""

    def __init__(self, direction_placeholders: Sequence[str] = ()) -> None:
        self._placeholders = frozenset(text.clean(each) for each in direction_placeholders)
        self._dates = {key: DateWords(_date) for key in DATES}
        self.words: Mapping[str, Words] = self._dates | {
            key: Words(self._meaning(key)) for key in CODED if key not in DATES
        }

    def _meaning(self, key: str) -> Callable[[str], Meaning]:
        if key in _CODE_FIELDS:
            return partial(_code, key)
        return self._direction if key == "direction" else _free

    def _direction(self, raw: str) -> Meaning:
        cleaned = text.clean(raw)
        return Meaning(NONE if cleaned in self._placeholders else cleaned)

    def part(self, chunk: Chunk, file: int, epoch_1904: bool = False) -> Part:
        """One chunk of the file with that index as a part of the table."""
        for words in self._dates.values():
            words.use_epoch(epoch_1904)
        coded = {key: self._coded(key, cells) for key, cells in chunk.columns.items() if key in CODED}
        written, unreadable, rounded = {}, {}, {}
        for key in TEXTS:
            if key in chunk.columns:
                cells = chunk.columns[key]
                unreadable[key] = _of_kind(cells, Kind.ERROR, Kind.FORMULA)
                written[key], rounded[key] = _texts(key, cells)
        whole = Part(file, chunk.numbers, coded, written, unreadable, rounded, np.zeros(0, np.int32))
        return _records(whole, chunk)

    def _coded(self, key: str, cells: Cells) -> Codes:
        out = self.words[key].encode(filled(cells.text))
        wrong = _of_kind(cells, Kind.ERROR, Kind.FORMULA)
        if wrong.any():
            out[wrong] = UNREADABLE
        return out


def _code(key: str, raw: str) -> Meaning:
    cleaned = text.halfwidth(text.clean(text.strip_text_guard(raw)))
    if not cleaned:
        return Meaning("")
    found = codes.code(key, cleaned)
    return Meaning(cleaned, "bad-code") if found is None else Meaning(found)


def _date(raw: str, epoch_1904: bool) -> Meaning:
    cleaned = text.clean(text.strip_text_guard(raw))
    if not cleaned:
        return Meaning("")
    found = dates.parse(raw, epoch_1904)
    if isinstance(found, dates.DateProblem):
        return Meaning(cleaned, found.value)
    # a date before the year 1000 would not keep its four digits as a number
    return Meaning(found) if found >= "1000" else Meaning(found, "date-out-of-range")


def _free(raw: str) -> Meaning:
    return Meaning(text.clean(raw))


def _number(raw: str) -> str:
    return identity.clean_number(text.halfwidth(text.clean(text.strip_text_guard(raw))))


def _of_kind(cells: Cells, *kinds: Kind) -> Bits:
    if isinstance(cells.kind, Kind):
        return np.full(len(cells.text), cells.kind in kinds)
    out = np.zeros(len(cells.text), np.bool_)
    for kind in kinds:
        out |= cells.kind == kind
    return out


def _texts(key: str, cells: Cells) -> tuple[pa.StringArray, Bits]:
    """A text column, normalised, and which of its cells were stored as a number."""
    column = filled(cells.text)
    if key == "name":
        return _rewritten(column, ~plain_names(column), text.clean_name), np.zeros(len(column), np.bool_)
    column = _upper_x(column) if key == "id_number" else column
    rounded = _of_kind(cells, Kind.NUMBER)
    rough = ~plain_numbers(column)
    column = _rewritten(column, rough, _number)
    for row in np.flatnonzero(rough & ~rounded).tolist():
        rounded[row] = text.scientific(text_at(column, row))
    return column, rounded


def _upper_x(column: pa.StringArray) -> pa.StringArray:
    """The check character x after 17 digits made X, without a look at the other rows."""
    data = payload(column)
    end = offsets(column)[1:].astype(np.int64) - 1
    at = end[lengths(column) == 18]
    at = at[data[at] == ord("x")] if len(at) else at
    if len(at):
        before = data[at[:, None] + np.arange(-17, 0)] - np.uint8(48)
        at = at[(before <= 9).all(axis=1)]
    if not len(at):
        return column
    changed = data.copy()
    changed[at] = ord("X")
    return from_bytes(offsets(column), changed)


def _rewritten(column: pa.StringArray, rough: Bits, rewrite: Callable[[str], str]) -> pa.StringArray:
    """The column with its rough values rewritten; itself if none changes."""
    rough = rough & (lengths(column) > 0)
    rows = np.flatnonzero(rough)
    before = texts(pick(column, rows)) if len(rows) else []
    after = [rewrite(each) for each in before]
    return column if after == before else replaced(column, rough, arrow.column(after))


def _records(part: Part, chunk: Chunk) -> Part:
    """The part without its empty rows, and with its total and note rows set apart."""
    count = _filled_cells(part)
    fields = len(part.codes) + len(part.texts)
    sums = np.zeros(len(part), np.bool_)
    for row in np.flatnonzero((count * 2 <= fields) & ((count > 0) | _numbered(chunk))).tolist():
        sums[row] = _is_sum(chunk, row)
    keep = (count > 0) & ~sums
    return part if keep.all() else _taken(part, keep, sums)


def _numbered(chunk: Chunk) -> Bits:
    if chunk.serial is None:
        return np.zeros(len(chunk.numbers), np.bool_)
    return lengths(filled(chunk.serial.text)) > 0


def _filled_cells(part: Part) -> npt.NDArray[np.uint8]:
    count = np.zeros(len(part), np.uint8)
    for codes_of in part.codes.values():
        count += codes_of != EMPTY
    for key, column in part.texts.items():
        count += (lengths(column) > 0) | part.unreadable[key]
    return count


def _is_sum(chunk: Chunk, row: int) -> bool:
    """Does a total or note begin in the running numbers or in the first filled field?"""
    first = next((each for each in (_peek(cells, row) for cells in chunk.columns.values()) if each), "")
    serial = _peek(chunk.serial, row) if chunk.serial else ""
    return _SUM.fullmatch(first) is not None or _SUM.fullmatch(serial) is not None


def _peek(cells: Cells, row: int) -> str:
    return text.clean(text_at(cells.text, row)).replace(" ", "")


def _taken(part: Part, keep: npt.NDArray[np.bool_], sums: npt.NDArray[np.bool_]) -> Part:
    rows = np.flatnonzero(keep)
    return Part(
        part.file,
        part.numbers[rows],
        {key: column[rows] for key, column in part.codes.items()},
        {key: pick(column, rows) for key, column in part.texts.items()},
        {key: bits[rows] for key, bits in part.unreadable.items()},
        {key: bits[rows] for key, bits in part.rounded.items()},
        part.numbers[sums],
    )
