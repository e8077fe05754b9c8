"""What a PDF's pages show: how much of each is a picture, how fine it is, whether there is anything on it.

Takes   the bytes of a PDF whose structure has been found sound
Gives   for a page its `Sheet`; whether it is blank
Redo    only reads
Ends    Unfit when the library cannot open the file or a page

pdfium is not thread-safe: one document at a time in a process.
"""

from __future__ import annotations

import ctypes
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pypdfium2
import pypdfium2.raw as pdfium

from exchanged.reading.boxes import IDENTITY, Box, Matrix, area, clip, spread, times, union, within
from exchanged.reading.pdf import DEPTH, Size, Structure
from exchanged.reading.unfit import PIXELS, Unfit, too_large

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

COVER = 0.6  # share of a page that its pictures must fill
LEAST = 72  # points of a page's shorter side
PIECES = 2000  # pictures of one page; a scanner cuts a page into some dozens
STROKES = 200  # lines and areas of one page; a scan has none, though a program may frame one
SLOW = 20  # what one that is blended with its ground counts for
AGAIN = 16  # times that one JPEG 2000 may be drawn: it is decoded anew each time
LAYERS = 2 * PIXELS  # of all pictures of a page together: ground, writing and mask of A3 at 600 dpi
ASIDE = 0.07  # of a page, at each edge: a page's number stands there, the name of a phone's program
LINES = 8  # pieces of text that may stand there
WHOLE = 0.02  # of a page's shorter side: a picture that leaves no more free, or is cut by no more, is the page
EVEN = 1.05  # how much finer a JPEG that is looked at without drawing the page may be in one direction
SIDE = 700  # pixels of the longer side of the small picture in which blankness is judged
MARGIN = 0.05  # shadows at the edges of the glass are no content
CONTRAST = 48  # of 255, from the paper's own tone
SURELY = 0.005  # share of ink in the quick look at a JPEG above which nothing else is asked
INK = 0.0005  # share of pixels below which a page is blank

_PLAIN = (
    pdfium.FPDF_COLORSPACE_DEVICEGRAY,
    pdfium.FPDF_COLORSPACE_DEVICERGB,
    pdfium.FPDF_COLORSPACE_CALGRAY,
    pdfium.FPDF_COLORSPACE_CALRGB,
    pdfium.FPDF_COLORSPACE_ICCBASED,
)
_INVISIBLE = (pdfium.FPDF_TEXTRENDERMODE_INVISIBLE, pdfium.FPDF_TEXTRENDERMODE_CLIP)

Decoded = tuple["npt.NDArray[np.uint8]", int]  # pixels, and at which part of its size


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a page is made of.

    cover: share of the page that is picture. dpi: the finest that still fills `COVER`, 0 if none. text: any is seen
    but a little at the edges. empty: nothing at all is on it. unit: points of a user unit. pixels: of all its pictures.
    """

    cover: float
    dpi: int
    text: bool
    empty: bool
    unit: float
    pixels: int


@dataclass(frozen=True, slots=True)
class _Picture:
    box: Box
    dpi: float
    fine: float  # dpi of it or of its mask
    pixels: int


class Raster:
    """The pages of an open PDF, counted from 0. To be used with `with`."""

    def __init__(self, data: bytes) -> None:
        try:
            self._document = pypdfium2.PdfDocument(data)
        except pypdfium2.PdfiumError:
            raise Unfit("file-unreadable", why="damaged") from None
        self._last: tuple[int, Decoded | None] = -1, None
        self._masks: tuple[Mapping[Size, Size], ...] = ()

    def __enter__(self) -> Raster:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._document.close()

    def __len__(self) -> int:
        return len(self._document)

    def sheet(self, index: int, whole: Structure) -> Sheet:
        """What page `index` is made of."""
        page = self._page(index)
        self._masks = whole.masks
        try:
            return _sheet(page, whole.units[index], whole.masks[index])
        finally:
            page.close()

    def blank(self, index: int, sheet: Sheet) -> bool:
        """Whether page `index` shows nothing but paper (or one even tone). Raises Unfit as `picture`."""
        page = self._page(index)
        try:
            quick = _jpeg_ink(self._decoded(page, index, sheet))
            blank = (_ink(page) if quick is None or quick < SURELY else quick) < INK
            if blank:
                _see_through(page)
            return blank
        finally:
            page.close()

    def picture(self, index: int, sheet: Sheet) -> tuple[npt.NDArray[np.uint8], float]:
        """Page `index` as pixels, grey or in colour, and about how many there are to an inch.

        Raises Unfit for a page that is empty because its picture is damaged.
        """
        from exchanged.reading import picture

        page = self._page(index)
        try:
            decoded = self._decoded(page, index, sheet)
            if decoded is None:
                pixels, dpi = picture.rendered(page, sheet.dpi, sheet.unit)
            else:
                pixels, dpi = decoded[0], sheet.dpi / decoded[1]
            if pixels.min() == pixels.max():
                _see_through(page)
            return pixels, dpi
        finally:
            page.close()

    def _decoded(self, page: Any, index: int, sheet: Sheet) -> Decoded | None:
        """The one JPEG that a page is; None where it is anything else. The last one is kept: it is asked for twice."""
        from exchanged.reading import picture

        if self._last[0] != index:
            jpeg = only_jpeg(page, sheet.unit, self._masks[index])
            self._last = -1, None
            found = None if jpeg is None else picture.decoded(jpeg, sheet.dpi)
            self._last = index, None if found is None or picture.dark(found[0]) else found
        return self._last[1]

    def _page(self, index: int) -> Any:
        try:
            page = self._document[index]
        except pypdfium2.PdfiumError:
            raise Unfit("file-unreadable", why="damaged") from None
        if not (page.get_width() > 0 and page.get_height() > 0):
            page.close()
            raise Unfit("file-unreadable", why="damaged")
        return page


def _sheet(page: Any, unit: float, masks: Mapping[Size, Size]) -> Sheet:
    if 0 < min(page.get_size()) * unit < LEAST <= min(page.get_size()):
        unit = 1.0  # of a page too small to be one
    frame = _visible(page, unit)
    pictures: list[_Picture] = []
    texts: list[tuple[Any, Box]] = []
    costly: Counter[tuple[int, int]] = Counter()
    strokes = 0
    for kind, item, matrix in _objects(page.raw, IDENTITY, DEPTH):
        if kind == pdfium.FPDF_PAGEOBJ_TEXT and pdfium.FPDFTextObj_GetTextRenderMode(item) not in _INVISIBLE:
            box = clip(_text_box(item, matrix), frame)
            if area(box) > 0:
                texts.append((item, box))
        elif kind == pdfium.FPDF_PAGEOBJ_IMAGE:
            picture = _picture(item, matrix, frame, unit, masks)
            pictures.append(picture)
            if _costly(item):
                costly[picture.pixels, pdfium.FPDFImageObj_GetImageDataRaw(item, None, 0)] += 1
            if area(picture.box) >= COVER * area(frame):  # what lies below a full picture is not seen
                texts = [each for each in texts if not within(each[1], picture.box)]
        elif kind == pdfium.FPDF_PAGEOBJ_PATH:
            strokes += SLOW if pdfium.FPDFPageObj_HasTransparency(item) else 1
        elif kind == pdfium.FPDF_PAGEOBJ_SHADING:
            strokes += STROKES + 1
    if max(costly.values(), default=0) > AGAIN:
        raise too_large("drawings", AGAIN)
    if sum(picture.pixels for picture in pictures) > LAYERS:
        raise too_large("pixels", LAYERS)
    if len(pictures) > PIECES or strokes > STROKES:
        return Sheet(0.0, 0, bool(texts), False, unit, 0)
    cover = union([each.box for each in pictures]) / area(frame)
    inner = _inner(frame)
    inside = [item for item, box in texts if area(clip(box, inner)) > 0]
    said = len(texts) - len(inside) > LINES or _says_something(page, inside)
    empty = pdfium.FPDFPage_CountObjects(page.raw) == 0
    return Sheet(cover, _finest(pictures, area(frame)), said, empty, unit, sum(each.pixels for each in pictures))


def _finest(pictures: list[_Picture], whole: float) -> int:
    """The finest resolution that `COVER` of the page has: a scanner may lay sharp writing over a coarse ground.

    Of one among several the mask's is that of the writing; a page's only picture has its own.
    """
    fine = [(each.fine if len(pictures) > 1 else each.dpi, each.box) for each in pictures]
    for dpi in sorted({one for one, _ in fine}, reverse=True):
        if union([box for one, box in fine if one >= dpi]) >= COVER * whole:
            return round(dpi)
    return 0


def _visible(page: Any, unit: float) -> Box:
    left, bottom, right, top = page.get_mediabox()
    box: Box = (min(left, right), min(bottom, top), max(left, right), max(bottom, top))
    left, bottom, right, top = page.get_cropbox()
    crop = clip((min(left, right), min(bottom, top), max(left, right), max(bottom, top)), box)
    frame = crop if area(crop) > 0 else box
    if not min(frame[2] - frame[0], frame[3] - frame[1]) * max(unit, 1.0) >= LEAST or area(frame) == math.inf:
        raise Unfit("file-unreadable", why="damaged")
    return frame


def _objects(container: Any, matrix: Matrix, depth: int, in_form: bool = False) -> Iterator[tuple[int, Any, Matrix]]:
    """Kind, handle and place of every object in drawing order, forms opened."""
    count, get = (
        (pdfium.FPDFFormObj_CountObjects, pdfium.FPDFFormObj_GetObject)
        if in_form
        else (pdfium.FPDFPage_CountObjects, pdfium.FPDFPage_GetObject)
    )
    for index in range(count(container)):
        item = get(container, index)
        kind = pdfium.FPDFPageObj_GetType(item)
        if kind == pdfium.FPDF_PAGEOBJ_FORM and depth:
            yield from _objects(item, times(_matrix(item), matrix), depth - 1, in_form=True)
        else:
            yield kind, item, matrix


def _picture(item: Any, matrix: Matrix, frame: Box, unit: float, masks: Mapping[Size, Size]) -> _Picture:
    placed = times(_matrix(item), matrix)
    a, b, c, d = placed[:4]
    width, height = ctypes.c_uint(), ctypes.c_uint()
    pdfium.FPDFImageObj_GetImagePixelSize(item, width, height)
    across, up = math.hypot(a, b) * unit / 72, math.hypot(c, d) * unit / 72
    size = width.value, height.value
    dpi, fine = (
        min(wide / across, high / up) if across > 0 and up > 0 else 0.0 for wide, high in (size, masks.get(size, size))
    )
    box = clip(spread(placed, (0.0, 0.0, 1.0, 1.0)), frame)
    return _Picture(box, dpi, max(dpi, fine), width.value * height.value)


def _costly(item: Any) -> bool:
    """Whether a picture is packed as JPEG 2000, by far the slowest."""
    name = ctypes.create_string_buffer(16)
    count = pdfium.FPDFImageObj_GetImageFilterCount(item)
    return (
        count > 0 and pdfium.FPDFImageObj_GetImageFilter(item, count - 1, name, 16) > 0 and name.value == b"JPXDecode"
    )


def _text_box(item: Any, matrix: Matrix) -> Box:
    sides = [ctypes.c_float() for _ in range(4)]
    pdfium.FPDFPageObj_GetBounds(item, *sides)
    left, bottom, right, top = (side.value for side in sides)
    return spread(matrix, (left, bottom, right, top))


def _says_something(page: Any, items: list[Any]) -> bool:
    """Whether any of these text objects holds more than white space."""
    if not items:
        return False
    words = page.get_textpage()
    try:
        return any(_text(item, words.raw).strip("\0 \t\r\n\u3000") for item in items)
    finally:
        words.close()


def _text(item: Any, words: Any) -> str:
    size = pdfium.FPDFTextObj_GetText(item, words, None, 0)
    buffer = (ctypes.c_ushort * (size // 2 + 1))()
    pdfium.FPDFTextObj_GetText(item, words, buffer, size)
    return bytes(buffer).decode("utf-16-le", "replace")


def _matrix(item: Any) -> Matrix:
    held = pdfium.FS_MATRIX()
    pdfium.FPDFPageObj_GetMatrix(item, held)
    return (held.a, held.b, held.c, held.d, held.e, held.f)


def _inner(frame: Box) -> Box:
    """A page without its edges."""
    wide, high = ASIDE * (frame[2] - frame[0]), ASIDE * (frame[3] - frame[1])
    return (frame[0] + wide, frame[1] + high, frame[2] - wide, frame[3] - high)


def _ink(page: Any) -> float:
    """Share of a small picture of the page that differs from its paper."""
    width, height = page.get_size()
    scale = SIDE / max(width, height)
    across, up = (side * MARGIN if side * scale > 40 else 0 for side in (width, height))
    bitmap = page.render(
        scale=scale, crop=(across, up, across, up), grayscale=True, may_draw_forms=False, draw_annots=False
    )
    data = bytes(bitmap.buffer)
    bitmap.close()
    return _inked(data)


def _jpeg_ink(decoded: Decoded | None) -> float | None:
    """The same of a decoded JPEG, at an eighth of its whole size; None where there is none, or too small a one."""
    from exchanged.reading import picture

    if decoded is None:
        return None
    pixels, part = decoded
    if min(pixels.shape[:2]) * part < 64:
        return None
    small = picture.shrunk(pixels, 8 // part)
    high, wide = small.shape
    up, across = int(high * MARGIN), int(wide * MARGIN)
    return _inked(small[up : high - up, across : wide - across].tobytes())


def _see_through(page: Any) -> None:
    """Raises Unfit where a page that shows nothing has a picture that cannot be decoded."""
    for kind, item, _ in _objects(page.raw, IDENTITY, DEPTH):
        if kind == pdfium.FPDF_PAGEOBJ_IMAGE:
            bitmap = pdfium.FPDFImageObj_GetBitmap(item)
            if not bitmap:
                raise Unfit("file-unreadable", why="damaged")
            pdfium.FPDFBitmap_Destroy(bitmap)


def only_jpeg(page: Any, unit: float, masks: Mapping[Size, Size]) -> bytes | None:
    """The JPEG that a page is; None where it is anything else, or more, or is not shown whole and as it is."""
    objects = list(page.get_objects(max_depth=1))
    if len(objects) != 1 or objects[0].type != pdfium.FPDF_PAGEOBJ_IMAGE or objects[0].get_filters() != ["DCTDecode"]:
        return None
    only, frame = objects[0], _visible(page, unit)
    a, b, c, d, *_ = placed = _matrix(only.raw)
    box, near = spread(placed, (0.0, 0.0, 1.0, 1.0)), WHOLE * min(frame[2] - frame[0], frame[3] - frame[1])
    whole = all(abs(ours - seen) <= near for ours, seen in zip(box, frame, strict=True))
    if not whole or a * d - b * c <= 0:  # cut, with paper around it, or mirrored
        return None
    said = only.get_metadata()
    across, up = said.width / math.hypot(a, b), said.height / math.hypot(c, d)
    if (said.width, said.height) in masks or said.colorspace not in _PLAIN or max(across, up) > EVEN * min(across, up):
        return None
    return bytes(only.get_data())


def _inked(data: bytes) -> float:
    """Share of grey values that differ from the paper's, which is their median."""
    sample = sorted(data[:: max(1, len(data) // 5000)])
    paper = sample[len(sample) // 2]
    differing = bytes(abs(tone - paper) > CONTRAST for tone in range(256))
    return data.translate(differing).count(1) / len(data)
