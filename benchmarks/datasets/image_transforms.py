"""How photographs become network input: the augmentations that the papers name, and the test's crop.

Decoding, resizing and colour are torchvision's and Pillow's; pixels stay uint8 until they are on the device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2

from benchmarks.errors import UserError, did_you_mean

MEAN = (123.675, 116.28, 103.53)  # of ImageNet's training images, RGB, pixels in 0..255
STD = (58.395, 57.12, 57.375)
CENTRE = 0.875  # share of the resized image's side that the test's crop keeps: 224 of 256, 256 of 292

Transform = Callable[[Any], Tensor]


def to_bytes(image: Any) -> Tensor:
    """A PIL image as (H, W, 3) uint8."""
    return torch.from_numpy(np.array(image, dtype=np.uint8))


class ColourNoise:
    """Krizhevsky et al. 2012, section 4.1: shifts all pixels along the principal axes of ImageNet's colours.

    The axes are weighted by three draws of N(0, 0.1). Takes and returns (H, W, 3) uint8.
    """

    EIGENVALUES = torch.tensor([0.2175, 0.0188, 0.0045])  # pixels in 0..1
    EIGENVECTORS = torch.tensor([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])

    def __call__(self, pixels: Tensor) -> Tensor:
        shift = self.EIGENVECTORS @ (0.1 * torch.randn(3) * self.EIGENVALUES) * 255
        return (pixels + shift).round().clamp(0, 255).to(torch.uint8)


def _crop_flip(size: int) -> list[Any]:
    # Szegedy et al., "Going deeper with convolutions", section 6: 8 % to 100 % of the area, aspect ratio 3/4 to 4/3
    return [v2.RandomResizedCrop(size, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3)), v2.RandomHorizontalFlip(), to_bytes]


def _inception(size: int) -> list[Any]:
    *geometry, last = _crop_flip(size)
    return [*geometry, v2.ColorJitter(brightness=32 / 255, contrast=0.5, saturation=0.5, hue=0.2), last]


def _scale_jitter(size: int) -> list[Any]:
    shorter_sides = list(range(round(size * 256 / 224), round(size * 480 / 224) + 1))
    return [
        v2.RandomShortestSize(shorter_sides),
        v2.RandomCrop(size),
        v2.RandomHorizontalFlip(),
        to_bytes,
        ColourNoise(),
    ]


AUGMENTATIONS: dict[str, Callable[[int], list[Any]]] = {
    "crop-flip": _crop_flip,
    "inception": _inception,
    "scale-jitter": _scale_jitter,
}


def training(augmentation: str, size: int) -> Transform:
    """From a PIL image to (size, size, 3) uint8, by draws from torch's default generator.

    augmentation:
        crop-flip: random resized crop and flip, as SlimConv (IV-A1) and torchvision's reference train.
        inception: the same with the colours of the Inception code (brightness by 32/255, contrast and saturation by
            1/2, hue by 0.2, in random order), for "data augmentation follows that in [58]" (Versatile, 5.3). The
            brightness is multiplied here and added there.
        scale-jitter: shorter side uniform in 256..480 (for crops of 224), random crop, flip and `ColourNoise`, as He
            et al. 2016, section 3.4, for "data augmentation follows that in [20]" (Versatile, 5.2).

    Raises UserError for another name.
    """
    if augmentation not in AUGMENTATIONS:
        hint = did_you_mean(augmentation, list(AUGMENTATIONS)) or f"; there are {', '.join(AUGMENTATIONS)}"
        raise UserError(f"no augmentation {augmentation!r}{hint}")
    transform: Transform = v2.Compose(AUGMENTATIONS[augmentation](size))
    return transform


def testing(size: int) -> Transform:
    """From a PIL image to its centre, (size, size, 3) uint8: shorter side to size / 0.875, then the middle.

    224 is cut from 256, as everywhere in the field; 256 from 292.
    """
    transform: Transform = v2.Compose([v2.Resize(int(size / CENTRE)), v2.CenterCrop(size), to_bytes])
    return transform
