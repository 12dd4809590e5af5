"""PSNR against its closed forms, SSIM against its definition written out with loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from benchmarks.super_resolution.quality import psnr, ssim


def drawn(*shape, seed=0):
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("error", [1 / 255, 0.1, 1.0])
def test_psnr_of_a_constant_error(error):
    truth = drawn(1, 1, 9, 8)
    assert psnr(truth + error, truth) == pytest.approx(-20 * math.log10(error))
    assert psnr(truth - error, truth, border=3) == pytest.approx(-20 * math.log10(error))


def test_psnr_of_a_single_pixel():
    truth = torch.zeros(1, 1, 10, 20)
    images = truth.clone()
    images[0, 0, 4, 7] = 1
    assert psnr(images, truth) == pytest.approx(10 * math.log10(200))
    assert psnr(images, truth, border=2) == pytest.approx(10 * math.log10(6 * 16))


def test_equal_images():
    images = drawn(1, 1, 20, 20)
    assert psnr(images, images) == math.inf
    assert ssim(images, images) == pytest.approx(1, abs=1e-15)


@pytest.mark.parametrize("border", [0, 2, 3, 4])
@pytest.mark.parametrize(("down", "right"), [(0, 0), (0, 7), (7, 0), (-1, 7), (7, -1), (-1, -1)])
def test_the_border_and_nothing_but_the_border_is_left_out(border, down, right):
    truth = drawn(1, 1, 20, 24)

    def spoilt(steps_in):
        """An error in a pixel so many steps inside the edge, at the top, bottom, left, right or in a corner."""
        place = [at + (steps_in if at == 0 else -steps_in if at == -1 else 3) for at in (down, right)]
        images = truth.clone()
        images[0, 0, place[0], place[1]] += 0.5
        return images

    for measure in (psnr, ssim):
        assert measure(spoilt(border), truth, border) < measure(truth, truth, border)
        if border:
            assert measure(spoilt(border - 1), truth, border) == measure(truth, truth, border)


def ssim_by_loops(a, b):
    """Wang et al. (2004), equation 13 with the Gaussian window of section III.C, one window after the other."""
    window = np.array([[math.exp(-((y - 5) ** 2 + (x - 5) ** 2) / (2 * 1.5**2)) for x in range(11)] for y in range(11)])
    window /= window.sum()
    c1, c2 = 0.01**2, 0.03**2
    values = []
    for top in range(a.shape[0] - 10):
        for left in range(a.shape[1] - 10):
            x, y = (image[top : top + 11, left : left + 11] for image in (a, b))
            mean_x, mean_y = (window * x).sum(), (window * y).sum()
            var_x, var_y = (window * (x - mean_x) ** 2).sum(), (window * (y - mean_y) ** 2).sum()
            covariance = (window * (x - mean_x) * (y - mean_y)).sum()
            luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
            values.append(luminance * (2 * covariance + c2) / (var_x + var_y + c2))
    return np.mean(values)


@pytest.mark.parametrize("border", [0, 2])
@pytest.mark.parametrize("noise", [0.02, 0.3, 1.0])
def test_ssim_by_its_definition(border, noise):
    truth = drawn(19, 17)
    images = (1 - noise) * truth + noise * drawn(19, 17, seed=1)
    inside = [image.numpy()[border : 19 - border, border : 17 - border] for image in (images, truth)]
    found = ssim(images[None, None], truth[None, None], border)
    assert found == pytest.approx(ssim_by_loops(*inside), abs=1e-12)
    assert found == pytest.approx(ssim(truth[None, None], images[None, None], border)), "symmetric"


def test_ssim_of_constant_images_is_their_luminance_term():
    a, b = (torch.full((1, 1, 12, 12), value) for value in (0.2, 0.6))
    assert ssim(a, b) == pytest.approx((2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4), rel=1e-5)


def test_float32_images_are_measured_in_float64():
    truth = torch.full((1, 1, 300, 300), 0.5)
    assert psnr(truth + 2**-20, truth) == pytest.approx(20 * math.log10(2**20))


def test_several_images_are_measured_together():
    truth, images = drawn(2, 1, 15, 15), drawn(2, 1, 15, 15, seed=1)
    each = [ssim(images[n : n + 1], truth[n : n + 1], 1) for n in range(2)]
    assert ssim(images, truth, 1) == pytest.approx(sum(each) / 2)


def test_nothing_inside_the_border():
    images = torch.zeros(1, 1, 8, 20)
    with pytest.raises(ValueError, match="nothing is left of 8x20 pixels inside a border of 4"):
        psnr(images, images, 4)
    with pytest.raises(ValueError, match=r"SSIM needs 11x11 pixels inside the border; there are 8x20"):
        ssim(images, images)
    with pytest.raises(ValueError, match=r"there are 10x16"):
        ssim(torch.zeros(1, 1, 14, 20), torch.zeros(1, 1, 14, 20), 2)


@pytest.mark.parametrize("measure", [psnr, ssim])
def test_images_of_other_shapes_are_refused(measure):
    with pytest.raises(ValueError, match=r"images \(1, 3, 20, 20\) and truth \(1, 1, 20, 20\) differ in shape"):
        measure(torch.zeros(1, 3, 20, 20), torch.zeros(1, 1, 20, 20))
