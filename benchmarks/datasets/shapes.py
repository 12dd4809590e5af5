"""Scenes that are drawn: coloured rectangles, triangles and discs on noise, which pass for cars, birds and cats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

Array = np.ndarray[Any, Any]
NAMES = ("car", "bird", "cat")  # a rectangle, a triangle, a disc: classes of VOC and of COCO
COLOURS = ((200, 60, 60), (60, 180, 60), (70, 90, 210))


@dataclass(frozen=True)
class Shape:
    """kind: index into NAMES. corners: (x, y) of its outline. pixels: (H, W) bool, where it is."""

    kind: int
    corners: Array
    pixels: Array

    @property
    def box(self) -> tuple[int, int, int, int]:
        """First and last column and row: x1, y1, x2, y2."""
        rows, columns = (np.flatnonzero(self.pixels.any(axis=axis)) for axis in (1, 0))
        return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def scene(index: int) -> tuple[Array, list[Shape]]:
    """The picture (H, W, 3) uint8 of this index, 96 to 160 pixels a side, and its shapes, 1 to 3, which lie apart."""
    draw = np.random.default_rng(index)
    height, width = (int(side) for side in draw.integers(96, 161, 2))
    picture = draw.uniform(90, 160) + draw.normal(0, 20, (height, width, 3))
    shapes: list[Shape] = []
    taken = np.zeros((height, width), dtype=bool)
    for attempt in range(12):
        shape = _shape((index + attempt) % len(NAMES), height, width, draw)
        x1, y1, x2, y2 = shape.box
        if taken[max(0, y1 - 2) : y2 + 3, max(0, x1 - 2) : x2 + 3].any():
            continue
        taken[y1 : y2 + 1, x1 : x2 + 1] = True
        shapes.append(shape)
        picture[shape.pixels] = np.array(COLOURS[shape.kind]) + draw.uniform(-40, 40, 3)
        if len(shapes) == 1 + index % 3:
            break
    return np.clip(picture + draw.normal(0, 6, picture.shape), 0, 255).astype(np.uint8), shapes


def _shape(kind: int, height: int, width: int, draw: np.random.Generator) -> Shape:
    half = draw.uniform(14, 30, 2) if NAMES[kind] == "car" else np.full(2, draw.uniform(14, 30))
    centre = draw.uniform(half + 1, np.array([width, height]) - half - 2)
    if NAMES[kind] == "car":
        turns = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    else:
        angles = 2 * np.pi * np.arange(3 if NAMES[kind] == "bird" else 24) / (3 if NAMES[kind] == "bird" else 24)
        turns = np.stack([np.sin(angles), -np.cos(angles)], axis=1)
    corners = (centre + half * turns).round(1)
    canvas = Image.new("1", (width, height))
    ImageDraw.Draw(canvas).polygon([tuple(corner) for corner in corners.tolist()], fill=1)
    return Shape(kind, corners, np.array(canvas))
