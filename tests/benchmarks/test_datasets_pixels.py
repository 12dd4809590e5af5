from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional

from benchmarks.datasets.pixels import crop, flip, pad, rotate, rotation_coefficients


@pytest.mark.parametrize("size", [32, 33, 8])
def test_every_turned_pixel_is_the_one_pillow_gives(size):
    draw = torch.Generator().manual_seed(size)
    angles = (2 * torch.rand(100, generator=draw, dtype=torch.float64) - 1) * 15
    angles[:5] = torch.tensor([0.0, 15.0, -15.0, 1e-9, 45.0])
    images = torch.randint(1, 256, (100, size, size, 3), generator=draw, dtype=torch.uint8)
    ours = rotate(images, rotation_coefficients(angles, size))
    for image, angle, result in zip(images, angles.tolist(), ours, strict=True):
        reference = np.asarray(functional.rotate(Image.fromarray(image.numpy()), angle))
        assert np.array_equal(result.numpy(), reference), angle
    assert (ours[1] == 0).any(), "corners that come from outside are black"


def test_crops_and_flips_are_slices_of_the_padded_image():
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(1, 256, (5, 6, 6, 3), generator=draw, dtype=torch.uint8)
    chosen, top, left = torch.tensor([4, 0, 4]), torch.tensor([0, 8, 3]), torch.tensor([8, 0, 5])
    mirrored = torch.tensor([True, False, True])
    result = flip(crop(pad(images), chosen, top, left), mirrored)
    for k in range(3):
        padded = np.pad(images[chosen[k]].numpy(), ((4, 4), (4, 4), (0, 0)))
        expected = padded[top[k] : top[k] + 6, left[k] : left[k] + 6]
        assert np.array_equal(result[k].numpy(), expected[:, ::-1] if mirrored[k] else expected)
