"""Bicubic enlargement and reduction as MATLAB's imresize does them, and what super-resolution makes of an image.

Cubic convolution with a = -1/2 (Keys, 1981), widened by the factor where an image is reduced (antialiasing), pixels
taken as areas, the image continued beyond its border by its mirror image. PyTorch's antialiased interpolation has this
kernel and these positions but cuts the kernel off at the border, so the image is mirrored before.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

REACH = 2  # of the cubic kernel to either side, in pixels of the smaller of the two images


def bicubic(images: Tensor, size: tuple[int, int]) -> Tensor:
    """``(N, C, H, W) -> (N, C, *size)`` in the precision of the images (float32 or float64); not clipped.

    Raises ValueError unless each side becomes a whole multiple or a whole fraction of itself.
    """
    margins = []
    for dim, new in zip((2, 3), size, strict=True):
        old = images.shape[dim]
        if new < 1 or max(old, new) % min(old, new):
            raise ValueError(f"{old} pixels cannot become {new}: neither is a whole multiple of the other")
        inner = REACH * max(1, old // new)  # in the old image's pixels; outer: in the new one's
        images = images.index_select(dim, _mirrored(old, inner, images.device))
        margins.append(inner * new // old)
    top, left = margins
    whole = F.interpolate(images, size=(size[0] + 2 * top, size[1] + 2 * left), mode="bicubic", antialias=True)
    return whole[..., top : top + size[0], left : left + size[1]].contiguous()


def cropped(images: Tensor, scale: int) -> Tensor:
    """The images without the last rows and columns that ``scale`` does not divide ("modcrop")."""
    height, width = (side - side % scale for side in images.shape[-2:])
    return images[..., :height, :width]


def degraded(images: Tensor, scale: int) -> Tensor:
    """The images reduced by ``scale`` and enlarged again: a network's input, and the bicubic baseline.

    Takes sides that ``scale`` divides. Nothing is rounded or clipped on the way.
    """
    height, width = images.shape[-2:]
    return bicubic(bicubic(images, (height // scale, width // scale)), (height, width))


def _mirrored(length: int, margin: int, device: torch.device) -> Tensor:
    """Indices of a line that goes on ``margin`` pixels to either side: 1 0 | 0 1 2 ... 9 | 9 8."""
    index = torch.arange(-margin, length + margin, device=device) % (2 * length)
    return torch.where(index < length, index, 2 * length - 1 - index)
