"""The shared strings of a workbook as one Arrow array.

Takes   the archive and the member's name
Gives   all shared strings in order; an empty string is null; rich text is joined, phonetic guides are left out
Redo    it only reads
Ends    as the archive does; strings written in an unusual way go through expat, one by one or all of them
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from exchanged.reading.archive import Archive, is_utf8, local, safe_parser
from exchanged.reading.bytescan import Unusual, gather, table, tags, text_starts, view
from exchanged.reading.exact import TEXT, unescape
from exchanged.reading.trouble import too_large

_ITEM, _TEXT, _TEXT_END, _ITEM_END, _OTHER = 1, 2, 3, 4, 0
_CODES = table({"si": _ITEM, "t>": _TEXT, "t ": _TEXT, "/t": _TEXT_END, "/s": _ITEM_END})
_CARRY = 32 << 20
_FEW, _PER_ROW = 1_000_000, 20


def load(archive: Archive, member: str | None, rows: int) -> Any:
    """All shared strings; more than so many rows can hold are too many."""
    if member is None:
        return pa.array([], pa.string())
    most = max(_FEW, _PER_ROW * rows)
    try:
        parts, count = [], 0
        for block in _items(archive, member):
            parts.append(_scan(block))
            count += len(parts[-1])
            if count > most:
                raise too_large("strings", most)
    except Unusual:
        return _parse(archive.xml(member), most)
    found = pa.concat_arrays(parts) if parts else pa.array([], pa.string())
    return _nulled(found)


def _nulled(found: Any) -> Any:
    """Empty strings become null."""
    if not len(found):
        return found
    lengths = np.diff(np.frombuffer(found.buffers()[1], np.int32)[found.offset : found.offset + len(found) + 1])
    empty = lengths == 0
    return pc.if_else(pa.array(empty), None, found) if empty.any() else found


def _items(archive: Archive, member: str) -> Iterator[bytes]:
    """Blocks of whole ``<si>`` elements."""
    rest, started = b"", False
    for block in archive.xml(member):
        rest += block
        if not started:
            start = rest.find(b"<si")
            if not is_utf8(rest) or (start < 0 and b"<sst" not in rest):
                raise Unusual
            if start < 0:
                continue
            rest, started = rest[start:], True
        cut = rest.rfind(b"</si>") + 5
        if cut > 4:
            yield rest[:cut]
            rest = rest[cut:]
        elif len(rest) > _CARRY:
            raise too_large("piece", _CARRY)
    if b"<si" in rest:
        raise Unusual


def _scan(block: bytes) -> Any:
    data, words = view(block)
    at, code = tags(data, _CODES)
    items = np.flatnonzero(code == _ITEM)
    inside = np.minimum(items + 1, len(code) - 1)
    last = np.minimum(items + 3, len(code) - 1)
    starts, known = text_starts(data, words, at[inside])
    regular = known & (code[inside] == _TEXT) & (code[items + 2 - (items + 2 >= len(code))] == _TEXT_END)
    regular &= code[last] == _ITEM_END
    regular &= data[np.minimum(at[items] + 3, len(data) - 1)] == 62
    if regular.all():
        return gather(data, starts, at[items + 2])
    plain, odd = np.flatnonzero(regular), np.flatnonzero(~regular)
    ends = np.append(at[items][1:], len(block))
    pieces = b"".join(block[at[items[i]] : ends[i]] for i in odd)
    parsed = _parse(iter([b"<sst>", pieces, b"</sst>"]), len(odd))
    if len(parsed) != len(odd):
        raise Unusual
    order = np.empty(len(items), np.int64)
    order[plain], order[odd] = np.arange(len(plain)), np.arange(len(plain), len(items))
    good = gather(data, starts[plain], at[items[plain] + 2])
    return pa.concat_arrays([good, parsed]).take(pa.array(order))


def _parse(blocks: Iterator[bytes], most: int) -> Any:
    """Shared strings by expat, whatever their shape."""
    reader = _Strings(most)
    parser = safe_parser()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    for block in blocks:
        parser.Parse(block, False)
    parser.Parse(b"", True)
    return pa.array(reader.found, pa.string())


class _Strings:
    """The state between two XML events of the shared strings."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.found: list[str | None] = []
        self.parts: list[str] = []
        self.size = 0
        self.inside = False
        self.guides = 0

    def start(self, tag: str, _attributes: dict[str, str]) -> None:
        name = local(tag)
        if name == "si":
            self.parts, self.size = [], 0
        elif name == "rPh":
            self.guides += 1
        self.inside = name == "t" and not self.guides

    def text(self, data: str) -> None:
        if self.inside:
            self.size += len(data)
            if self.size > TEXT:
                raise too_large("piece", TEXT)
            self.parts.append(data)

    def end(self, tag: str) -> None:
        name = local(tag)
        self.inside = False
        if name == "si":
            if len(self.found) == self.most:
                raise too_large("strings", self.most)
            self.found.append(unescape("".join(self.parts)) or None)
        elif name == "rPh":
            self.guides -= 1
