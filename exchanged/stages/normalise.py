"""Bring the cells of a sheet into the one form that is checked, digested and sent.

Takes   the chunks of a reading, cells as they stand in the file
Gives   parts of the compact table: codes, dates and clean texts; empty rows gone, total rows set apart
Redo    it only computes: the same chunks give the same parts
Ends    never by a cell: what has no normal form keeps its cleaned text and the rule it breaks
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from exchanged.batch import Cells, Chunk, Kind
from exchanged.reading import header
from exchanged.standard import arrow, codes, dates, identity, notes, text
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
from exchanged.standard.columns import CODED, DATES, EMPTY, TEXTS, UNREADABLE, DateWords, Meaning, Part, Texts, Words
from exchanged.standard.fields import BY_KEY
from exchanged.standard.kernels import plain_names, plain_numbers

NONE = "无"
ERROR = Meaning("", "formula-error")
_CODE_FIELDS = frozenset(codes.CODES)
_HEADER_AGAIN = 3  # fields that say their own name: the header once more, as on every page of a printed list
_TOLD = _CODE_FIELDS | {*DATES}  # of which a name is no value
_NOTHING = frozenset({"bad-code", "bad-date"})
_WORDED = frozenset({*TEXTS, ""})  # where a label with a colon is no code


class Normaliser:
    """Normalises the chunks of a batch's files in turn and remembers every distinct value."""

    def __init__(self, direction_placeholders: Sequence[str] = ()) -> None:
        self._placeholders = frozenset(_stroke(text.clean(each)) for each in direction_placeholders)
        self._own: dict[str, tuple[int, list[int]]] = {}
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
        return Meaning(NONE) if cleaned and _stroke(cleaned) in self._placeholders else _free(cleaned)

    def part(self, chunk: Chunk, file: int, epoch_1904: bool = False) -> Part:
        """One chunk of the file with that index as a part of the table."""
        for words in self._dates.values():
            words.use_epoch(epoch_1904)
        coded = {key: self._coded(key, cells) for key, cells in chunk.columns.items() if key in CODED}
        written = {key: _texts(key, chunk.columns[key]) for key in TEXTS if key in chunk.columns}
        none = np.zeros(0, np.int32)
        part = Part(file, chunk.numbers, coded, written, none, none)
        return _records(part, chunk, self._headers(part))

    def _headers(self, part: Part) -> Bits:
        """Which rows repeat the header, with or without its notes."""
        own = np.zeros(len(part), np.uint8)
        for key in _TOLD & part.codes.keys():
            if named := self._named(key):
                own += np.isin(part.codes[key], named)
        again: Bits = own >= _HEADER_AGAIN
        return again

    def _named(self, key: str) -> list[int]:
        """The codes of cells that say the name of their own column."""
        words, (looked, named) = self.words[key], self._own.get(key, (0, []))
        for code in range(looked, len(words)):
            if words.rules[code] in _NOTHING and header.plain(words.texts[code]) == BY_KEY[key].name:
                named.append(code)
        self._own[key] = len(words), named
        return named

    def _coded(self, key: str, cells: Cells) -> Codes:
        column, wrong = _readable(cells)
        out = self.words[key].encode(column)
        if wrong.any():
            out[wrong] = UNREADABLE
        return out


def _code(key: str, raw: str) -> Meaning:
    cleaned = text.halfwidth(text.clean(text.strip_text_guard(raw)))
    if not cleaned:
        return Meaning("")
    if text.is_error(cleaned):
        return ERROR
    found = codes.code(key, cleaned)
    if found is None or text.runs_as_formula(cleaned):  # of what is compound only a part may have been known
        return Meaning(cleaned, "bad-code")
    return Meaning(found)


def _date(raw: str, epoch_1904: bool) -> Meaning:
    found = dates.parse(raw, epoch_1904)
    if isinstance(found, dates.DateProblem):
        cleaned = text.clean(text.strip_text_guard(raw))
        return ERROR if text.is_error(cleaned) else Meaning(cleaned, found.value if cleaned else None)
    # a date before the year 1000 would not keep its four digits as a number
    return Meaning(found) if found >= "1000" else Meaning(found, "date-out-of-range")


def _free(raw: str) -> Meaning:
    cleaned = text.clean(raw)
    return ERROR if text.is_error(cleaned) else Meaning(cleaned)


def _stroke(cleaned: str) -> str:
    """A placeholder as it is compared: full width as half width, one dash for any dash, —— for —."""
    plain = text.halfwidth(unicodedata.normalize("NFKC", cleaned[: text.LONG]))
    return plain[0] if plain and not plain[0].isalnum() and set(plain) == {plain[0]} else plain


def _number(raw: str) -> str:
    return identity.clean_number(text.halfwidth(text.clean(text.strip_text_guard(raw))))


def _of_kind(cells: Cells, *kinds: Kind) -> Bits:
    if isinstance(cells.kind, Kind):
        return np.ones(len(cells.text), np.bool_) if cells.kind in kinds else np.zeros(len(cells.text), np.bool_)
    out = np.zeros(len(cells.text), np.bool_)
    for kind in kinds:
        out |= cells.kind == kind
    return out


def _readable(cells: Cells) -> tuple[pa.StringArray, Bits]:
    """The texts of a column, "" for cells that hold no value of their own, and which cells these are."""
    column, wrong = filled(cells.text), _of_kind(cells, Kind.ERROR, Kind.FORMULA)
    at = np.flatnonzero(wrong)
    return (replaced(column, wrong, arrow.column([""] * len(at))) if len(at) else column), wrong


def _texts(key: str, cells: Cells) -> Texts:
    """A text column, normalised."""
    column, unreadable = _readable(cells)
    if key == "name":
        column, plain, errors = _cleaned(column, plain_names, text.clean_name)
        return Texts(column, plain, unreadable | errors, np.zeros(len(column), np.bool_))
    column, plain, errors = _cleaned(_upper_x(column) if key == "id_number" else column, plain_numbers, _number)
    rounded = _of_kind(cells, Kind.NUMBER)
    rough = np.flatnonzero(~plain & ~rounded)
    rounded[rough] = [text.was_number(each) for each in texts(pick(column, rough))]
    return Texts(column, plain, unreadable | errors, rounded)


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


def _cleaned(
    column: pa.StringArray, is_plain: Callable[[pa.StringArray], Bits], clean: Callable[[str], str]
) -> tuple[pa.StringArray, Bits, Bits]:
    """The column with the values that are not plain cleaned, which are plain now, and which say an error (now "")."""
    plain = is_plain(column)
    errors = np.zeros(len(column), np.bool_)
    rough = ~plain & (lengths(column) > 0)
    if not rough.any():
        return column, plain, errors
    before = texts(pick(column, np.flatnonzero(rough)))
    after = [clean(each) for each in before]
    errors[rough] = wrong = [text.is_error(each) for each in after]
    if any(wrong):
        after = ["" if error else each for each, error in zip(after, wrong, strict=True)]
    if after == before:
        return column, plain, errors
    plain[rough] = is_plain(arrow.column(after))
    return replaced(column, rough, arrow.column(after)), plain, errors


def _records(part: Part, chunk: Chunk, headers: Bits) -> Part:
    """The part without its empty rows, and with its total and note rows set apart."""
    count = _filled_cells(part)
    fields = len(part.codes) + len(part.texts)
    sums = np.zeros(len(part), np.bool_)
    for row in np.flatnonzero((count * 2 <= fields) & ((count > 0) | _numbered(chunk))).tolist():
        sums[row] = _is_sum(chunk, row, int(count[row]))
    keep = (count > 0) & ~sums & ~headers
    return part if keep.all() else _taken(part, keep, sums, headers)


def _numbered(chunk: Chunk) -> Bits:
    if chunk.serial is None:
        return np.zeros(len(chunk.numbers), np.bool_)
    return lengths(filled(chunk.serial.text)) > 0


def _filled_cells(part: Part) -> npt.NDArray[np.uint8]:
    count = np.zeros(len(part), np.uint8)
    for codes_of in part.codes.values():
        count += codes_of != EMPTY
    for texts_of in part.texts.values():
        count += (lengths(texts_of.column) > 0) | texts_of.unreadable
    return count


def _is_sum(chunk: Chunk, row: int, count: int) -> bool:
    """Does a total or note begin in the running numbers or in the first filled field? `count`: how many are filled."""
    serial = _peek(chunk.serial, row) if chunk.serial else ""
    if notes.begins(serial) or (not count and not notes.running(serial)):
        return True
    key, first = next(((k, t) for k, t in ((k, _peek(c, row)) for k, c in chunk.columns.items()) if t), ("", ""))
    return notes.begins(first) or (key in _WORDED and notes.label(first, alone=count == 1))


def _peek(cells: Cells, row: int) -> str:
    return text.clean(text_at(cells.text, row))


def _taken(part: Part, keep: Bits, sums: Bits, headers: Bits) -> Part:
    rows = np.flatnonzero(keep)
    return Part(
        part.file,
        part.numbers[rows],
        {key: column[rows] for key, column in part.codes.items()},
        {key: column.rows(rows) for key, column in part.texts.items()},
        part.numbers[sums],
        part.numbers[headers],
    )
