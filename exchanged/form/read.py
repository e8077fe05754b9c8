"""Read a form back from a picture of one page: its code, and where the page lies in the picture.

Takes   a page as a scanner sees it, grey or in colour, turned and skewed as it may be
Gives   the code that stands on it, and the way from the form's millimetres to the picture's pixels
Redo    it only computes
Ends    with None where no code of ours can be read
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, permutations, product

import cv2
import numpy as np
import numpy.typing as npt

from exchanged.form import grid, layout
from exchanged.form.code import Code, parse

Picture = npt.NDArray[np.uint8]  # (height, width), or (height, width, 3) as blue, green, red
Points = npt.NDArray[np.float64]  # n x 2
Affine = npt.NDArray[np.float64]  # 2 x 3: from millimetres on the form to pixels

NEAR = 9.0  # mm round where a mark is expected in which it is looked for
SOLID = 0.72  # least likeness of what is found there to a mark
MM = 25.4  # in an inch
SQUARES = 12  # of a page that may be marks
STRETCH = 0.04  # how far a scan's scale may be from what it says
SKEW = 7.0  # degrees
LEAST = 50.0  # mm that a page on which marks are looked for is wide: some say that they are microscopic
COARSE = 2.9  # least pixels a millimetre at which marks are looked for
WAYS = 12  # of lying that are tried


@dataclass(frozen=True, slots=True)
class Found:
    """A page of a form in a picture. `place` leads from the form's millimetres to pixels; `marks`: corners found."""

    code: Code
    place: Affine
    marks: int


def dark(picture: Picture) -> Picture:
    """The picture in which only black is dark: red and blue ink is bright in one of the colours."""
    return picture if picture.ndim == 2 else picture.max(axis=2)


def find(picture: Picture, dpi: float) -> Found | None:
    """The code of ours on a page scanned at about `dpi`, or None."""
    grey = dark(picture)
    for enlarged in (1.0, 0.5):
        if (found := _decoded(grey, enlarged)) is not None:
            return _placed(grey, *found)
    if min(grey.shape) < LEAST * dpi / MM:
        return None
    ways = _by_marks(_squares(grey, dpi / MM), dpi / MM)
    if not ways:  # most scans are of another form: no more time is spent on a page without marks
        return None
    if dpi <= 260 and (found := _decoded(grey, 2.0)) is not None:
        return _placed(grey, *found)
    return _sampled(grey, ways)


def _decoded(grey: Picture, enlarged: float) -> tuple[Code, Points] | None:
    """A code as the library finds it, with its corners."""
    how = cv2.INTER_CUBIC if enlarged > 1 else cv2.INTER_AREA
    seen = grey if enlarged == 1.0 else cv2.resize(grey, None, fx=enlarged, fy=enlarged, interpolation=how)
    for text, corners in grid.codes(np.asarray(seen, np.uint8)):
        code = parse(text)
        if code is not None:
            return code, corners / enlarged
    return None


def _placed(grey: Picture, code: Code, corners: Points) -> Found:
    """Where the page lies: first by the code alone, then by the marks that are found near where they must be."""
    box = layout.code_box(grid.side(code.text))
    known = [(box.left, box.top), (box.right, box.top), (box.right, box.bottom), (box.left, box.bottom)]
    rough = similar(np.array(known), corners)
    pairs = [(mark, at) for mark in layout.MARKS if (at := _mark(grey, rough, mark)) is not None]
    centre = np.array(known).mean(axis=0), corners.mean(axis=0)
    if len(pairs) < 2:
        return Found(code, rough, len(pairs))
    source = np.array([mark for mark, _ in pairs] + [centre[0]])
    target = np.array([at for _, at in pairs] + [centre[1]])
    place = affine(source, target) if len(pairs) > 2 else similar(source, target)
    return Found(code, place, len(pairs))


def similar(source: Points, target: Points) -> Affine:
    """The turn, scale and shift that brings points nearest to others."""
    x, y = source[:, 0], source[:, 1]
    one, zero = np.ones_like(x), np.zeros_like(x)
    rows = np.vstack([np.column_stack([x, -y, one, zero]), np.column_stack([y, x, zero, one])])
    a, b, c, d = np.linalg.lstsq(rows, np.concatenate([target[:, 0], target[:, 1]]), rcond=None)[0]
    return np.array([[a, -b, c], [b, a, d]])


def affine(source: Points, target: Points) -> Affine:
    """The affine way that brings points nearest to others."""
    rows = np.column_stack([source, np.ones(len(source))])
    return np.asarray(np.linalg.lstsq(rows, target, rcond=None)[0].T, np.float64)


def window(picture: Picture, place: Affine, box: layout.Box, per_mm: float) -> Picture:
    """A part of the form as it would be seen straight, `per_mm` pixels a millimetre."""
    size = (round((box.right - box.left) * per_mm), round((box.bottom - box.top) * per_mm))
    back = np.array([[1 / per_mm, 0.0, box.left], [0.0, 1 / per_mm, box.top], [0.0, 0.0, 1.0]])
    shrunk = np.hypot(place[0, 0], place[1, 0]) > 1.6 * per_mm
    source = (
        cv2.GaussianBlur(picture, (0, 0), float(np.hypot(place[0, 0], place[1, 0]) / per_mm / 2.5))
        if shrunk
        else picture
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(source, place @ back, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


_PER_MM = 6.0


def _mark(grey: Picture, rough: Affine, mark: tuple[float, float]) -> Points | None:
    """Where a corner's black square is in the picture, or None where nothing like it is near."""
    x, y = mark
    box = layout.Box(x - NEAR, y - NEAR, x + NEAR, y + NEAR)
    inside = rough @ np.array([x, y, 1.0])
    if not (0 <= inside[0] < grey.shape[1] and 0 <= inside[1] < grey.shape[0]):
        return None
    seen = window(grey, rough, box, _PER_MM)
    likeness = cv2.matchTemplate(seen, _template(), cv2.TM_CCOEFF_NORMED)
    _, best, _, at = cv2.minMaxLoc(likeness)
    if best < SOLID:
        return None
    half = _template().shape[0] / 2
    found = np.array([box.left + (at[0] + half) / _PER_MM, box.top + (at[1] + half) / _PER_MM, 1.0])
    return np.asarray(rough @ found, np.float64)


def _template() -> Picture:
    """A mark with the white around it."""
    side, white = round(layout.MARK * _PER_MM), round(1.5 * _PER_MM)
    out = np.full((side + 2 * white, side + 2 * white), 255, np.uint8)
    out[white:-white, white:-white] = 0
    return out


def _sampled(grey: Picture, ways: Sequence[tuple[Affine, int]]) -> Found | None:
    """A code whose corners are stamped or written over: the page is found by its marks, the code by its place."""
    for place, marks in ways:
        for modules in grid.SIDES:
            box = layout.code_box(modules)
            white = layout.QUIET * layout.MODULE
            around = layout.Box(box.left - white, box.top - white, box.right + white, box.bottom + white)
            text = grid.decoded(window(grey, place, around, grid.PER_MODULE / layout.MODULE), modules)
            code = parse(text) if text else None
            if code is not None:
                return Found(code, place, marks)
    return None


def _by_marks(squares: Points, scale: float) -> list[tuple[Affine, int]]:
    """The ways in which black squares of the picture may be marks of a page, those that most agree with first."""
    marks = np.array(layout.MARKS)
    ways: list[tuple[Affine, int]] = []
    for (one, other), (first, second) in product(combinations(range(4), 2), permutations(range(len(squares)), 2)):
        across = complex(*(squares[second] - squares[first])) / complex(*(marks[other] - marks[one]))
        turned = np.degrees(np.angle(across)) % 90
        if abs(abs(across) / scale - 1) > STRETCH or min(turned, 90 - turned) > SKEW:
            continue
        way = similar(marks[[one, other]], squares[[first, second]])
        expected = marks @ way[:, :2].T + way[:, 2]
        off = np.sqrt(((expected[:, None] - squares[None]) ** 2).sum(axis=2)).min(axis=1)
        ways.append((way, int((off < 2.0 * scale).sum())))
    return sorted(ways, key=lambda each: -each[1])[:WAYS]


def _squares(grey: Picture, scale: float) -> Points:
    """Centres of what looks most like a mark, a few at most. `scale`: pixels a millimetre."""
    shrunk = 1 / max(1, int(scale / COARSE))  # by a whole number, which takes a tenth of the time
    scale *= shrunk
    smooth = cv2.GaussianBlur(cv2.resize(grey, None, fx=shrunk, fy=shrunk, interpolation=cv2.INTER_AREA), (0, 0), 0.5)
    _, black = cv2.threshold(smooth, 0, 255, cv2.THRESH_BINARY_INV | cv2.THRESH_OTSU)
    # of the library's ways the usual one takes three times as long
    _, _, stats, centres = cv2.connectedComponentsWithStatsWithAlgorithm(black, 8, cv2.CV_32S, cv2.CCL_GRANA)
    side = layout.MARK * scale
    wide, high, area = stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT], stats[:, cv2.CC_STAT_AREA]
    alike = (np.minimum(wide, high) > 0.7 * side) & (np.maximum(wide, high) < 1.5 * side) & (area > 0.6 * side * side)
    alike[0] = False
    full = (area / (wide * high))[alike]
    best = np.argsort(-full)[:SQUARES]
    return (np.asarray(centres, np.float64)[alike][best] + 0.5) / shrunk - 0.5
