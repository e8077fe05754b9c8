"""Makes the committed scans anew: `python -m tests.corpus.make_scans` writes them into tests/corpus/scans.

Only for who wants to change or add files; the tests read what is committed, and the truth about it stands in
tests/corpus/scans/truth.csv. Needs img2pdf, ghostscript, qpdf, mutool, tiff2pdf, opj_compress, ocrmypdf and pdftk.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from tests.support import rawpdf, scans

FOLDER = Path(__file__).parent / "scans"
Make = Callable[[Path, Path], None]


def run(*words: str | Path) -> None:
    """A program that must succeed."""
    subprocess.run([str(word) for word in words], check=True, capture_output=True)


def pictures(at: Path) -> None:
    """The same page in every kind of picture a scanner makes."""
    pages = {mode: scans.picture(150, mode) for mode in ("1", "L", "RGB")}
    pages["1"].save(at / "fax.tif", compression="group4", dpi=(150, 150))
    pages["1"].save(at / "fax3.tif", compression="group3", dpi=(150, 150), tiffinfo={278: 100})
    pages["L"].save(at / "lzw.tif", compression="tiff_lzw", dpi=(150, 150))
    pages["L"].save(at / "grey.jpg", quality=40, dpi=(150, 150))
    pages["RGB"].save(at / "colour.jpg", quality=40, dpi=(150, 150))
    pages["RGB"].save(at / "steps.jpg", quality=40, dpi=(150, 150), progressive=True)
    pages["RGB"].convert("CMYK").save(at / "cmyk.jpg", quality=15, dpi=(150, 150))
    turned = Image.Exif()
    turned[0x0112] = 6
    pages["L"].rotate(90, expand=True).save(at / "turned.jpg", quality=40, dpi=(150, 150), exif=turned)
    pages["L"].quantize(8).save(at / "few.png", dpi=(150, 150))
    pages["L"].save(at / "grey.png", dpi=(150, 150))
    pages["1"].save(at / "bits.png", dpi=(150, 150))
    pages["L"].save(at / "interlaced.bmp", dpi=(150, 150))
    first, *more = [scans.picture(150, "1", seed=seed) for seed in range(3)]
    first.save(at / "three.tif", compression="group4", dpi=(150, 150), save_all=True, append_images=more)
    run("opj_compress", "-i", at / "grey.png", "-o", at / "grey.jp2", "-r", "30")


def _img2pdf(source: str, *options: str) -> Make:
    return lambda at, out: run("img2pdf", *options, "-o", out, at / source)


def _after(step: tuple[str, ...], source: str = "fax.tif") -> Make:
    """A program that writes another program's file again; IN and OUT stand for the files."""

    def make(at: Path, out: Path) -> None:
        run("img2pdf", "-o", at / "in.pdf", at / source)
        run(*[{"IN": at / "in.pdf", "OUT": out}.get(word, word) for word in step])

    return make


def _jbig2(at: Path, out: Path) -> None:
    """A page of JBIG2 whose one region is packed as by fax."""
    page = scans.picture(150, "1")
    page.save(at / "one.tif", compression="group4", tiffinfo={278: page.height})
    with Image.open(at / "one.tif") as tiff:
        offset, length, (wide, high) = tiff.tag_v2[273][0], tiff.tag_v2[279][0], tiff.size
    packed = (at / "one.tif").read_bytes()[offset : offset + length]
    whole = struct.pack(">LBBBL", 0, 48, 0, 1, 19) + struct.pack(">LLLLBH", wide, high, 0, 0, 0, 0)
    region = struct.pack(">LLLLBB", wide, high, 0, 0, 0, 1) + packed
    data = whole + struct.pack(">LBBBL", 1, 38, 0, 1, len(region)) + region
    head = b"/ColorSpace /DeviceGray /BitsPerComponent 1 /Filter /JBIG2Decode"
    out.write_bytes(rawpdf.file(rawpdf.scanned(rawpdf.image(head, data, wide, high))))


FILES: dict[str, Make] = {
    "img2pdf-fax": _img2pdf("fax.tif"),
    "img2pdf-grey-jpeg": _img2pdf("grey.jpg"),
    "img2pdf-colour-jpeg": _img2pdf("colour.jpg"),
    "img2pdf-progressive-jpeg": _img2pdf("steps.jpg"),
    "img2pdf-cmyk-jpeg": _img2pdf("cmyk.jpg"),
    "img2pdf-exif-turned": _img2pdf("turned.jpg"),
    "img2pdf-few-colours": _img2pdf("few.png"),
    "img2pdf-jpeg2000": _img2pdf("grey.jp2", "--imgsize", "150dpi"),
    "img2pdf-three-pages": _img2pdf("three.tif"),
    "img2pdf-pdfa": _img2pdf("grey.jpg", "--pdfa"),
    "tiff2pdf-fax": lambda at, out: run("tiff2pdf", "-o", out, at / "fax.tif"),
    "tiff2pdf-fax3-strips": lambda at, out: run("tiff2pdf", "-o", out, at / "fax3.tif"),
    "tiff2pdf-lzw-as-flate": lambda at, out: run("tiff2pdf", "-z", "-o", out, at / "lzw.tif"),
    "tiff2pdf-three-pages": lambda at, out: run("tiff2pdf", "-o", out, at / "three.tif"),
    "ghostscript-fax": _after(("gs", "-q", "-dBATCH", "-sDEVICE=pdfwrite", "-o", "OUT", "IN")),
    "ghostscript-picture": _after(("gs", "-q", "-dBATCH", "-r150", "-sDEVICE=pdfimage8", "-o", "OUT", "IN")),
    "ghostscript-ocr-layout": _after(("gs", "-q", "-dBATCH", "-r150", "-sDEVICE=pclm", "-o", "OUT", "IN"), "grey.jpg"),
    "qpdf-linearized": _after(("qpdf", "--linearize", "IN", "OUT")),
    "qpdf-object-streams": _after(("qpdf", "--object-streams=generate", "IN", "OUT")),
    "qpdf-readable": _after(("qpdf", "--qdf", "IN", "OUT"), "grey.jpg"),
    "mutool-clean": _after(("mutool", "clean", "-gggz", "IN", "OUT")),
    "pdftk": _after(("pdftk", "IN", "cat", "1east", "output", "OUT")),
    "pillow-colour": lambda at, out: scans.picture(150, "RGB").save(out, "PDF", resolution=150, quality=40),
    "pillow-bits": lambda at, out: scans.picture(150, "1").save(out, "PDF", resolution=150),
    "ocrmypdf-pdfa-with-text": _after(("ocrmypdf", "-q", "--force-ocr", "--output-type", "pdfa-2", "IN", "OUT")),
    "ocrmypdf-with-text": _after(("ocrmypdf", "-q", "--output-type", "pdf", "IN", "OUT")),
    "jbig2": _jbig2,
    "qpdf-locked-aes256": _after(("qpdf", "--encrypt", "user", "owner", "256", "--", "IN", "OUT")),
    "qpdf-locked-aes128": _after(("qpdf", "--encrypt", "user", "owner", "128", "--use-aes=y", "--", "IN", "OUT")),
    "qpdf-locked-rc4": _after(("qpdf", "--allow-weak-crypto", "--encrypt", "user", "owner", "40", "--", "IN", "OUT")),
    "qpdf-no-printing": _after(
        ("qpdf", "--encrypt", "", "owner", "256", "--print=none", "--modify=none", "--", "IN", "OUT")
    ),
    "pdftk-locked-rc4": _after(("pdftk", "IN", "output", "OUT", "encrypt_128bit", "owner_pw", "b", "user_pw", "a")),
    "pdftk-attachment": _after(("pdftk", "IN", "attach_files", "IN", "output", "OUT")),
    "qpdf-attachment": _after(("qpdf", "--add-attachment", "/etc/hostname", "--", "IN", "OUT")),
    "libreoffice-text": lambda at, out: shutil.copy(FOLDER.parent / "files" / "refused-text.pdf", out),
}


def main() -> None:
    """Write every file."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        at = Path(place)
        pictures(at)
        for name, make in FILES.items():
            make(at, FOLDER / f"{name}.pdf")


if __name__ == "__main__":
    main()
