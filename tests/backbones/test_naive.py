from __future__ import annotations

from typing import Any

import pytest
import references as ref
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import backbones
from backbones.ops import NaiveVersatileConv2d
from backbones.ops.naive import ring_counts


@given(ref.geometries(square=True), st.booleans())
@settings(max_examples=100)
def test_is_the_sum_of_the_secondary_filters_responses(geometry: dict[str, Any], scale_grad: bool) -> None:
    torch.manual_seed(geometry["seed"])
    layer = NaiveVersatileConv2d(**geometry["args"], scale_grad=scale_grad).double()
    x = torch.randn(geometry["shape"], dtype=torch.float64, requires_grad=True)
    masks = ref.spatial_masks(layer.weight.shape[1], layer.kernel_size[0])
    # Eq. 4 to the letter: a convolution a secondary filter, then the sum, and one bias.
    responses = [ref.convolve(x, [f * mask for f in layer.weight], None, layer) for mask in masks]
    expected = torch.stack(responses).sum(0)
    if layer.bias is not None:
        expected = expected + layer.bias[:, None, None]

    y = layer(x)

    ref.assert_equal(y, expected, "output")
    parameters = [x, layer.weight, *([] if layer.bias is None else [layer.bias])]
    ours, theirs = ref.gradients(y, *parameters), ref.gradients(expected, *parameters)
    if scale_grad:
        theirs[1] = theirs[1] / len(masks)
    for name, a, b in zip(("input", "weight", "bias"), ours, theirs, strict=False):
        ref.assert_equal(a, b, f"gradient of {name}")


def test_weights_of_inner_rings_count_more() -> None:
    assert ring_counts(3).tolist() == [[1, 1, 1], [1, 2, 1], [1, 1, 1]]
    assert ring_counts(4)[1].tolist() == [1, 2, 2, 1]
    assert ring_counts(5)[2].tolist() == [1, 2, 3, 2, 1]


def test_stores_what_a_convolution_stores() -> None:
    layer = NaiveVersatileConv2d(6, 8, 3)
    assert {name: value.shape for name, value in layer.state_dict().items()} == {
        name: value.shape for name, value in nn.Conv2d(6, 8, 3).state_dict().items()
    }


@pytest.mark.parametrize("d", [1, 3, 5, 7])
def test_outputs_start_as_large_as_those_of_a_convolution(d: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 64, 8, 8)
    ours = float(NaiveVersatileConv2d(64, 256, d, bias=False)(x).std())
    plain = float(nn.Conv2d(64, 256, d, bias=False)(x).std())
    assert ours / plain == pytest.approx(1, abs=0.05)


def test_trained_weights_are_kept_exactly() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 5, padding=2), nn.Conv2d(8, 4, 1))
    x = torch.randn(2, 3, 9, 9)
    expected = model(x)
    backbones.versatile(model, "naive", weights="project", quiet=True)
    assert isinstance(model[0], NaiveVersatileConv2d)
    assert type(model[1]) is nn.Conv2d
    torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-5)


def test_goes_where_spatial_filters_go() -> None:
    naive, spatial = (backbones.create_model(f"{kind}_versatile_resnet56_cifar") for kind in ("naive", "s"))
    replaced = [[change.name for change in backbones.surgery_report(model)[0].replaced] for model in (naive, spatial)]
    assert replaced[0] == replaced[1]
    plain = backbones.create_model("resnet56_cifar")
    assert sum(p.numel() for p in naive.parameters()) == sum(p.numel() for p in plain.parameters())
    assert F.cross_entropy(naive(torch.randn(2, 3, 32, 32)), torch.tensor([1, 2])).isfinite()
