"""Labels beside markers that do not overlap: a small, deterministic placement.

Each label tries positions on rings around its marker and takes the first that is free of markers and of the labels
placed before; where none is free it takes the one with the least overlap. Labels in crowded places go first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_ANGLES = (0, 180, 90, 270, 45, 315, 135, 225, 20, 340, 160, 200, 65, 295, 115, 245)
_GAPS = (2.0, 8.0, 15.0, 23.0, 32.0, 44.0, 58.0, 75.0)


@dataclass(frozen=True)
class Box:
    """A rectangle in points: left, bottom, right, top."""

    left: float
    bottom: float
    right: float
    top: float

    def overlap(self, other: Box) -> float:
        """Return the shared area."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.top, other.top) - max(self.bottom, other.bottom)
        return width * height if width > 0 and height > 0 else 0.0

    def outside(self, frame: Box) -> float:
        """Return the area that lies outside ``frame``."""
        return (self.right - self.left) * (self.top - self.bottom) - self.overlap(frame)

    @property
    def centre(self) -> tuple[float, float]:
        """The middle of the rectangle."""
        return (self.left + self.right) / 2, (self.bottom + self.top) / 2


@dataclass(frozen=True)
class Mark:
    """A marker at (x, y) with a radius, and the width and height of its label; all in points."""

    x: float
    y: float
    radius: float
    width: float
    height: float

    @property
    def box(self) -> Box:
        """The square around the marker."""
        return Box(self.x - self.radius, self.y - self.radius, self.x + self.radius, self.y + self.radius)


@dataclass(frozen=True)
class Place:
    """Where a label goes, how far its edge is from its marker's edge, and whether it covers nothing there."""

    box: Box
    gap: float
    free: bool = True


def place(marks: Sequence[Mark], frame: Box, obstacles: Sequence[Box] = ()) -> list[Place]:
    """Return a place for the label of each mark, in the order of ``marks``."""
    order = sorted(range(len(marks)), key=lambda i: (-_crowd(marks, i), i))
    taken: list[Box] = []
    found: dict[int, Place] = {}
    for index in order:
        blocked = [*(mark.box for mark in marks), *obstacles, *taken]
        found[index] = _best(marks[index], frame, blocked)
        taken.append(found[index].box)
    return [found[index] for index in range(len(marks))]


def _best(mark: Mark, frame: Box, blocked: Sequence[Box]) -> Place:
    best, least = None, math.inf
    for gap in _GAPS:
        for angle in _ANGLES:
            box = _at(mark, gap, math.radians(angle))
            cost = 10 * box.outside(frame) + sum(box.overlap(other) for other in blocked)
            if cost == 0:
                return Place(box, gap)
            if cost < least:
                best, least = Place(box, gap, free=False), cost
    assert best is not None
    return best


def _at(mark: Mark, gap: float, angle: float) -> Box:
    """The label's box when it touches, at ``angle``, a circle ``gap`` wider than the marker."""
    reach = mark.radius + gap
    x, y = mark.x + reach * math.cos(angle), mark.y + reach * math.sin(angle)
    left = x - mark.width * (1 - math.cos(angle)) / 2
    bottom = y - mark.height * (1 - math.sin(angle)) / 2
    return Box(left, bottom, left + mark.width, bottom + mark.height)


def _crowd(marks: Sequence[Mark], index: int) -> int:
    here = marks[index]
    return sum(abs(here.x - m.x) < 60 and abs(here.y - m.y) < 25 for m in marks) - 1
