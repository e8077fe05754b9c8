"""Where things are on a page: boxes, and the ways in which pictures are laid.

Takes   boxes as left, bottom, right, top; ways as the six numbers of a PDF's matrix
Gives   what they come to together
Redo    it only computes
Ends    -
"""

from __future__ import annotations

import itertools
import math

Matrix = tuple[float, float, float, float, float, float]
Box = tuple[float, float, float, float]

IDENTITY: Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)


def times(first: Matrix, then: Matrix) -> Matrix:
    a, b, c, d, e, f = first
    k, m, n, o, p, q = then
    return (a * k + b * n, a * m + b * o, c * k + d * n, c * m + d * o, e * k + f * n + p, e * m + f * o + q)


def spread(matrix: Matrix, box: Box) -> Box:
    """The upright box round a box after `matrix`."""
    a, b, c, d, e, f = matrix
    xs = [a * x + c * y + e for x in (box[0], box[2]) for y in (box[1], box[3])]
    ys = [b * x + d * y + f for x in (box[0], box[2]) for y in (box[1], box[3])]
    return (min(xs), min(ys), max(xs), max(ys))


def clip(box: Box, frame: Box) -> Box:
    return (max(box[0], frame[0]), max(box[1], frame[1]), min(box[2], frame[2]), min(box[3], frame[3]))


def area(box: Box) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def within(inner: Box, outer: Box) -> bool:
    return area(clip(inner, outer)) >= 0.95 * area(inner)


def union(boxes: list[Box]) -> float:
    """Area that the boxes cover together, by vertical slabs."""
    boxes = [box for box in boxes if area(box) > 0]
    edges = sorted({box[0] for box in boxes} | {box[2] for box in boxes})
    total = 0.0
    for left, right in itertools.pairwise(edges):
        reached, height = -math.inf, 0.0
        for bottom, top in sorted((box[1], box[3]) for box in boxes if box[0] <= left and box[2] >= right):
            height += max(0.0, top - max(bottom, reached))
            reached = max(reached, top)
        total += height * (right - left)
    return total
