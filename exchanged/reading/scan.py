"""Looks at a worksheet's XML as bytes: where each cell is and where its value stands, without a parser.

Takes   an XML worksheet in blocks
Gives   arrays of cells, a block of whole rows at a time, several times as fast as a parser
Redo    it only reads
Ends    `Unusual` for anything but the usual way to write a worksheet: the caller then takes `exact`
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exchanged.reading.archive import is_utf8
from exchanged.reading.bytescan import Bytes, Places, Unusual, Words, table, tags, text_starts, view, word
from exchanged.reading.exact import ROWS

_CELL, _CELL_END, _VALUE, _VALUE_END, _ROW, _ROW_END, _TEXT, _TEXT_END, _FORMULA, _FORMULA_END = range(1, 11)
_NO_VALUE, _INLINE, _INLINE_END = range(11, 14)
_CODES = table(
    {"c ": _CELL, "/c": _CELL_END, "v>": _VALUE, "/v": _VALUE_END, "ro": _ROW, "/r": _ROW_END, "t>": _TEXT, "t ": _TEXT}
    | {"/t": _TEXT_END, "is": _INLINE, "/i": _INLINE_END, "f>": _FORMULA, "f ": _FORMULA, "f/": _FORMULA}
    | {"/f": _FORMULA_END, "v/": _NO_VALUE, "v ": _NO_VALUE}
)
_FOLLOWS = {  # which tag may stand after which: the whole grammar of a row
    _ROW: (_CELL, _ROW, _ROW_END),
    _CELL: (_CELL, _CELL_END, _VALUE, _NO_VALUE, _FORMULA, _INLINE, _ROW_END),
    _FORMULA: (_FORMULA_END, _VALUE, _NO_VALUE, _CELL_END),
    _FORMULA_END: (_VALUE, _NO_VALUE, _CELL_END),
    _VALUE: (_VALUE_END,),
    _VALUE_END: (_CELL_END,),
    _NO_VALUE: (_CELL_END,),
    _INLINE: (_TEXT, _INLINE_END),
    _TEXT: (_TEXT_END,),
    _TEXT_END: (_INLINE_END,),
    _INLINE_END: (_CELL_END,),
    _CELL_END: (_CELL, _ROW_END),
    _ROW_END: (_ROW,),
}
_ALLOWED = np.zeros(256, bool)
_ALLOWED[[before << 4 | after for before, afters in _FOLLOWS.items() for after in afters]] = True
# Where the closing bracket of a tag without attributes must stand, counted from its opening one; 0 is that one itself
_BRACKET = np.zeros(16, np.intp)
for _code, _at in {
    _CELL_END: 3,
    _VALUE_END: 3,
    _TEXT_END: 3,
    _FORMULA_END: 3,
    _INLINE: 3,
    _INLINE_END: 4,
    _ROW_END: 5,
}.items():
    _BRACKET[_code] = _at
TYPES = ("n", "s", "str", "b", "e", "inlineStr", "d")
NUMBER, SHARED, STRING, BOOL, ERROR, INLINE, DATE = range(7)
_CARRY = 64 << 20
_KEEP = np.array([0, *(0xFFFFFFFFFFFFFFFF >> (64 - 8 * n) for n in range(1, 9))], np.uint64)
_POWERS = 10 ** np.arange(8, dtype=np.int64)
Ints = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]


@dataclass(slots=True)
class Block:
    """The cells of some whole rows. One entry a cell: row (index into `numbers`), column (0-based), style, type
    (index into TYPES), whether it has a formula or a value, and where in `data` that value stands. One entry a row:
    its number in the sheet."""

    data: Bytes
    words: Words
    numbers: npt.NDArray[np.int32]
    row: Ints
    column: npt.NDArray[np.int16]
    style: Ints
    type: Bytes
    formula: Flags
    valued: Flags
    start: Places
    end: Places


class Scanner:
    """Goes through one worksheet."""

    def __init__(self) -> None:
        self._last_row = 0
        self._heads: dict[bytes, tuple[int, int, int]] = {}

    def blocks(self, blocks: Iterable[bytes]) -> Iterator[Block]:
        """The worksheet's cells."""
        for block in _whole_rows(blocks):
            yield self._block(block)

    def _block(self, raw: bytes) -> Block:
        data, words = view(raw)
        at, code = tags(data, _CODES)
        _grammar(data, at, code)
        cells, rows = np.flatnonzero(code == _CELL), np.flatnonzero(code == _ROW)
        row_words, digits, numbers = self._rows(words, at[rows])
        each = np.diff(np.append(np.searchsorted(cells, rows), len(cells)))
        if int(each.sum()) != len(cells):
            raise Unusual
        row = np.repeat(np.arange(len(rows)), each)
        column, quote = _places(words, at[cells], row_words[row], digits[row])
        if (np.diff(column)[np.diff(row) == 0] <= 0).any():
            raise Unusual
        following = np.minimum(cells + 1, len(at) - 1)
        style, kind, closed = self._attributes(words, quote, at[following] - 1)
        after = code[following]
        if (closed != ((after == _CELL) | (after == _ROW_END))).any():
            raise Unusual
        none = np.zeros(len(cells), bool)
        where = np.zeros(len(cells), np.intp)
        block = Block(
            data, words, numbers, row, column, style, kind, none, none.copy(), where, where.copy()
        )  # fmt: skip
        _values(block, at, code, cells, closed)
        return block

    def _rows(self, words: Words, at: Places) -> tuple[Words, Ints, npt.NDArray[np.int32]]:
        """For each row: its digits and closing quote as they stand, how many digits, its number."""
        if not (words[at] == word(b'<row r="')).all():
            raise Unusual
        found = words[at + 8]
        number, length = np.zeros(len(at), np.int64), np.zeros(len(at), np.intp)
        going = np.ones(len(at), bool)
        for k in range(7):
            letter = ((found >> np.uint64(8 * k)) & np.uint64(255)).astype(np.int64)
            going &= (letter >= 48) & (letter <= 57)
            number = np.where(going, number * 10 + letter - 48, number)
            length += going
        closed = ((found >> (length * 8).astype(np.uint64)) & np.uint64(255)) == np.uint64(34)
        steps = np.diff(number, prepend=self._last_row)
        if not closed.all() or (length == 0).any() or (steps <= 0).any() or (number < _POWERS[length - 1]).any():
            raise Unusual
        if len(number):
            self._last_row = int(number[-1])
            if self._last_row > ROWS:
                raise Unusual
        return found & _KEEP[length + 1], length, number.astype(np.int32)

    def _attributes(self, words: Words, quote: Places, end: Places) -> tuple[Ints, Bytes, Flags]:
        """Style, type and whether it closes itself, for each cell: what follows its place, looked up as a whole."""
        length = end - quote
        if not len(length):
            return length, length.astype(np.uint8), length.astype(bool)
        if int(length.max()) > 24 or int(length.min()) < 1 or int(end.max()) >= len(words):
            raise Unusual
        parts = [words[quote + 1 + 8 * k] & _KEEP[np.clip(length - 8 * k, 0, 8)] for k in range(3)]
        key = parts[0] * np.uint64(0x9E3779B97F4A7C15) ^ parts[1] * np.uint64(0xC2B2AE3D27D4EB4F) ^ parts[2]
        first, which = _distinct(key)
        if not all((part == part[first][which]).all() for part in parts):
            raise Unusual
        found = np.array([self._head(b"".join(part[i].tobytes() for part in parts)) for i in first.tolist()], np.intp)
        return found[which, 0], found[which, 1].astype(np.uint8), found[which, 2].astype(bool)

    def _head(self, text: bytes) -> tuple[int, int, int]:
        if text not in self._heads:
            if len(self._heads) > 4096:
                raise Unusual
            self._heads[text] = _parse_head(text.rstrip(b"\0").decode("latin-1"))
        return self._heads[text]


def _grammar(data: Bytes, at: Places, code: Bytes) -> None:
    """Every tag is known, stands after one it may stand after, and is closed where it must be."""
    if not code.all() or not _ALLOWED[code[:-1] << 4 | code[1:]].all():
        raise Unusual
    if len(code) and (code[0] != _ROW or code[-1] not in (_ROW, _ROW_END)):
        raise Unusual
    places = _BRACKET[code]
    closed = data[np.minimum(at + places, len(data) - 1)]
    if not (closed == np.where(places > 0, np.uint8(62), np.uint8(60))).all():
        raise Unusual
    rows = np.flatnonzero(code == _ROW)
    after = np.append(at, len(data))[rows + 1]
    alone = np.append(code, _ROW)[rows + 1] == _ROW
    if not ((data[after - 1] == 62) & ((data[after - 2] == 47) == alone)).all():
        raise Unusual


def _distinct(key: Words) -> tuple[Places, Places]:
    """Places of one key of each kind, and for each key which of them it is. Few kinds, so each is taken out in turn."""
    which = np.full(len(key), -1, np.intp)
    first: list[int] = []
    left = np.arange(len(key))
    while len(left) and len(first) < 48:
        same = key[left] == key[left[0]]
        which[left[same]] = len(first)
        first.append(int(left[0]))
        left = left[~same]
    if len(left):
        _, place, inverse = np.unique(key[left], return_index=True, return_inverse=True)
        which[left] = inverse + len(first)
        first += left[place].tolist()
    return np.array(first, np.intp), which


def _parse_head(text: str) -> tuple[int, int, int]:
    """` s="3" t="s">` as style, type, self-closing."""
    if not text.endswith(">"):
        raise Unusual
    closed = text.endswith("/>")
    style, kind = 0, NUMBER
    for attribute in text.removesuffix(">").removesuffix("/").split():
        name, _, value = attribute.partition("=")
        if len(value) < 2 or value[0] != '"' or value[-1] != '"':
            raise Unusual
        value = value[1:-1]
        if name == "s" and value.isascii() and value.isdigit():
            style = int(value)
        elif name == "t" and value in TYPES:
            kind = TYPES.index(value)
        elif name not in ("cm", "vm", "ph"):
            raise Unusual
    return style, kind, int(closed)


def _places(words: Words, at: Places, row_words: Words, digits: Ints) -> tuple[npt.NDArray[np.int16], Places]:
    """Column of each cell, and where the quote after its place stands; its row must be the row it stands in."""
    if not ((words[at] & _KEEP[6]) == word(b'<c r="')).all():
        raise Unusual
    found = words[at + 6]
    one, two, three = (((found >> np.uint64(8 * k)) & np.uint64(255)).astype(np.int32) - 64 for k in range(3))
    second = (two >= 1) & (two <= 26)
    third = second & (three >= 1) & (three <= 26)
    column = np.where(third, (one * 26 + two) * 26 + three, np.where(second, one * 26 + two, one)) - 1
    if not ((one >= 1) & (one <= 26) & (column < 16384)).all():
        raise Unusual
    start = at + 7 + second + third
    if not ((words[start] & _KEEP[digits + 1]) == row_words).all():
        raise Unusual
    return column.astype(np.int16), start + digits


def _values(block: Block, at: Places, code: Bytes, cells: Places, closed: Flags) -> None:
    """Fills in which cells have formulas and values, and where."""
    _, formulas = _owners(code, cells, _FORMULA, closed)
    block.formula[formulas] = True
    found, owners = _owners(code, cells, _VALUE, closed)
    if len(found) and not (code[np.minimum(found + 1, len(code) - 1)] == _VALUE_END).all():
        raise Unusual
    _fill(block, owners, at[found] + 3, at[np.minimum(found + 1, len(code) - 1)])
    found, owners = _owners(code, cells, _NO_VALUE, closed)
    if not (
        ((block.words[at[found]] & _KEEP[4]) == word(b"<v/>")) | ((block.words[at[found]] & _KEEP[5]) == word(b"<v />"))
    ).all():
        raise Unusual
    _fill(block, owners, at[found], at[found])
    if (block.valued & (block.type == INLINE)).any():
        raise Unusual
    found, owners = _owners(code, cells, _TEXT, closed)
    starts, known = text_starts(block.data, block.words, at[found])
    if len(found) and not (known.all() and (code[np.minimum(found + 1, len(code) - 1)] == _TEXT_END).all()):
        raise Unusual
    if (block.type[owners] != INLINE).any():
        raise Unusual
    _fill(block, owners, starts, at[np.minimum(found + 1, len(code) - 1)])


def _owners(code: Bytes, cells: Places, wanted: int, closed: Flags) -> tuple[Places, Places]:
    """Tags of one sort and the cell each stands in; a cell has at most one."""
    found = np.flatnonzero(code == wanted)
    if len(found) == len(cells) and (found == cells + 1).all():
        owners = np.arange(len(cells))
    else:
        owners = np.searchsorted(cells, found) - 1
    if len(owners) and (owners[0] < 0 or (np.diff(owners) <= 0).any() or closed[owners].any()):
        raise Unusual
    return found, owners


def _fill(block: Block, owners: Places, start: Places, end: Places) -> None:
    if block.valued[owners].any():
        raise Unusual
    block.valued[owners] = True
    block.start[owners], block.end[owners] = start, end


def _whole_rows(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """What stands inside ``<sheetData>``, in blocks of whole rows. All of `blocks` is gone through."""
    rest, state = b"", "before"
    for block in blocks:
        rest += block
        if state == "after":
            rest = _after(rest)
            continue
        if state == "before":
            if not is_utf8(rest):
                raise Unusual
            start = rest.find(b"<sheetData")
            close = rest.find(b">", start)
            if start < 0 or close < 0:
                if len(rest) > _CARRY:
                    raise Unusual
                continue
            state = "after" if rest[close - 1 : close] == b"/" else "inside"
            rest = rest[close + 1 :]
        if state == "inside":
            end = rest.find(b"</sheetData>", max(0, len(rest) - len(block) - 16) if len(rest) > len(block) + 16 else 0)
            cut = end if end >= 0 else rest.rfind(b"</row>") + 6
            state = "after" if end >= 0 else state
            if cut > 5:
                yield rest[:cut]
                rest = rest[cut:]
            elif len(rest) > _CARRY:
                raise Unusual
        if state == "after":
            rest = _after(rest)
    if state != "after" or not rest.rstrip().endswith(b"</worksheet>"):
        raise Unusual


def _after(rest: bytes) -> bytes:
    """The end of what follows the data, where no other data may stand."""
    if b"<sheetData" in rest:
        raise Unusual
    return rest[-64:]
