"""Scans made to cost whoever opens them memory, time or his footing: bombs, loops, lies, and files cut or mended."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

from tests.support import scans
from tests.support.rawpdf import FIRST, bomb, file, flat, image, jpeg, lzw_bomb, photo, scanned, stream

Build = Callable[[], bytes]
GREY = b"/ColorSpace /DeviceGray /BitsPerComponent 8 "
BILEVEL = b"/ColorSpace /DeviceGray /BitsPerComponent 1 "
FLATE = b"/Filter /FlateDecode "
N = b"%d 0 R" % FIRST


def _picture(head: bytes, data: bytes, width: int = 50_000, height: int = 50_000, *more: bytes) -> bytes:
    return file(scanned(image(head, data, width, height), *more))


def drawn(drawing: bytes) -> bytes:
    """A scan with another drawing, packed."""
    objects = scanned(flat())
    objects[3] = stream(FLATE, zlib.compress(drawing, 9))
    return file(objects)


def _jpeg_that_says(width: int, height: int, data: bytes | None = None) -> bytes:
    """A JPEG with another size in its own head."""
    data = jpeg() if data is None else data
    at = next(data.index(mark) for mark in (b"\xff\xc0", b"\xff\xc2") if mark in data)
    return data[: at + 5] + struct.pack(">HH", height, width) + data[at + 9 :]


def _progressive(passes: int) -> bytes:
    """A progressive JPEG whose shortest pass is repeated."""
    buffer = io.BytesIO()
    scans.picture(150).save(buffer, "JPEG", progressive=True, quality=60)
    head, *each = buffer.getvalue()[:-2].split(b"\xff\xda")
    return b"\xff\xda".join([head, *each, *[min(each, key=len)] * passes]) + b"\xff\xd9"


def jpx(mode: str = "L", dpi: int = 150) -> bytes:
    """A written page as a JPEG 2000 file."""
    buffer = io.BytesIO()
    scans.picture(dpi, mode).save(buffer, "JPEG2000", irreversible=True, quality_mode="rates", quality_layers=[20])
    return buffer.getvalue()


def _jpx_that_says(width: int, height: int) -> bytes:
    data = jpx()
    at = data.index(b"\xff\x51") + 6
    out = data[:at] + struct.pack(">LL", width, height) + data[at + 8 :]
    head = out.index(b"ihdr") + 4
    return out[:head] + struct.pack(">LL", height, width) + out[head + 8 :]


def _jbig2(width: int, height: int) -> bytes:
    """A page of JBIG2 with one generic region of nothing."""
    page = struct.pack(">LBBBL", 0, 48, 0, 1, 19) + struct.pack(">LLLLBH", width, height, 0, 0, 0, 0)
    body = struct.pack(">LLLLB", width, height, 0, 0, 0) + bytes([0, 3, 255, 253, 255, 2, 254, 254, 254]) + bytes(20)
    return page + struct.pack(">LBBBL", 1, 38, 0, 1, len(body)) + body


PICTURES: dict[str, Build] = {
    "of 50,000 x 50,000 in colour": (
        lambda: _picture(b"/ColorSpace /DeviceRGB /BitsPerComponent 8 " + FLATE, bomb(10 << 20))
    ),
    "of 50,000 x 50,000 in grey": (lambda: _picture(GREY + FLATE, bomb(10 << 20))),
    "of 50,000 x 50,000 in black and white": (lambda: _picture(BILEVEL + FLATE, bomb(10 << 20))),
    "of 50,000 x 50,000, all of it there": (lambda: _picture(BILEVEL + FLATE, bomb(312_500_000))),
    "of 50,000 x 50,000 by fax": (
        lambda: _picture(
            BILEVEL + b"/Filter /CCITTFaxDecode /DecodeParms << /K -1 /Columns 50000 /Rows 50000 >>", b"\xff" * 7000
        )
    ),
    "of 50,000 x 50,000 by JBIG2": (lambda: _picture(BILEVEL + b"/Filter /JBIG2Decode", _jbig2(50_000, 50_000))),
    "of 50,000 x 50,000 as a stencil": (
        lambda: _picture(b"/ImageMask true /BitsPerComponent 1 " + FLATE, bomb(10 << 20))
    ),
    "of 2,000,000,000 x 1": (lambda: _picture(GREY + FLATE, bomb(1 << 20), 2_000_000_000, 1)),
    "of no width": (lambda: _picture(GREY + FLATE, bomb(1 << 20), 0, 1754)),
    "of negative size": (lambda: _picture(GREY + FLATE, bomb(1 << 20), -1240, -1754)),
    "of less data than its size": (lambda: _picture(GREY + FLATE, bomb(1000, bytes(100)), 1240, 1754)),
    "of fewer bytes than its length": (lambda: file(scanned(photo().replace(b"/Length ", b"/Length 9", 1)))),
    "as a JPEG that says 65,500 x 65,500": (
        lambda: _picture(GREY + b"/Filter /DCTDecode", _jpeg_that_says(65_500, 65_500), 1240, 1754)
    ),
    "as a JPEG that says 1 x 1": (lambda: _picture(GREY + b"/Filter /DCTDecode", _jpeg_that_says(1, 1), 1240, 1754)),
    "as a progressive JPEG that says 65,500 x 65,500": (
        lambda: _picture(GREY + b"/Filter /DCTDecode", _jpeg_that_says(65_500, 65_500, _progressive(0)), 1240, 1754)
    ),
    "as a JPEG of 20,000 passes": (lambda: _picture(GREY + b"/Filter /DCTDecode", _progressive(20_000), 1240, 1754)),
    "as a JPEG 2000 that says 50,000 x 50,000": (
        lambda: _picture(GREY + b"/Filter /JPXDecode", _jpx_that_says(50_000, 50_000), 1240, 1754)
    ),
    "as a JPEG 2000 that says 4,000,000,000": (
        lambda: _picture(b"/Filter /JPXDecode", _jpx_that_says(4_000_000_000, 4_000_000_000), 1240, 1754)
    ),
    "by JBIG2 that says 100,000 x 100,000": (
        lambda: _picture(BILEVEL + b"/Filter /JBIG2Decode", _jbig2(100_000, 100_000), 1240, 1754)
    ),
    "by fax whose columns are 60,000": (
        lambda: _picture(
            BILEVEL + b"/Filter /CCITTFaxDecode /DecodeParms << /K -1 /Columns 60000 /Rows 60000 >>",
            b"\xff" * 7000,
            1240,
            1754,
        )
    ),
    "in Flate in Flate in Flate": (
        lambda: _picture(GREY + b"/Filter [/FlateDecode /FlateDecode /FlateDecode]", bomb(1 << 30, times=3), 1240, 1754)
    ),
    "with 4 GB behind 1,240 x 1,754": (lambda: _picture(GREY + FLATE, bomb(4 << 30), 1240, 1754)),
    "a JPEG in 4 GB of Flate": (
        lambda: _picture(GREY + b"/Filter [/FlateDecode /DCTDecode]", bomb(4 << 30), 1240, 1754)
    ),
    "a JPEG in a thousand filters": (
        lambda: _picture(GREY + b"/Filter [%s /DCTDecode]" % (b"/ASCIIHexDecode " * 1000), b"00>", 1240, 1754)
    ),
    "in 2 GB of LZW": (lambda: _picture(GREY + b"/Filter /LZWDecode", lzw_bomb(280), 1240, 1754)),
    "in 1 GB of runs": (lambda: _picture(GREY + b"/Filter /RunLengthDecode", b"\x81\x00" * 8_000_000, 1240, 1754)),
    "with a mask of 50,000 x 50,000": (
        lambda: file(
            scanned(photo().replace(b"<<", b"<< /SMask " + N, 1), image(GREY + FLATE, bomb(1 << 20), 50_000, 50_000))
        )
    ),
    "two thousand times with a large mask": (lambda: _masks(2000)),
    "that is its own mask": (lambda: file(scanned(photo().replace(b"<<", b"<< /SMask 5 0 R", 1)))),
    "with a colour for which a long program is run": (
        lambda: _programmed(b"{ " + b"dup mul sqrt " * 20_000 + b" dup dup }")
    ),
    "with a colour space in itself": (
        lambda: file(
            scanned(
                image(b"/ColorSpace %s /BitsPerComponent 8 " % N + FLATE, bomb(1 << 20)), b"[/Indexed %s 1 <00>]" % N
            )
        )
    ),
    "with a colour profile of 4 GB": (
        lambda: file(
            scanned(photo().replace(b"/DeviceGray", b"[/ICCBased %s]" % N), stream(b"/N 1 " + FLATE, bomb(4 << 30)))
        )
    ),
    "with predictors over 4 GB": (
        lambda: _picture(
            GREY + FLATE + b"/DecodeParms << /Predictor 15 /Colors 1 /Columns 1240 >>", bomb(4 << 30), 1240, 1754
        )
    ),
    "with predictors of a thousand million columns": (
        lambda: _picture(
            GREY + FLATE + b"/DecodeParms << /Predictor 12 /Colors 32 /Columns 1000000000 >>", bomb(1 << 20), 1240, 1754
        )
    ),
    "inline, of 50,000 x 50,000": (
        lambda: drawn(
            b"q 595 0 0 842 0 0 cm BI /W 50000 /H 50000 /BPC 8 /CS /RGB /F /Fl ID " + bomb(1 << 20) + b"\nEI Q"
        )
    ),
    "inline, ten thousand times": (
        lambda: drawn(b"q 595 0 0 842 0 0 cm BI /W 1 /H 1 /BPC 8 /CS /G ID a\nEI Q " * 10_000)
    ),
    "as a JPEG 2000, a hundred times": lambda: file(
        scanned(image(b"/Filter /JPXDecode", jpx()), drawing=b"q 595 0 0 842 0 0 cm " + b"/I Do " * 100 + b"Q")
    ),
    "as a JPEG 2000 in three layers": lambda: file(
        scanned(image(b"/Filter /JPXDecode", jpx()), drawing=b"q 595 0 0 842 0 0 cm " + b"/I Do " * 3 + b"Q")
    ),
    "inline, that never ends": (lambda: drawn(b"q BI /W 1240 /H 1754 /BPC 8 /CS /G ID " + bytes(100_000))),
}


def _masks(count: int) -> bytes:
    mask = image(GREY + FLATE, bomb(144_000_000, bytes(1_000_000)), 12_000, 12_000)
    small = image(GREY + b"/SMask %d 0 R" % (FIRST + 1), b"\0", 1, 1)
    objects = scanned(None, small, mask, drawing=b"q 595 0 0 842 0 0 cm " + b"/S Do " * count + b"/I Do Q")
    objects[2] = objects[2].replace(b"/XObject <<", b"/XObject << /S " + N)
    return file(objects)


def _programmed(program: bytes) -> bytes:
    function = stream(b"/FunctionType 4 /Domain [0 1] /Range [0 1 0 1 0 1]", program)
    space = b"/ColorSpace [/Separation /Spot /DeviceRGB %s] /BitsPerComponent 8 " % N
    return _picture(space + FLATE, zlib.compress(scans.picture(300).tobytes()), 2480, 3508, function)
