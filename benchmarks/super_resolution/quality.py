"""PSNR and SSIM of luminance, with the border left out, in float64."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def psnr(images: Tensor, truth: Tensor, border: int = 0) -> float:
    """Peak signal-to-noise ratio in dB of images in 0..1, all pixels but ``border`` rows and columns at each side.

    images, truth: of one shape, ``(..., H, W)``. Nothing is rounded or clipped; equal images give infinity.
    Raises ValueError if nothing is left inside the border.
    """
    images, truth = _inside(images, border), _inside(truth, border)
    return float(-10 * torch.log10((images - truth).square().mean()))


def ssim(images: Tensor, truth: Tensor, border: int = 0) -> float:
    """Structural similarity (Wang et al., 2004) of images in 0..1, ``(..., H, W)``, border left out as in `psnr`.

    Their window: 11x11, Gaussian of standard deviation 1.5, only where it lies inside the image; their constants
    0.01 and 0.03. Raises ValueError for images that are smaller than the window.
    """
    a, b = (_inside(each, border).reshape(-1, 1, *_inside(each, border).shape[-2:]) for each in (images, truth))
    if min(a.shape[-2:]) < 11:
        raise ValueError(f"SSIM needs 11x11 pixels inside the border; there are {a.shape[-2]}x{a.shape[-1]}")
    line = torch.exp(-(torch.arange(-5, 6, dtype=torch.float64, device=a.device) ** 2) / (2 * 1.5**2))
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


def _inside(images: Tensor, border: int) -> Tensor:
    height, width = images.shape[-2:]
    if min(height, width) <= 2 * border:
        raise ValueError(f"nothing is left of {height}x{width} pixels inside a border of {border}")
    return images[..., border : height - border, border : width - border].double()
