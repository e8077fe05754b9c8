"""Reads a CSV file: encoding and separator by rule, exact row numbers, small memory.

Takes   an open binary file
Gives   a reading whose chunks are parsed as they are taken (large files) or kept from the first look (small ones)
Redo    it only reads
Ends    file-encoding, file-unreadable (NUL, quotes that do not close), file-too-large, header-missing

A row is a record: a quoted cell may hold line ends, as spreadsheet programs show it. Blocks that are regular (every
record as wide as the header, no stray quotes) go through Arrow, all others through the csv module.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as pacsv

from exchanged.batch import Cells, Chunk, Kind, Limits, Reading
from exchanged.reading import header
from exchanged.reading.csvtext import LINE, Text
from exchanged.reading.trouble import Trouble, damaged, too_large

SEPARATORS = (",", ";", "\t")
ROWS = 65_536
KEEP = 32 << 20
FIELD = 1 << 20
_HINT = re.compile(rb'"?sep=([,;\t])"?\r?\n', re.I)


def read(source: BinaryIO, name: str, limits: Limits) -> Reading:
    """A CSV file as a reading; raises Trouble for what makes it unusable as a whole."""
    csv.field_size_limit(FIELD)
    table = Table(Text(source), name, limits)
    kept = table.look(keep=source.seek(0, 2) <= KEEP)
    chunks = table.parse() if kept is None else iter(kept)
    return Reading(name, None, table.layout.row, False, tuple(table.findings), chunks)


class Table:
    """One CSV file with its header found. `look` goes through all of it once, `parse` gives its chunks."""

    def __init__(self, text: Text, name: str, limits: Limits) -> None:
        self.text, self.name, self.limits = text, name, limits
        first = next(text.blocks(), b"")
        hint = _HINT.match(first)
        self.skip = hint.end() if hint else 0
        found = _head(first[self.skip :], limits, hint[1].decode() if hint else None)
        if found is None:
            raise self._no_header()
        self.separator, number, row, width = found
        self.layout, self.findings = header.layout(number, row, name, None)
        self.width = width if width <= limits.columns else self.layout.width
        self.stray: dict[int, int] = {}
        self._shapes: dict[int, int] = {}

    def _no_header(self) -> Trouble:
        """A file that is UTF-8 at its head and something else later has no encoding, rather than no header."""
        if self.text.doubtful:
            self.text.source.seek(0)
            start = self.text.source.read(65536).decode("utf-8", "replace").encode()
            if _head(start, self.limits):
                return Trouble("file-encoding", byte=self.text.doubtful)
        return Trouble("header-missing")

    def look(self, keep: bool) -> list[Chunk] | None:
        """Goes through the whole file and completes `findings`; gives the chunks when they are to be kept."""
        kept = [chunk for chunk in self._chunks(parse=keep) if chunk is not None]
        self.findings += [header.unnamed(c, row, self.name, None) for c, row in sorted(self.stray.items())]
        return kept if keep else None

    def parse(self) -> Iterator[Chunk]:
        """The chunks of a file that `look` has found in order."""
        return (chunk for chunk in self._chunks(parse=True) if chunk is not None)

    def blocks(self) -> Iterator[bytes]:
        """Blocks that begin and end between records: where quotes do not pair, more lines are taken together."""
        rest, skip = b"", self.skip
        for block in self.text.blocks():
            rest, skip = rest + block[skip:], 0
            if b'"' not in rest or rest.count(b'"') % 2 == 0 or len(rest) > LINE:
                yield rest
                rest = b""
        if rest:
            yield rest

    def _chunks(self, parse: bool) -> Iterator[Chunk | None]:
        number = 0
        blocks = self.blocks()
        for index, block in enumerate(blocks):
            if index not in self._shapes:
                self._shapes[index] = _shape(block, self.separator, self.width)
            rows = self._shapes[index]
            if rows:
                self._count(number + rows)
                yield self._fast(block, number, rows, parse)
            else:
                records = _Records(chain([block], blocks), self.separator, number)
                yield from self._careful(records, parse)
                rows = records.number - number
            number += rows

    def _count(self, rows: int) -> None:
        if rows > self.limits.rows + self.layout.row:
            raise too_large("rows", self.limits.rows)

    def _fast(self, block: bytes, number: int, rows: int, parse: bool) -> Chunk | None:
        bare = [c for c in range(self.width) if c not in self.layout.named and c not in self.stray]
        if not parse and not bare:
            return None
        skip = max(0, self.layout.row - number)
        table = _arrow(block, self.separator, self.width, [*self.layout.wanted, *bare])
        if table.num_rows != rows:
            raise damaged("rows")
        table = table.slice(skip)
        for c in bare:
            self._stray_column(c, table.column(str(c)), number + skip)
        if not parse or rows <= skip:
            return None
        made = {f: Cells(_one(table.column(str(c))), Kind.TEXT) for c, f in self.layout.wanted.items()}
        serial = made.pop("", None)
        return Chunk(np.arange(number + skip + 1, number + rows + 1, dtype=np.int32), made, serial)

    def _stray_column(self, column: int, values: Any, number: int) -> None:
        if values.null_count < len(values):
            filled = np.nan_to_num(pc.utf8_length(pc.utf8_trim_whitespace(values)).to_numpy()) > 0
            if filled.any():
                self.stray[column] = number + int(filled.argmax()) + 1

    def _careful(self, records: _Records, parse: bool) -> Iterator[Chunk | None]:
        """Records of any length; blank lines keep their number and are left out."""
        while batch := list(islice(records, ROWS)):
            first = records.number - len(batch) + 1
            self._count(records.number)
            filled = [(n, record) for n, record in enumerate(batch, first) if record and n > self.layout.row]
            self._strays(filled)
            yield self._chunk(filled) if parse and filled else None

    def _strays(self, filled: list[tuple[int, list[str]]]) -> None:
        bare = [c for c in range(self.width) if c not in self.layout.named]
        for number, record in filled:
            if len(record) <= self.width and not bare:
                continue
            for c in (*bare, *range(self.width, len(record))):
                if c < len(record) and c not in self.stray and record[c].strip():
                    if c >= self.limits.columns:
                        raise too_large("columns", self.limits.columns)
                    self.stray[c] = number

    def _chunk(self, filled: list[tuple[int, list[str]]]) -> Chunk:
        made = {}
        for c, field in self.layout.wanted.items():
            values: Any = pa.array([(r[c] or None) if len(r) > c else None for _, r in filled], pa.string())
            made[field] = Cells(values, Kind.TEXT)
        serial = made.pop("", None)
        return Chunk(np.array([number for number, _ in filled], np.int32), made, serial)


class _Records:
    """Records by the csv module, counted. Reads on over the end of the first block only when a record does."""

    def __init__(self, blocks: Iterable[bytes], separator: str, number: int) -> None:
        self.number = number
        self._blocks = iter(blocks)
        self._inside = self._quoted = False  # of the record that is being read: has it begun, has it a quote
        self._reader = csv.reader(self._lines(), delimiter=separator, strict=True)

    def _lines(self) -> Iterator[str]:
        for block in self._blocks:
            for line in io.StringIO(block.decode("utf-8"), newline=""):
                self._inside, self._quoted = True, self._quoted or '"' in line
                yield line
            if not self._inside:
                return

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        self._inside = self._quoted = False
        try:
            record = next(self._reader)
        except csv.Error as error:
            if "field limit" in str(error) and not self._quoted:  # else a quote that is not closed took in what follows
                raise too_large("piece", FIELD) from None
            raise damaged("quotes", row=self.number + 1) from None
        self.number += 1
        return record


def _shape(block: bytes, separator: str, width: int) -> int:
    """How many records a regular block has; 0 when it is not regular (ragged, blank lines, stray quotes, lone CR)."""
    data = np.frombuffer(block, np.uint8)
    if b"\r" in block and block.count(b"\r") != block.count(b"\r\n"):
        return 0
    ends, marks = np.flatnonzero(data == 10), np.flatnonzero(data == ord(separator))
    if not len(ends) or ends[-1] != len(data) - 1:
        ends = np.append(ends, len(data))
    if b'"' in block:
        quotes = np.flatnonzero(data == 34)
        if not _strict(data, quotes, ord(separator)):
            return 0
        ends, marks = (where[np.searchsorted(quotes, where) % 2 == 0] for where in (ends, marks))
    each = width - 1
    if not each or len(marks) != each * len(ends):
        return 0
    grid = np.column_stack([marks.reshape(-1, each), ends])
    steps = np.diff(grid.reshape(-1), prepend=-1)
    in_turn = (grid[:, -2] < ends).all() and (grid[1:, 0] > ends[:-1]).all()
    return len(ends) if in_turn and steps.max() <= FIELD else 0


def _strict(data: Any, quotes: Any, separator: int) -> bool:
    """Quotes open after a separator or line end and close before one, or are doubled inside a quoted cell."""
    if len(quotes) % 2:
        return False
    padded = np.concatenate([[10], data, [10]])
    before, after = padded[quotes[0::2]], padded[quotes[1::2] + 2]
    opens = (before == separator) | (before == 10) | (before == 34)
    closes = (after == separator) | (after == 10) | (after == 13) | (after == 34)
    return bool(opens.all() and closes.all())


def _arrow(block: bytes, separator: str, width: int, columns: list[int]) -> Any:
    """A regular block as an Arrow table of the wanted columns; empty cells are null."""
    wanted = [str(c) for c in columns]
    quoted = b'"' in block
    source: Any = pa.BufferReader(block)
    return pacsv.read_csv(
        source,
        read_options=pacsv.ReadOptions(
            column_names=[str(c) for c in range(width)], use_threads=False, block_size=len(block) + 1
        ),
        parse_options=pacsv.ParseOptions(
            delimiter=separator,
            quote_char='"' if quoted else False,
            double_quote=quoted,
            newlines_in_values=quoted,
            ignore_empty_lines=False,
        ),
        convert_options=pacsv.ConvertOptions(
            column_types={c: pa.string() for c in wanted},
            include_columns=wanted,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        ),
    )


def _one(column: Any) -> Any:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _head(first: bytes, limits: Limits, only: str | None = None) -> tuple[str, int, Mapping[int, str], int] | None:
    """Separator, number, cells and width of the header row in the first rows of the text, by the best separator."""
    found, most = None, 0
    sample = codecs.getincrementaldecoder("utf-8")("replace").decode(first[: 1 << 20])
    for separator in (only,) if only else SEPARATORS:
        if separator not in sample:
            continue
        rows = _first_rows(sample, separator)
        hit = header.best((n, {c: v for c, v in enumerate(row) if v.strip()}) for n, row in enumerate(rows, 1))
        if hit and (points := header.score(hit[1])) > most:
            found, most = (separator, *hit, len(rows[hit[0] - 1])), points
    if found and max(found[2]) >= limits.columns:
        raise too_large("columns", limits.columns)
    return found


def _first_rows(sample: str, separator: str) -> list[list[str]]:
    rows: list[list[str]] = []
    with contextlib.suppress(csv.Error):
        rows.extend(islice(csv.reader(io.StringIO(sample, newline=""), delimiter=separator), header.LOOK))
    return rows
