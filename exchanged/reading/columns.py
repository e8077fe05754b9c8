"""Turns scanned cells into the columns of the field standard.

Takes   blocks of cells from `scan`, what they refer to, the layout below the header
Gives   chunks; text that is shared stays an index until its chunk is taken
Redo    it only computes
Ends    file-too-large; file-unreadable for strings that do not exist and numbers that are none
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from exchanged.batch import Cells, Chunk, Kind, Limits
from exchanged.reading import header
from exchanged.reading.bytescan import Bytes, Places, gather, integers
from exchanged.reading.cells import CHUNK, Value, kind_of
from exchanged.reading.exact import COLUMNS, Book, decode
from exchanged.reading.scan import ERROR, INLINE, SHARED, STRING, TYPES, Block
from exchanged.reading.trouble import damaged, too_large

_REMEMBERED = 100_000
_FORMULA, _TYPE = 40, 32  # bits above the style in what sort of value a cell has


@dataclass(slots=True)
class Part:
    """One column of some rows: indexes of shared strings (-1 for none) or texts, and the kinds."""

    kinds: Bytes
    shared: npt.NDArray[np.int32] | None
    texts: Any  # pa.StringArray | None


class Columns:
    """Keeps the wanted columns of the rows below the header."""

    def __init__(self, book: Book, texts: Any, layout: header.Layout, limits: Limits) -> None:
        self.book, self.texts, self.layout, self.limits = book, texts, layout, limits
        self.stray: dict[int, int] = {}
        self._nulls = np.asarray(texts.is_null()) if texts.null_count else None
        self._rows = 0
        self._known: dict[tuple[int, str], Value] = {}
        self._parts: list[tuple[npt.NDArray[np.int32], dict[int, Part]]] = []
        self._wanted = np.zeros(COLUMNS, bool)
        self._wanted[list(layout.wanted)] = True
        self._named = np.zeros(COLUMNS, bool)
        self._named[list(layout.named)] = True

    def add(self, block: Block) -> None:
        """The cells of some rows."""
        kinds, shared = self._kinds(block)
        filled = (kinds > 0) & (block.numbers > self.layout.row)[block.row]
        self._watch(block, filled, kinds, shared)
        used = np.zeros(len(block.numbers), bool)
        used[block.row[filled & self._wanted[block.column]]] = True
        if not used.any():
            return
        place = np.cumsum(used) - 1
        count = int(used.sum())
        parts = {}
        for column in self.layout.wanted:
            mine = np.flatnonzero((block.column == column) & filled)
            parts[column] = self._part(block, mine, place[block.row[mine]], count, kinds, shared)
        self._parts.append((block.numbers[used], parts))

    def _kinds(self, block: Block) -> tuple[Bytes, npt.NDArray[np.int32]]:
        """Kind of each cell as its type tells (a number may yet prove to be a date), and index of its shared string."""
        shared = np.full(len(block.row), -1, np.int32)
        mine = np.flatnonzero(block.valued & (block.type == SHARED))
        shared[mine] = integers(block.data, block.words, block.start[mine], block.end[mine])
        if len(mine) and int(shared.max()) >= len(self.texts):
            raise damaged("string")
        has = block.valued & (block.end > block.start)
        text = (block.type == SHARED) | (block.type == STRING) | (block.type == INLINE)
        kinds = np.where(has, np.where(text, Kind.TEXT, Kind.NUMBER), Kind.EMPTY).astype(np.uint8)
        kinds[block.formula & ~has & (~block.valued | ~text)] = Kind.FORMULA
        kinds[block.type == ERROR] = Kind.ERROR
        if self._nulls is not None:
            kinds[mine[self._nulls[shared[mine]]]] = Kind.EMPTY
        return kinds, shared

    def _watch(self, block: Block, filled: npt.NDArray[np.bool_], kinds: Bytes, shared: npt.NDArray[np.int32]) -> None:
        """The limits, and the first data in each column without a header."""
        rows = np.zeros(len(block.numbers), bool)
        rows[block.row[filled]] = True
        self._rows += int(rows.sum())
        if self._rows > self.limits.rows:
            raise too_large("rows", self.limits.rows)
        strange = np.flatnonzero(filled & ~self._named[block.column])
        for column in np.unique(block.column[strange]).tolist():
            if column in self.stray:
                continue
            mine = strange[block.column[strange] == column]
            part = self._part(block, mine, np.arange(len(mine)), len(mine), kinds.copy(), shared)
            found = self._resolve(part)
            visible = [k != Kind.TEXT or bool(t.strip()) for k, t in zip(part.kinds, found.to_pylist(), strict=True)]
            if True in visible:
                if column >= self.limits.columns:
                    raise too_large("columns", self.limits.columns)
                self.stray[column] = int(block.numbers[block.row[mine[visible.index(True)]]])

    def _part(
        self, block: Block, mine: Places, place: Places, count: int, kinds: Bytes, shared: npt.NDArray[np.int32]
    ) -> Part:
        """The cells `mine` as one column of `count` rows; each goes to its place."""
        full = np.zeros(count, np.uint8)
        index = np.full(count, -1, np.int32)
        index[place] = shared[mine]
        full[place] = kinds[mine]
        other = mine[(shared[mine] < 0) & ((kinds[mine] == Kind.TEXT) | (kinds[mine] == Kind.NUMBER))]
        if not len(other):
            return Part(full, index, None)
        texts, found = self._others(block, other, kinds)
        where = np.full(count, -1, np.int64)
        at = place[np.searchsorted(mine, other)]
        where[at] = np.arange(len(other))
        full[at] = found
        lone = _indexes(where)
        if not (index >= 0).any():
            return Part(full, None, texts.take(lone))
        both = pa.concat_arrays([texts, self.texts.take(pa.array(index[index >= 0]))])
        where[index >= 0] = np.arange(len(texts), len(both))
        return Part(full, None, both.take(_indexes(where)))

    def _others(self, block: Block, other: Places, kinds: Bytes) -> tuple[Any, Bytes]:
        """Texts and kinds of cells whose value stands in the cell itself; each distinct value is decoded once."""
        texts = gather(block.data, block.start[other], block.end[other])
        found = kinds[other]
        numeric = np.flatnonzero(found == Kind.NUMBER)
        if not len(numeric):
            return texts, found
        mine = other[numeric]
        sorts = block.type[mine].astype(np.int64) << _TYPE | block.style[mine]
        sorts |= block.formula[mine].astype(np.int64) << _FORMULA
        order = np.arange(len(other))
        extra = []
        base = len(other)
        for sort in np.unique(sorts).tolist():
            mine = numeric[sorts == sort]
            coded = texts.take(pa.array(mine)).dictionary_encode()
            values = [self._decoded(sort, value) for value in coded.dictionary.to_pylist()]
            code = np.asarray(coded.indices)
            found[mine] = np.array([kind for kind, _ in values], np.uint8)[code]
            order[mine] = base + code
            extra.append(pa.array([text for _, text in values], pa.string()))
            base += len(values)
        return pa.concat_arrays([texts, *extra]).take(pa.array(order)), found

    def _decoded(self, sort: int, value: str) -> Value:
        """A value by its sort: type, style, of a formula or not. The same come again and again: they are remembered."""
        found = self._known.get((sort, value))
        if found is None:
            if len(self._known) > _REMEMBERED:
                self._known.clear()
            kind, formula = TYPES[sort >> _TYPE & 0xFF], bool(sort >> _FORMULA)
            found = decode(kind, sort & 0xFFFFFFFF, value, formula, self.book)
            self._known[sort, value] = found
        return found

    def _resolve(self, part: Part) -> Any:
        if part.shared is None:
            return part.texts
        return self.texts.take(_indexes(part.shared))

    def chunks(self) -> Iterator[Chunk]:
        """The rows in chunks, freed as they are taken."""
        self._parts.reverse()
        while self._parts:
            taken = [self._parts.pop()]
            rows = len(taken[0][0])
            while self._parts and rows + len(self._parts[-1][0]) <= CHUNK:
                taken.append(self._parts.pop())
                rows += len(taken[-1][0])
            made = {
                field: self._join([parts[column] for _, parts in taken]) for column, field in self.layout.wanted.items()
            }
            serial = made.pop("", None)
            yield Chunk(np.concatenate([numbers for numbers, _ in taken]), made, serial)

    def _join(self, parts: list[Part]) -> Cells:
        kind = kind_of(np.concatenate([part.kinds for part in parts]))
        shared = [part.shared for part in parts if part.shared is not None]
        if len(shared) == len(parts):
            index = np.concatenate(shared)
            return Cells(self.texts.take(_indexes(index)), kind)
        return Cells(pa.concat_arrays([self._resolve(part) for part in parts]), kind)


def _indexes(places: npt.NDArray[Any]) -> Any:
    """Places to take; negative ones give null."""
    return pa.array(places, mask=places < 0)
