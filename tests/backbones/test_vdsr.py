"""VDSR and its versatile versions (Versatile Filters, section 5.4 and Table 11)."""

from __future__ import annotations

from itertools import pairwise

import contracts
import pytest
import torch

import backbones
from backbones.nets.vdsr import VDSR
from backbones.ops import VersatileConv2d
from benchmarks.complexity import count
from benchmarks.digits import agrees, at_scale

PRIMARY = "conv-linear-primary-masks"
VERSATILE = (
    "s_versatile_vdsr22", "separate_l_versatile_vdsr22_s4", "c_versatile_vdsr22_8_8", "shared_l_versatile_vdsr22_s4",
)  # fmt: skip
NAMES = ("vdsr20", "vdsr22", *VERSATILE)


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("vdsr22", "2.82"),
        ("s_versatile_vdsr22", "1.41"),
        ("separate_l_versatile_vdsr22_s4", "0.73"),
        ("vdsr20", "2.54"),
    ],
)
def test_memory_is_the_printed_one(name: str, printed: str) -> None:
    assert agrees(printed, at_scale(count(name, convention=PRIMARY).weight_bytes, 2**20))


def test_masks_a_secondary_filter_would_take_more_than_is_printed() -> None:
    stored = count("separate_l_versatile_vdsr22_s4").weight_bytes / 2**20
    assert stored == pytest.approx(0.799, abs=0.0005)


def test_layers() -> None:
    for depth, name in ((20, "vdsr20"), (22, "vdsr22")):
        model = contracts.build(name)
        channels = [1, *[64] * (depth - 1), 1]
        assert [tuple(c.weight.shape) for c in model.convs] == [(n, c, 3, 3) for c, n in pairwise(channels)]
        assert all(c.bias is not None and not c.bias.any() for c in model.convs)
    assert count("vdsr20").params == 665_921
    assert count("vdsr22").params == 739_777


@pytest.mark.parametrize("name", VERSATILE)
def test_versatile_layers(name: str) -> None:
    kinds = [isinstance(c, VersatileConv2d) for c in contracts.build(name).convs]
    first = "c_versatile" not in name  # a single channel has no window
    assert kinds == [first, *[True] * 20, False]  # nor has a single filter a second one


@pytest.mark.parametrize("name", NAMES)
def test_give_details_of_any_size(name: str) -> None:
    shapes = contracts.runs(name, (41, 41), (13, 30), (1, 3), device="cpu")
    assert shapes == [((1, 1, 41, 41),), ((1, 1, 13, 30),), ((1, 1, 1, 3),)]


def test_output_is_the_input_and_its_details() -> None:
    model = contracts.build("vdsr20")
    x = torch.rand(2, 1, 9, 11)
    details = x
    for i, conv in enumerate(model.convs):
        details = conv(details if i == 0 else details.relu())
    torch.testing.assert_close(model(x), x + details)
    torch.nn.init.zeros_(model.convs[-1].weight)
    assert torch.equal(model(x), x)


def test_input_is_left_alone() -> None:
    model = contracts.build("vdsr20").eval()
    x = torch.randn(1, 1, 8, 8)
    kept = x.clone()
    with torch.no_grad():
        model(x)
    assert torch.equal(x, kept)


@pytest.mark.parametrize("name", NAMES)
def test_travel_and_start_like_the_baseline(name: str) -> None:
    contracts.travels(name, (12, 17))
    ratio = contracts.spread(name, (41, 41)) / contracts.spread("vdsr22", (41, 41))
    assert 0.3 < ratio < 3


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_export_and_compile_without_a_graph_break(name: str) -> None:
    contracts.exports(name, (16, 19))
    contracts.compiles(name, (16, 19))


def test_a_shallow_one_exports_and_compiles_without_a_graph_break() -> None:
    model = backbones.versatile(VDSR(3, 8), kind="separate", s=4, quiet=True)
    x = torch.randn(2, 1, 7, 9)
    expected = model(x)
    torch.testing.assert_close(torch.export.export(model, (x,)).module()(x), expected)
    torch.compiler.reset()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)(x)
    compiled.sum().backward()
    torch.testing.assert_close(compiled, expected)


def test_widths_and_bad_ones() -> None:
    assert [c.out_channels for c in VDSR(4, [5, 6, 7]).convs] == [5, 6, 7, 1]
    with pytest.raises(ValueError, match="width has 2 numbers; a network of 4 convolutions needs 3"):
        VDSR(4, [5, 6])
    with pytest.raises(TypeError, match="num_classes"):
        backbones.create_model("vdsr22", num_classes=10)
