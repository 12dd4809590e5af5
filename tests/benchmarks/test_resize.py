"""Enlargement and reduction against MATLAB's imresize, written out from its definition in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.super_resolution.resize import bicubic, cropped, degraded


def cubic(x):
    """Keys' kernel with a = -1/2."""
    x = abs(x)
    if x <= 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x <= 2 else 0.0


def weights(old, new):
    """``(new, old)``: what each pixel of a line of `old` gives to each of `new`.

    A pixel is an interval of length 1; where the line shrinks, the kernel is widened by the factor; beyond its ends the
    line is mirrored, the outermost pixel repeated; weights sum to one.
    """
    factor = new / old
    widening = min(1.0, factor)
    matrix = np.zeros((new, old))
    for target in range(new):
        centre = (target + 0.5) / factor - 0.5
        reach = int(2 / widening) + 2
        for source in range(int(np.floor(centre)) - reach, int(np.ceil(centre)) + reach + 1):
            inside = source
            while not 0 <= inside < old:
                inside = -1 - inside if inside < 0 else 2 * old - 1 - inside
            matrix[target, inside] += cubic((centre - source) * widening)
        matrix[target] /= matrix[target].sum()
    return matrix


def imresize(image, size):
    return weights(image.shape[0], size[0]) @ image @ weights(image.shape[1], size[1]).T


def drawn(height, width, seed=0):
    return torch.rand(height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def plane(image):
    return image[None, None]


sides = st.integers(1, 17)
factors = st.integers(1, 5)


@given(sides, sides, factors, factors)
def test_enlargement_is_matlabs(height, width, down, right):
    image, size = drawn(height, width), (height * down, width * right)
    assert bicubic(plane(image), size)[0, 0].numpy() == pytest.approx(imresize(image.numpy(), size), abs=1e-12)


@given(sides, sides, factors, factors)
def test_reduction_is_matlabs(height, width, down, right):
    image = drawn(height * down, width * right)
    found = bicubic(plane(image), (height, width))[0, 0].numpy()
    assert found == pytest.approx(imresize(image.numpy(), (height, width)), abs=1e-12)


def test_one_side_may_grow_while_the_other_shrinks():
    image = drawn(12, 5)
    assert bicubic(plane(image), (4, 15))[0, 0].numpy() == pytest.approx(imresize(image.numpy(), (4, 15)), abs=1e-12)


def test_a_step_edge_by_hand():
    """The kernel at the distances of the ones; it is negative beyond one pixel, so the edge is overshot."""
    line = torch.tensor([0.0, 0, 0, 1, 1, 1], dtype=torch.float64)
    found = bicubic(line.expand(1, 1, 6, 6), (6, 12))[0, 0, 0]
    assert found[5].item() == pytest.approx(cubic(0.75) + cubic(1.75))
    assert found[6].item() == pytest.approx(1 - found[5].item())
    assert found[4].item() == pytest.approx(cubic(1.25))
    assert found.max() > 1


def test_channels_and_images_are_resized_by_themselves():
    images = torch.rand(3, 2, 8, 6, generator=torch.Generator().manual_seed(1))
    whole = bicubic(images, (4, 3))
    assert whole.shape == (3, 2, 4, 3)
    for n in range(3):
        for c in range(2):
            assert torch.allclose(whole[n, c], bicubic(plane(images[n, c]), (4, 3))[0, 0], atol=1e-6)


@pytest.mark.parametrize("size", [(24, 36), (4, 6), (12, 18)])
def test_it_commutes_with_flips_and_rotations(size):
    image = plane(drawn(12, 18))
    once = bicubic(image, size)
    for dim in (2, 3):
        assert torch.allclose(bicubic(image.flip(dim), size), once.flip(dim), atol=1e-12)
    assert torch.allclose(bicubic(image.rot90(1, (2, 3)), size[::-1]), once.rot90(1, (2, 3)), atol=1e-12)


def test_a_constant_image_stays_constant_up_to_its_border():
    for size in [(10, 15), (2, 3), (30, 45)]:
        assert torch.allclose(bicubic(torch.full((1, 1, 10, 15), 0.37), size), torch.tensor(0.37), atol=1e-6)


def test_the_result_has_the_precision_of_the_images():
    assert bicubic(torch.rand(1, 1, 4, 4), (8, 8)).dtype == torch.float32
    assert bicubic(plane(drawn(4, 4)), (8, 8)).dtype == torch.float64


@pytest.mark.parametrize(
    ("size", "named"),
    [((7, 6), "4 pixels cannot become 7"), ((8, 4), "6 pixels cannot become 4"), ((0, 6), "become 0")],
)
def test_only_whole_multiples_and_fractions(size, named):
    with pytest.raises(ValueError, match=named):
        bicubic(torch.rand(1, 1, 4, 6), size)


def test_cropping_takes_from_the_end_what_the_scale_does_not_divide():
    image = torch.arange(35.0).view(1, 1, 5, 7)
    assert torch.equal(cropped(image, 2), image[..., :4, :6])
    assert torch.equal(cropped(image, 3), image[..., :3, :6])
    assert torch.equal(cropped(image, 1), image)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_degradation_reduces_then_enlarges_without_rounding(scale):
    image = drawn(12, 24)
    small = imresize(image.numpy(), (12 // scale, 24 // scale))
    assert degraded(plane(image), scale)[0, 0].numpy() == pytest.approx(imresize(small, (12, 24)), abs=1e-12)


def test_degradation_takes_sides_that_the_scale_divides():
    with pytest.raises(ValueError, match="5 pixels cannot become"):
        degraded(torch.rand(1, 1, 4, 5), 2)
