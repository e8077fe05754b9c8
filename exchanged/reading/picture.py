"""A page as pixels, as coarse as reading a form allows: a JPEG decoded at a part of its size, else drawn.

Takes   a page's only JPEG, or the page
Gives   grey values, or blue, green and red where there is colour, and how fine they are
Redo    only reads
Ends    None for a JPEG that must be drawn; Unfit for a page that is too large to draw
"""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from exchanged.reading.unfit import PIXELS, too_large

Pixels = npt.NDArray[np.uint8]

DPI = 200  # wanted; a form's code has a square of 5.9 pixels then
COARSEST = 140  # that a picture is decoded at a part of its size for
COLOUR = 12  # of 255, between the channels: more than a grey picture has that was stored in colour
COLOURED = 0.0005  # share of the pixels that must have so much
MOST = 30_000_000  # pixels of a page that is drawn


def decoded(jpeg: bytes, dpi: int) -> tuple[Pixels, int] | None:
    """A JPEG of so many pixels an inch, and at which part of its size; None where it is not grey or in plain colour."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as header:
            mode, size = header.mode, header.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    if mode not in ("L", "RGB") or size[0] * size[1] > PIXELS:
        return None
    part = next((part for part in (8, 4, 2) if dpi / part >= COARSEST), 1)
    found = cv2.imdecode(np.frombuffer(jpeg, np.uint8), _FLAGS[mode, part] | cv2.IMREAD_IGNORE_ORIENTATION)
    if found is None:
        return None
    return _plain(np.asarray(found, np.uint8)), part


_FLAGS = {
    ("L", 1): cv2.IMREAD_GRAYSCALE,
    ("L", 2): cv2.IMREAD_REDUCED_GRAYSCALE_2,
    ("L", 4): cv2.IMREAD_REDUCED_GRAYSCALE_4,
    ("L", 8): cv2.IMREAD_REDUCED_GRAYSCALE_8,
    ("RGB", 1): cv2.IMREAD_COLOR,
    ("RGB", 2): cv2.IMREAD_REDUCED_COLOR_2,
    ("RGB", 4): cv2.IMREAD_REDUCED_COLOR_4,
    ("RGB", 8): cv2.IMREAD_REDUCED_COLOR_8,
}


def rendered(page: Any, dpi: int, unit: float) -> tuple[Pixels, float]:
    """A page as it is drawn, at `DPI` or what it has, if that is less. `unit`: points of its user unit."""
    wanted = min(DPI, max(dpi, COARSEST))
    width, height = page.get_size()
    if width * height * (wanted / 72 * unit) ** 2 > MOST:
        wanted = min(wanted, dpi)
    scale = wanted / 72 * unit
    if width * height * scale**2 > MOST:
        raise too_large("pixels", MOST)
    bitmap = page.render(scale=scale, may_draw_forms=False, draw_annots=False)
    try:
        return _plain(np.array(bitmap.to_numpy()[:, :, :3], np.uint8)), float(wanted)
    finally:
        bitmap.close()


def dark(picture: Pixels) -> bool:
    """Whether most of it is dark, as a scan is whose tones the page turns round."""
    return bool(np.median(picture[::16, ::16]) < 128)


def shrunk(picture: Pixels, by: int) -> Pixels:
    """The picture in grey, each pixel the mean of `by` by `by`, a power of two; what is over at edges is cut off."""
    while by > 1:  # halving three times takes a fifth of the time of shrinking once by eight
        high, wide = picture.shape[0] // 2, picture.shape[1] // 2
        halved = cv2.resize(picture[: 2 * high, : 2 * wide], (wide, high), interpolation=cv2.INTER_AREA)
        picture, by = np.asarray(halved, np.uint8), by // 2
    return picture if picture.ndim == 2 else np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8)


def _plain(picture: Pixels) -> Pixels:
    """The picture in grey where it has no colour to speak of."""
    if picture.ndim == 2:
        return picture
    sample = picture[::4, ::4].astype(np.int16)
    spread = sample.max(axis=2) - sample.min(axis=2)
    toned = spread - np.median(spread) > COLOUR
    return picture if toned.mean() > COLOURED else np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8)
