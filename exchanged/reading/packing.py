"""How much a stream of a PDF becomes when it is unpacked: counted piece by piece, before anything unpacks it whole.

Takes   a stream
Gives   nothing; it passes
Redo    only reads
Ends    Unfit for a stream that says little and becomes much, and for a picture that is larger than the PDF says

What Flate packs is counted. LZW and run lengths are left to the readers' own bounds and the child's.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import pikepdf

from exchanged.reading.unfit import PIXELS, too_large

LOOSE = 64 << 20  # bytes of one stream that is no picture: a font with every Chinese character has 20 million
TOGETHER = 256 << 20  # of all of them
SLACK = 1 << 20  # that a picture may have beyond its size
PASSES = 100  # of a JPEG; the usual progressive one has ten
_PIECE = 1 << 20
_FLATE = ("/FlateDecode", "/Fl")
_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # markers of a JPEG that give its size
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # those that nothing follows


class Weight:
    """Counts what the streams of one file become."""

    def __init__(self) -> None:
        self._total = 0

    def add(self, stream: Any) -> None:
        """One more stream. Raises Unfit."""
        if _name(stream.get("/Subtype")) == "/Image":
            _picture(stream)
            return
        filters = _filters(stream)
        if filters[:1] and filters[0] in _FLATE:
            _, size = _unpacked(stream.read_raw_bytes(), filters, LOOSE)
            self._total += size
            if self._total > TOGETHER:
                raise too_large("unpacked", TOGETHER)


def _picture(stream: Any) -> None:
    width, height = int(stream.Width), int(stream.Height)
    if width * height > PIXELS:
        raise too_large("pixels", PIXELS)
    filters, bits = _filters(stream), int(stream.get("/BitsPerComponent", 1))
    most = max(0, width * height * max(1, min(bits, 16)) // 2) + SLACK
    data, _ = _unpacked(stream.read_raw_bytes(), filters, most)
    own = filters[-1] if filters else ""
    if own in ("/DCTDecode", "/DCT"):
        _limit(_jpeg_size(data))
        if data.count(b"\xff\xda") > PASSES:
            raise too_large("passes", PASSES)
    elif own == "/JPXDecode":
        _limit(_jpx_size(data))


def _limit(size: tuple[int, int]) -> None:
    if size[0] * size[1] > PIXELS:
        raise too_large("pixels", PIXELS)


def _filters(stream: Any) -> list[str]:
    named = stream.get("/Filter")
    if isinstance(named, pikepdf.Array):
        return [_name(each) for each in named]
    return [_name(named)] if named is not None else []


def _name(value: Any) -> str:
    return str(value) if isinstance(value, pikepdf.Name) else ""


def _unpacked(data: bytes, filters: list[str], most: int) -> tuple[bytes, int]:
    """What is left after the leading Flates, where another filter follows them; and how large it is."""
    size = len(data)
    for at, name in enumerate(filters):
        if name not in _FLATE:
            break
        data, size = _inflated(data, most, keep=at + 1 < len(filters))
    return data, size


def _inflated(data: bytes, most: int, *, keep: bool) -> tuple[bytes, int]:
    unpacker, kept, size, left = zlib.decompressobj(), bytearray(), 0, data
    try:
        while left and not unpacker.eof:
            piece = unpacker.decompress(left, _PIECE)
            left = unpacker.unconsumed_tail
            size += len(piece)
            if size > most:
                raise too_large("unpacked", most)
            if keep:
                kept += piece
    except zlib.error:  # the readers will say what they make of it
        pass
    return bytes(kept), size


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Width and height as a JPEG's own head has them; nothing where it has none."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        kind = data[at + 1]
        if kind in _SIZES:
            high, wide = struct.unpack_from(">HH", data, at + 5)
            return wide, high
        if kind == 0xFF:
            at += 1
        else:
            at += 2 if kind in _ALONE else 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    return 0, 0


def _jpx_size(data: bytes) -> tuple[int, int]:
    """Width and height as a JPEG 2000's own head has them; nothing where it has none."""
    at = data.find(b"\xff\x4f\xff\x51")
    if at < 0 or at + 16 > len(data):
        return 0, 0
    wide, high = struct.unpack_from(">LL", data, at + 8)
    return wide, high
