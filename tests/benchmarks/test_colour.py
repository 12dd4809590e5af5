"""Luminance and chroma against the values that MATLAB documents and the standard (ITU-R BT.601) prints."""

from __future__ import annotations

import pytest
import torch

from benchmarks.super_resolution.colour import luminance_of_bytes, to_rgb, to_ycbcr


def colour(*rgb):
    return torch.tensor(rgb, dtype=torch.float64).view(1, 3, 1, 1)


# 8-bit values: Y = 16 + 219 * (0.299, 0.587, 0.114), the chroma of primaries and their complements at 16 or 240.
@pytest.mark.parametrize(
    ("rgb", "expected"),
    [
        ((1, 1, 1), (235, 128, 128)),
        ((0, 0, 0), (16, 128, 128)),
        ((0.5, 0.5, 0.5), (125.5, 128, 128)),
        ((1, 0, 0), (81, 90, 240)),
        ((0, 1, 0), (145, 54, 34)),
        ((0, 0, 1), (41, 240, 110)),
        ((0, 1, 1), (170, 166, 16)),
        ((1, 1, 0), (210, 16, 146)),
    ],
)
def test_known_colours(rgb, expected):
    found = (to_ycbcr(colour(*rgb)) * 255).flatten()
    assert found.tolist() == pytest.approx(expected, abs=0.5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_there_and_back(dtype):
    images = torch.rand(2, 3, 4, 5, dtype=dtype, generator=torch.Generator().manual_seed(0))
    back = to_rgb(to_ycbcr(images))
    assert back.dtype == dtype
    assert torch.allclose(back, images, atol=1e-6)


def test_grey_has_no_chroma():
    grey = torch.rand(1, 1, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(to_ycbcr(grey.expand(1, 3, 3, 3))[:, 1:], torch.tensor(128 / 255, dtype=torch.float64))


def test_luminance_is_rounded_to_8_bits():
    """In whole numbers, with halves up: (65481 R + 128553 G + 24966 B) / 255000 + 16."""
    pixels = torch.randint(0, 256, (2, 3, 50, 50), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    red, green, blue = pixels.long().unbind(1)
    expected = (2 * (65481 * red + 128553 * green + 24966 * blue) + 255000) // 510000 + 16
    found = luminance_of_bytes(pixels)
    assert (found.shape, found.dtype) == ((2, 1, 50, 50), torch.uint8)
    assert torch.equal(found[:, 0].long(), expected)


def test_grey_pictures_are_taken_as_they_are():
    grey = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert torch.equal(luminance_of_bytes(grey), grey)
    assert luminance_of_bytes(grey.expand(1, 3, 16, 16)).unique().tolist() == list(range(16, 236)), "unlike RGB"
