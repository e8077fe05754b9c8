"""Reads a CSV file: encoding and separator by rule, exact row numbers, small memory.

Takes   an open binary file
Gives   a reading whose chunks are parsed as they are taken (large files) or kept from the first look (small ones)
Redo    it only reads
Ends    file-encoding, file-unreadable (NUL, quotes that do not close), file-too-large, header-missing
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as pacsv

from exchanged.batch import Cells, Chunk, Finding, Kind, Limits, Reading
from exchanged.reading import header
from exchanged.reading.csvtext import Text
from exchanged.reading.trouble import Trouble, damaged, too_large

SEPARATORS = (",", ";", "\t")
ROWS = 65_536
KEEP = 32 << 20
FIELD = 1 << 20
_HINT = re.compile(rb'"?sep=([,;\t])"?\r?\n', re.I)


def read(source: BinaryIO, name: str, limits: Limits) -> Reading:
    """A CSV file as a reading; raises Trouble for what makes it unusable as a whole."""
    text = Text(source)
    size = source.seek(0, 2)
    csv.field_size_limit(FIELD)
    table = _Table(text, name, limits)
    chunks = table.look(keep=size <= KEEP)
    return Reading(
        name, None, table.layout.row, False, tuple(table.findings), table.parse() if chunks is None else iter(chunks)
    )


class _Table:
    """One CSV file with its header found. `look` goes through all of it once, `parse` gives its chunks."""

    def __init__(self, text: Text, name: str, limits: Limits) -> None:
        self.text, self.name, self.limits = text, name, limits
        first = next(text.blocks(), b"")
        hint = _HINT.match(first)
        self.skip = hint.end() if hint else 0
        found = _head(first[self.skip :], limits)
        if found is None:
            raise self._no_header(first)
        self.separator, number, row = found
        self.layout, self.findings = header.layout(number, row, name, None)
        self.width = self.layout.width
        self.stray: dict[int, int] = {}

    def _no_header(self, first: bytes) -> Trouble:
        text = self.text
        if text.doubtful is not None:
            text.source.seek(0)
            start = text.source.read(65536).decode("utf-8", "replace").encode()
            if _head(start, self.limits):
                return Trouble("file-encoding", byte=text.doubtful)
        return Trouble("header-missing")

    def look(self, keep: bool) -> list[Chunk] | None:
        """Goes through the whole file and completes `findings`; the chunks when they are worth keeping."""
        kept = list(self._chunks(parse=True)) if keep else None
        if kept is None:
            for _ in self._chunks(parse=False):
                pass
        self.findings += [header.unnamed(c, row, self.name, None) for c, row in sorted(self.stray.items())]
        return kept

    def parse(self) -> Iterator[Chunk]:
        """The chunks of a file that `look` has found in order."""
        return self._chunks(parse=True)

    def _blocks(self) -> Iterator[bytes]:
        for index, block in enumerate(self.text.blocks()):
            yield block[self.skip :] if index == 0 else block

    def _chunks(self, parse: bool) -> Iterator[Chunk]:
        if self.text.quotes:
            yield from self._careful(self._records(_lines(self._blocks())), 0)
            return
        number = 0
        for block in self._blocks():
            block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in block else block
            if number < self.layout.row:
                lines = block.split(b"\n", self.layout.row - number)
                number += len(lines) - 1 if len(lines) > self.layout.row - number else len(lines)
                block = lines[-1] if number == self.layout.row else b""
            if not block:
                continue
            rows = block.count(b"\n") + (not block.endswith(b"\n"))
            self._count(number + rows)
            if self._regular(block):
                yield from self._fast(block, number, rows, parse)
            else:
                yield from self._careful(self._records(_lines(iter([block]))), number)
            number += rows

    def _count(self, rows: int) -> None:
        if rows > self.limits.rows + self.layout.row:
            raise too_large("rows", self.limits.rows)

    def _regular(self, block: bytes) -> bool:
        """Every line has exactly as many separators as the header's width asks for."""
        data = np.frombuffer(block, np.uint8)
        ends = np.flatnonzero(data == 10)
        if not block.endswith(b"\n"):
            ends = np.append(ends, len(block))
        marks = np.flatnonzero(data == ord(self.separator))
        each = self.width - 1
        if not each or len(marks) != each * len(ends):
            return False
        marks = marks.reshape(-1, each)
        return bool((marks[:, -1] < ends).all() and (marks[1:, 0] > ends[:-1]).all())

    def _fast(self, block: bytes, number: int, rows: int, parse: bool) -> Iterator[Chunk]:
        bare = [c for c in range(self.width) if c not in self.layout.named and c not in self.stray]
        if not parse and not bare:
            return
        names = [str(c) for c in range(self.width)]
        wanted = [str(c) for c in (*self.layout.wanted, *bare)]
        table = pacsv.read_csv(
            pa.BufferReader(block),
            read_options=pacsv.ReadOptions(column_names=names, use_threads=False, block_size=len(block) + 1),
            parse_options=pacsv.ParseOptions(
                delimiter=self.separator, quote_char=False, double_quote=False, ignore_empty_lines=False
            ),
            convert_options=pacsv.ConvertOptions(
                column_types={c: pa.string() for c in wanted},
                include_columns=wanted,
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
        if table.num_rows != rows:
            raise damaged("rows")
        for c in bare:
            self._stray_column(c, table.column(str(c)), number)
        if parse:
            made = {f: Cells(_one(table.column(str(c))), Kind.TEXT) for c, f in self.layout.wanted.items()}
            serial = made.pop("", None)
            yield Chunk(np.arange(number + 1, number + rows + 1, dtype=np.int32), made, serial)

    def _stray_column(self, column: int, values: pa.ChunkedArray, number: int) -> None:
        if values.null_count < len(values):
            filled = pc.fill_null(pc.not_equal(pc.utf8_trim_whitespace(values), ""), False).to_numpy()
            if filled.any():
                self.stray[column] = number + int(filled.argmax()) + 1

    def _records(self, lines: Iterator[str]) -> Iterator[list[str]]:
        reader = csv.reader(lines, delimiter=self.separator, strict=True)
        number = 0
        while True:
            try:
                record = next(reader)
            except StopIteration:
                return
            except csv.Error:
                raise damaged("quotes", row=number + 1) from None
            number += 1
            yield record

    def _careful(self, records: Iterator[list[str]], number: int) -> Iterator[Chunk]:
        """Records from row `number` + 1 on, whatever their length; blank ones keep their number and are left out."""
        for _ in islice(records, max(0, self.layout.row - number)):
            number += 1
        while batch := list(islice(records, ROWS)):
            numbers = [number + i for i, record in enumerate(batch, 1) if record]
            number += len(batch)
            self._count(number)
            filled = [record for record in batch if record]
            self._strays(filled, numbers)
            if filled:
                yield self._chunk(filled, numbers)

    def _strays(self, records: list[list[str]], numbers: list[int]) -> None:
        bare = [c for c in range(self.width) if c not in self.layout.named]
        for record, number in zip(records, numbers, strict=True):
            if len(record) > self.width or bare:
                for c in (*bare, *range(self.width, len(record))):
                    if c < len(record) and c not in self.stray and record[c].strip():
                        if c >= self.limits.columns:
                            raise too_large("columns", self.limits.columns)
                        self.stray[c] = number

    def _chunk(self, records: list[list[str]], numbers: list[int]) -> Chunk:
        made = {}
        for c, field in self.layout.wanted.items():
            values = pa.array([(r[c] or None) if len(r) > c else None for r in records], pa.string())
            made[field] = Cells(values, Kind.TEXT)
        serial = made.pop("", None)
        return Chunk(np.array(numbers, np.int32), made, serial)


def _one(column: pa.ChunkedArray) -> pa.StringArray:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _lines(blocks: Iterator[bytes]) -> Iterator[str]:
    for block in blocks:
        yield from io.StringIO(block.decode("utf-8", "surrogatepass"), newline="")


def _head(first: bytes, limits: Limits) -> tuple[str, int, dict[int, str]] | None:
    """Separator, number and cells of the header row in the first rows of the text, by the best separator."""
    found, most = None, 0
    sample = codecs.getincrementaldecoder("utf-8")("replace").decode(first[: 1 << 20])
    for separator in SEPARATORS:
        rows = _first_rows(sample, separator)
        hit = header.best((n, {c: v for c, v in enumerate(row) if v.strip()}) for n, row in enumerate(rows, 1))
        if hit and (points := header.score(hit[1])) > most:
            found, most = (separator, *hit), points
    if found and max(found[2]) >= limits.columns:
        raise too_large("columns", limits.columns)
    return found


def _first_rows(sample: str, separator: str) -> Sequence[list[str]]:
    rows: list[list[str]] = []
    try:
        for row in islice(csv.reader(io.StringIO(sample, newline=""), delimiter=separator), header.LOOK):
            rows.append(row)
    except csv.Error:
        pass
    return rows
