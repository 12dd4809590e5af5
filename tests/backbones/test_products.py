"""Convolutions whose filters share masks, or have none, against float64, instruction set by instruction set."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from backbones.kernels import PackedConv2d, library
from backbones.kernels.convolution import ACTIVATIONS
from backbones.kernels.module import sides
from backbones.kernels.packing import PRODUCT_BLOCK, UNITS, Products, Streams
from backbones.ops import (
    ChannelVersatileConv2d,
    LearnableVersatileConv2d,
    SpatialChannelVersatileConv2d,
    SpatialVersatileConv2d,
)
from backbones.ops.versatile import VersatileConv2d

Layer = nn.Conv2d | VersatileConv2d
quiet = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
KINDS = ("depthwise", "dense", "shared", "spatial", "window", "released", "both")


def layer_of(kind: str, channels: int, outputs: int, kernel: tuple[int, int], s: int, *more: object) -> Layer:
    """A layer of ``channels`` inputs a group; those of spatial filters are as high as wide."""
    groups = more[3]
    assert isinstance(groups, int)
    inputs, outputs = groups * channels, groups * outputs
    gap, step = {1: (0, 1), 2: (1, 1), 3: (2, 1)}.get(channels, (channels // 4 * 2, channels // 4))
    if kind == "depthwise":
        stride, padding, dilation, _, bias = more
        return nn.Conv2d(inputs, inputs, kernel, stride, padding, dilation, inputs, bias)  # type: ignore[arg-type]
    if kind == "dense":
        return nn.Conv2d(inputs, outputs, kernel, *more)  # type: ignore[arg-type]
    if kind == "shared":
        return LearnableVersatileConv2d(inputs, outputs, kernel, *more, s=s, shared=True)  # type: ignore[arg-type]
    if kind == "spatial":
        return SpatialVersatileConv2d(inputs, outputs, kernel[0], *more)  # type: ignore[arg-type]
    windows = {"gap": gap, "channel_stride": step}
    if kind == "both":
        return SpatialChannelVersatileConv2d(inputs, outputs, kernel[0], *more, **windows)  # type: ignore[arg-type]
    return ChannelVersatileConv2d(inputs, outputs, kernel, *more, **windows, reading=kind)  # type: ignore[arg-type]


@st.composite
def layers(draw: st.DrawFn) -> tuple[Layer, tuple[int, int, int]]:
    """A layer, and batch, height and width of an input that is large enough for it."""
    groups = draw(st.sampled_from((1, 1, 2, 3)))
    kind = draw(st.sampled_from(KINDS))
    sides_of_kernel = st.sampled_from((3, 5, 7)) if kind in ("spatial", "both") else st.sampled_from((1, 2, 3, 5))
    kernel = draw(st.tuples(sides_of_kernel, sides_of_kernel))
    if kind in ("spatial", "both"):
        kernel = (kernel[0], kernel[0])
    dilation = draw(st.tuples(*[st.integers(1, 3)] * 2))
    stride = draw(st.tuples(*[st.integers(1, 3)] * 2))
    padding: str | tuple[int, ...] = draw(st.tuples(*[st.integers(0, 3)] * 2) | st.just("valid"))
    if stride == (1, 1) and draw(st.booleans()):
        padding = "same"
    channels = draw(st.sampled_from((1, 2, 3, 16, 40)))
    s = draw(st.integers(2, 8))
    more = (stride, padding, dilation, groups, draw(st.booleans()))
    layer = layer_of(kind, channels, draw(st.integers(1, 40)), kernel, s, *more)
    # outputs of 1x1 to 9x9, of which several images fill a tile, and such as need several tiles
    outs = draw(st.tuples(*[st.integers(0, 8)] * 2) | st.tuples(*[st.integers(0, 40)] * 2))
    added = [0, 0] if isinstance(padding, str) and padding == "valid" else total_padding(layer)
    size = []
    for d, k, t, p, out in zip(dilation, kernel, stride, added, outs, strict=True):
        size.append(max(1, d * (k - 1) + 1 + t * out - p + draw(st.integers(0, t - 1))))
    return layer, (draw(st.integers(1, 5)), size[0], size[1])


def total_padding(layer: Layer) -> list[int]:
    top, left, bottom, right = padding_of(layer)
    return [top + bottom, left + right]


def padding_of(layer: Layer) -> list[int]:
    return sides(layer.padding, layer.kernel_size, layer.dilation)  # type: ignore[arg-type]


def secondary_filters(layer: Layer) -> Tensor:
    return (layer.secondary_filters() if isinstance(layer, VersatileConv2d) else layer.weight).detach()


def convolve(x: Tensor, filters: Tensor, layer: Layer) -> Tensor:
    top, left, bottom, right = padding_of(layer)
    padded = F.pad(x, (left, right, top, bottom))
    return F.conv2d(padded, filters, None, layer.stride, 0, layer.dilation, layer.groups)


def check(layer: Layer, x: Tensor, residual: bool = False, activation: str = "none", threads: int = 1) -> None:
    """The packed layer against float64."""
    packed = PackedConv2d(layer)
    packed.activation = activation
    filters = secondary_filters(layer).double()
    expected = convolve(x.double(), filters, layer)
    largest = convolve(x.double().abs(), filters.abs(), layer) + 10
    s = layer.num_secondary if isinstance(layer, VersatileConv2d) else 1
    if layer.bias is not None:
        expected = expected + layer.bias.detach().double().view(-1, 1, 1)
    more = torch.randn(expected.shape) * 5 if residual else None
    if more is not None:
        expected = expected + more.double()
    expected = {"none": lambda t: t, "relu": F.relu, "relu6": F.relu6}[activation](expected)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    got = packed(x, more)
    torch.set_num_threads(before)
    assert got.shape == expected.shape
    # what a mask leaves out of a running sum comes off again: the error is that of the unmasked filter
    if s > 1 and not (isinstance(layer, ChannelVersatileConv2d) and layer.reading == "released"):
        whole = layer.weight.detach().double().abs().repeat_interleave(s, 0)
        by_group = whole.view(layer.groups, -1, *whole.shape[1:])[:, : layer.out_channels // layer.groups]
        largest = convolve(x.double().abs(), by_group.flatten(0, 1), layer) + 10
    assert bool(((got - expected).abs() <= 1e-6 * largest).all())


@quiet
@given(
    case=layers(), residual=st.booleans(), activation=st.sampled_from(ACTIVATIONS), threads=st.integers(1, 2),
)  # fmt: skip
def test_it_is_the_convolution(
    isa: str, case: tuple[Layer, tuple[int, int, int]], residual: bool, activation: str, threads: int
) -> None:
    layer, (n, height, width) = case
    assert not isinstance(PackedConv2d(layer).packed(), Streams)
    check(layer, torch.randn(n, layer.in_channels, height, width), residual, activation, threads)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_on_small_images_in_one_tile(isa: str, kind: str) -> None:
    for outputs, size in ((1, 1), (9, 3), (33, 7)):
        layer = layer_of(kind, 8, outputs, (3, 3), 5, 1, 1, 1, 1, True)
        check(layer, torch.randn(5, 8, size, size))


def test_more_units_than_a_chunk_and_more_rows_than_a_block(isa: str) -> None:
    for layer in (
        nn.Conv2d(PRODUCT_BLOCK + 1, 150, 1),
        LearnableVersatileConv2d(2 * PRODUCT_BLOCK + 5, 140 * 3, 1, s=3, shared=True),
        SpatialVersatileConv2d(PRODUCT_BLOCK // 9 + 1, 20, 3, padding=1),
    ):
        check(layer, torch.randn(1, layer.in_channels, 13, 12))


def test_gaps_between_rows_wider_than_a_tile(isa: str) -> None:
    check(nn.Conv2d(1, 4, (1, 2), padding=(0, 1), dilation=(1, 161)), torch.randn(1, 1, 9, 1300 + 160))


def full_masks(layer: LearnableVersatileConv2d, *alive: int) -> LearnableVersatileConv2d:
    """Masks of ones for the secondaries ``alive``, of zeros for the others."""
    layer.agent.data.zero_()
    layer.agent.data[list(alive)] = 1
    return layer


@pytest.mark.parametrize("alive", [(1,), (0, 2), pytest.param(())])
def test_a_mask_without_any_one_leaves_the_bias(isa: str, alive: tuple[int, ...]) -> None:
    layer = full_masks(LearnableVersatileConv2d(5, 30, 3, padding=1, s=3, shared=True), *alive)
    x = torch.randn(2, 5, 6, 7)
    check(layer, x, residual=True)
    got = PackedConv2d(layer)(x).view(2, 10, 3, 6, 7)
    assert layer.bias is not None
    for dead in set(range(3)) - set(alive):
        assert torch.equal(got[:, :, dead], layer.bias.detach().view(10, 3)[:, dead, None, None].expand(2, 10, 6, 7))


@quiet
@given(case=layers(), value=st.sampled_from((torch.nan, torch.inf, -torch.inf)), data=st.data())
def test_what_is_not_finite_reaches_the_outputs_whose_mask_has_it(
    isa: str, case: tuple[Layer, tuple[int, int, int]], value: float, data: st.DataObject
) -> None:
    layer, (n, height, width) = case
    layer.weight.data += layer.weight.sign() * 0.1  # no weight is zero
    x = torch.randn(n, layer.in_channels, height, width)
    at = [data.draw(st.integers(0, size - 1)) for size in x.shape]
    clean = PackedConv2d(layer)(x)
    spot = torch.zeros_like(x)
    spot[tuple(at)] = 1
    x[tuple(at)] = value
    got = PackedConv2d(layer)(x)
    filters = secondary_filters(layer) != 0
    if isinstance(layer, ChannelVersatileConv2d) and layer.reading == "released":
        filters = torch.ones_like(filters)  # packed as dense filters, whose zeros multiply
    touched = convolve(spot.double(), filters.double(), layer) > 0
    assert torch.equal(~got.isfinite(), touched)
    torch.testing.assert_close(got[~touched], clean[~touched], rtol=1e-4, atol=1e-4)


@given(case=layers())
@settings(deadline=None, max_examples=40)
def test_unpacking_gives_the_filters(case: tuple[Layer, tuple[int, int, int]]) -> None:
    layer, _ = case
    assert torch.equal(PackedConv2d(layer).filters(), secondary_filters(layer))


@given(case=layers())
@settings(deadline=None, max_examples=15)
def test_without_a_library_torch_does_it(case: tuple[Layer, tuple[int, int, int]]) -> None:
    layer, (n, height, width) = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library, "get", lambda: None)
        check(layer, torch.randn(n, layer.in_channels, height, width), residual=True, activation="relu6")


@pytest.mark.parametrize("d", [1, 2, 3, 4, 5, 7])
@pytest.mark.parametrize("channels", [1, 3, 20])
def test_nested_masks_end_one_after_the_other(d: int, channels: int) -> None:
    """Each mask is one interval of the rows, so that sums are read once for each mask that a block has."""
    packed = PackedConv2d(SpatialVersatileConv2d(channels, 6, d)).packed()
    assert isinstance(packed, Products)
    # A row of ring i (from the outside, 0) is in masks 0 to i. Sorted from the centre outwards or the other way a mask
    # crosses a border of a block, and is read on both sides of it, wherever rows of its own lie on both.
    s, rows = math.ceil(d / 2), channels * d * d
    blocks = math.ceil(rows / PRODUCT_BLOCK)
    ends = packed.kept.tolist()
    assert ends == [rows * block // blocks for block in range(blocks + 1)]
    from_centre = [channels * (d - 2 * i) ** 2 for i in range(s)]  # rows of mask i
    fewest = sum(begin < size for begin in ends[:-1] for size in from_centre)
    assert len(packed.outputs) == fewest
    assert not (packed.outputs & 1).any()  # nothing is ever subtracted


def test_one_full_mask_is_one_segment_a_block() -> None:
    for rows in (1, PRODUCT_BLOCK, PRODUCT_BLOCK + 1, 3 * PRODUCT_BLOCK):
        packed = PackedConv2d(nn.Conv2d(rows, 9, 1)).packed()
        assert isinstance(packed, Products)
        blocks = math.ceil(rows / PRODUCT_BLOCK)
        assert packed.segments.tolist() == list(range(blocks + 1))
        assert packed.reads.tolist() == list(range(blocks + 1))
        assert packed.outputs.tolist() == [0] * blocks
        assert int(packed.rows.sum()) == rows
        assert packed.values.shape == (1, rows * math.ceil(9 / UNITS) * UNITS)
