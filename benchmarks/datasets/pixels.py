"""Crop, flip and rotation of whole batches of small uint8 images, on any device, to the pixel as Pillow does them.

All of it moves bytes by integer addresses, so a GPU gives the very pixels that a CPU gives. torchvision's
RandomRotation turns a PIL image with `Image.rotate`, which walks over the result in 16.16 fixed-point numbers; the
same integers are computed here for all images of a batch at once, and no sample needs Python.

Images are (N, H, W, 3) uint8.
"""

from __future__ import annotations

import torch
from torch import Tensor

PADDING = 4
ONE = 1 << 16  # 1.0 in 16.16 fixed point


def pad(images: Tensor) -> Tensor:
    """4 black pixels on every side."""
    return torch.nn.functional.pad(images, (0, 0, PADDING, PADDING, PADDING, PADDING))


def crop(padded: Tensor, chosen: Tensor, top: Tensor, left: Tensor) -> Tensor:
    """Crops of the original size, one a chosen image.

    padded: contiguous result of `pad`. chosen, top, left: (M,) int64 on its device; top and left in 0..8.
    """
    count, height, width, channels = padded.shape
    image, row, pixel, _ = padded.stride()
    size, places = height - 2 * PADDING, 2 * PADDING + 1
    # Every crop of every image as one view, so that a crop is one index and its rows are copied whole.
    crops = padded.as_strided(
        (count, places, places, size, (width - 2 * PADDING) * channels), (image, row, pixel, row, 1)
    )
    return crops[chosen, top, left].view(len(chosen), size, -1, channels)


def flip(images: Tensor, chosen: Tensor) -> Tensor:
    """Mirror those images left to right for which `chosen`, (N,) bool, is true."""
    return torch.where(chosen[:, None, None, None], images.flip(2), images)


def rotation_coefficients(angles: Tensor, size: int) -> Tensor:
    """Fixed-point maps from a pixel of the turned image to a pixel of the original.

    angles: (N,) float64, degrees, counter-clockwise, none of them 90, 180 or 270 (Pillow transposes there). size: of
    the square images. Compute them on the CPU: another device's cosine may differ in the last bit.
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


def rotate(images: Tensor, coefficients: Tensor) -> Tensor:
    """Turn N square images about their centres, nearest neighbour; what comes from outside is black.

    coefficients: (6, N) int32 of `rotation_coefficients`, on the images' device.
    """
    count, size = images.shape[:2]
    c = coefficients[:, :, None, None]
    span = torch.arange(size, dtype=torch.int32, device=images.device)
    x, y = span[None, None, :], span[None, :, None]
    columns = (x * c[0] + y * c[1] + c[2]) >> 16
    rows = (x * c[3] + y * c[4] + c[5]) >> 16
    inside = (columns >= 0) & (columns < size) & (rows >= 0) & (rows < size)
    places = torch.where(inside, rows * size + columns, 0).view(count, -1, 1).to(torch.int64)
    turned = images.view(count, size * size, -1).gather(1, places.expand(-1, -1, images.shape[3]))
    return turned.view(images.shape) * inside[..., None]
