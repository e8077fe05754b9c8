"""Pages that are slow to draw are no scans; pages that scanners write are, however they are put together."""

from __future__ import annotations

import io
import time

import pikepdf
import pytest
from pikepdf import Dictionary, Name, Pdf

from exchanged.stages.confirm import examine
from tests.support import rawpdf, scans

SECONDS = 5.0


def rules(content: bytes) -> list[str]:
    started = time.process_time()
    answer = examine(io.BytesIO(content))
    assert time.process_time() - started < SECONDS
    return [finding["rule"] for finding in answer["findings"]]


def page(content: bytes, **resources: pikepdf.Object) -> bytes:
    """A scanned page with more drawn on it."""
    pdf = Pdf.new()
    made = scans.add_page(pdf, scans.picture(150), content=content)
    for name, value in resources.items():
        made.obj.Resources[f"/{name}"] = value
    return scans.save(pdf)


SHADING = Dictionary(
    S=Dictionary(
        ShadingType=3,
        ColorSpace=Name.DeviceGray,
        Extend=[True, True],
        Coords=[0, 0, 1, 100, 100, 500],
        Function=Dictionary(FunctionType=2, Domain=[0, 1], C0=[0], C1=[1], N=1),
    )
)
BLENDED = Dictionary(G=Dictionary(BM=Name.Luminosity, ca=0.5))


def test_thousands_of_lines_are_a_drawing() -> None:
    assert rules(page(b"0 0 m 500 500 l 0 500 l 500 0 l f " * 50_000)) == ["confirmation-not-scanned"]


def test_shadings_are_a_drawing() -> None:
    assert rules(page(b"/S sh " * 1_000, Shading=SHADING)) == ["confirmation-not-scanned"]


def test_blended_areas_are_a_drawing() -> None:
    assert rules(page(b"/G gs " + b"0 0 595 842 re f " * 190, ExtGState=BLENDED)) == ["confirmation-not-scanned"]


def test_one_picture_drawn_again_and_again_is_too_large() -> None:
    assert rules(page(b"q 595 0 0 842 0 0 cm /Im0 Do Q " * 300)) == ["file-too-large"]


@pytest.mark.parametrize(
    "content", [b"1 0 0 RG 10 10 500 800 re S ", b"0 0 5 5 re f " * 150, b"q 595 0 0 842 0 0 cm /Im0 Do Q " * 3]
)
def test_a_frame_or_a_few_layers_leave_a_scan_a_scan(content: bytes) -> None:
    assert rules(page(content)) == []


def test_a_table_that_is_said_to_be_shorter_is_read_all_the_same() -> None:
    """As pdfunite of Poppler writes it."""
    made = rawpdf.file(rawpdf.scanned())
    assert b"/Size 6" in made
    assert rules(made.replace(b"/Size 6", b"/Size 4")) == []


def test_a_picture_in_strips_that_are_marked_and_never_ended_is_a_scan() -> None:
    """As a scanner writes PCLm."""
    pdf = Pdf.new()
    made = scans.add_page(pdf, scans.picture(150), strips=440)
    drawing = made.obj.Contents.read_bytes().replace(b"q 595", b"/P <</MCID 0>> BDC q 595")
    assert drawing.count(b"BDC") == 440
    made.obj.Contents = pdf.make_stream(drawing)
    assert rules(scans.save(pdf)) == []
