from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional

from benchmarks.datasets.rotation import rotation_coefficients, source_pixels


def rotated(images, angles):
    size = images.shape[1]
    rows, columns, inside = source_pixels(rotation_coefficients(angles, size), size)
    taken = images[torch.arange(len(images))[:, None, None], rows.clamp(0, size - 1), columns.clamp(0, size - 1)]
    return taken * inside[..., None]


@pytest.mark.parametrize("size", [32, 33, 8])
def test_every_pixel_is_the_one_pillow_gives(size):
    draw = torch.Generator().manual_seed(size)
    angles = (2 * torch.rand(100, generator=draw, dtype=torch.float64) - 1) * 15
    angles[:5] = torch.tensor([0.0, 15.0, -15.0, 1e-9, 45.0])
    images = torch.randint(1, 256, (100, size, size, 3), generator=draw, dtype=torch.uint8)
    ours = rotated(images, angles)
    for image, angle, result in zip(images, angles.tolist(), ours, strict=True):
        reference = np.asarray(functional.rotate(Image.fromarray(image.numpy()), angle))
        assert np.array_equal(result.numpy(), reference), angle
    assert (ours[1] == 0).any(), "corners that come from outside are black"
