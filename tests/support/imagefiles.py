"""Pictures that are no PDF: good ones, bombs, loops and broken ones. None of them is ever opened."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

from PIL import Image

from tests.support import scans
from tests.support.rawpdf import jpeg

Build = Callable[[], bytes]


def _saved(kind: str, mode: str = "L", **options: object) -> bytes:
    buffer = io.BytesIO()
    scans.picture(150, mode).save(buffer, kind, **options)
    return buffer.getvalue()


def _png_bomb(side: int = 50_000) -> bytes:
    """A PNG of a few kilobytes and thousands of millions of pixels."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">L", len(body)) + name + body + struct.pack(">L", zlib.crc32(name + body))

    head = struct.pack(">LLBBBBB", side, side, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1 << 20), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def _tiff(pages: int, *, loops: bool = False) -> bytes:
    """A TIFF of so many pages of one pixel; or one whose last page leads back to its first."""
    tags = ((256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 8), (278, 1), (279, 1))
    entries = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in tags)
    size, out = 2 + len(entries) + 4, bytearray(b"II*\0" + struct.pack("<L", 12) + bytes(4))
    for page in range(pages):
        last = page == pages - 1
        following = (12 if loops else 0) if last else 12 + (page + 1) * size
        out += struct.pack("<H", len(tags)) + entries + struct.pack("<L", following)
    return bytes(out)


def _turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return _saved("JPEG", exif=exif)


FILES: dict[str, Build] = {
    "grey.jpg": jpeg,
    "turned.jpg": _turned,
    "inks.jpg": lambda: _saved("JPEG", "CMYK"),
    "cut.jpg": lambda: jpeg()[:5000],
    "page.png": lambda: _saved("PNG"),
    "cut.png": lambda: _saved("PNG")[:500],
    "bomb.png": _png_bomb,
    "page.tif": lambda: _saved("TIFF", "1", compression="group4"),
    "loop.tif": lambda: _tiff(3, loops=True),
    "ten-thousand-pages.tif": lambda: _tiff(10_000),
    "page.gif": lambda: _saved("GIF"),
    "page.bmp": lambda: _saved("BMP"),
}
