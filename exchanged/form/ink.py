"""Look into the boxes of a form's last page: is something written in each, and is there a round seal over the unit's?

Takes   a page as a scanner sees it, and where the form lies in it
Gives   for each box whether it is signed; whether there is a seal
Redo    it only computes
Ends    with an answer; it is told as a warning only, since paper and pens have more faces than rules

A box counts as signed when there is enough ink in strokes beside what is printed there and beside the date. In colour
red does not count, for the seal lies over the box; where a scan has none, what lies inside a seal does not. A seal is a
ring of red, or of ink where a scan has no colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from exchanged.form import layout
from exchanged.form.layout import Box
from exchanged.form.read import Affine, Picture, window

PER_MM = 5.0  # pixels a millimetre in which boxes are looked at
INSET = 2.0  # mm of a box's edge that its printed frame may cover
DATE = Box(146.0, -11.0, 1000.0, 1000.0)  # what is written for the date, from the baseline up; no signature
STROKE = 3.5  # mm, least extent of a stroke; dust and speckles are smaller
WRITTEN = 4.0  # square mm of ink of which a signature has more

RED = 7.0  # of the colour axis from green to red, beyond the paper's own
REDDER = 0.4  # how much redder than yellow
BLUER = 0.5  # how much bluer than red at most: blue ink lies towards red too
SEAL = (10.0, 32.0)  # mm, radius
ROUND = 0.55  # share of a ring that must be there
AROUND = 24.0  # mm round the unit's box in which a seal may lie
SECTORS = 90
CANDIDATES = 30  # circles that are looked at

Mask = npt.NDArray[np.bool_]
Disc = tuple[float, float, float]  # centre and radius


@dataclass(frozen=True, slots=True)
class Marks:
    """What was found on a last page: the boxes of `layout.BOXES` in which something is written, and whether a seal."""

    signed: tuple[str, ...]
    sealed: bool


def marks(picture: Picture, place: Affine) -> Marks:
    """Look at the boxes of a last page."""
    seals = _seals(picture, place)
    covering = () if picture.ndim == 3 else seals
    return Marks(tuple(name for name in layout.BOXES if _signed(picture, place, name, covering)), bool(seals))


def _signed(picture: Picture, place: Affine, name: str, seals: Sequence[Disc]) -> bool:
    """Whether something is written in a box, beside what lies below a seal."""
    box = layout.BOXES[name]
    inner = Box(box.left + INSET, box.top + INSET, box.right - INSET, box.bottom - INSET)
    written = _strokes(window(picture, place, inner, PER_MM))
    baseline = layout.LABELS[name][0].baseline
    date = Box(DATE.left, baseline + DATE.top, inner.right, inner.bottom)
    for printed in (*(label.box for label in layout.LABELS[name]), date):
        _blank(written, printed, inner)
    for x, y, radius in seals:
        down, across = np.ogrid[: written.shape[0], : written.shape[1]]
        far = np.hypot(across / PER_MM + inner.left - x, down / PER_MM + inner.top - y)
        written &= far > radius + 1.5
    return _large(written) > WRITTEN * PER_MM**2


def _strokes(seen: Picture) -> Mask:
    """Where ink that is not red differs from the paper round it."""
    grey = seen if seen.ndim == 2 else cv2.cvtColor(seen, cv2.COLOR_BGR2GRAY)
    paper = cv2.medianBlur(grey, 61)
    darker = cv2.subtract(paper, cv2.GaussianBlur(grey, (0, 0), 0.8))
    noise = float(np.median(np.abs(darker.astype(np.float32) - np.median(darker))))
    ink: Mask = darker > max(22.0, 7.0 * noise)
    if seen.ndim == 3:
        ink &= ~_dilated(_red(seen), 2)
    return ink


def _large(ink: Mask) -> int:
    """Pixels of those strokes that are long enough."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(_dilated(ink, 1).astype(np.uint8))
    extent = np.asarray(np.maximum(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT]), np.float64)
    long = extent > STROKE * PER_MM
    long[0] = False
    return int((long[labels] & ink).sum())


def _red(seen: Picture) -> Mask:
    """Where it is redder than the paper, and more red than yellow."""
    lab = cv2.cvtColor(cv2.GaussianBlur(seen, (0, 0), 0.8), cv2.COLOR_BGR2LAB).astype(np.float32)
    red = lab[..., 1] - np.median(lab[..., 1])
    yellow = lab[..., 2] - np.median(lab[..., 2])
    found: Mask = (red > RED) & (red > REDDER * yellow) & (yellow > -BLUER * red)
    return found


def _dilated(mask: Mask, by: int) -> Mask:
    grown = cv2.dilate(mask.astype(np.uint8), np.ones((2 * by + 1, 2 * by + 1), np.uint8))
    return np.asarray(grown, np.bool_)


def _blank(mask: Mask, box: Box, frame: Box) -> None:
    """Take a box of the form out of a mask that shows `frame`."""
    left, top = (round(max(0.0, each) * PER_MM) for each in (box.left - frame.left, box.top - frame.top))
    right, bottom = (round(max(0.0, each) * PER_MM) for each in (box.right - frame.left, box.bottom - frame.top))
    mask[top:bottom, left:right] = False


def _seals(picture: Picture, place: Affine) -> list[Disc]:
    """The round seals that lie over the unit's box."""
    box = layout.HEAD
    frame = Box(
        max(0.0, box.left - AROUND), box.top - AROUND, min(layout.WIDTH, box.right + AROUND),
        min(layout.HEIGHT, box.bottom + AROUND),
    )  # fmt: skip
    seen = window(picture, place, frame, PER_MM)
    mask = _red(seen) if seen.ndim == 3 else _unprinted(_strokes(seen), frame)
    found = [(frame.left + x / PER_MM, frame.top + y / PER_MM, radius / PER_MM) for x, y, radius in rings(mask, PER_MM)]
    return [seal for seal in found if _overlaps(seal, box)]


def stamped(picture: Picture, per_mm: float) -> bool:
    """Whether a page in colour, of which nothing else is known, shows a red round seal anywhere."""
    small = cv2.resize(picture, None, fx=PER_MM / per_mm, fy=PER_MM / per_mm, interpolation=cv2.INTER_AREA)
    return bool(rings(_red(np.asarray(small, np.uint8)), PER_MM))


def _unprinted(ink: Mask, frame: Box) -> Mask:
    """Ink without the form's own lines and words."""
    for name, box in layout.BOXES.items():
        for label in layout.LABELS[name]:
            _blank(ink, label.box, frame)
        for left, top, right, bottom in (
            (layout.LEFT, box.top, layout.RIGHT, box.top),
            (layout.LEFT, box.bottom, layout.RIGHT, box.bottom),
            (layout.LEFT, box.top, layout.LEFT, box.bottom),
            (box.left, box.top, box.left, box.bottom),
            (box.right, box.top, box.right, box.bottom),
        ):
            _blank(ink, Box(left - 0.8, top - 0.8, right + 0.8, bottom + 0.8), frame)
        _blank(ink, Box(layout.LEFT, box.top, box.left, box.bottom), frame)
    return ink


def _overlaps(seal: Disc, box: Box) -> bool:
    x, y, radius = seal
    near = min(max(x, box.left), box.right), min(max(y, box.top), box.bottom)
    return bool(np.hypot(x - near[0], y - near[1]) < radius)


def rings(mask: Mask, per_mm: float) -> list[Disc]:
    """Rings of a seal's size in a mask, each there for most of its round and not filled."""
    shape = cv2.morphologyEx(mask.astype(np.uint8) * 255, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    smooth = cv2.GaussianBlur(shape, (0, 0), 0.35 * per_mm)
    low, high = (round(radius * per_mm) for radius in SEAL)
    found = cv2.HoughCircles(
        smooth, cv2.HOUGH_GRADIENT, dp=2, minDist=4 * per_mm, param1=80, param2=20, minRadius=low, maxRadius=high
    )
    if found is None:
        return []
    candidates = [(float(x), float(y), float(r)) for x, y, r in np.asarray(found).reshape(-1, 3)[:CANDIDATES]]
    return [ring for ring in candidates if _is_ring(mask, ring, per_mm)]


def _is_ring(mask: Mask, ring: Disc, per_mm: float) -> bool:
    """Whether a mask has ink all along a circle, and less within."""
    best = 0.0
    for grown in np.linspace(-1.2, 1.2, 9):
        best = max(best, _share(mask, ring, ring[2] + grown * per_mm, per_mm))
    return best >= ROUND and _filled(mask, ring) < 0.6


def _share(mask: Mask, ring: Disc, radius: float, per_mm: float) -> float:
    """Share of a circle's sectors that have ink within 0.8 mm of it. What lies outside the picture does not count."""
    angles = np.linspace(0, 2 * np.pi, 4 * SECTORS, endpoint=False)
    reach = np.linspace(-0.8, 0.8, 7)[:, None] * per_mm + radius
    xs = np.rint(ring[0] + reach * np.cos(angles)).astype(int)
    ys = np.rint(ring[1] + reach * np.sin(angles)).astype(int)
    inside: Mask = np.asarray((xs >= 0) & (xs < mask.shape[1]) & (ys >= 0) & (ys < mask.shape[0]))
    hit: Mask = np.zeros(xs.shape, np.bool_)
    hit[inside] = mask[ys[inside], xs[inside]]
    there: Mask = np.asarray(inside.reshape(-1, SECTORS, 4).any(axis=(0, 2)))
    inked: Mask = np.asarray(hit.reshape(-1, SECTORS, 4).any(axis=(0, 2)))
    return float(inked[there].mean()) if there.sum() > SECTORS // 2 else 0.0


def _filled(mask: Mask, ring: Disc) -> float:
    """Share of the inner disc that is inked."""
    inner = np.zeros(mask.shape, np.uint8)
    cv2.circle(inner, (round(ring[0]), round(ring[1])), max(1, round(0.85 * ring[2])), 1, -1)
    disc = inner.astype(np.bool_)
    return float(mask[disc].mean()) if disc.any() else 1.0
