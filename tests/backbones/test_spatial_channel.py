from __future__ import annotations

import pytest
import references as ref
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backbones.ops import ChannelVersatileConv2d, SpatialChannelVersatileConv2d, SpatialVersatileConv2d


@given(st.data(), st.booleans())
@settings(max_examples=200)
def test_equals_the_reference(data: st.DataObject, scale_grad: bool) -> None:
    geometry = data.draw(ref.geometries(min_channels=2, square=True))
    args = geometry["args"]
    c = args["in_channels"] // args["groups"]
    window = data.draw(ref.windows(c))
    torch.manual_seed(geometry["seed"])
    layer = SpatialChannelVersatileConv2d(**args, **window, scale_grad=scale_grad).double()
    x = torch.randn(geometry["shape"], dtype=torch.float64, requires_grad=True)
    d = layer.kernel_size[0]
    rings = ref.spatial_masks(c, d)
    slides = ref.window_masks(c, d, d, window["gap"], window["channel_stride"])
    masks = [ring * slide for ring in rings for slide in slides]
    secondaries = ref.masked_secondaries(layer.weight, masks)
    expected = ref.convolve(x, ref.select(secondaries, layer.out_channels, layer.groups), layer.bias, layer)

    y = layer(x)

    ref.assert_equal(y, expected, "output")
    parameters = [x, layer.weight, *([] if layer.bias is None else [layer.bias])]
    ours, theirs = ref.gradients(y, *parameters), ref.gradients(expected, *parameters)
    if scale_grad:
        theirs[1] = theirs[1] / len(rings)
    for name, a, b in zip(("input", "weight", "bias"), ours, theirs, strict=False):
        ref.assert_equal(a, b, f"gradient of {name}")


def test_with_one_window_it_is_spatial_and_with_one_ring_it_is_channel() -> None:
    both = SpatialChannelVersatileConv2d(4, 6, 3, gap=0, channel_stride=1, bias=False)
    spatial = SpatialVersatileConv2d(4, 6, 3, bias=False)
    spatial.load_state_dict(both.state_dict())
    torch.testing.assert_close(both.secondary_filters(), spatial.secondary_filters(), rtol=0, atol=0)

    both = SpatialChannelVersatileConv2d(4, 6, 1, gap=2, channel_stride=1, bias=False)
    channel = ChannelVersatileConv2d(4, 6, 1, gap=2, channel_stride=1, bias=False)
    channel.load_state_dict(both.state_dict())
    torch.testing.assert_close(both.secondary_filters(), channel.secondary_filters(), rtol=0, atol=0)


def test_four_secondaries_of_a_3x3_filter_with_two_windows() -> None:
    layer = SpatialChannelVersatileConv2d(16, 16, 3, gap=8, channel_stride=8, bias=False)
    assert (layer.num_secondary, layer.num_primary) == (4, 4)  # a quarter is stored: Table 1, row S+C


def test_a_poisoned_weight_reaches_exactly_the_outputs_whose_mask_has_it() -> None:
    layer = SpatialChannelVersatileConv2d(4, 8, 3, gap=2, channel_stride=2)
    with torch.no_grad():
        layer.weight[0, 3, 1, 1] = float("inf")  # a centre, so in both rings; of the last window
    y = layer(torch.rand(1, 4, 5, 5) + 0.5)
    assert [not torch.isfinite(y[:, j]).all() for j in range(8)] == [False, True, False, True] + [False] * 4


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="square"):
        SpatialChannelVersatileConv2d(16, 16, (1, 3))
    with pytest.raises(ValueError, match=r"gap=8.*8 input channels"):
        SpatialChannelVersatileConv2d(8, 16, 3)
