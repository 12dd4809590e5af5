"""Rotation of a batch of small images, nearest neighbour, to the pixel as Pillow does it.

torchvision's RandomRotation turns a PIL image with `Image.rotate`, which walks over the result in 16.16 fixed-point
numbers. The same integers are computed here for all images of a batch at once, so that no sample needs Python, and
a GPU gives the very pixels that a CPU gives.
"""

from __future__ import annotations

import torch
from torch import Tensor

ONE = 1 << 16  # 1.0 in 16.16 fixed point


def rotation_coefficients(angles: Tensor, size: int) -> Tensor:
    """Fixed-point maps from a pixel of the turned image to a pixel of the original.

    angles: (N,) float64, degrees, counter-clockwise, not exactly 90, 180 or 270 (Pillow transposes there).
    Returns (6, N) int32: column = (x * c[0] + y * c[1] + c[2]) >> 16, row = (x * c[3] + y * c[4] + c[5]) >> 16.
    """
    radians = -torch.deg2rad(angles)
    cos, sin = radians.cos().round(decimals=15), radians.sin().round(decimals=15)
    centre = size / 2
    right = -centre * cos - centre * sin + centre
    down = centre * sin - centre * cos + centre
    # Pillow samples at the middle of a pixel, hence the halves.
    values = torch.stack([cos, sin, right + 0.5 * cos + 0.5 * sin, -sin, cos, down - 0.5 * sin + 0.5 * cos])
    return (values * ONE + 0.5).floor().to(torch.int32)


def source_pixels(coefficients: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """For every pixel of N turned images the row and column it comes from, and whether that is inside the original.

    coefficients: (6, N) of `rotation_coefficients`. Returns three tensors (N, size, size): int32, int32, bool.
    """
    c = coefficients[:, :, None, None]
    span = torch.arange(size, dtype=torch.int32, device=coefficients.device)
    x, y = span[None, None, :], span[None, :, None]
    columns = (x * c[0] + y * c[1] + c[2]) >> 16
    rows = (x * c[3] + y * c[4] + c[5]) >> 16
    inside = (columns >= 0) & (columns < size) & (rows >= 0) & (rows < size)
    return rows, columns, inside
