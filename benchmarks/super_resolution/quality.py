"""PSNR and SSIM of luminance, with the border left out, in float64."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

WINDOW = 11  # of SSIM, in pixels


def psnr(images: Tensor, truth: Tensor, border: int = 0) -> float:
    """Peak signal-to-noise ratio in dB of images in 0..1, all pixels but ``border`` rows and columns at each side.

    images, truth: ``(..., H, W)``. Nothing is rounded or clipped; equal images give infinity.
    Raises ValueError if they differ in shape or nothing is left inside the border.
    """
    images, truth = _inside(images, truth, border)
    return float(-10 * torch.log10((images - truth).square().mean()))


def ssim(images: Tensor, truth: Tensor, border: int = 0) -> float:
    """Structural similarity (Wang et al., 2004) of images in 0..1, ``(..., H, W)``, border left out as in `psnr`.

    Their window: 11x11, Gaussian of standard deviation 1.5, only where it lies inside the image; their constants
    0.01 and 0.03. Raises ValueError as `psnr` does, and for images that are smaller than the window.
    """
    a, b = (each.reshape(-1, 1, *each.shape[-2:]) for each in _inside(images, truth, border))
    if min(a.shape[-2:]) < WINDOW:
        height, width = a.shape[-2:]
        raise ValueError(f"SSIM needs {WINDOW}x{WINDOW} pixels inside the border; there are {height}x{width}")
    place = torch.arange(WINDOW, dtype=torch.float64, device=a.device) - WINDOW // 2
    line = torch.exp(-(place**2) / (2 * 1.5**2))
    window = torch.outer(line, line)[None, None] / line.sum() ** 2
    mean_a, mean_b, aa, bb, ab = F.conv2d(torch.stack([a, b, a * a, b * b, a * b]).flatten(0, 1), window).view(
        5, len(a), -1
    )
    c1, c2 = 0.01**2, 0.03**2
    both = mean_a * mean_b
    squares = mean_a**2 + mean_b**2
    top = (2 * both + c1) * (2 * (ab - both) + c2)
    bottom = (squares + c1) * (aa + bb - squares + c2)
    return float((top / bottom).mean())


def _inside(images: Tensor, truth: Tensor, border: int) -> tuple[Tensor, Tensor]:
    if images.shape != truth.shape:
        raise ValueError(f"images {tuple(images.shape)} and truth {tuple(truth.shape)} differ in shape")
    height, width = images.shape[-2:]
    if min(height, width) <= 2 * border:
        raise ValueError(f"nothing is left of {height}x{width} pixels inside a border of {border}")
    inside = (..., slice(border, height - border), slice(border, width - border))
    return images[inside].double(), truth[inside].double()
