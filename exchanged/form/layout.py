"""Where everything stands on the form, in millimetres from the page's upper left corner. A4, upright.

Writer and reader share it: what is signed and stamped lies at the same place on every last page.
"""

from __future__ import annotations

from dataclasses import dataclass

WIDTH, HEIGHT = 210.0, 297.0
LEFT, RIGHT = 20.0, 190.0  # of the table
TOP = 62.0  # of the table
BOTTOM = 272.0  # of the table on a page that is not the last
OPINIONS = 204.0  # the two boxes at the foot of the last page begin here
MIDDLE = 234.0  # between the two boxes
END = 276.0  # of the last page's table
SIDE = 34.0  # right end of the column that names the sections

MODULE = 0.75  # of the code: 4.4 pixels at 150 dpi, as many as a blurred scan needs
QUIET = 4  # modules of white around the code
CODE_RIGHT, CODE_TOP = 191.0, 14.0
MARK = 3.0  # side of the black squares near the corners
MARKS = ((10.0, 10.0), (200.0, 10.0), (10.0, 287.0), (200.0, 287.0))  # their centres


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def centre(self) -> tuple[float, float]:
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2


def code_box(modules: int) -> Box:
    """Where a code of so many modules a side stands, without the white around it."""
    side = modules * MODULE
    return Box(CODE_RIGHT - side, CODE_TOP, CODE_RIGHT, CODE_TOP + side)


MANAGER = Box(SIDE, OPINIONS, RIGHT, MIDDLE)  # 信息管理员意见
HEAD = Box(SIDE, MIDDLE, RIGHT, END)  # 单位意见

LABEL_HEIGHT = 4.5  # of the printed words in the boxes


@dataclass(frozen=True, slots=True)
class Label:
    """Printed words in a box: where they begin, their baseline."""

    text: str
    x: float
    baseline: float

    @property
    def box(self) -> Box:
        """What the words cover, with some room."""
        return Box(self.x - 1.5, self.baseline - LABEL_HEIGHT, self.x + width(self.text) + 1.5, self.baseline + 2.0)


POINT = 0.3528  # mm
BODY = 10.5  # points: 五号


def width(text: str, size: float = BODY) -> float:
    """Width of a text of full-width and half-width characters."""
    return sum(1.0 if ord(char) > 0x2E7F else 0.5 for char in text) * size * POINT


LABELS = {
    "manager": (
        Label("签字：", 100.0, MIDDLE - 5.0),
        Label("年", 158.0, MIDDLE - 5.0),
        Label("月", 170.0, MIDDLE - 5.0),
        Label("日", 182.0, MIDDLE - 5.0),
    ),
    "head": (
        Label("中心领导签字：", 44.0, END - 5.0),
        Label("单位盖章：", 112.0, END - 5.0),
        Label("年", 158.0, END - 5.0),
        Label("月", 170.0, END - 5.0),
        Label("日", 182.0, END - 5.0),
    ),
}
BOXES = {"manager": MANAGER, "head": HEAD}
