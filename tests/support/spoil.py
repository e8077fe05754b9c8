"""Spoils scans: bytes anywhere, the entries of a PDF's objects, its table, the data of its pictures and drawings."""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Callable, Sequence

from tests.support import rawpdf
from tests.support.mutate import ANYWHERE, flip, word

Change = Callable[[random.Random, bytes], bytes]

_TOKEN = re.compile(rb"/[A-Za-z0-9]+|-?\b\d+(?:\.\d+)?\b(?: \d+ R\b)?|<<|>>|\[|\]|\((?:[^()\\]|\\.)*\)")
_STREAM = re.compile(rb"stream\r?\n(.*?)\r?\nendstream", re.S)
_OBJECT = re.compile(rb"(\d+) 0 obj\n(.*?)\nendobj\n", re.S)
VALUES = (
    b"0", b"-1", b"1", b"2", b"77", b"255", b"65535", b"65536", b"99999", b"2147483647", b"-2147483648", b"4294967296",
    b"9" * 30, b"0.00001", b"1e9", b"null", b"true", b"()", b"(a)", b"<>", b"<FFFF>", b"[]", b"[0 1]", b"<< >>", b"/A",
    b"1 0 R", b"2 0 R", b"3 0 R", b"4 0 R", b"5 0 R", b"6 0 R", b"99 0 R", b"0 0 R", b"[ 5 0 R ]", b"/DeviceRGB",
    b"/DeviceCMYK", b"/DeviceGray", b"[/Indexed /DeviceRGB 255 6 0 R]", b"[/ICCBased 5 0 R]", b"/FlateDecode",
    b"/DCTDecode", b"/JPXDecode", b"/JBIG2Decode", b"/CCITTFaxDecode", b"/LZWDecode", b"/RunLengthDecode",
    b"/ASCII85Decode", b"/ASCIIHexDecode", b"[/FlateDecode /DCTDecode]", b"/Crypt", b"<</Predictor 15 /Columns 9>>",
    b"<</K 0 /Columns 99999 /Rows 9>>", b"<</ColorTransform 7>>", b"/Form", b"/Image", b"/Pages", b"/Page", b"/ObjStm",
    b"/XRef", b"/JavaScript", b"/Launch", b"[1 0 0 1 0 0]", b"[0 0 0 0]", b"[0 0 1e38 1e38]",
)  # fmt: skip
ENTRIES = (
    b"/Rotate", b"/UserUnit", b"/CropBox", b"/MediaBox", b"/Decode", b"/DecodeParms", b"/Filter", b"/SMask", b"/Mask",
    b"/ImageMask", b"/Matte", b"/Intent", b"/Interpolate", b"/Width", b"/Height", b"/BitsPerComponent", b"/ColorSpace",
    b"/Length", b"/Kids", b"/Count", b"/Parent", b"/Contents", b"/Resources", b"/XObject", b"/Group", b"/Matrix",
    b"/BBox", b"/Type", b"/Subtype", b"/First", b"/N", b"/Prev", b"/Size", b"/W", b"/Index", b"/Encrypt", b"/Root",
    b"/OpenAction", b"/AA", b"/URI", b"/A", b"/Annots", b"/OC", b"/Pattern", b"/Font", b"/ExtGState", b"/Alternates",
)  # fmt: skip
ORDERS = (
    b"q", b"Q", b"/I Do", b"/F Do", b"1 0 0 1 0 0 cm", b"0 0 0 0 0 0 cm", b"1e38 0 0 1e38 0 0 cm",
    b"-1 0 0 -1 595 842 cm", b"0 0 595 842 re f", b"W n", b"BT", b"ET", b"/R 12 Tf", b"(a) Tj", b"3 Tr",
    b"BI", b"ID", b"EI", b"/A sh", b"/G gs",
    b"/Pattern cs", b"/P scn", b"[", b"]", b"<<", b">>", b"(", b"/A <</MCID 0>> BDC", b"EMC", b"BX", b"%",
    b"BI /W 9 /H 9 /BPC 8 /CS /G ID aaaa\nEI", b"0.0000001 w", b"[0.0001] 0 d", b"0 0 m 1e9 1e9 l S",
)  # fmt: skip


def _streams(data: bytes) -> list[tuple[int, int]]:
    return [match.span(1) for match in _STREAM.finditer(data)]


def _outside(data: bytes) -> list[re.Match[bytes]]:
    """The words of the objects, without the data of streams."""
    spans = _streams(data)
    return [found for found in _TOKEN.finditer(data) if not any(start <= found.start() < end for start, end in spans)]


def entry(dice: random.Random, data: bytes) -> bytes:
    """A word of an object replaced, left out or doubled."""
    found = dice.choice(_outside(data))
    by = dice.choice((dice.choice(VALUES), dice.choice(VALUES), dice.choice(ENTRIES), b"", found[0] + b" " + found[0]))
    return data[: found.start()] + by + data[found.end() :]


def addition(dice: random.Random, data: bytes) -> bytes:
    """An entry more in a dictionary."""
    at = [found.end() for found in _outside(data) if found[0] == b"<<"]
    if not at:
        return data
    where = dice.choice(at)
    return data[:where] + b" " + dice.choice(ENTRIES) + b" " + dice.choice(VALUES) + b" " + data[where:]


def inside(dice: random.Random, data: bytes) -> bytes:
    """The data of one stream spoilt, above all its first bytes, where pictures say what they are."""
    spans = _streams(data)
    if not spans:
        return data
    start, end = dice.choice(spans)
    body = data[start:end]
    head = min(len(body), dice.choice((40, 200, 1000, len(body))))
    body = dice.choice((flip, flip, word))(dice, body[:head]) + body[head:]
    if dice.random() < 0.1:
        body = body[: dice.randrange(len(body) + 1)]
    return data[:start] + body + data[end:]


def drawing(dice: random.Random, data: bytes) -> bytes:
    """Orders put into a drawing, some of them often; packed as it was."""
    spans = [(a, b) for a, b in _streams(data) if b - a < 20_000]
    if not spans:
        return data
    start, end = dice.choice(spans)
    body = data[start:end]
    try:
        plain = zlib.decompress(body)
    except zlib.error:
        plain = body
    words = plain.split(b" ")
    for _ in range(dice.choice((1, 2, 5))):
        at = dice.randrange(len(words) + 1)
        words[at:at] = [dice.choice(ORDERS)] * dice.choice((1, 1, 1, 10, 1000))
    made = b" ".join(words)
    return data[:start] + (made if plain is body else zlib.compress(made)) + data[end:]


def mended(data: bytes) -> bytes:
    """The same objects with right lengths and a right table, so that readers come to what was spoilt in them."""
    found = {int(number): body for number, body in _OBJECT.findall(data)}
    if not found or max(found) > 2000:
        return data
    bodies = [found.get(number, b"null") for number in range(1, max(found) + 1)]
    return rawpdf.file([_lengthened(body) for body in bodies])


def _lengthened(body: bytes) -> bytes:
    inner = _STREAM.search(body)
    if not inner:
        return body
    return re.sub(rb"/Length \d+(?! \d+ R)", b"/Length %d" % len(inner[1]), body, count=1)


STRUCTURE: Sequence[Change] = (entry, entry, addition, addition, drawing, inside, inside, inside)


def mutant(seed: int, data: bytes) -> bytes:
    """One spoilt scan, the same for the same seed."""
    dice = random.Random(seed)
    if dice.random() < 0.2:
        return dice.choice(ANYWHERE)(dice, data)
    for _ in range(dice.choice((1, 1, 1, 2, 3, 6))):
        data = dice.choice(STRUCTURE)(dice, data)
    return mended(data) if dice.random() < 0.85 else data
