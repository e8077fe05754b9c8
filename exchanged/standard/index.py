"""What the ledger is told of a record, packed: the confined child hashes it, the daemon hides it under its own key.

Takes   nothing of ours, and no library: both sides read it
Gives   `ENTRY`, packed once for every record in the order of the table; `Mark`, what the columns found out about it

After the entries stand the terms (32 bytes each: SHA-256 of a qualification, a centre, or the first eleven digits of a
certificate number), their count and the earliest day of all. An entry names a term by its place from 1 on. What is
wrong in a record is left out of its entry: no person (zeros), term 0, level 0, serial 0, NO_DAY.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntFlag

ENTRY = struct.Struct("<IHBBiIIII32s32s16s")
"""Row, file, level, marks, day, qualification, centre, prefix, serial; SHA-256 of number, of line, of person (cut)."""

FIELDS = (
    *("row", "file", "level", "marks", "day", "qualification", "centre", "prefix", "serial"),
    *("number", "content", "person"),
)
TERM = 32  # bytes
NO_DAY = -(1 << 31)
NEVER = (1 << 31) - 1  # the earliest day where no record has one
NOBODY = bytes(16)
_END = struct.Struct("<Ii")


class Mark(IntFlag):
    """What comparing the rows of a batch has found out about one, so that the ledger need not compare them again."""

    WRONG = 1  # it has a finding that rejects it: nothing is said about what was reported
    TWICE = 2  # its certificate number stands in an earlier row: it is not counted again
    AGAIN = 4  # its person stands in other rows too
    FIRST = 8  # no row of the batch has a serial shortly below its own
    LAST = 16  # or shortly above


def ended(entries: bytearray, terms: list[bytes], earliest: int) -> bytearray:
    """The whole index, made of its entries in place."""
    for term in terms:
        entries += term
    entries += _END.pack(len(terms), earliest)
    return entries


def opened(index: bytes | bytearray) -> tuple[list[bytes], Iterator[tuple[int, ...]]]:
    """The terms of an index, and its entries as tuples in the order of FIELDS. Raises struct.error for what is none."""
    last = len(index) - _END.size
    end = last - _END.unpack_from(index, last)[0] * TERM
    terms = [bytes(index[at : at + TERM]) for at in range(end, last, TERM)]
    return terms, ENTRY.iter_unpack(memoryview(index)[:end])


def earliest(index: bytes | bytearray) -> int:
    """The earliest day of all records, NEVER where none has one."""
    day: int = _END.unpack_from(index, len(index) - _END.size)[1]
    return day
