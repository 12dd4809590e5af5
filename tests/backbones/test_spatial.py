from __future__ import annotations

from typing import Any

import pytest
import references as ref
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backbones.ops import SpatialVersatileConv2d
from backbones.ops.spatial import concentric


@given(ref.geometries(square=True), st.booleans())
@settings(max_examples=250)
def test_equals_the_reference(geometry: dict[str, Any], scale_grad: bool) -> None:
    torch.manual_seed(geometry["seed"])
    layer = SpatialVersatileConv2d(**geometry["args"], scale_grad=scale_grad).double()
    x = torch.randn(geometry["shape"], dtype=torch.float64, requires_grad=True)
    d = layer.kernel_size[0]
    masks = ref.spatial_masks(layer.weight.shape[1], d)
    secondaries = ref.masked_secondaries(layer.weight, masks)
    expected = ref.convolve(x, ref.select(secondaries, layer.out_channels, layer.groups), layer.bias, layer)

    y = layer(x)

    ref.assert_equal(y, expected, "output")
    parameters = [x, layer.weight, *([] if layer.bias is None else [layer.bias])]
    ours, theirs = ref.gradients(y, *parameters), ref.gradients(expected, *parameters)
    if scale_grad:
        theirs[1] = theirs[1] / ((d + 1) // 2)
    for name, a, b in zip(("input", "weight", "bias"), ours, theirs, strict=False):
        ref.assert_equal(a, b, f"gradient of {name}")


def test_masks_of_a_5x5_filter() -> None:
    whole, middle, centre = concentric(torch.ones(1, 1, 5, 5))
    assert whole.sum() == 25
    assert middle.sum() == 9
    assert centre.flatten().nonzero().item() == 12


@pytest.mark.parametrize(("d", "s"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (7, 4), (11, 6)])
def test_number_of_secondaries(d: int, s: int) -> None:
    assert SpatialVersatileConv2d(3, 12, d).num_secondary == s


def test_only_the_gradient_of_the_primaries_is_divided() -> None:
    # Tables of the paper hold s = 2 and 55 layers: an input's gradient divided as well would vanish.
    layers = [SpatialVersatileConv2d(4, 6, 5, scale_grad=scale) for scale in (True, False)]
    layers[0].load_state_dict(layers[1].state_dict())
    x = torch.randn(2, 4, 7, 7, requires_grad=True)
    (x_scaled, w_scaled, b_scaled), (x_plain, w_plain, b_plain) = (
        torch.autograd.grad(layer(x).square().sum(), [x, layer.weight, layer.bias]) for layer in layers
    )
    torch.testing.assert_close(w_scaled * 3, w_plain)
    torch.testing.assert_close(x_scaled, x_plain)
    torch.testing.assert_close(b_scaled, b_plain)


def test_a_square_kernel_may_be_a_pair_and_no_other() -> None:
    assert SpatialVersatileConv2d(4, 4, (3, 3)).kernel_size == (3, 3)
    with pytest.raises(ValueError, match=r"kernel_size=\(3, 5\).*square"):
        SpatialVersatileConv2d(4, 4, (3, 5))


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
@pytest.mark.parametrize("place", [(0, 0), (1, 1), (2, 2), (1, 3)])
def test_a_poisoned_weight_reaches_exactly_the_outputs_whose_mask_has_it(poison: float, place: tuple[int, int]) -> None:
    layer = SpatialVersatileConv2d(2, 9, 5)
    with torch.no_grad():
        layer.weight[1, 0, place[0], place[1]] = poison
    y = layer(torch.rand(1, 2, 6, 6) + 0.5)
    rings_kept = [mask[0, place[0], place[1]].item() == 1 for mask in ref.spatial_masks(2, 5)]
    poisoned = [not torch.isfinite(y[:, j]).all() for j in range(9)]
    assert poisoned == [False] * 3 + rings_kept + [False] * 3


def test_surplus_is_dropped_from_the_last_primary() -> None:
    layer = SpatialVersatileConv2d(2, 16, 5, bias=False)  # s = 3: five primaries and a third of the sixth
    assert layer.num_primary == 6
    filters = layer.secondary_filters()
    assert filters.shape == (16, 2, 5, 5)
    torch.testing.assert_close(filters[15], layer.weight[5])
