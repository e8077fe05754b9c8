"""Write Annex 1 as a PDF: real table, the font's characters embedded, a code on every page.

Takes   what the form says (`Form`), a TrueType font
Gives   the PDF's bytes, the same for the same form
Redo    it only computes
Ends    FontMissing when no usable font is there
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from exchanged import seen
from exchanged.form import layout
from exchanged.form.code import Code, short_digest
from exchanged.form.layout import BODY, POINT, Box

FONTS = (
    "/usr/share/fonts/truetype/arphic/uming.ttc",  # 明体，接近宋体 · Debian fonts-arphic-uming
    "/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc",
    "/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf",
)
TITLE = ("全国集中监管库", "职业资格证书数据审核确认表")
LEVELS = {"1": "一级", "2": "二级", "3": "三级", "4": "四级", "5": "五级"}
ROW = 8.0  # mm, height of a row with one line of text
LINE = 4.6  # mm, of a further line of text
PAD = 1.5  # mm between a rule and a text
_NAME = "form"


class FontMissing(Exception):
    """There is no font with Chinese characters; `path`: the one that was asked for, if one was."""

    def __init__(self, path: str | None) -> None:
        super().__init__(path or "")
        self.path = path


@dataclass(frozen=True, slots=True)
class Form:
    """What one batch's form says. `counts`: (职业资格, level's code, number); `digest`: "sha256:…" of the table."""

    unit: str
    head: str
    information_manager: str
    title: str
    date: str
    data_type: str
    counts: Sequence[tuple[str, str, int]]
    batch: str
    digest: str
    rows: int


def find_font(given: str | None = None) -> str:
    """The font to write with. Raises FontMissing."""
    for path in (given,) if given else FONTS:
        if seen.file(path):
            return path
    raise FontMissing(given)


def lacking(font: str, text: str) -> int:
    """How many different characters of a text a font has no glyph for. Raises FontMissing."""
    glyphs = _face(font).face.charToGlyph
    return sum(ord(char) not in glyphs for char in set(text))


def _face(font: str) -> Any:
    from reportlab.pdfbase.ttfonts import TTFError, TTFont

    try:
        return TTFont(_NAME, font)
    except (TTFError, OSError, ValueError, struct.error):
        raise FontMissing(font) from None


def draw(form: Form, font: str) -> bytes:
    """The filled-in form."""
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfgen.canvas import Canvas

    face = _face(font)
    pdfmetrics.registerFont(face)
    out = io.BytesIO()
    size = (_x(layout.WIDTH), _x(layout.HEIGHT))
    canvas = Canvas(out, pagesize=size, invariant=1, pageCompression=1, initialFontName=_NAME)
    canvas.setTitle(f"{TITLE[1]} {form.batch}")
    canvas.setCreator("exchanged")
    pen = _Pen(canvas, face.face.charToGlyph)
    lines = [pen.lines(name, NAME_WIDTH) for name, _, _ in form.counts]
    pages = paginate([ROW + LINE * (len(each) - 1) for each in lines])
    for number, rows in enumerate(pages, 1):
        _page(pen, form, rows, lines, number, len(pages))
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def _x(millimetres: float) -> float:
    return millimetres / POINT


NAME_LEFT, LEVEL_LEFT, COUNT_LEFT = layout.SIDE, 128.0, 164.0
LABEL_RIGHT = 66.0
SMALLER = (9.0, 8.0, 7.5)  # points, of a value that is too long for its line
NAME_WIDTH = LEVEL_LEFT - NAME_LEFT - 2 * PAD
FIRST = layout.TOP + 5 * ROW + 2 * ROW  # where the first page's lines begin: after five facts, the type, the header
FURTHER = layout.TOP + ROW  # where those of a further page begin


def most_pages(lines: int) -> int:
    """No form with so many lines has more pages than this, however long the names are."""
    return 2 + lines // 10


def paginate(heights: Sequence[float]) -> list[range]:
    """Which lines stand on which page. The last page also holds the total and the boxes, so it has less room."""
    pages: list[range] = []
    start, top = 0, FIRST
    while True:
        left = sum(heights[start:])
        if top + left + ROW <= layout.OPINIONS:
            return [*pages, range(start, len(heights))]
        end, used = start, top
        while end < len(heights) and used + heights[end] <= layout.BOTTOM:
            used += heights[end]
            end += 1
        if end == len(
            heights
        ):  # they fit here, but the boxes do not: one line goes with them, so that none stands bare
            end = max(start, end - 1)
        pages.append(range(start, end))
        start, top = end, FURTHER


class _Pen:
    """Draws on a page in millimetres from its upper left corner."""

    def __init__(self, canvas: Any, glyphs: Any) -> None:
        self.canvas = canvas
        self._glyphs = glyphs

    def text(self, text: str, x: float, baseline: float, size: float = BODY, align: str = "left") -> None:
        text = self.drawable(text)
        self.canvas.setFont(_NAME, size)
        draw = {
            "left": self.canvas.drawString, "centre": self.canvas.drawCentredString,
            "right": self.canvas.drawRightString,
        }[align]  # fmt: skip
        draw(_x(x), _x(layout.HEIGHT - baseline), text)

    def drawable(self, text: str) -> str:
        """The text with 〓 for what the font lacks, as Chinese printers have always done."""
        return "".join(char if ord(char) in self._glyphs else "〓" for char in text)

    def width(self, text: str, size: float = BODY) -> float:
        return float(self.canvas.stringWidth(self.drawable(text), _NAME, size)) * POINT

    def lines(self, text: str, room: float, size: float = BODY) -> list[str]:
        """A text broken where it is as wide as there is room."""
        lines = [""]
        for char in text:
            if lines[-1] and self.width(lines[-1] + char, size) > room:
                lines.append("")
            lines[-1] += char
        return lines

    def cell(self, text: str | Sequence[str], box: Box, align: str = "centre", size: float = BODY) -> None:
        """Text in the middle of a box, and the box's frame."""
        self.frame(box)
        lines = self.lines(text, box.right - box.left - 2 * PAD) if isinstance(text, str) else list(text)
        middle, pitch = box.centre, LINE * size / BODY
        first = middle[1] + 1.4 * size / BODY - pitch * (len(lines) - 1) / 2
        at = {"left": box.left + PAD, "centre": middle[0], "right": box.right - PAD}[align]
        for number, line in enumerate(lines):
            self.text(line, at, first + pitch * number, size, align)

    def frame(self, box: Box, thickness: float = 0.7) -> None:
        self.canvas.setLineWidth(thickness)
        height = _x(box.bottom - box.top)
        self.canvas.rect(_x(box.left), _x(layout.HEIGHT - box.bottom), _x(box.right - box.left), height)

    def fill(self, left: float, top: float, width: float, height: float) -> None:
        self.canvas.rect(_x(left), _x(layout.HEIGHT - top - height), _x(width), _x(height), stroke=0, fill=1)


def _page(pen: _Pen, form: Form, rows: range, lines: list[list[str]], number: int, pages: int) -> None:
    code = Code(form.batch, short_digest(form.digest), form.rows, number, pages)
    _code(pen, code)
    _marks(pen)
    _heading(pen)
    top = _facts(pen, form) if number == 1 else layout.TOP
    bottom = _table(pen, form, rows, lines, top, last=number == pages)
    side = layout.TOP + 5 * ROW if number == 1 else layout.TOP
    pen.cell(list("数据信息"), Box(layout.LEFT, side, layout.SIDE, bottom))
    if number == pages:
        _opinions(pen)
    pen.text(f"第 {number} 页　共 {pages} 页", layout.WIDTH / 2, 283.5, 9, "centre")


def _heading(pen: _Pen) -> None:
    middle = (layout.LEFT + 150.0) / 2
    pen.text(TITLE[0], middle, 33.0, 18, "centre")
    pen.text(TITLE[1], middle, 43.0, 18, "centre")


def _code(pen: _Pen, code: Code) -> None:
    """The code as dark squares, and its text below it."""
    from exchanged.form.grid import matrix

    modules = matrix(code.text)
    box = layout.code_box(len(modules))
    for row, line in enumerate(modules):
        start = None
        for column, dark in enumerate([*line, False]):
            if dark and start is None:
                start = column
            if not dark and start is not None:
                left, top = box.left + start * layout.MODULE, box.top + row * layout.MODULE
                pen.fill(left, top, (column - start) * layout.MODULE, layout.MODULE)
                start = None
    below = (f"EXCHANGED1/{code.batch}", f"/{code.digest}", f"/{code.rows}/{code.page}/{code.pages}")
    room = box.right - box.left + 8.0
    size = min(6.0, *(6.0 * room / pen.width(line, 6.0) for line in below))
    for number, each in enumerate(below):
        pen.text(each, box.centre[0], box.bottom + 5.6 + 2.5 * number, size, "centre")


def _marks(pen: _Pen) -> None:
    for x, y in layout.MARKS:
        pen.fill(x - layout.MARK / 2, y - layout.MARK / 2, layout.MARK, layout.MARK)


def _facts(pen: _Pen, form: Form) -> float:
    """基本信息. Gives where the next section begins."""
    facts = (
        ("单位名称", form.unit),
        ("单位负责人", form.head),
        ("信息管理员", form.information_manager),
        ("标题名称", form.title),
        ("上传日期", form.date),
    )
    pen.cell(list("基本信息"), Box(layout.LEFT, layout.TOP, layout.SIDE, layout.TOP + ROW * len(facts)))
    for number, (label, value) in enumerate(facts):
        top = layout.TOP + number * ROW
        pen.cell(label, Box(layout.SIDE, top, LABEL_RIGHT, top + ROW))
        lines, size = _fitting(pen, value)
        pen.cell(lines, Box(LABEL_RIGHT, top, layout.RIGHT, top + ROW), size=size)
    top = layout.TOP + ROW * len(facts)
    pen.cell("数据类型", Box(layout.SIDE, top, LABEL_RIGHT, top + ROW))
    pen.cell(form.data_type, Box(LABEL_RIGHT, top, layout.RIGHT, top + ROW))
    return top + ROW


def _fitting(pen: _Pen, value: str) -> tuple[list[str], float]:
    """The lines of a value and their size: a long one is set smaller, then in two lines, and only then cut."""
    room = layout.RIGHT - LABEL_RIGHT - 2 * PAD
    for size in (BODY, *SMALLER):
        if len(lines := pen.lines(value, room, size)) == 1:
            return lines, size
    if len(lines) > 2:
        lines = [lines[0], pen.lines(lines[1], room - 4, size)[0] + "…"]
    return lines, size


def _table(pen: _Pen, form: Form, rows: range, lines: list[list[str]], top: float, *, last: bool) -> float:
    """数据信息: one line for each 职业资格 and level, on the last page the total. Gives where it ends."""
    columns = (NAME_LEFT, LEVEL_LEFT, COUNT_LEFT, layout.RIGHT)

    def line(cells: Sequence[str | Sequence[str]], top: float, height: float) -> float:
        for cell, left, right in zip(cells, columns, columns[1:], strict=False):
            pen.cell(cell, Box(left, top, right, top + height))
        return top + height

    top = line(("职业资格名称（职业工种名称）", "级别", "数量"), top, ROW)
    for row in rows:
        _, level, count = form.counts[row]
        top = line((lines[row], LEVELS.get(level, level), f"{count}"), top, ROW + LINE * (len(lines[row]) - 1))
    if not last:
        return top
    total = layout.OPINIONS - ROW
    if total - top >= ROW:
        pen.text("（以下空白）", (NAME_LEFT + layout.RIGHT) / 2, top + ROW - 2.5, 9, "centre")
    pen.cell("合计", Box(NAME_LEFT, total, COUNT_LEFT, layout.OPINIONS))
    pen.cell(f"{form.rows}", Box(COUNT_LEFT, total, layout.RIGHT, layout.OPINIONS))
    pen.frame(Box(NAME_LEFT, top, layout.RIGHT, total))
    return layout.OPINIONS


def _opinions(pen: _Pen) -> None:
    sides = {"manager": ("信息", "管理员", "意见"), "head": ("单位", "意见")}
    for name, box in layout.BOXES.items():
        pen.cell(sides[name], Box(layout.LEFT, box.top, box.left, box.bottom))
        pen.frame(box)
        for label in layout.LABELS[name]:
            pen.text(label.text, label.x, label.baseline)
