"""The confirmation scan: what passes as a scan of paper, what does not, and what a PDF made to hurt does: nothing."""

from __future__ import annotations

import io
import random
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name, Pdf, Stream, String
from PIL import Image, ImageChops, ImageDraw

from exchanged.messages import text
from exchanged.sandbox import Bounds, Sandbox
from tests.support import scans

BOUNDS = Bounds(memory=1536 << 20, cpu=20, wall=60.0)
Judge = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def judged() -> Iterator[Judge]:
    with Sandbox() as box:

        def judge(data: bytes, max_pages: int = 10) -> dict[str, Any]:
            with tempfile.TemporaryFile() as file:
                file.write(data)
                file.flush()
                return box.run("scan", {"max_pages": max_pages}, [file.fileno()], limits=BOUNDS).value

        yield judge


def rules(result: dict[str, Any]) -> list[str]:
    return [finding["rule"] for finding in result["findings"]]


def of(*images: Image.Image, **options: Any) -> bytes:
    pdf = Pdf.new()
    for image in images:
        scans.add_page(pdf, image, **options)
    return scans.save(pdf)


def grain(image: Image.Image, strength: float = 14) -> Image.Image:
    noise = Image.effect_noise(image.size, strength)
    return ImageChops.add(image, noise, 1, -128)


# What passes


@pytest.mark.parametrize(
    "made",
    [
        {"mode": "L"},
        {"mode": "RGB"},
        {"mode": "1"},
        {"mode": "1", "fax": True},
        {"mode": "1", "fax": True, "dpi": 600},
        {"dpi": 150},
        {"dpi": 300, "mode": "RGB"},
        {"strips": 20},
        {"strips": 40, "mode": "1"},
        {"rotate": 90},
        {"rotate": 180, "mode": "1"},
        {"rotate": 270, "mode": "RGB"},
        {"pages": 10, "dpi": 150},
        {"cover": 0.62},
    ],
    ids=str,
)
def test_what_scanners_write_passes(judged: Judge, made: dict[str, Any]) -> None:
    looked = judged(scans.scan(**made))
    assert (looked["pages"], looked["findings"]) == (made.get("pages", 1), [])


def test_a_skewed_and_grainy_scan_passes(judged: Judge) -> None:
    image = grain(scans.picture(200)).rotate(5, fillcolor=255)
    assert rules(judged(of(image))) == []


def test_a_page_laid_across_passes(judged: Judge) -> None:
    """The picture is turned by its matrix, not by the page's rotation."""
    pdf = Pdf.new()
    page = scans.add_page(pdf, scans.picture(150).rotate(90, expand=True))
    page.obj.Contents = pdf.make_stream(f"0 {scans.A4[1]} {-scans.A4[0]} 0 {scans.A4[0]} 0 cm /Im0 Do".encode())
    assert rules(judged(scans.save(pdf))) == []


@pytest.mark.parametrize(
    "options",
    [
        {"linearize": True},
        {"object_stream_mode": pikepdf.ObjectStreamMode.generate},
        {"object_stream_mode": pikepdf.ObjectStreamMode.disable},
        {"qdf": True},
    ],
    ids=["linearized", "object streams", "plain", "readable"],
)
def test_every_way_of_writing_a_file_passes(judged: Judge, options: dict[str, Any]) -> None:
    pdf = Pdf.new()
    scans.add_page(pdf, scans.picture(150))
    assert rules(judged(scans.save(pdf, **options))) == []


@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
def test_a_pdf_written_by_an_imaging_library_passes(judged: Judge, mode: str) -> None:
    buffer = io.BytesIO()
    scans.picture(200, mode).save(buffer, "PDF", resolution=200)
    assert rules(judged(buffer.getvalue())) == []


def test_invisible_text_behind_a_scan_is_no_text(judged: Judge) -> None:
    recognised = (
        b"BT 3 Tr /F0 12 Tf " + b"".join(b"1 0 0 1 72 %d Tm (recognised) Tj " % y for y in range(50, 800, 5)) + b"ET"
    )
    assert rules(judged(scans.scan(content=recognised))) == []


def test_text_below_a_full_picture_is_not_seen(judged: Judge) -> None:
    pdf = Pdf.new()
    page = scans.add_page(pdf, scans.picture(150))
    drawing = page.obj.Contents.read_bytes()
    page.obj.Contents = pdf.make_stream(b"BT /F0 12 Tf 100 100 Td (recognised) Tj ET\n" + drawing)
    assert rules(judged(scans.save(pdf))) == []


def test_white_space_is_no_text(judged: Judge) -> None:
    assert rules(judged(scans.scan(content=b"BT /F0 12 Tf 100 100 Td (    ) Tj ET"))) == []


def test_sharp_writing_over_a_coarse_ground_has_the_resolution_of_the_writing(judged: Judge) -> None:
    pdf = Pdf.new()
    page = scans.add_page(pdf, scans.picture(75, blank=True))
    sharp = scans.add_page(pdf, scans.picture(300, "1"))
    page.obj.Resources.XObject.Sharp = sharp.obj.Resources.XObject.Im0
    page.obj.Contents = pdf.make_stream(
        page.obj.Contents.read_bytes() + sharp.obj.Contents.read_bytes().replace(b"/Im0", b"/Sharp")
    )
    del pdf.pages[1]
    assert rules(judged(scans.save(pdf))) == []


def test_a_picture_inside_a_form_counts_where_it_is_drawn(judged: Judge) -> None:
    pdf = Pdf.new()
    page = scans.add_page(pdf, scans.picture(150))
    form = Stream(pdf, b"q 100 0 0 100 0 0 cm /Im0 Do Q", Type=Name.XObject, Subtype=Name.Form, BBox=[0, 0, 100, 100])
    form.Resources = Dictionary(XObject=Dictionary(Im0=page.obj.Resources.XObject.Im0))
    page.obj.Resources = Dictionary(XObject=Dictionary(Whole=pdf.make_indirect(form)))
    width, height = scans.A4
    page.obj.Contents = pdf.make_stream(f"{width / 100} 0 0 {height / 100} 0 0 cm /Whole Do".encode())
    assert rules(judged(scans.save(pdf))) == []
    page.obj.Contents = pdf.make_stream(f"{width / 200} 0 0 {height / 100} 0 0 cm /Whole Do".encode())
    assert rules(judged(scans.save(pdf))) == ["confirmation-not-scanned"]


# What is no scan


def test_a_page_half_covered_is_no_scan(judged: Judge) -> None:
    findings = judged(scans.scan(cover=0.5))["findings"]
    assert findings == [{"rule": "confirmation-not-scanned", "facts": {"page": 1, "cover": 50, "why": "picture"}}]


def test_the_same_strip_drawn_twice_covers_once(judged: Judge) -> None:
    pdf = Pdf.new()
    page = scans.add_page(pdf, scans.picture(200), cover=0.4)
    page.obj.Contents = pdf.make_stream(page.obj.Contents.read_bytes() * 2)
    assert rules(judged(scans.save(pdf))) == ["confirmation-not-scanned"]


def test_a_picture_beyond_the_edge_of_the_page_covers_nothing(judged: Judge) -> None:
    pdf = Pdf.new()
    page = scans.add_page(pdf, scans.picture(150))
    page.obj.Contents = pdf.make_stream(b"595 0 0 842 595 0 cm /Im0 Do")
    assert rules(judged(scans.save(pdf))) == ["confirmation-not-scanned"]


def test_a_digital_page_is_no_scan(judged: Judge) -> None:
    pdf = Pdf.new()
    scans.add_page(pdf, None, content=b"BT /F0 12 Tf 100 700 Td (Confirmation) Tj ET")
    assert judged(scans.save(pdf))["findings"][0]["facts"] == {"page": 1, "cover": 0, "why": "text"}


def test_visible_text_over_a_full_page_picture_is_no_scan(judged: Judge) -> None:
    findings = judged(scans.scan(content=b"BT /F0 12 Tf 100 100 Td (typed) Tj ET"))["findings"]
    assert findings == [{"rule": "confirmation-not-scanned", "facts": {"page": 1, "cover": 100, "why": "text"}}]


def test_every_page_is_looked_at_and_named(judged: Judge) -> None:
    pdf = Pdf.new()
    scans.add_page(pdf, scans.picture(200))
    scans.add_page(pdf, scans.picture(200), cover=0.3)
    scans.add_page(pdf, scans.picture(100))
    found = [(each["rule"], each["facts"]["page"]) for each in judged(scans.save(pdf))["findings"]]
    assert found == [("confirmation-not-scanned", 2), ("confirmation-resolution", 3)]


@pytest.mark.parametrize(("dpi", "passes"), [(150, True), (149, False), (100, False)])
def test_a_scan_has_150_dpi_or_more(judged: Judge, dpi: int, passes: bool) -> None:
    findings = judged(scans.scan(dpi=dpi))["findings"]
    expected = [{"rule": "confirmation-resolution", "facts": {"page": 1, "dpi": dpi, "least": 150}}]
    assert findings == ([] if passes else expected)


def test_a_user_unit_makes_the_page_larger_and_the_picture_coarser(judged: Judge) -> None:
    pdf = Pdf.new()
    scans.add_page(pdf, scans.picture(200)).obj.UserUnit = 2
    assert judged(scans.save(pdf))["findings"][0]["facts"]["dpi"] == 100


@pytest.mark.parametrize("unit", [1e-9, 1e-4, 0.01])
def test_a_page_that_says_it_is_microscopic_is_looked_at_all_the_same(judged: Judge, unit: float) -> None:
    pdf = Pdf.new()
    scans.add_page(pdf, scans.picture(200)).obj.UserUnit = Decimal(f"{unit:.9f}")
    assert judged(scans.save(pdf))["pages"] == 1


def test_no_page_and_too_many_pages_are_told(judged: Judge) -> None:
    assert rules(judged(scans.save(Pdf.new()))) == ["confirmation-pages"]
    eleven = judged(scans.scan(pages=11, dpi=150))
    assert eleven["findings"] == [{"rule": "confirmation-pages", "facts": {"pages": 11, "most": 10}}]
    assert rules(judged(scans.scan(pages=3, dpi=150), 2)) == ["confirmation-pages"]


# Blank


def _shadowed(image: Image.Image) -> Image.Image:
    ImageDraw.Draw(image).rectangle([0, 0, image.width // 40, image.height], fill=60)
    return image


@pytest.mark.parametrize(
    "image",
    [
        scans.picture(200, blank=True),
        scans.picture(200, "1", blank=True),
        Image.new("L", (1654, 2339), 0),
        Image.new("RGB", (1654, 2339), (250, 240, 210)),
        grain(scans.picture(200, blank=True), 25),
        _shadowed(scans.picture(200, blank=True)),
    ],
    ids=["white", "black and white", "all black", "yellow paper", "grain", "a shadow at the edge"],
)
def test_paper_with_nothing_on_it_is_blank(judged: Judge, image: Image.Image) -> None:
    assert rules(judged(of(image))) == ["confirmation-blank"]


def test_one_written_page_among_blank_ones_is_enough(judged: Judge) -> None:
    blank = scans.picture(150, blank=True)
    assert rules(judged(of(blank, scans.picture(150), blank))) == []
    assert rules(judged(of(blank, blank, blank))) == ["confirmation-blank"]


def test_a_single_signature_is_not_blank(judged: Judge) -> None:
    image = scans.picture(200, blank=True)
    draw = ImageDraw.Draw(image)
    points = [(800 + 14 * step, 1200 + (37 * step * step) % 90) for step in range(20)]
    draw.line(points, fill=70, width=4)
    assert rules(judged(of(image))) == []


def test_an_empty_page_is_neither_scanned_nor_written(judged: Judge) -> None:
    pdf = Pdf.new()
    pdf.add_blank_page(page_size=scans.A4)
    assert rules(judged(scans.save(pdf))) == ["confirmation-not-scanned", "confirmation-blank"]


# What could act, and what cannot be opened


@pytest.mark.parametrize("make", scans.ACTIVE.values(), ids=scans.ACTIVE.keys())
def test_whatever_could_act_is_found_wherever_it_stands(judged: Judge, make: Callable[[], bytes]) -> None:
    assert rules(judged(make())) == ["confirmation-active"]


def test_a_name_written_in_code_is_still_that_name(judged: Judge) -> None:
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << >> >>"
    script = b"<< /Type /Catalog /Pages 2 0 R /OpenAction << /S /J#61vaScript /J#53 (app.alert) >> >>"
    file = scans.raw([script, b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>", page])
    assert "confirmation-active" in rules(judged(file))


def test_a_script_that_nothing_refers_to_is_found(judged: Judge) -> None:
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << >> >>"
    tree = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>", page]
    assert "confirmation-active" in rules(judged(scans.raw([*tree, b"[ [ << /S /JavaScript /JS (x) >> ] ]"])))


@pytest.mark.parametrize("opening", ["/GoTo", "/Named", None])
def test_a_view_to_open_with_is_harmless(judged: Judge, opening: str | None) -> None:
    def change(pdf: Pdf) -> None:
        target = Array([pdf.pages[0].obj, Name.Fit])
        action = Dictionary(S=Name(opening), D=target) if opening else target
        pdf.Root.OpenAction = action  # type: ignore[assignment]

    assert rules(judged(scans.with_catalog(change))) == []


def test_everything_wrong_is_told_at_once(judged: Judge) -> None:
    pdf = Pdf.new()
    scans.add_page(pdf, scans.picture(100, blank=True))
    pdf.Root.OpenAction = Dictionary(S=Name.JavaScript, JS=String("x"))
    assert rules(judged(scans.save(pdf))) == ["confirmation-active", "confirmation-resolution", "confirmation-blank"]


@pytest.mark.parametrize("user", ["", "secret"], ids=["owner password only", "password to open"])
def test_an_encrypted_file_is_refused_as_such(judged: Judge, user: str) -> None:
    assert rules(judged(scans.encrypted(user))) == ["file-encrypted"]


def test_of_a_file_that_asks_for_no_password_it_is_said_which_one_is_meant(judged: Judge) -> None:
    (free,), (locked,) = (judged(scans.encrypted(user))["findings"] for user in ("", "secret"))
    for language, said in (("zh", "打开时不要密码"), ("en", "opens without one")):
        assert said in text(free["rule"], language, **free["facts"])
        assert said not in text(locked["rule"], language, **locked["facts"])


def test_a_file_encrypted_in_an_unknown_way_is_refused_as_such(judged: Judge) -> None:
    plain = scans.scan(dpi=150)
    at = plain.rindex(b"trailer")
    locked = plain[:at] + plain[at:].replace(b"<<", b"<< /Encrypt << /Filter /Adobe.PubSec /V 4 >>", 1)
    assert rules(judged(locked)) == ["file-encrypted"]


SLOW = ("a hundred thousand pages", "a content bomb")


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(make, id=name, marks=[pytest.mark.slow] if name in SLOW else [])
        for name, make in scans.HOSTILE.items()
    ],
)
def test_a_file_made_to_hurt_gives_a_finding_and_soon(judged: Judge, make: Callable[[], bytes]) -> None:
    data = make()
    start = time.monotonic()
    result = judged(data)
    assert time.monotonic() - start < 20
    assert result["findings"]
    expected = {
        "file-type",
        "file-unreadable",
        "file-too-large",
        "confirmation-pages",
        "confirmation-not-scanned",
        "confirmation-blank",
    }
    assert set(rules(result)) <= expected
    assert rules(judged(scans.scan(dpi=150))) == []


def test_a_file_cut_anywhere_is_refused(judged: Judge) -> None:
    whole = scans.scan(dpi=150, mode="1", fax=True)
    for length in range(1, len(whole) - 8, len(whole) // 40):
        assert rules(judged(whole[:length])) == ["file-unreadable"]


@pytest.mark.slow
def test_damaged_files_never_break_the_examination(judged: Judge) -> None:
    """A fault of ours would come as JobError."""
    rand = random.Random(20)
    whole = [scans.ACTIVE["an embedded file"](), scans.nested_forms(3, 3), scans.scan(dpi=150, mode="1", fax=True)]
    for _ in range(150):
        data = bytearray(rand.choice(whole))
        marks = [found.start() for found in re.finditer(rb"/|<<|obj|\[|\d+ \d+ R", data)]
        for _ in range(rand.choice((1, 1, 2, 5))):
            at = max(9, rand.choice(marks) + rand.randint(-2, 12))
            data[at : at + rand.randint(0, 4)] = rand.choice(
                (b"-1 ", b"99999999999 ", b"0 0 R ", b"null ", b"[", b">>")
            )
        assert judged(bytes(data)).keys() == {"pages", "findings", "forms", "stamped"}
