"""What office machines and phones make of a page: layers, cuts, mirrors, a line at the edge, updates."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from decimal import Decimal

import pikepdf
import pytest
from pikepdf import Array, Name, Pdf, Stream
from PIL import Image, ImageOps

from tests.support import scans
from tests.test_confirm import Judge, judged, rules

__all__ = ["judged"]

WIDTH, HEIGHT = scans.A4


def on_one_page(change: Callable[[Pdf, pikepdf.Page], None], image: Image.Image | None = None) -> bytes:
    pdf = Pdf.new()
    change(pdf, scans.add_page(pdf, image or scans.picture(200, "RGB")))
    return scans.save(pdf)


def drawn(how: str) -> Callable[[Pdf, pikepdf.Page], None]:
    def change(pdf: Pdf, page: pikepdf.Page) -> None:
        page.obj.Contents = pdf.make_stream(how.encode())

    return change


@pytest.mark.parametrize(("fine", "passes"), [(300, True), (100, False)])
@pytest.mark.parametrize("kind", ["/SMask", "/Mask"])
def test_a_compact_scan_is_as_fine_as_the_mask_of_its_writing(
    judged: Judge, kind: str, fine: int, passes: bool
) -> None:
    def change(pdf: Pdf, page: pikepdf.Page) -> None:
        mask = ImageOps.invert(scans.picture(fine, "L"))
        stream = Stream(pdf, mask.convert("1").tobytes())
        stream.Type, stream.Subtype, stream.Width, stream.Height = Name.XObject, Name.Image, *mask.size
        stream.BitsPerComponent = 1
        if kind == "/Mask":
            stream.ImageMask, stream.Decode = True, Array([1, 0])
        else:
            stream.ColorSpace = Name.DeviceGray
        ink = scans.add_page(pdf, Image.new("RGB", (60, 80), "black")).obj.Resources.XObject.Im0
        ink[kind] = pdf.make_indirect(stream)
        page.obj.Resources.XObject.Ink = ink
        page.obj.Contents = pdf.make_stream(
            page.obj.Contents.read_bytes() + f"{WIDTH} 0 0 {HEIGHT} 0 0 cm /Ink Do".encode()
        )
        del pdf.pages[1]

    found = judged(on_one_page(change, scans.picture(72, "RGB", blank=True)))
    assert rules(found) == ([] if passes else ["confirmation-resolution"])


@pytest.mark.parametrize(
    ("at", "passes"), [((400, 12), True), ((300, 815), True), ((60, 100), False), ((300, 700), False)]
)
def test_a_line_at_the_edge_is_no_document(judged: Judge, at: tuple[int, int], passes: bool) -> None:
    content = b"BT /F0 9 Tf %d %d Td (Scanned with a phone) Tj ET" % at
    assert rules(judged(scans.scan(content=content))) == ([] if passes else ["confirmation-not-scanned"])


def test_what_stands_outside_the_page_is_not_looked_at(judged: Judge) -> None:
    """The visible half of a JPEG is paper: written is only what lies beyond the page's edge."""
    both = Image.new("RGB", (2 * 1654, 2339), "white")
    both.paste(scans.picture(200, "RGB"), (1654, 0))
    place = f"{2 * WIDTH} 0 0 {HEIGHT} {{}} 0 cm /Im0 Do"
    assert rules(judged(on_one_page(drawn(place.format(0)), both))) == ["confirmation-blank"]
    assert rules(judged(on_one_page(drawn(place.format(-WIDTH)), both))) == []


def seen(data: bytes) -> tuple[tuple[int, ...], float]:
    """A page as it is looked at, and how dark it is in its upper left quarter."""
    from exchanged.reading import pdf, raster

    whole = pdf.structure(io.BytesIO(data), 1)
    with raster.Raster(data) as pages:
        pixels, _ = pages.picture(0, pages.sheet(0, whole))
    return pixels.shape, float(pixels[: pixels.shape[0] // 2, : pixels.shape[1] // 2].mean())


def _corner() -> Image.Image:
    image = Image.new("RGB", (1654, 2339), "white")
    image.paste("black", (100, 100, 700, 700))
    return image


@pytest.mark.parametrize(
    ("how", "size"),
    [
        (f"{WIDTH} 0 0 {HEIGHT} 0 0 cm /Im0 Do", None),
        (f"{-WIDTH} 0 0 {HEIGHT} {WIDTH} 0 cm /Im0 Do", "mirrored"),
        (f"{WIDTH} 0 0 {-HEIGHT} 0 {HEIGHT} cm /Im0 Do", "flipped"),
        (f"{WIDTH} 0 0 {HEIGHT} 0 0 cm /Im0 Do", "half"),
        (f"{WIDTH} 0 0 {HEIGHT} 0 0 cm /Im0 Do", "inverted"),
    ],
)
def test_a_picture_is_looked_at_as_the_page_shows_it(how: str, size: str | None) -> None:
    image = _corner()
    if size == "mirrored":
        image = ImageOps.mirror(image)
    elif size == "flipped":
        image = ImageOps.flip(image)
    elif size == "half":
        image = image.resize((827, 2339))
    elif size == "inverted":
        image = ImageOps.invert(image)

    def change(pdf: Pdf, page: pikepdf.Page) -> None:
        drawn(how)(pdf, page)
        if size == "inverted":
            page.obj.Resources.XObject.Im0.Decode = Array([1, 0] * 3)

    shape, tone = seen(on_one_page(change, image))
    assert 0.68 < shape[1] / shape[0] < 0.73
    assert 150 < tone < 200


def test_a_page_in_large_or_small_units_is_drawn_at_the_size_it_has(judged: Judge) -> None:
    for unit in (0.24, 10.0):

        def change(pdf: Pdf, page: pikepdf.Page, unit: float = unit) -> None:
            page.obj.MediaBox = Array([0, 0, WIDTH / unit, HEIGHT / unit])
            page.obj.UserUnit = unit
            page.obj.Contents = pdf.make_stream(f"{WIDTH / unit} 0 0 {HEIGHT / unit} 0 0 cm /Im0 Do".encode())
            page.obj.Resources.XObject.Im0 = pdf.make_indirect(_flat(pdf, scans.picture(200)))

        assert rules(judged(on_one_page(change))) == []


def _flat(pdf: Pdf, image: Image.Image) -> Stream:
    stream = Stream(pdf, image.tobytes())
    stream.Type, stream.Subtype, stream.Width, stream.Height = Name.XObject, Name.Image, *image.size
    stream.ColorSpace, stream.BitsPerComponent = Name.DeviceGray, 8
    return stream


def test_an_update_whose_table_leaves_itself_out_is_read(judged: Judge) -> None:
    """As pypdf and others append them: the cross-reference stream has no entry of its own."""
    data = scans.scan()
    with pikepdf.open(io.BytesIO(data)) as pdf:
        number, page = pdf.pages[0].obj.objgen[0], pdf.pages[0].obj.unparse(resolved=True)
        size, root = int(pdf.trailer.Size), pdf.Root.objgen[0]
    start = int(re.findall(rb"startxref\s+(\d+)", data)[-1])
    body = b"%d 0 obj\n%s\nendobj\n" % (number, page.replace(b"<<", b"<< /Rotate 180", 1))
    place = len(data) + len(body)
    entry = b"\x01" + len(data).to_bytes(4, "big") + b"\x00"
    table = b"%d 0 obj\n<< /Type /XRef /Size %d /Root %d 0 R /Prev %d /W [1 4 1] /Index [%d 1] /Length %d >>\n" % (
        size, size + 1, root, start, number, len(entry),
    )  # fmt: skip
    update = body + table + b"stream\n" + entry + b"\nendstream\nendobj\nstartxref\n%d\n%%%%EOF\n" % place
    assert rules(judged(data + update)) == []


def test_a_large_coarse_page_without_a_code_is_told_as_coarse(judged: Judge) -> None:
    """As programs of phones write one whose page is larger than paper; what is not judged costs nothing."""
    size = (4 * WIDTH, 4 * HEIGHT)
    pdf = Pdf.new()
    scans.add_page(pdf, scans.picture(72, "RGB", size=size), size=size)
    assert rules(judged(scans.save(pdf))) == ["confirmation-resolution"]


@pytest.mark.parametrize("unit", ["0", "-1", "0.000000001", "0.0001", "1000000"])
@pytest.mark.parametrize("flat", [False, True])
def test_a_unit_that_makes_no_page_is_no_fault_of_ours(judged: Judge, unit: str, flat: bool) -> None:
    def change(pdf: Pdf, page: pikepdf.Page) -> None:
        page.obj.UserUnit = Decimal(unit)
        if flat:
            page.obj.Resources.XObject.Im0 = pdf.make_indirect(_flat(pdf, scans.picture(200)))

    assert rules(judged(on_one_page(change))) == ([] if unit == "0.0001" else ["confirmation-resolution"])


@pytest.mark.parametrize(("dpi", "found"), [(72, ["confirmation-resolution"]), (150, [])])
def test_a_fine_mask_makes_a_coarse_picture_no_finer(judged: Judge, dpi: int, found: list[str]) -> None:
    def change(pdf: Pdf, page: pikepdf.Page) -> None:
        mask = Stream(pdf, b"\xff" * (4960 // 8 * 4960))
        mask.Type, mask.Subtype, mask.Width, mask.Height = Name.XObject, Name.Image, 4960, 4960
        mask.ColorSpace, mask.BitsPerComponent = Name.DeviceGray, 1
        page.obj.Resources.XObject.Im0.SMask = pdf.make_indirect(mask)

    assert rules(judged(on_one_page(change, scans.picture(dpi, "RGB")))) == found
