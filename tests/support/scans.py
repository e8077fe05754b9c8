"""Confirmation scans made for tests: good ones as scanners write them, and PDFs made to hurt."""

from __future__ import annotations

import io
import random
import zlib
from collections.abc import Callable, Sequence

import pikepdf
from pikepdf import Array, Dictionary, Name, Pdf, Stream, String
from PIL import Image, ImageDraw

A4 = (595.276, 841.89)  # points


def picture(
    dpi: int = 200, mode: str = "L", *, seed: int = 0, blank: bool = False, size: tuple[float, float] = A4
) -> Image.Image:
    """A page as a scanner sees it: a table with handwriting and, in colour, a red seal; `blank` is only paper."""
    width, height = round(size[0] / 72 * dpi), round(size[1] / 72 * dpi)
    image = Image.new("RGB", (width, height), "white")
    if not blank:
        draw, rand = ImageDraw.Draw(image), random.Random(seed)
        for line in range(12):
            y = height * (line + 2) // 16
            draw.line([(width // 10, y), (width * 9 // 10, y)], fill="black", width=max(1, dpi // 72))
            points = [(rand.randint(width // 8, width // 2), y - rand.randint(2, height // 24)) for _ in range(12)]
            draw.line(points, fill=(20, 20, 60), width=max(1, dpi // 80))
        draw.ellipse(
            [width // 2, height // 2, width * 3 // 4, height // 2 + width // 4], outline="red", width=dpi // 20
        )
    return image.convert(mode)


def _image_stream(pdf: Pdf, image: Image.Image) -> Stream:
    if image.mode == "1":
        packed = bytes(byte for byte in image.tobytes())
        stream = Stream(pdf, packed)
        space, bits = Name.DeviceGray, 1
    else:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=70)
        stream = Stream(pdf, buffer.getvalue())
        stream.Filter = Name.DCTDecode
        space, bits = (Name.DeviceGray if image.mode == "L" else Name.DeviceRGB), 8
    stream.Type, stream.Subtype = Name.XObject, Name.Image
    stream.Width, stream.Height, stream.ColorSpace, stream.BitsPerComponent = *image.size, space, bits
    return stream


def _fax_stream(pdf: Pdf, image: Image.Image) -> Stream:
    """The same picture as CCITT group 4, taken out of a TIFF of one strip."""
    buffer = io.BytesIO()
    image.save(buffer, "TIFF", compression="group4", tiffinfo={278: image.height})
    with Image.open(buffer) as tiff:
        offset, length, black_is_0 = tiff.tag_v2[273][0], tiff.tag_v2[279][0], tiff.tag_v2[262] == 1
    stream = Stream(pdf, buffer.getvalue()[offset : offset + length])
    stream.Type, stream.Subtype, stream.Filter = Name.XObject, Name.Image, Name.CCITTFaxDecode
    stream.DecodeParms = Dictionary(K=-1, Columns=image.width, Rows=image.height, BlackIs1=black_is_0)
    stream.Width, stream.Height, stream.ColorSpace, stream.BitsPerComponent = *image.size, Name.DeviceGray, 1
    return stream


def add_page(
    pdf: Pdf,
    image: Image.Image | None = None,
    *,
    strips: int = 1,
    cover: float = 1.0,
    fax: bool = False,
    rotate: int = 0,
    content: bytes = b"",
    size: tuple[float, float] = A4,
) -> pikepdf.Page:
    """One page: `image` over `cover` of its height, cut into strips, then `content` drawn on top (font F0 is there)."""
    page = pdf.add_blank_page(page_size=size)
    objects, drawing = Dictionary(), []
    if image is not None:
        part = image.height / strips
        for i in range(strips):
            piece = image.crop((0, round(i * part), image.width, round((i + 1) * part)))
            objects[f"/Im{i}"] = pdf.make_indirect((_fax_stream if fax else _image_stream)(pdf, piece))
            high = size[1] * cover / strips
            drawing.append(f"q {size[0]} 0 0 {high} 0 {size[1] * cover - (i + 1) * high} cm /Im{i} Do Q")
    font = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica)
    page.obj.Resources = Dictionary(XObject=objects, Font=Dictionary(F0=pdf.make_indirect(font)))
    page.obj.Contents = pdf.make_stream("\n".join(drawing).encode() + b"\n" + content)
    if rotate:
        page.obj.Rotate = rotate
    return page


def save(pdf: Pdf, **options: object) -> bytes:
    buffer = io.BytesIO()
    pdf.save(buffer, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def scan(
    pages: int = 1,
    *,
    dpi: int = 200,
    mode: str = "L",
    blank: bool = False,
    strips: int = 1,
    cover: float = 1.0,
    fax: bool = False,
    rotate: int = 0,
    content: bytes = b"",
) -> bytes:
    """A scan of `pages` pages, all alike but for the handwriting."""
    pdf = Pdf.new()
    for number in range(pages):
        image = picture(dpi, mode, seed=number, blank=blank)
        add_page(pdf, image, strips=strips, cover=cover, fax=fax, rotate=rotate, content=content)
    return save(pdf)


def with_catalog(change: Callable[[Pdf], None]) -> bytes:
    """A good scan, then changed."""
    pdf = Pdf.new()
    add_page(pdf, picture(150))
    change(pdf)
    return save(pdf)


def _script() -> Dictionary:
    return Dictionary(S=Name.JavaScript, JS=String("app.alert(1)"))


def _set(where: str, value: Callable[[Pdf], object]) -> Callable[[], bytes]:
    def make() -> bytes:
        def change(pdf: Pdf) -> None:
            pdf.Root[where] = value(pdf)  # type: ignore[assignment]

        return with_catalog(change)

    return make


def _embedded(pdf: Pdf) -> Dictionary:
    body = pdf.make_indirect(Stream(pdf, b"MZ", Type=Name.EmbeddedFile))
    spec = pdf.make_indirect(Dictionary(Type=Name.Filespec, F=String("a.exe"), EF=Dictionary(F=body)))
    return Dictionary(EmbeddedFiles=Dictionary(Names=Array([String("a"), spec])))


def _unlinked_script() -> bytes:
    """A script that nothing refers to: still in the file, for a reader that looks again."""

    def change(pdf: Pdf) -> None:
        pdf.Root.PieceInfo = Dictionary(Deep=Array([Array([Dictionary(Inner=pdf.make_indirect(_script()))])]))

    return with_catalog(change)


def _annotated(annotation: Dictionary) -> Callable[[], bytes]:
    def make() -> bytes:
        def change(pdf: Pdf) -> None:
            pdf.pages[0].obj.Annots = Array([pdf.make_indirect(annotation)])

        return with_catalog(change)

    return make


ACTIVE: dict[str, Callable[[], bytes]] = {
    "a script on opening": _set("/OpenAction", lambda pdf: _script()),
    "a script by name": _set(
        "/Names", lambda pdf: Dictionary(JavaScript=Dictionary(Names=Array([String("a"), _script()])))
    ),
    "an embedded file": _set("/Names", _embedded),
    "an additional action": _set("/AA", lambda pdf: Dictionary(WC=_script())),
    "an XFA form": _set("/AcroForm", lambda pdf: Dictionary(Fields=Array([]), XFA=pdf.make_stream(b"<xdp/>"))),
    "a program to launch": _annotated(
        Dictionary(
            Type=Name.Annot, Subtype=Name.Link, Rect=[0, 0, 9, 9], A=Dictionary(S=Name.Launch, F=String("calc.exe"))
        )
    ),
    "a form to submit": _annotated(
        Dictionary(Type=Name.Annot, Subtype=Name.Link, Rect=[0, 0, 9, 9], A=Dictionary(S=Name.SubmitForm))
    ),
    "rich media": _annotated(Dictionary(Type=Name.Annot, Subtype=Name.RichMedia, Rect=[0, 0, 9, 9])),
    "a file attached to the page": _annotated(
        Dictionary(Type=Name.Annot, Subtype=Name.FileAttachment, Rect=[0, 0, 9, 9])
    ),
    "a script deep in the tree": _unlinked_script,
}


def encrypted(user: str = "", owner: str = "owner") -> bytes:
    pdf = Pdf.new()
    add_page(pdf, picture(150))
    return save(pdf, encryption=pikepdf.Encryption(user=user, owner=owner))


def raw(objects: Sequence[bytes], *, root: int = 1) -> bytes:
    """A PDF file from the bodies of its objects, numbered from 1, with a right cross-reference table."""
    out, places = bytearray(b"%PDF-1.7\n"), []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<< /Size %d /Root %d 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, root, start)
    return bytes(out)


def _stream(head: bytes, data: bytes) -> bytes:
    return b"<< %s /Length %d >>\nstream\n" % (head, len(data)) + data + b"\nendstream"


def _page_drawing(objects: bytes) -> bytes:
    head = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
    return head + b" /Resources << /XObject << %s >> >> >>" % objects


def nested_forms(depth: int = 12, fan: int = 10) -> bytes:
    """Forms that draw forms: fan**depth drawings from a few hundred bytes."""
    first = 5
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        _page_drawing(b"/F 5 0 R"),
        _stream(b"", b"/F Do " * fan),
    ]
    for level in range(depth):
        inner = b"/Resources << /XObject << /F %d 0 R >> >>" % (first + level + 1) if level < depth - 1 else b""
        body = b"/F Do " * fan if level < depth - 1 else b"0 0 1 1 re f " * fan
        objects.append(_stream(b"/Type /XObject /Subtype /Form /BBox [0 0 595 842] " + inner, body))
    return raw(objects)


def _page_tree(
    kids: bytes, count: int, content: bytes = b"<< /Length 0 >>\nstream\n\nendstream", box: bytes = b"[0 0 595 842]"
) -> bytes:
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox %s /Contents 4 0 R /Resources << >> >>" % box
    pages = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, count)
    return raw([b"<< /Type /Catalog /Pages 2 0 R >>", pages, page, content])


def content_bomb(size: int = 300_000_000) -> bytes:
    """A content stream that inflates to `size` bytes."""
    packer = zlib.compressobj(9)
    block = b"0 0 1 1 re f\n" * 80_000
    packed = b"".join([*(packer.compress(block) for _ in range(size // len(block))), packer.flush()])
    return _page_tree(b"3 0 R", 1, _stream(b"/Filter /FlateDecode", packed))


def image_bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    """An image whose header asks for thousands of millions of pixels."""
    image = _stream(
        b"/Type /XObject /Subtype /Image /Filter /FlateDecode /ColorSpace /DeviceRGB /BitsPerComponent 8"
        b"/Width %d /Height %d" % (width, height),
        zlib.compress(bytes(1_000_000), 9),
    )
    tree = b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
    return raw(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            tree,
            _page_drawing(b"/I 5 0 R"),
            _stream(b"", b"595 0 0 842 0 0 cm /I Do"),
            image,
        ]
    )


def many_pages(count: int = 100_000) -> bytes:
    """`count` pages, each an object of its own."""
    kids = b" ".join(b"%d 0 R" % (3 + i) for i in range(count))
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] >>"
    tree = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, count)
    return raw([b"<< /Type /Catalog /Pages 2 0 R >>", tree, *[page] * count])


def patterns_in_patterns(depth: int = 8) -> bytes:
    """Tiles that are filled with tiles: work without end from a few kilobytes, when they are drawn."""
    head = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
    uses = b"/Resources << /Pattern << /P %d 0 R >> >>"
    fill = b"/Pattern cs /P scn 0 0 595 842 re f "
    tile = b"/PatternType 1 /PaintType 1 /TilingType 1 /BBox [0 0 595 842] /XStep 0.5 /YStep 0.5 "
    tiles = [_stream(tile + uses % (6 + level), fill * 20) for level in range(depth)]
    last = _stream(tile + b"/Resources << >>", b"0 0 1 1 re f")
    tree = b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
    return raw([b"<< /Type /Catalog /Pages 2 0 R >>", tree, head + uses % 5 + b" >>", _stream(b"", fill), *tiles, last])


HOSTILE: dict[str, Callable[[], bytes]] = {
    "not a PDF": lambda: b"<html><body>hello</body></html>",
    "empty": lambda: b"",
    "only a header": lambda: b"%PDF-1.7\n",
    "cut short": lambda: scan()[: len(scan()) // 2],
    "junk before the header": lambda: b"MZ\x90\x00" + scan(),
    "a page tree that loops": lambda: _page_tree(b"2 0 R", 1),
    "a page that is its own child": lambda: _page_tree(b"3 0 R 2 0 R", 2),
    "a page count that lies": lambda: _page_tree(b"3 0 R", 1_000_000),
    "a hundred thousand pages": many_pages,
    "a page of a million inches": lambda: _page_tree(b"3 0 R", 1, box=b"[0 0 72000000 72000000]"),
    "forms in forms": nested_forms,
    "patterns in patterns": patterns_in_patterns,
    "a content bomb": content_bomb,
    "an image bomb": image_bomb,
    "arrays in arrays": lambda: raw([b"<< /Type /Catalog /Pages 2 0 R /X %s >>" % (b"[" * 100_000), b"<< >>"]),
}
