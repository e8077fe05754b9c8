"""Scans whose structure lies, loops, weighs too much, or is in pieces."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable

import pikepdf

from tests.support import scans
from tests.support.heavypdf import FLATE, GREY, N, drawn
from tests.support.rawpdf import (
    DRAWING,
    FIRST,
    bomb,
    file,
    flat,
    image,
    jpeg,
    lzw_bomb,
    packed,
    scanned,
    stream,
    updated,
)

Build = Callable[[], bytes]
PATTERN = b"/Type /Pattern /PatternType 1 /PaintType 1 /TilingType 1 /BBox [0 0 9 9] /XStep 1 /YStep 1 /Resources << >>"


def _tree(kids: bytes, count: bytes, *more: bytes) -> bytes:
    objects = scanned(None, *more)
    objects[1] = b"<< /Type /Pages /Kids [%s] /Count %s >>" % (kids, count)
    return file(objects)


def _resource(name: bytes, value: bytes, drawing: bytes, *more: bytes) -> bytes:
    return file(scanned(flat(), *more, resources=b"/%s << /R %s >>" % (name, value), drawing=drawing + DRAWING))


def form(body: bytes, resources: bytes, *more: bytes) -> bytes:
    """A scan under which a form is drawn."""
    head = b"/Type /XObject /Subtype /Form /BBox [0 0 595 842] /Resources << %s >>" % resources
    objects = scanned(flat(), stream(head, body), *more, drawing=b"/F Do " + DRAWING)
    objects[2] = objects[2].replace(b"/XObject <<", b"/XObject << /F " + N)
    return file(objects)


def _lettered(mode: bytes, glyph: bytes, text: bytes) -> bytes:
    """Text in a font whose letters are drawings."""
    letters = b"<< /Type /Font /Subtype /Type3 /FontBBox [0 0 750 750] /FontMatrix [0.001 0 0 0.001 0 0] "
    letters += b"/CharProcs << /a %d 0 R >> /Encoding << /Differences [97 /a] >> /FirstChar 97 /LastChar 97 " % (
        FIRST + 1
    )
    letters += b"/Widths [1000] /Resources << >> >>"
    drawing = b"BT /R 12 Tf " + mode + b" Tr 9 9 Td (" + text + b") Tj ET "
    return file(
        scanned(
            flat(),
            letters,
            stream(b"", b"750 0 d0 " + glyph),
            resources=b"/Font << /R %s >>" % N,
            drawing=DRAWING + b" " + drawing,
        )
    )


def _objects(filters: bytes, data: bytes) -> bytes:
    """A file whose objects are said to lie in a stream that unpacks to a great deal."""
    whole = packed(scanned(), [b"<< >>"])
    at = whole.index(b"/Type /ObjStm")
    begin, end = whole.rindex(b"<<", 0, at), whole.index(b"endstream", at)
    body = stream(b"/Type /ObjStm /N 1 /First 4 " + filters, data).removesuffix(b"endstream")
    shift = len(body) - (end - begin)
    out = whole[:begin] + body + whole[end:]
    return _moved(out, shift)


def _moved(data: bytes, shift: int) -> bytes:
    """The same with the place of its compressed table, and the table's own entry, put right."""
    start = int(data[data.rindex(b"startxref") + 9 :].split()[0])
    return data.replace(b"startxref\n%d\n" % start, b"startxref\n%d\n" % (start + shift))


def _table_of(size: int, data: bytes, widths: bytes = b"[1 2 1]", filters: bytes = FLATE) -> bytes:
    """A file whose table is a stream of so many entries."""
    objects = scanned()
    out = file(objects)
    at = out.index(b"xref\n0 1")
    body = b"99 0 obj\n" + stream(b"/Type /XRef /W %s /Size %d /Root 1 0 R " % (widths, size) + filters, data)
    return out[:at] + body + b"\nendobj\nstartxref\n%d\n%%%%EOF\n" % at


def _many_updates(count: int) -> bytes:
    out = file(scanned())
    for _ in range(count):
        out = updated(out, [(1, b"<< /Type /Catalog /Pages 2 0 R >>")], FIRST)
    return out


def _circular_updates() -> bytes:
    out = file(scanned())
    at = int(out[out.rindex(b"startxref") + 9 :].split()[0])
    return out.replace(b"/Root 1 0 R ", b"/Root 1 0 R /Prev %d " % at)


TREES: dict[str, Build] = {
    "a node that is its own child": (lambda: _tree(b"2 0 R", b"1")),
    "two nodes, each the other's child": (
        lambda: _tree(N, b"1", b"<< /Type /Pages /Parent 2 0 R /Kids [2 0 R] /Count 1 >>")
    ),
    "the same page twice": (lambda: _tree(b"3 0 R 3 0 R", b"2")),
    "a page that is its own parent": (lambda: file(scanned(page=b"/Parent 3 0 R"))),
    "a count of -1": (lambda: _tree(b"3 0 R", b"-1")),
    "a count of 0": (lambda: _tree(b"3 0 R", b"0")),
    "a count of 2,147,483,647": (lambda: _tree(b"3 0 R", b"2147483647")),
    "a count of 99,999,999,999,999,999,999": (lambda: _tree(b"3 0 R", b"9" * 20)),
    "a count of words": (lambda: _tree(b"3 0 R", b"(many)")),
    "no children": (lambda: _tree(b"", b"1")),
    "no page at all": (lambda: _tree(b"", b"0")),
    "children that are not there": (lambda: _tree(b"77 0 R 3 0 R", b"2")),
    "ten thousand nodes, one in the other": (
        lambda: _tree(
            N,
            b"1",
            *(
                b"<< /Type /Pages /Parent %d 0 R /Kids [%d 0 R] /Count 1 >>" % (FIRST + n - 1, FIRST + n + 1)
                for n in range(10_000)
            ),
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] >>",
        )
    ),
    "100,000 pages": scans.many_pages,
    "100,000 times the same page": (lambda: _tree(b"3 0 R " * 100_000, b"100000")),
    "100,000 pages that it says are one": (lambda: _tree(b"3 0 R " * 100_000, b"1")),
    "no catalog": (lambda: file(scanned()).replace(b"/Root 1 0 R", b"/Root 9 0 R")),
    "a catalog that is a number": (lambda: file([b"42", *scanned()[1:]])),
    "no tree": (lambda: file([b"<< /Type /Catalog >>", *scanned()[1:]])),
    "a tree that is an array": (lambda: file([b"<< /Type /Catalog /Pages [3 0 R] >>", *scanned()[1:]])),
    "objects that refer to each other in a circle": (
        lambda: file(scanned(None, b"7 0 R", b"6 0 R", catalog=b"/A 6 0 R"))
    ),
    "100,000 arrays in arrays": (lambda: file(scanned(catalog=b"/A " + b"[" * 100_000 + b"]" * 100_000))),
    "100,000 dictionaries in dictionaries": (
        lambda: file(scanned(catalog=b"/A " + b"<< /A " * 100_000 + b">> " * 100_000))
    ),
    "five million numbers": (lambda: file(scanned(catalog=b"/A [" + b"1 " * 5_000_000 + b"]"))),
    "a string of 50 MB": (lambda: file(scanned(catalog=b"/A (" + b"a" * 50_000_000 + b")"))),
    "300,000 objects": (lambda: file(scanned(None, *[b"null"] * 300_000))),
    "resources that are a circle": (lambda: file(scanned(None, b"<< /R %s >>" % N, resources=b"/Font %s" % N))),
}

STREAMS: dict[str, Build] = {
    "a drawing of 4 GB": (
        lambda: file([*scanned()[:3], stream(FLATE, bomb(4 << 30, b"0 0 1 1 re f\n" * 80_000)), scanned()[4]])
    ),
    "a drawing of 2 GB by LZW": (
        lambda: file([*scanned()[:3], stream(b"/Filter /LZWDecode", lzw_bomb(280)), scanned()[4]])
    ),
    "a drawing of 1 GB of runs": (
        lambda: file([*scanned()[:3], stream(b"/Filter /RunLengthDecode", b"\x81 " * 8_000_000), scanned()[4]])
    ),
    "a drawing in Flate in Flate": (
        lambda: file(
            [*scanned()[:3], stream(b"/Filter [/FlateDecode /FlateDecode]", bomb(1 << 30, times=2)), scanned()[4]]
        )
    ),
    "a drawing that is a thousand streams": (
        lambda: file(
            [
                *scanned()[:2],
                scanned()[2].replace(b"/Contents 4 0 R", b"/Contents [" + (N + b" ") * 1000 + b"]"),
                *scanned()[3:],
                stream(FLATE, bomb(7 << 20, b"0 0 1 1 re f\n" * 8000)),
            ]
        )
    ),
    "metadata of 4 GB": (
        lambda: file(scanned(None, stream(b"/Type /Metadata " + FLATE, bomb(4 << 30)), catalog=b"/Metadata " + N))
    ),
    "a stream of 4 GB nobody names": (lambda: file(scanned(None, stream(FLATE, bomb(4 << 30))))),
    "a thousand streams of 30 MB": (lambda: file(scanned(None, *[stream(FLATE, bomb(30 << 20))] * 1000))),
    "objects in 4 GB": (lambda: _objects(FLATE, bomb(4 << 30))),
    "objects in 2 GB of LZW": (lambda: _objects(b"/Filter /LZWDecode", lzw_bomb(280))),
    "a table of 4 GB": (lambda: _table_of(2_000_000_000, bomb(4 << 30))),
    "a table of eight million entries": (lambda: _table_of(8_000_000, bomb(8_000_000, b"\1" * 8000), b"[0 1 0]")),
    "a table of 2 GB of LZW": (lambda: _table_of(2_000_000_000, lzw_bomb(280), filters=b"/Filter /LZWDecode")),
    "a thousand revisions": (lambda: _many_updates(1000)),
    "revisions in a circle": _circular_updates,
}

DRAWINGS: dict[str, Build] = {
    "a form that draws itself": (lambda: form(b"/F Do", b"/XObject << /F %s >>" % N)),
    "two forms that draw each other": (
        lambda: form(
            b"/G Do",
            b"/XObject << /G %d 0 R >>" % (FIRST + 1),
            stream(b"/Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /F %s >> >>" % N, b"/F Do"),
        )
    ),
    "forms in forms": scans.nested_forms,
    "tiles in tiles": scans.patterns_in_patterns,
    "a pattern that is the colour of a form": (
        lambda: form(
            b"/Pattern cs /P scn 0 0 595 842 re f",
            b"/Pattern << /P %d 0 R >>" % (FIRST + 1),
            stream(PATTERN, b"0 0 1 1 re f"),
        )
    ),
    "a mask that draws a hundred thousand lines": (
        lambda: _resource(
            b"ExtGState",
            b"<< /SMask << /S /Luminosity /G %s >> >>" % N,
            b"/R gs ",
            stream(
                b"/Type /XObject /Subtype /Form /BBox [0 0 595 842] /Group << /S /Transparency >> " + FLATE,
                zlib.compress(b"0 0 m 595 842 l S " * 300_000, 9),
            ),
        )
    ),
    "a mask that masks itself": (
        lambda: _resource(
            b"ExtGState",
            b"<< /SMask << /S /Luminosity /G %s >> >>" % N,
            b"/R gs ",
            stream(
                b"/Type /XObject /Subtype /Form /BBox [0 0 595 842] /Group << /S /Transparency >> "
                b"/Resources << /ExtGState << /R << /SMask << /S /Luminosity /G %s >> >> >> >>" % N,
                b"/R gs 0 0 595 842 re f",
            ),
        )
    ),
    "letters that are drawings, seen": (lambda: _lettered(b"0", b"0 0 750 750 re f", b"aaa")),
    "letters that are drawings, said to be unseen": (lambda: _lettered(b"3", b"0 0 750 750 re f", b"aaa")),
    "letters that draw nothing": lambda: _lettered(b"3", b"0 0 750 750 re n", b"aaa"),
    "letters of many lines": (lambda: _lettered(b"3", b"0 0 m 750 750 l S " * 10_000, b"a" * 10_000)),
    "a shading": (
        lambda: _resource(
            b"Shading",
            b"<< /ShadingType 2 /ColorSpace /DeviceGray /Coords [0 0 1 1] "
            b"/Function << /FunctionType 2 /Domain [0 1] /N 1 >> >>",
            b"/R sh ",
        )
    ),
    "a million saved states": (lambda: drawn(b"q " * 1_000_000 + DRAWING)),
    "a million restored states": (lambda: drawn(b"Q " * 1_000_000 + DRAWING)),
    "a clip of a million corners": (lambda: drawn(b"0 0 m " + b"9 9 l 5 3 l " * 500_000 + b"W n " + DRAWING)),
    "a dash of tiny steps": (lambda: drawn(DRAWING + b" [0.00001] 0 d 0 0 m 595 842 l S")),
    "a million letters unseen": (lambda: drawn(b"BT 3 Tr " + b"(abc) Tj " * 600_000 + b"ET " + DRAWING)),
    "numbers without end": (lambda: drawn(DRAWING + b" 1" * 4_000_000)),
    "words nobody knows": (lambda: drawn(DRAWING + b" foo bar baz" * 500_000)),
    "marked content a hundred thousand deep": (lambda: drawn(b"/A << /B << >> >> BDC " * 100_000 + DRAWING)),
    "an array a million deep": (lambda: drawn(b"[" * 1_000_000 + DRAWING)),
}

BOXES: dict[str, Build] = {
    f"of {told}": (lambda box=box, page=page: file(scanned(box=box, page=page)))
    for told, box, page in (
        ("a million inches", b"[0 0 72000000 72000000]", b""),
        ("the largest numbers", b"[-3e38 -3e38 3e38 3e38]", b""),
        ("no height", b"[0 0 595 0]", b""),
        ("nothing", b"[]", b""),
        ("words", b"[(a) (b) (c) (d)]", b""),
        ("turned corners", b"[595 842 0 0]", b""),
        ("negative corners", b"[-595 -842 0 0]", b""),
        ("a hair's breadth", b"[0 0 0.0001 842]", b""),
        ("a hair's breadth and a mile", b"[0 0 0.01 80000]", b""),
        ("a speck", b"[0 0 0.001 0.001]", b""),
        ("a crop outside the page", b"[0 0 595 842]", b"/CropBox [1000 1000 2000 2000]"),
        ("a crop of a speck", b"[0 0 595 842]", b"/CropBox [9 9 9.0001 9.0001]"),
        ("units of 75,000 points", b"[0 0 595 842]", b"/UserUnit 75000"),
        ("units of nothing", b"[0 0 595 842]", b"/UserUnit 0"),
        ("units below nothing", b"[0 0 595 842]", b"/UserUnit -1"),
        ("units of words", b"[0 0 595 842]", b"/UserUnit (a)"),
        ("units beyond numbers", b"[0 0 595 842]", b"/UserUnit " + b"9" * 400),
        ("a turn of 45 degrees", b"[0 0 595 842]", b"/Rotate 45"),
        ("a turn of words", b"[0 0 595 842]", b"/Rotate (a)"),
    )
}


def _zipped() -> bytes:
    """A PDF that is a package, too."""
    out = io.BytesIO(file(scanned()))
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("a.txt", "a" * 5000)
    return out.getvalue()


def _saved(**options: object) -> bytes:
    with pikepdf.open(io.BytesIO(file(scanned()))) as pdf:
        return scans.save(pdf, **options)


def _locked(**how: object) -> Build:
    """A file that is encrypted; an empty user password lets it be opened, not printed or changed."""
    return lambda: _saved(encryption=pikepdf.Encryption(**how))


def _off_by(amount: int) -> bytes:
    whole = file(scanned())
    start = int(whole[whole.rindex(b"startxref") + 9 :].split()[0])
    return whole.replace(b"startxref\n%d" % start, b"startxref\n%d" % (start + amount))


PIECES: dict[str, Build] = {
    "no byte": (lambda: b""),
    "one byte": (lambda: b"%"),
    "a text": (lambda: "职业资格证书数据审核确认表\r\n".encode() * 50),
    "zeroes": (lambda: bytes(1 << 20)),
    "a web page": (lambda: b"<!DOCTYPE html><html><body>%PDF-1.4</body></html>"),
    "a web page before a scan": (lambda: b"<html><!-- " + file(scanned()) + b" -->"),
    "a program before a scan": (lambda: b"MZ" + bytes(500) + file(scanned())),
    "a scan and a package": _zipped,
    "a scan and 5 MB": (lambda: file(scanned()) + b"\xff" * 5_000_000),
    "a scan after a scan": (lambda: file(scanned()) * 2),
    "a table one byte off": (lambda: _off_by(1)),
    "a table beyond the end": (lambda: _off_by(10**9)),
    "a table at no place": (lambda: _off_by(-(10**9))),
    "no table": (lambda: file(scanned()).replace(b"xref", b"xxxx")),
    "no trailer": (lambda: file(scanned()).replace(b"trailer", b"tailer")),
    "objects called by other numbers": (lambda: file(scanned()).replace(b"3 0 obj", b"8 0 obj")),
    "line ends changed on the way": (lambda: file(scanned()).replace(b"\n", b"\r\n")),
    "the eighth bit lost on the way": (lambda: bytes(b & 127 for b in file(scanned()))),
    "its middle missing": (lambda: (w := file(scanned()))[: len(w) // 3] + w[len(w) // 2 :]),
    "its middle zeroed": (lambda: (w := file(scanned()))[: len(w) // 3] + bytes(9000) + w[len(w) // 3 + 9000 :]),
    "its first half zeroed": (lambda: (w := file(scanned()))[:9] + bytes(len(w) // 2) + w[len(w) // 2 + 9 :]),
    "a JPEG called PDF": jpeg,
    "a header of version 9.9": (lambda: file(scanned(), version=b"9.9")),
    "a header without a version": (lambda: file(scanned(), version=b"")),
    "a locked trailer with no key": (lambda: file(scanned(), trailer=b"/Encrypt 77 0 R")),
    "a page drawn by what is not there": (lambda: file([*scanned()[:4], b"null"])),
    "a drawing that is not there": (lambda: file([*scanned()[:3], b"null", scanned()[4]])),
    "a picture of grey without its colour": (
        lambda: file(scanned(image(b"/BitsPerComponent 8 " + FLATE, bomb(2_174_960, bytes(1240)))))
    ),
    "bits of 77": (lambda: file(scanned(image(GREY.replace(b"8", b"77") + FLATE, bomb(2_174_960, bytes(1240)))))),
    **{
        f"{tenth}0 % of it": (lambda tenth=tenth: (w := file(scanned()))[: len(w) * tenth // 10])
        for tenth in range(1, 10)
    },
    **{
        f"{tenth}0 % of it, linearized": (lambda tenth=tenth: (w := _saved(linearize=True))[: len(w) * tenth // 10])
        for tenth in range(1, 10)
    },
}

_WAYS: dict[str, dict[str, object]] = {
    "RC4 of 40 bits": {"R": 2, "aes": False, "metadata": False},
    "RC4 of 128 bits": {"R": 3, "aes": False, "metadata": False},
    "AES of 128 bits": {"R": 4},
    "AES of 128 bits, its metadata open": {"R": 4, "metadata": False},
    "AES of 256 bits": {"R": 6},
}
LOCKED: dict[str, Build] = {
    **{f"{way}, a password to open": _locked(user="user", owner="owner", **how) for way, how in _WAYS.items()},
    **{f"{way}, a password to change": _locked(user="", owner="owner", **how) for way, how in _WAYS.items()},
    "certificates": lambda: file(scanned(), trailer=b"/Encrypt << /Filter /Adobe.PubSec /V 4 >>"),
    "a way nobody knows": lambda: file(scanned(), trailer=b"/Encrypt << /Filter /Standard /V 99 /R 99 >>"),
    "a password with everything left open": lambda: file(
        scanned(), trailer=b"/Encrypt << /Filter /Standard /V 4 /R 4 /CF << >> /StmF /Identity /StrF /Identity >>"
    ),
}
