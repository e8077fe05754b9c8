"""Spoilt scans, thousands of them: each is answered by findings, in time and memory, with no fault of ours.

FUZZ_SECONDS says how long each kind is tried (5), FUZZ_SEED where to begin (the day). A failure names its file and
seed; `spoil.mutant(seed, …)` makes it again.
"""

from __future__ import annotations

import io
import os
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import date

import pytest
from pikepdf import Pdf

from exchanged.sandbox import Bounds, Died, JobError, Sandbox
from exchanged.stages.confirm import MEMORY
from exchanged.standard.rules import RULES
from tests.support import activepdf, brokenpdf, rawpdf, scancorpus, scans
from tests.support.rawpdf import file, scanned
from tests.support.spoil import mended, mutant

SECONDS = float(os.environ.get("FUZZ_SECONDS", "5"))
SEED = int(os.environ.get("FUZZ_SEED", date.today().toordinal()))
BOUNDS = Bounds(memory=MEMORY, cpu=20, wall=120)
Build = Callable[[], bytes]


SIZE = (120.0, 170.0)  # points: small pages are soon looked at
WIDE, HIGH = 250, 354  # pixels of them
GREY, COLOUR = b"/ColorSpace /DeviceGray /BitsPerComponent 8", b"/ColorSpace /DeviceRGB /BitsPerComponent 8"


def _packed(mode: str, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    scans.picture(150, mode, size=SIZE).save(buffer, kind, **options)
    return buffer.getvalue()


def _small(name: bytes, data: bytes, space: bytes = GREY) -> Build:
    """A small scan of one picture."""
    picture = rawpdf.image(space + b" /Filter /" + name, data, WIDE, HIGH)
    return lambda: shrunk(file(scanned(picture)))


def shrunk(data: bytes) -> bytes:
    """A scan of the corpus with small pictures."""
    jpeg, flat = _packed("L", "JPEG"), zlib.compress(scans.picture(150, size=SIZE).tobytes())
    head = b"/Filter /DCTDecode", b"/Filter /FlateDecode"
    pictures = [
        rawpdf.image(GREY + b" " + name, body, WIDE, HIGH) for name, body in zip(head, (jpeg, flat), strict=True)
    ]
    for large, small in zip((rawpdf.photo(), rawpdf.flat()), pictures, strict=True):
        data = data.replace(large, small)
    data = data.replace(b"[0 0 595 842]", b"[0 0 120 170]").replace(b"595 0 0 842 0 0 cm", b"120 0 0 170 0 0 cm")
    return data if b"/ObjStm" in data or b"/Prev" in data else mended(data)


def _shrunk(build: Build) -> Build:
    return lambda: shrunk(build())


def _committed(*starts: str) -> Mapping[str, Build]:
    return {name: build for name, build in scancorpus.BUILT["program"].items() if name.startswith(starts)}


def _faxed(strips: int) -> Build:
    def build() -> bytes:
        pdf = Pdf.new()
        scans.add_page(pdf, scans.picture(150, "1", size=SIZE), strips=strips, fax=True, size=SIZE)
        return scans.save(pdf)

    return build


DRAWN = ("two forms that draw each other", "a mask that masks itself", "a shading", "letters that are drawings, seen")
KINDS: Mapping[str, Mapping[str, Build]] = {
    "structure": {
        name: _shrunk(build)
        for files in (activepdf.HARMLESS, activepdf.SCRIPTS, activepdf.OTHERS)
        for name, build in files.items()
    },
    "jpeg": {
        "grey": _small(b"DCTDecode", _packed("L", "JPEG")),
        "colour": _small(b"DCTDecode", _packed("RGB", "JPEG"), COLOUR),
        "progressive": _small(b"DCTDecode", _packed("RGB", "JPEG", progressive=True), COLOUR),
        "four inks": _small(b"DCTDecode", _packed("CMYK", "JPEG"), COLOUR.replace(b"RGB", b"CMYK")),
    },
    "jpeg2000": {
        "grey": _small(b"JPXDecode", _packed("L", "JPEG2000")),
        "colour": _small(b"JPXDecode", _packed("RGB", "JPEG2000", irreversible=True), COLOUR),
        "tiles": _small(b"JPXDecode", _packed("L", "JPEG2000", tile_size=(64, 64))),
    },
    "bilevel": {"fax": _faxed(1), "strips": _faxed(6), **_committed("jbig2")},
    "flate": {"grey": lambda: shrunk(file(scanned(rawpdf.flat())))},
    "drawing": {name: _shrunk(brokenpdf.DRAWINGS[name]) for name in DRAWN},
    "programs": _committed("ocrmypdf", "qpdf", "pdftk", "mutool", "tiff2pdf", "libreoffice"),
}


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with Sandbox() as made:
        yield made


def trouble(box: Sandbox, data: bytes) -> str:
    """What is wrong with the answer about a file; "" where nothing is."""
    with tempfile.TemporaryFile() as source:
        source.write(data)
        source.flush()
        try:
            answer = box.run("scan", {"max_pages": 10}, [source.fileno()], limits=BOUNDS).value
        except Died as died:
            return f"died: {died.reason} {died.signal}"
        except JobError as error:
            return f"raised: {error}"
    return ",".join(sorted({one["rule"] for one in answer["findings"]} - RULES.keys()))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_spoilt_scan_is_answered_in_good_order(box: Sandbox, kind: str) -> None:
    sources = [(name, build()) for name, build in KINDS[kind].items()]
    until, seed, bad = time.monotonic() + SECONDS, SEED * 1_000_000, []
    while time.monotonic() < until and len(bad) < 10:
        seed += 1
        name, whole = sources[seed % len(sources)]
        found = trouble(box, mutant(seed, whole))
        if found:
            bad.append(f"{name} {seed}: {found}")
    print(f"{kind}: {seed - SEED * 1_000_000} files")
    assert bad == []
