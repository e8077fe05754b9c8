"""The squares of a QR code: to draw them, and to read them where they lie on a page that is known.

A code that is stamped or written over loses what a reader finds it by. Here its place is known, so its squares are
looked at one by one, and what every code has at the same place is put in anew; the rest is for error correction.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

SIDES = (41, 45, 49, 37, 53, 57)  # squares a side of the versions that our texts need, the usual first
PER_MODULE = 6  # pixels a square when it is looked at
QUIET = 4
THRESHOLDS = (0.5, 0.3, 0.2, 0.65)  # between dark and bright squares: a seal on a grey scan is half dark

Grid = npt.NDArray[np.bool_]


@cache
def _drawn(text: str) -> Grid:
    import zxingcpp

    code = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level="Q")
    picture = np.asarray(zxingcpp.write_barcode_to_image(code, scale=1, add_quiet_zones=False))
    return picture < 128


def matrix(text: str) -> list[list[bool]]:
    """The code's squares, row by row, true where dark, without white around: error correction Q, least version."""
    return [[bool(dark) for dark in row] for row in _drawn(text)]


def side(text: str) -> int:
    """Squares a side of the code for a text."""
    return len(_drawn(text))


def codes(picture: npt.NDArray[np.uint8], *, pure: bool = False) -> list[tuple[str, npt.NDArray[np.float64]]]:
    """Texts of the QR codes in a grey picture, each with its corners, from the code's upper left round.

    pure: the picture is a code and nothing else, straight.
    """
    import zxingcpp

    kind = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
    found = []
    for each in zxingcpp.read_barcodes(picture, formats=kind, is_pure=pure, try_invert=False):  # ours are dark on light
        at = each.position
        corners = [(p.x, p.y) for p in (at.top_left, at.top_right, at.bottom_right, at.bottom_left)]
        found.append((each.text, np.array(corners, np.float64)))
    return found


def decoded(seen: npt.NDArray[np.uint8], modules: int) -> str | None:
    """The text of the code of so many squares a side in a straight picture with the white around it, or None."""
    size = (modules + 2 * QUIET) * PER_MODULE
    whole = seen[:size, :size]
    if whole.shape != (size, size):
        whole = np.pad(whole, [(0, size - side) for side in whole.shape], constant_values=255)
    cells = whole.reshape(modules + 2 * QUIET, PER_MODULE, modules + 2 * QUIET, PER_MODULE)
    means = cells[:, 1:-1, :, 1:-1].mean(axis=(1, 3))[QUIET:-QUIET, QUIET:-QUIET]
    low, high = np.percentile(means, [10, 90])
    for part in THRESHOLDS:
        dark = _with_known(means < low + (high - low) * part)
        picture = np.pad(np.where(dark, 0, 255).astype(np.uint8), QUIET, constant_values=255)
        picture = np.kron(picture, np.ones((4, 4), np.uint8))
        for text, _ in codes(picture, pure=True):
            return text
    return None


def _with_known(dark: Grid) -> Grid:
    """The squares with the finder and timing patterns put in, which are the same in every code of this size."""
    out, size = dark.copy(), len(dark)
    finder = np.zeros((8, 8), np.bool_)
    finder[:7, :7] = True
    finder[1:6, 1:6] = False
    finder[2:5, 2:5] = True
    out[:8, :8] = finder
    out[:8, -8:] = finder[:, ::-1]
    out[-8:, :8] = finder[::-1, :]
    timing = np.arange(8, size - 8) % 2 == 0
    out[6, 8:-8] = timing
    out[8:-8, 6] = timing
    return out
