"""Makes the pictures of README.md and 操作手册.md: a clerk's day as the program itself shows it (`make pictures`).

Takes   nothing; the data is made up (resident IDs carry region codes ending in 0000), the server is the demonstration's
Gives   PNG files beside this script, with few colours, each of less than 150 KB
Redo    every picture is made anew; what shows the time of day differs
Ends    with the name of the program that is missing; needs chromium and LibreOffice beside the project's own packages
"""

from __future__ import annotations

import html
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unicodedata
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import openpyxl
import pypdfium2
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from exchanged.demo import samples, world  # noqa: E402
from exchanged.form.write import find_font  # noqa: E402
from tests.support import paper  # noqa: E402

COLUMNS = 92  # of the terminal that is shown
WIDTH = 980  # of a picture, in pixels
LARGEST = 150_000  # bytes
MARGIN = 24
_COLOURS = [(240, 113, 120), (152, 195, 121), (229, 192, 123), (97, 175, 239), (198, 120, 221), (86, 182, 194)]
QUIET: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
THEME = TerminalTheme(
    (30, 34, 42),
    (222, 226, 232),
    [(30, 34, 42), *_COLOURS, (190, 196, 206)],
    [(120, 128, 140), *_COLOURS, (255, 255, 255)],
)
PAGE = """<!doctype html><meta charset=utf-8><style>
body {{ margin: 0; background: #fff; }}
.window {{ display: inline-block; margin: 8px; border: 1px solid #9aa1ab; border-radius: 8px; overflow: hidden; }}
.title {{ font: 14px "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "AR PL UMing CN", sans-serif; background: #e6e8eb;
  color: #333; padding: 6px 14px; }}
b.w {{ display: inline-block; width: 2ch; font-weight: inherit; text-align: center; }}
pre {{ margin: 0; padding: 14px 16px; font: 15px/1.45 "DejaVu Sans Mono", "WenQuanYi Micro Hei",
  "WenQuanYi Zen Hei", "AR PL UMing CN", monospace; color: {ink}; background: {ground}; width: {columns}ch; }}
</style><div class=window><div class=title>{title}</div><pre>{body}</pre></div>"""


# --- taking pictures --------------------------------------------------------------------------------------------------


def keep(image: Image.Image, name: str, width: int = WIDTH) -> None:
    """The picture with an even margin, of a page's width and of few colours."""
    image = image.convert("RGB")
    box = ImageChops.difference(image, Image.new("RGB", image.size, "white")).getbbox()
    image = image.crop(box)
    if image.width > width:
        image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
    whole = Image.new("RGB", (image.width + 2 * MARGIN, image.height + 2 * MARGIN), "white")
    whole.paste(image, (MARGIN, MARGIN))
    path = HERE / f"{name}.png"
    for colours in (128, 64, 32):
        whole.quantize(colours, dither=Image.Dither.NONE).save(path, optimize=True)
        if path.stat().st_size < LARGEST:
            break
    if path.stat().st_size >= LARGEST:
        sys.exit(f"{name}: {path.stat().st_size} bytes")
    print(f"{path.name}  {whole.width} x {whole.height}  {path.stat().st_size / 1000:.0f} KB")


def photographed(page: Path, name: str, height: int = 2400) -> None:
    """A page as a browser shows it."""
    shot = page.with_suffix(".png")
    chromium(f"--screenshot={shot}", f"--window-size=1100,{height}", "--force-device-scale-factor=1.5", page.as_uri())
    with Image.open(shot) as image:
        keep(image, name)


def chromium(*words: str) -> None:
    """The browser, without a window and a profile of its own."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or sys.exit("chromium is missing")
    with tempfile.TemporaryDirectory() as profile:
        command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
        subprocess.run([*command, f"--user-data-dir={profile}", *words], check=True, capture_output=True, timeout=120)


def window(title: str, body: str, name: str, folder: Path, *, dark: bool, columns: int = COLUMNS) -> None:
    """A text in a window."""
    ink, ground = ("#dee2e8", "#1e222a") if dark else ("#1b1b1b", "#ffffff")
    page = folder / f"{name}.html"
    body = re.sub(r"(<[^>]*>)|(.)", lambda found: found[1] or _in_cells(found[2]), body)
    text = PAGE.format(title=html.escape(title), body=body, ink=ink, ground=ground, columns=columns + 2)
    page.write_text(text, "utf-8")
    photographed(page, name)


def _in_cells(char: str) -> str:
    """A wide character in the two columns that a terminal gives it."""
    return f"<b class=w>{char}</b>" if unicodedata.east_asian_width(char) in "WF" else char


def drawn(page: Path, number: int = 0, scale: float = 1.6) -> Image.Image:
    """A page of a PDF on paper: with the paper's edge, which is not white."""
    with pypdfium2.PdfDocument(page) as pdf:
        return pdf[number % len(pdf)].render(scale=scale).to_pil().convert("RGB")


def framed(image: Image.Image) -> Image.Image:
    """A sheet of paper with an edge to be seen."""
    whole = Image.new("RGB", (image.width + 4, image.height + 4), (150, 150, 150))
    whole.paste(image, (2, 2))
    return whole


# --- what is pictured -------------------------------------------------------------------------------------------------


def terminal(words: Sequence[str], place: Path, name: str, folder: Path, config: Path | None = None) -> None:
    """A command of the program on a terminal, with its colours."""
    told = bytearray()

    def read(descriptor: int) -> bytes:
        data = os.read(descriptor, 65536)
        told.extend(data)
        return b" " if data else data  # nothing of it is shown here

    before, sight = Path.cwd(), os.dup(1)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.chdir(place)
    os.environ.update(COLUMNS=str(COLUMNS), LINES="60", TERM="xterm-256color", LANG="zh_CN.UTF-8")
    os.environ["EXCHANGED_CONFIG"] = str(config or "")
    os.dup2(quiet, 1)
    try:
        pty.spawn([str(Path(sys.executable).parent / "exchanged"), *words], read, lambda _: b"")
    finally:
        os.dup2(sight, 1)
        os.close(sight)
        os.close(quiet)
        os.chdir(before)
    said = bytes(told).decode("utf-8", "replace").replace("\r\n", "\n")
    said = said.rsplit("\r", 1)[-1] if "\r" in said else said
    console = Console(record=True, width=COLUMNS + 1, file=StringIO(), color_system="truecolor", force_terminal=True)
    console.print(Text("$ exchanged " + " ".join(words), style="bold"))
    console.print(Text.from_ansi(said), soft_wrap=True)
    body = console.export_html(theme=THEME, inline_styles=True, code_format="{code}")
    window("终端", body.rstrip(), name, folder, dark=True)


def office(book: Path, folder: Path) -> None:
    """The marked workbook's sheets as LibreOffice shows them, each fitted to the width of one page."""
    copy = folder / "annotated.xlsx"
    made = openpyxl.load_workbook(book)
    for sheet in made:
        sheet.page_setup.orientation, sheet.page_setup.paperSize = "landscape", 8  # A3
        sheet.sheet_properties.pageSetUpPr = openpyxl.worksheet.properties.PageSetupProperties(fitToPage=True)
        sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, 0
        sheet.print_options.headings = sheet.print_options.gridLines = True
    made.save(copy)
    program = shutil.which("soffice") or sys.exit("LibreOffice is missing")
    home = f"-env:UserInstallation=file://{folder}/office"
    command = [program, home, "--headless", "--convert-to", "pdf", "--outdir", str(folder), str(copy)]
    subprocess.run(command, check=True, capture_output=True, timeout=180)
    keep(drawn(copy.with_suffix(".pdf"), 0, 1.8), "annotated-front")
    sheet_image = drawn(copy.with_suffix(".pdf"), -1, 4.2)
    halves = {"annotated-cells": (0.0, 0.508), "annotated-reasons": (0.6828, 1.0)}  # shares of the width
    for name, (left, right) in halves.items():
        wide, high = sheet_image.size
        keep(sheet_image.crop((round(left * wide), 0, round(right * wide), high)), name, 1180)


def scanned(form: Path, out: Path) -> Image.Image:
    """The form signed, stamped, and scanned a little askew."""
    dpi = 200
    (page,) = paper.printed(form.read_bytes(), dpi)
    page = paper.stamped(page, dpi)
    image = Image.fromarray(page[:, :, ::-1])
    for name, at in (("示范管理员", paper.MANAGER), ("示范负责人", paper.HEAD)):
        _written(image, name, at, dpi)
    image = image.rotate(0.8, resample=Image.Resampling.BICUBIC, fillcolor=(246, 246, 242))
    image.save(out, "PDF", resolution=dpi, quality=70)
    return image


def _written(image: Image.Image, name: str, at: tuple[float, float], dpi: int) -> None:
    """A name in slanting letters and blue-black ink; `at`: millimetres."""
    size = dpi // 3
    ink = Image.new("L", (size * (len(name) + 2), 2 * size), 0)
    ImageDraw.Draw(ink).text((size, size // 4), name, fill=255, font=ImageFont.truetype(find_font(""), size))
    slanting = (1, 0.35, -size / 2, 0, 1, 0)
    ink = ink.transform(ink.size, Image.Transform.AFFINE, slanting, Image.Resampling.BICUBIC).rotate(4)
    ink = ink.filter(ImageFilter.MaxFilter(3))
    image.paste((35, 35, 95), tuple(round(one / 25.4 * dpi) for one in at), ink)


def once(made: Any) -> None:
    """The daemon's work, as far as it can be done."""
    command = [sys.executable, "-m", "exchanged", "--config", str(made.config), "once"]
    subprocess.run(command, check=False, capture_output=True, timeout=120)


def day(made: Any, folder: Path) -> None:
    """A clerk's day, in its order."""
    drop, title = made.directory / "drop", "示范省职业资格证书数据表"
    desk = folder / "desk"
    desk.mkdir()
    samples.write_xlsx(desk / "一月.xlsx", samples.spoilt(20, 3), title)
    terminal(["check", "一月.xlsx"], desk, "check-errors", folder)
    shutil.copy(desk / "一月.xlsx", drop)
    samples.write_scan(drop / "一月.pdf", 1)
    once(made)
    (rejected,) = (made.directory / "rejected").iterdir()
    chromium("--no-pdf-header-footer", f"--print-to-pdf={folder}/report.pdf", (rejected / "report.html").as_uri())
    keep(framed(drawn(folder / "report.pdf")), "report", 820)
    office(next(rejected.glob("*.annotated.xlsx")), folder)

    few = [row for row in samples.rows(120, 1) if row["职业资格"] in ("保安员", "社会体育指导员")]
    samples.write_xlsx(desk / "一月.xlsx", few, title)
    terminal(["check", "一月.xlsx"], desk, "check-right", folder)
    shutil.copy(desk / "一月.xlsx", drop)
    samples.write_csv(drop / "二月.csv", samples.rows(80, 2))
    once(made)
    form = made.directory / "forms" / "一月.pdf"
    keep(framed(drawn(form, 0, 1.3)), "form-empty", 700)
    board = (drop / "状态.txt").read_text("utf-8-sig")
    window("收件夹 drop / 状态.txt", html.escape(board), "waiting", folder, dark=False)
    keep(framed(scanned(form, desk / "SCAN0001.pdf")), "form-signed", 700)
    terminal(["scan", "SCAN0001.pdf"], desk, "scan", folder)
    shutil.copy(desk / "SCAN0001.pdf", drop)
    once(made)
    slip = next((made.directory / "receipts").glob("*.txt"))
    window(f"receipts / {slip.name}", html.escape(slip.read_text("utf-8-sig")), "receipt", folder, dark=False)
    daemon = subprocess.Popen([sys.executable, "-m", "exchanged", "--config", made.config, "run"], **QUIET)
    time.sleep(5)  # until it is up and has nothing to do
    terminal(["status"], desk, "status", folder, made.config)
    daemon.terminate()
    daemon.wait(30)


def main() -> None:
    """Make every picture."""
    os.environ["TZ"] = "Asia/Shanghai"
    with tempfile.TemporaryDirectory(prefix="pictures-") as place:
        folder = Path(place)
        made = world.build(folder / "unit")
        try:
            day(made, folder)
        finally:
            made.close()


if __name__ == "__main__":
    main()
