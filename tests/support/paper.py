"""What happens to a form on its way: printed, signed, stamped, put on a scanner's glass, saved as a PDF."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pikepdf
import pypdfium2
from PIL import Image

from tests.support import scans

Picture = np.ndarray[Any, np.dtype[np.uint8]]  # height x width x (blue, green, red), or height x width

INK = (60, 30, 30)
RED = (60, 60, 215)
MANAGER, HEAD = (75.0, 212.0), (55.0, 248.0)  # millimetres from the upper left corner: where people sign


def printed(form: bytes, dpi: int) -> list[Picture]:
    """The pages of a form on paper."""
    with pypdfium2.PdfDocument(form) as pdf:
        return [page.render(scale=dpi / 72).to_numpy()[:, :, :3].copy() for page in pdf]


def signed(
    page: Picture, dpi: int, at: tuple[float, float], seed: int = 0, ink: Sequence[int] = INK, size: Any = (25.0, 9.0)
) -> Picture:
    """The page with a few strokes of a pen from a place on, in millimetres."""
    rand, scale = random.Random(seed), dpi / 25.4
    for _ in range(rand.randint(3, 6)):
        points = [
            [int((at[0] + rand.random() * size[0]) * scale), int((at[1] + rand.random() * size[1]) * scale)]
            for _ in range(5)
        ]
        width = max(1, int(rand.uniform(0.3, 0.7) * scale))
        cv2.polylines(page, [np.array(points)], False, tuple(ink), width, cv2.LINE_AA)
    return page


def stamped(
    page: Picture,
    dpi: int,
    at: tuple[float, float] = (135.0, 258.0),
    *,
    radius: float = 20.5,
    strength: float = 0.75,
    colour: Sequence[int] = RED,
    seed: int = 0,
) -> Picture:
    """The page with a round seal with a star and bars for characters, printed unevenly as rubber does."""
    rand, scale = np.random.default_rng(seed), dpi / 25.4
    height, width = page.shape[:2]
    mask = np.zeros((height, width), np.float32)
    x, y = int(at[0] * scale), int(at[1] * scale)
    cv2.circle(mask, (x, y), int(radius * scale), 1.0, int(1.2 * scale))
    angles = -np.pi / 2 + np.arange(10) * np.pi / 5
    reach = np.where(np.arange(10) % 2 == 0, 7.0, 2.8) * scale
    cv2.fillPoly(mask, [np.stack([x + reach * np.cos(angles), y + reach * np.sin(angles)], 1).astype(np.int32)], 1.0)
    for angle in np.linspace(-1.2 * np.pi, 0.2 * np.pi, 14):
        left, top = (int(x + 14.5 * scale * np.cos(angle)), int(y + 14.5 * scale * np.sin(angle)))
        half = int(1.5 * scale)
        cv2.rectangle(mask, (left - half, top - half), (left + half, top + half), 1.0, max(1, int(0.45 * scale)))
    cloud = cv2.resize(rand.random((height // 8 + 1, width // 8 + 1)).astype(np.float32), (width, height))
    mask *= np.clip(strength + (cloud - 0.5) * 0.5, 0, 1)
    out = page.astype(np.float32)
    for channel, tone in enumerate(colour):
        layer = out[:, :, channel]
        out[:, :, channel] = layer * (1 - mask) + np.minimum(layer, tone) * mask
    return out.astype(np.uint8)


@dataclass(frozen=True)
class Scanner:
    """How a page is scanned: degrees it lies askew, quarter turns, colour, and what the machine adds."""

    skew: float = 0.0
    turns: int = 0
    mode: str = "rgb"
    noise: float = 5.0
    blur: float = 0.6
    quality: int = 60
    shade: float = 0.0
    tone: int = 245
    seed: int = 0

    def scan(self, page: Picture, dpi: int) -> Picture:
        """The picture that comes out."""
        rand = np.random.default_rng(self.seed)
        height, width = page.shape[:2]
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), self.skew, 1.0)
        turn[:, 2] += rand.uniform(-2, 2, 2) * dpi / 25.4
        turned = cv2.warpAffine(page, turn, (width, height), flags=cv2.INTER_AREA, borderValue=(255, 255, 255))
        light = (turned if self.mode == "rgb" else cv2.cvtColor(turned, cv2.COLOR_BGR2GRAY)).astype(np.float32)
        fall = (self.tone / 255 * (1 - self.shade * np.linspace(0, 1, width))).astype(np.float32)
        light *= fall[None, :, None] if self.mode == "rgb" else fall[None, :]
        light = cv2.GaussianBlur(light, (0, 0), self.blur * dpi / 200)
        light += rand.standard_normal(light.shape, np.float32) * np.float32(self.noise)
        picture: Picture = np.ascontiguousarray(np.rot90(np.clip(light, 0, 255).astype(np.uint8), self.turns))
        if self.mode == "bw":
            return ((picture > 150) * 255).astype(np.uint8)
        packed = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, self.quality])[1]
        return cv2.imdecode(packed, cv2.IMREAD_UNCHANGED)  # type: ignore[return-value]


def saved(pictures: Sequence[Picture], dpi: int) -> bytes:
    """The scanned pages as the PDF that a scanner makes."""
    pdf = pikepdf.Pdf.new()
    for picture in pictures:
        grey = picture.ndim == 2
        image = Image.fromarray(picture if grey else np.ascontiguousarray(picture[:, :, ::-1]))
        fax = grey and set(np.unique(picture)) <= {0, 255}
        size = (image.width / dpi * 72, image.height / dpi * 72)
        scans.add_page(pdf, image.convert("1") if fax else image, fax=fax, size=size)
    return scans.save(pdf)


def confirmed(
    form: bytes, dpi: int = 200, scanner: Scanner | None = None, *, sign: str = "both", seal: bool = True
) -> bytes:
    """A form printed, signed (`both`, `manager`, `head`, `none`), stamped and scanned."""
    pages = printed(form, dpi)
    if sign in ("both", "manager"):
        pages[-1] = signed(pages[-1], dpi, MANAGER, 1)
    if sign in ("both", "head"):
        pages[-1] = signed(pages[-1], dpi, HEAD, 2)
    if seal:
        pages[-1] = stamped(pages[-1], dpi)
    scanner = scanner or Scanner(skew=1.0)
    return saved([scanner.scan(page, dpi) for page in pages], dpi)
