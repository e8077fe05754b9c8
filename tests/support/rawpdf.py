"""PDF files written byte by byte, as no library would write them: objects, tables, streams and updates of one's own.

A file is a list of bodies, numbered from 1. `scanned` gives those of a good scan, in places that other builders count
on: 1 catalog, 2 page tree, 3 page, 4 its drawing, 5 its picture, then what is added.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable, Sequence
from functools import cache

from tests.support import scans

DRAWING = b"q 595 0 0 842 0 0 cm /I Do Q"
FIRST = 6  # number of the first object that is added to a scan
_END = b"%%EOF\n"


def stream(head: bytes, data: bytes) -> bytes:
    """The body of a stream object."""
    return b"<< %s /Length %d >>\nstream\n" % (head, len(data)) + data + b"\nendstream"


def image(head: bytes, data: bytes, width: int = 1240, height: int = 1754) -> bytes:
    """The body of a picture."""
    size = b"/Width %d /Height %d " % (width, height)
    return stream(b"/Type /XObject /Subtype /Image " + size + head, data)


@cache
def jpeg(mode: str = "L", dpi: int = 150, quality: int = 60) -> bytes:
    """A written page as a JPEG."""
    buffer = io.BytesIO()
    scans.picture(dpi, mode).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def photo() -> bytes:
    """The body of a good grey picture of 150 dpi."""
    return image(b"/ColorSpace /DeviceGray /BitsPerComponent 8 /Filter /DCTDecode", jpeg())


def flat() -> bytes:
    """The body of a good grey picture that has to be drawn to be seen."""
    return image(
        b"/ColorSpace /DeviceGray /BitsPerComponent 8 /Filter /FlateDecode", zlib.compress(scans.picture(150).tobytes())
    )


def scanned(
    picture: bytes | None = None,
    *more: bytes,
    catalog: bytes = b"",
    tree: bytes = b"",
    page: bytes = b"",
    resources: bytes = b"",
    drawing: bytes = DRAWING,
    box: bytes = b"[0 0 595 842]",
) -> list[bytes]:
    """The bodies of a scan of one page. The other arguments are entries that are added to its dictionaries."""
    return [
        b"<< /Type /Catalog /Pages 2 0 R %s >>" % catalog,
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 %s >>" % tree,
        b"<< /Type /Page /Parent 2 0 R /MediaBox %s /Contents 4 0 R /Resources << /XObject << /I 5 0 R >> %s >> %s >>"
        % (box, resources, page),
        stream(b"", drawing),
        photo() if picture is None else picture,
        *more,
    ]


def file(objects: Sequence[bytes], *, trailer: bytes = b"", version: bytes = b"1.7") -> bytes:
    """A file with a right table; `trailer`: further entries."""
    head = b"%PDF-" + version + b"\n%\xe2\xe3\xcf\xd3\n"
    return head + _body(enumerate(objects, 1), len(head), len(objects) + 1, trailer)


def updated(before: bytes, changed: Sequence[tuple[int, bytes]], size: int) -> bytes:
    """A file with another revision after it: objects by number, old or new ones."""
    previous = int(before[before.rindex(b"startxref") + 9 :].split()[0])
    return before + _body(changed, len(before), size, b"/Prev %d" % previous)


def _body(objects: Iterable[tuple[int, bytes]], start: int, size: int, trailer: bytes) -> bytes:
    out, places = bytearray(), {}
    for number, body in objects:
        places[number] = start + len(out)
        out += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    table = b"".join(b"%d 1\n%010d 00000 n \n" % (number, place) for number, place in sorted(places.items()))
    at = start + len(out)
    out += b"xref\n0 1\n0000000000 65535 f \n" + table
    out += b"trailer\n<< /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n" % (size, trailer, at) + _END
    return bytes(out)


def packed(objects: Sequence[bytes], hidden: Sequence[bytes], *, trailer: bytes = b"") -> bytes:
    """A file whose `hidden` objects lie in a compressed object stream, with a compressed table."""
    count, out, rows = len(objects) + len(hidden), bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"), [(0, 0, 65535)]
    index, inner = [], bytearray()
    for number, body in enumerate(hidden, len(objects) + 1):
        index.append(b"%d %d" % (number, len(inner)))
        inner += body + b"\n"
    first = b" ".join(index) + b"\n"
    holder = stream(
        b"/Type /ObjStm /N %d /First %d /Filter /FlateDecode" % (len(hidden), len(first)),
        zlib.compress(first + inner, 9),
    )
    for number, body in enumerate(objects, 1):
        rows.append((1, len(out), 0))
        out += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    rows += [(2, count + 1, at) for at in range(len(hidden))]
    rows.append((1, len(out), 0))
    out += b"%d 0 obj\n" % (count + 1) + holder + b"\nendobj\n"
    rows.append((1, len(out), 0))
    table = b"".join(bytes([kind]) + a.to_bytes(4, "big") + b.to_bytes(2, "big") for kind, a, b in rows)
    at = len(out)
    head = b"/Type /XRef /W [1 4 2] /Size %d /Root 1 0 R /Filter /FlateDecode %s" % (count + 3, trailer)
    out += b"%d 0 obj\n" % (count + 2) + stream(head, zlib.compress(table)) + b"\nendobj\n"
    return bytes(out) + b"startxref\n%d\n" % at + _END


def bomb(size: int, block: bytes = bytes(1 << 20), times: int = 1) -> bytes:
    """What Flate unpacks to about `size` bytes of `block`, packed again `times` - 1 times."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    one = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    out = b"\x78\xda" + one * (size // len(block)) + packer.flush() + bytes(4)
    for _ in range(times - 1):
        out = zlib.compress(out, 9)
    return out


def lzw_bomb(blocks: int) -> bytes:
    """What LZW unpacks to about 7.4 MB for every block of 5.8 kB: runs of one byte that grow with the table."""
    bits = "100000000" + format(0, "09b")
    for code in range(258, 4094):
        width = 9 if code < 511 else 10 if code < 1023 else 11 if code < 2047 else 12
        bits += format(code, f"0{width}b")
    one = bits + "0" * (-len(bits) % 8)
    whole = (bits + format(256, "012b")) * 8
    data = int(whole, 2).to_bytes((len(whole) + 7) // 8, "big")
    return data * (blocks // 8) + int(one, 2).to_bytes(len(one) // 8, "big")
