"""Looks through the records of an old .xls for what calamine does not tell, or not as it is.

Takes   the workbook's stream of records
Gives   the version, whether it is locked, errors, formulas that nobody computed, the extent, widths
Redo    it only reads
Ends    file-unreadable, file-encrypted, file-too-large
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from exchanged.batch import Kind, Limits
from exchanged.reading.cells import Value, formula_text
from exchanged.reading.trouble import Trouble, damaged, too_large

_BOF, _EOF, _FILEPASS, _DATEMODE, _BOUNDSHEET = 0x0809, 0x000A, 0x002F, 0x0022, 0x0085
_FORMULA, _BOOLERR, _STRINGS, _SHARED = 0x0006, 0x0205, 0x00FC, 0x00FD
_CELLS = frozenset({_FORMULA, _BOOLERR, 0x00FD, 0x027E, 0x00BD, 0x0203, 0x0204, 0x00D6})
_COLINFO, _LAST_COLUMN = 0x007D, 255
_CODEPAGE, _UTF16 = 0x0042, (1200).to_bytes(2, "little")
_JXL = bytes.fromhex("0000000000001040 0200 0000e0fc")  # what JExcelApi writes for every formula: 4, to be computed
_RECORD = struct.Struct("<HH")
_DIMENSIONS, _CELL = 0x0200, 6  # the record, and bytes that every cell has
_BIFF8, _SHEETS = 0x0600, 255
ERROR: Value = (Kind.ERROR, None)
AREA = 10_000_000  # cells, empty ones too, from A1 to the last row and column: room is made for all of them


@dataclass(slots=True)
class Facts:
    """Names of the worksheets in order, each one's cells (row, column; 0-based) with errors or formulas that nobody
    computed, and the calendar.

    `extents`: where in the stream, and in how many bytes, the sheets say how large they are, which need not be true;
    `codepages`: where the workbook names its code page.
    """

    epoch_1904: bool = False
    sheets: list[str] = field(default_factory=list)
    odd: list[dict[tuple[int, int], Value]] = field(default_factory=list)
    extents: list[tuple[int, int]] = field(default_factory=list)
    codepages: list[int] = field(default_factory=list)


def stream(source: BinaryIO) -> bytes:
    """The workbook's records; raises file-unreadable for Excel 95 and older, which nobody reads without guessing."""
    import olefile

    whole = source.seek(0, 2)
    source.seek(0)
    if not source.read(2) == b"\xd0\xcf":
        raise damaged("old-xls", hint="save-as-xlsx")
    source.seek(0)
    try:
        with olefile.OleFileIO(source) as container:
            follows = np.array(container.fat)
            if (follows[follows < olefile.MAXREGSECT] >= container.nb_sect).any():
                return b""  # the end of the file is missing
            if container.exists("Workbook"):
                size = container.get_size("Workbook")
                return bytes(container.openstream("Workbook").read()) if size <= whole else b""
            old = container.exists("Book")
    except Exception:
        # olefile raises many kinds on damage; its text may quote the file
        raise damaged("damaged") from None
    raise damaged("old-xls", hint="save-as-xlsx") if old else damaged("damaged")


def look(records: bytes, limits: Limits) -> Facts:
    """The facts of a workbook stream."""
    facts = Facts()
    starts: list[int] = []
    strings = 0
    for code, at, size in _walk(records, 0):
        if code == _BOF and struct.unpack_from("<H", records, at)[0] != _BIFF8:
            raise damaged("old-xls", hint="save-as-xlsx")
        if code == _FILEPASS:
            raise Trouble("file-encrypted", why="protected-book")  # that too is encrypted, by a password Excel knows
        if code == _CODEPAGE and size >= 2:
            facts.codepages.append(at)
        elif code == _DATEMODE:
            facts.epoch_1904 = records[at] == 1
        elif code == _STRINGS and size >= 8:
            strings = struct.unpack_from("<L", records, at + 4)[0]
        elif code == _BOUNDSHEET and records[at + 5] == 0:
            starts.append(struct.unpack_from("<L", records, at)[0])
            facts.sheets.append(_name(records[at + 6 : at + size]))
    if not starts or len(starts) > _SHEETS:
        raise damaged("sheets")
    if len(set(starts)) != len(starts):
        raise damaged("sheets")
    for start in starts:
        facts.odd.append(_odd(records, start, limits, facts.extents, strings))
    return facts


def honest(records: bytes, facts: Facts) -> bytes:
    """The records as calamine is to see them: without what the sheets say of their extent, for it makes room for as
    much as they say; and with the code page of their texts, which are UTF-16 whatever page a writer has put there."""
    changed = bytearray(records)
    for at, size in facts.extents:
        changed[at : at + size] = bytes(size)
    for at in facts.codepages:
        changed[at : at + 2] = _UTF16
    return bytes(changed)


def _walk(records: bytes, at: int) -> Iterator[tuple[int, int, int]]:
    """(code, place of the data, size) of the records from a BOF to its EOF."""
    depth = 0
    end = len(records) - 4
    while at <= end:
        code, size = _RECORD.unpack_from(records, at)
        at += 4
        if at + size > len(records):
            raise damaged("truncated")
        yield code, at, size
        at += size
        depth += (code == _BOF) - (code == _EOF)
        if depth <= 0:
            return
    raise damaged("truncated")


def _odd(
    records: bytes, start: int, limits: Limits, extents: list[tuple[int, int]], strings: int
) -> dict[tuple[int, int], Value]:
    odd: dict[tuple[int, int], Value] = {}
    depth = last_row = last_column = 0
    for code, at, size in _walk(records, start):
        depth += (code == _BOF) - (code == _EOF)
        if code == _DIMENSIONS:
            extents.append((at, size))
        if code not in _CELLS or depth != 1 or size < _CELL:
            continue
        row, column = _RECORD.unpack_from(records, at)
        if column >= limits.columns:
            raise too_large("columns", limits.columns)
        if code == _SHARED and (size < 10 or struct.unpack_from("<L", records, at + 6)[0] >= strings):
            raise damaged("string")
        last_row, last_column = max(row, last_row), max(column, last_column)
        if code == _BOOLERR and records[at + 7]:
            odd[row, column] = ERROR
        elif code == _FORMULA and (value := _result(records[at + 6 : at + 20])):
            odd[row, column] = value
    if (last_row + 1) * (last_column + 1) > AREA:
        raise too_large("cells", AREA)
    return odd


def _result(data: bytes) -> Value | None:
    """What is stored for a formula, where it is an error or a number that stands in for what was not computed."""
    if data[6:8] == b"\xff\xff":
        return ERROR if data[0] == 2 else None
    return (Kind.FORMULA, "4") if data == _JXL else formula_text(struct.unpack_from("<d", data)[0])


def widths(records: bytes, sheet: int) -> dict[int, float]:
    """The widths that a sheet sets for its columns, by 0-based column, in digits of the default font."""
    starts = [
        struct.unpack_from("<L", records, at)[0]
        for code, at, _ in _walk(records, 0)
        if code == _BOUNDSHEET and records[at + 5] == 0
    ]
    found: dict[int, float] = {}
    for code, at, size in _walk(records, starts[sheet]):
        if code in _CELLS:
            break
        if code == _COLINFO and size >= 6:
            first, last, width = struct.unpack_from("<HHH", records, at)
            found.update(dict.fromkeys(range(first, min(last, _LAST_COLUMN) + 1), width / 256))
    return found


def _name(data: bytes) -> str:
    length, wide = data[0], data[1] & 1
    return data[2 : 2 + length * (1 + wide)].decode("utf-16-le" if wide else "latin-1")
