"""Luminance and chroma as super-resolution measures them: MATLAB's rgb2ycbcr (ITU-R BT.601, 16 to 235)."""

from __future__ import annotations

import torch
from torch import Tensor

# Rows Y, Cb, Cr for R, G, B in 0..1, result in 0..255.
_MATRIX = ((65.481, 128.553, 24.966), (-37.797, -74.203, 112.0), (112.0, -93.786, -18.214))
_OFFSET = (16.0, 128.0, 128.0)


def to_ycbcr(rgb: Tensor) -> Tensor:
    """``(N, 3, H, W)`` in 0..1 -> luminance and chroma ``(N, 3, H, W)``; grey is 0.5 in both chroma channels."""
    matrix = rgb.new_tensor(_MATRIX) / 255
    offset = rgb.new_tensor(_OFFSET).view(-1, 1, 1) / 255
    return torch.einsum("ij,njhw->nihw", matrix, rgb) + offset


def to_rgb(ycbcr: Tensor) -> Tensor:
    """The inverse of `to_ycbcr`; not clipped."""
    matrix = torch.linalg.inv(torch.tensor(_MATRIX, dtype=torch.float64) / 255).to(ycbcr)
    offset = ycbcr.new_tensor(_OFFSET).view(-1, 1, 1) / 255
    return torch.einsum("ij,njhw->nihw", matrix, ycbcr - offset)


def luminance_of_bytes(pixels: Tensor) -> Tensor:
    """The luminance of 8-bit images, rounded to 8 bits as MATLAB does: uint8 ``(N, 1 or 3, H, W) -> (N, 1, H, W)``.

    Grey images are taken as they are, in their full range.
    """
    if pixels.shape[1] == 1:
        return pixels
    return (to_ycbcr(pixels.double() / 255)[:, :1] * 255).round().to(torch.uint8)
