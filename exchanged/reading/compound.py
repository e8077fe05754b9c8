"""A compound file (OLE) of one stream, written anew around what was read from a file that nobody vouches for.

Takes   the stream's bytes
Gives   a container with that stream and nothing else: no loops, no lying sizes, no macros
Redo    it only computes
Ends    OverflowError for streams of more than 450 MB, which no limit lets come so far
"""

from __future__ import annotations

import struct

SECTOR = 4096
_FREE, _END, _TABLE = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
_IN_HEADER = 109  # sectors of the allocation table that the header itself can name
_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def wrapped(name: str, stream: bytes) -> bytes:
    """The container, in the layout of version 4 (sectors of 4096 bytes). The stream is padded to whole sectors."""
    count = max(1, -(-len(stream) // SECTOR))
    tables = -(-(count + 2) // (SECTOR // 4 - 1))
    if tables > _IN_HEADER:
        raise OverflowError
    directory, small, first = tables, tables + 1, tables + 2
    table = [*[_TABLE] * tables, _END, _END, *range(first + 1, first + count), _END]
    table += [_FREE] * (tables * SECTOR // 4 - len(table))
    head = struct.pack(
        "<8s16xHHHHH6xLLLLLLLLL",
        _MAGIC, 0x3E, 4, 0xFFFE, 12, 6, 1, tables, directory, 0, 4096, _END, 0, _END, 0,
    )  # fmt: skip
    named = struct.pack("<109L", *range(tables), *[_FREE] * (_IN_HEADER - tables))
    # readers want the sector of small streams even where there are none
    entries = _entry("Root Entry", 5, small, 64, child=1) + _entry(name, 2, first, count * SECTOR)
    parts = [(head + named).ljust(SECTOR, b"\0"), struct.pack(f"<{len(table)}L", *table), entries.ljust(SECTOR, b"\0")]
    return b"".join([*parts, bytes(SECTOR), stream, bytes(count * SECTOR - len(stream))])


def _entry(name: str, kind: int, start: int, size: int, child: int = _FREE) -> bytes:
    """A directory entry: kind 5 is the root, 2 a stream."""
    wide = name.encode("utf-16-le")
    return struct.pack("<64sHBBLLL36xLQ", wide, len(wide) + 2, kind, 1, _FREE, _FREE, child, start, size)
