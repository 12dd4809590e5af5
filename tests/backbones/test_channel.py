from __future__ import annotations

from typing import Any

import pytest
import references as ref
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backbones.ops import ChannelVersatileConv2d


@given(st.data())
@settings(max_examples=250)
def test_equals_the_reference(data: st.DataObject) -> None:
    geometry = data.draw(ref.geometries(min_channels=2))
    args: dict[str, Any] = geometry["args"]
    c = args["in_channels"] // args["groups"]
    window = data.draw(ref.windows(c))
    reading = data.draw(st.sampled_from(["window", "released"]))
    torch.manual_seed(geometry["seed"])
    layer = ChannelVersatileConv2d(**args, **window, reading=reading).double()
    x = torch.randn(geometry["shape"], dtype=torch.float64, requires_grad=True)
    gap, g = window["gap"], window["channel_stride"]
    if reading == "window":
        secondaries = ref.masked_secondaries(layer.weight, ref.window_masks(c, *layer.kernel_size, gap, g))
    else:
        secondaries = ref.released_secondaries(layer.weight, c, gap, g)
    expected = ref.convolve(x, ref.select(secondaries, layer.out_channels, layer.groups), layer.bias, layer)

    y = layer(x)

    ref.assert_equal(y, expected, "output")
    parameters = [x, layer.weight, *([] if layer.bias is None else [layer.bias])]
    for name, a, b in zip(
        ("input", "weight", "bias"), ref.gradients(y, *parameters), ref.gradients(expected, *parameters), strict=False
    ):
        ref.assert_equal(a, b, f"gradient of {name}")


# Table 2 of the paper, for 16 input channels.
@pytest.mark.parametrize(
    ("gap", "g", "n"), [(1, 1, 2), (2, 2, 2), (4, 4, 2), (8, 8, 2), (12, 12, 2), (8, 4, 3), (8, 2, 5), (0, 1, 1)]
)
def test_number_of_windows(gap: int, g: int, n: int) -> None:
    layer = ChannelVersatileConv2d(16, 32, 3, gap=gap, channel_stride=g)
    assert layer.num_secondary == n
    assert layer.window == 16 - gap
    assert layer.num_primary == -(-32 // n)


def test_a_window_is_what_the_filter_has_there() -> None:
    layer = ChannelVersatileConv2d(4, 3, 1, gap=2, channel_stride=1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.arange(1.0, 5).view(1, 4, 1, 1))
    assert layer.secondary_filters().flatten(1).tolist() == [[1, 2, 0, 0], [0, 2, 3, 0], [0, 0, 3, 4]]


def test_the_released_code_repeats_its_first_weights() -> None:
    layer = ChannelVersatileConv2d(4, 3, 1, gap=2, channel_stride=1, bias=False, reading="released")
    assert layer.weight.shape == (1, 2, 1, 1)  # nothing is stored that is never used
    with torch.no_grad():
        layer.weight.copy_(torch.arange(1.0, 3).view(1, 2, 1, 1))
    assert layer.secondary_filters().flatten(1).tolist() == [[1, 2, 0, 0], [0, 1, 2, 0], [0, 0, 1, 2]]


def test_channels_are_those_of_a_group() -> None:
    layer = ChannelVersatileConv2d(16, 8, 3, groups=2, gap=4, channel_stride=4)
    assert layer.window == 4
    assert layer.weight.shape == (4, 8, 3, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gap": 16}, "gap=16.*16 input channels"),
        ({"gap": -1}, "gap=-1"),
        ({"gap": 8, "channel_stride": 3}, "channel_stride=3.*divide gap=8"),
        ({"gap": 8, "channel_stride": 0}, "channel_stride=0"),
        ({"reading": "paper"}, "reading='paper'.*window.*released"),
    ],
)
def test_bad_arguments_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ChannelVersatileConv2d(16, 16, 3, **options)


@pytest.mark.parametrize("channel", [0, 3, 7])
def test_a_poisoned_weight_reaches_exactly_the_outputs_whose_window_has_it(channel: int) -> None:
    layer = ChannelVersatileConv2d(8, 6, 3, gap=4, channel_stride=2)
    with torch.no_grad():
        layer.weight[1, channel, 0, 2] = float("nan")
    y = layer(torch.rand(1, 8, 5, 5))
    seen = [mask[channel, 0, 2].item() == 1 for mask in ref.window_masks(8, 3, 3, 4, 2)]
    assert any(seen)
    assert not all(seen)
    assert [bool(y[:, j].isnan().any()) for j in range(6)] == [False] * 3 + seen
