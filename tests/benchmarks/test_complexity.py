"""Counts against truths from elsewhere: torchvision's metadata, torch's own flop counter, the papers' equations."""

from __future__ import annotations

import copy
from decimal import Decimal
from fractions import Fraction
from math import ceil, prod
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import backbones
from backbones.ops import (
    ChannelVersatileConv2d,
    LearnableVersatileConv2d,
    SlimConv2d,
    SpatialChannelVersatileConv2d,
    SpatialVersatileConv2d,
)
from benchmarks.complexity import CONVENTIONS, Complexity, count, parse_input
from benchmarks.digits import agrees
from benchmarks.errors import UserError

# --- Whole networks --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "params", "macs"),
    [
        ("resnet50", 25_557_032, 4_089_184_256),
        ("resnet56_cifar", 853_018, None),
        ("sc_resnet50", 16_758_740, None),
    ],
)
def test_known_truths(name: str, params: int, macs: int | None) -> None:
    cost = count(name)
    assert cost.params == params
    assert cost.weight_bytes == 4 * params
    assert macs is None or cost.macs == cost.mul == cost.add == macs


@pytest.mark.parametrize(
    "name",
    ["alexnet", "densenet161", "efficientnet_b0", "mobilenet_v2", "resnext50_32x4d", "shufflenet_v2_x1_0", "vgg11"],
)
def test_torchvision_publishes_the_same_numbers(name: str) -> None:
    published = torchvision.models.get_model_weights(name).DEFAULT.meta
    with torch.device("meta"):
        model = torchvision.models.get_model(name)
    cost = count(model, (3, 224, 224))
    assert cost.params == published["num_params"]
    assert round(cost.macs / 1e9, 3) == published["_ops"]


@pytest.mark.parametrize("name", ["sc_resnet50", "sc_resnext50_32x4d", "s_versatile_resnet56_cifar"])
def test_torch_counts_twice_the_macs_in_flops(name: str) -> None:
    size = backbones.model_spec(name).input_size
    with torch.device("meta"):
        model = backbones.create_model(name).eval()
        with FlopCounterMode(display=False) as counter:
            model(torch.empty(1, *size))
    assert 2 * count(name).macs == counter.get_total_flops()


PRINTED = [  # table, model, convention, printed values by scale
    ("I", "resnet50", "conv-linear", {"macs": ("4.09", 1e9), "params": ("25.56", 1e6)}),
    ("I", "resnet101", "conv-linear", {"macs": ("7.80", 1e9), "params": ("44.55", 1e6)}),
    ("I", "resnext50_32x4d", "conv-linear", {"macs": ("4.23", 1e9), "params": ("25.03", 1e6)}),
    ("I", "resnext101_32x4d", "conv-linear", {"macs": ("7.97", 1e9), "params": ("44.18", 1e6)}),
    ("I", "densenet161", "conv-linear", {"macs": ("7.73", 1e9), "params": ("28.68", 1e6)}),
    ("I", "sc_resnet50", "conv-linear", {"macs": ("2.65", 1e9), "params": ("16.76", 1e6)}),
    ("I", "sc_resnet50_k8_3", "conv-linear", {"macs": ("1.88", 1e9), "params": ("12.10", 1e6)}),
    ("I", "sc_resnet101", "conv-linear", {"macs": ("4.82", 1e9), "params": ("27.96", 1e6)}),
    ("I", "sc_resnext50_32x4d", "conv-linear", {"macs": ("3.82", 1e9), "params": ("22.49", 1e6)}),
    ("I", "sc_resnext101_32x3d_k2", "conv-linear", {"macs": ("4.58", 1e9), "params": ("23.70", 1e6)}),
    ("II", "resnet50", "ptflops-2018", {"macs": ("4.12", 1e9), "params": ("25.56", 1e6)}),
    ("abstract", "sc_resnet101", "ptflops-2018", {"macs": ("4.87", 1e9)}),
    ("1", "resnet56_cifar", "conv-linear", {"params": ("8.5", 1e5), "add": ("1.3", 1e8), "mul": ("1.3", 1e8)}),
    (
        "1",
        "s_versatile_resnet56_cifar",
        "conv-linear",
        {"params": ("4.3", 1e5), "add": ("0.6", 1e8), "mul": ("0.6", 1e8)},
    ),
    (
        "1",
        "s_c_versatile_resnet56_cifar",
        "conv-linear",
        {"params": ("2.2", 1e5), "add": ("0.6", 1e8), "mul": ("0.3", 1e8)},
    ),
    (
        "1",
        "shared_l_versatile_resnet56_cifar_s2",
        "conv-linear",
        {"params": ("4.3", 1e5), "add": ("0.6", 1e8), "mul": ("0.7", 1e8)},
    ),
    (
        "1",
        "separate_l_versatile_resnet56_cifar_s2",
        "conv-linear-primary-masks",
        {"params": ("4.4", 1e5), "add": ("0.6", 1e8), "mul": ("0.7", 1e8)},
    ),
    (
        "1",
        "separate_l_versatile_resnet56_cifar_s4",
        "conv-linear-primary-masks",
        {"params": ("2.2", 1e5), "add": ("0.6", 1e8), "mul": ("0.4", 1e8)},
    ),
    *(
        (
            "2",
            f"c_versatile_resnet56_cifar_{gap}_{gap}",
            "conv-linear",
            {"params": ("4.2", 1e5), "mul": ("0.6", 1e8)},
        )
        for gap in (1, 2, 4, 8, 12)
    ),
    ("2", "c_versatile_resnet56_cifar_8_4", "conv-linear", {"mul": ("0.4", 1e8)}),
    ("2", "c_versatile_resnet56_cifar_8_4", "conv-linear-primary-masks", {"params": ("2.8", 1e5)}),
    ("2", "c_versatile_resnet56_cifar_8_2", "conv-linear", {"mul": ("0.3", 1e8)}),
]


@pytest.mark.parametrize(
    ("model", "convention", "printed"), [row[1:] for row in PRINTED], ids=lambda value: str(value)[:45]
)
def test_rounds_or_truncates_to_the_print(model: str, convention: str, printed: dict[str, tuple[str, float]]) -> None:
    cost = count(model, convention=convention)
    for metric, (text, scale) in printed.items():
        ours = Decimal(getattr(cost, metric)) / Decimal(scale)
        assert agrees(text, ours), f"{metric}: printed {text}, counted {ours}"


def test_the_one_cell_of_table_2_that_no_reading_explains() -> None:
    # Five windows by Eq. 6; the printed 2.2e5 is what four would give: 847,872 / 4 + 5,146 = 217,114.
    readings = {c: count("c_versatile_resnet56_cifar_8_2", convention=c).params for c in CONVENTIONS}
    assert not any(agrees("2.2", Decimal(params) / 100_000) for params in readings.values())


def test_rows_that_one_convention_fits_and_the_other_does_not() -> None:
    name = "separate_l_versatile_resnet56_cifar_s2"
    assert count(name, convention="conv-linear-primary-masks").params == 442_330
    assert count(name).params == 455_578  # Eq. 28; the paper prints 4.4
    name = "c_versatile_resnet56_cifar_8_4"
    assert count(name, convention="conv-linear-primary-masks").params == 287_770
    assert count(name).params == 297_898  # 6, 11 and 22 whole filters; the paper prints 2.8


def test_the_ratio_that_section_5_1_3_prints_for_six_secondaries() -> None:
    model = backbones.versatile(backbones.create_model("resnet56_cifar"), "separate", s=6, skip_first=True, quiet=True)
    cost = count(model, (3, 32, 32), "conv-linear-primary-masks")
    assert agrees("1.5", Decimal(cost.params) / 100_000)
    assert round(853_018 / cost.params, 1) == 5.7
    assert round(853_018 / count(model, (3, 32, 32)).params, 1) < 5


# --- One layer against the equations ---------------------------------------------------------------


@st.composite
def layers(draw: st.DrawFn, odd: bool = False) -> dict[str, int | bool]:
    groups = draw(st.sampled_from([1, 1, 2, 4]))
    return {
        "in_channels": groups * draw(st.integers(4, 12)),
        "out_channels": groups * draw(st.integers(1, 20)),
        "kernel_size": draw(st.sampled_from([1, 3, 5, 7])),
        "stride": draw(st.integers(1, 3)),
        "padding": draw(st.integers(0, 3)),
        "groups": groups,
        "bias": draw(st.booleans()),
    }


class Shape:
    """The symbols of section 4.2 for a layer's arguments, on an image of ``side`` pixels."""

    def __init__(self, layer: dict[str, int | bool], s: int, side: int = 17) -> None:
        d, self.groups, self.n = layer["kernel_size"], layer["groups"], layer["out_channels"]
        self.volume = d * d * layer["in_channels"] // self.groups  # d^2 c
        self.positions = ((side + 2 * layer["padding"] - d) // layer["stride"] + 1) ** 2  # H'W'
        self.k = self.groups * ceil(self.n // self.groups / s)  # primary filters
        self.bias = self.n if layer["bias"] else 0
        self.dense = self.volume * self.n * self.positions
        self.side, self.channels = side, layer["in_channels"]

    def count(self, layer: nn.Module, convention: str = "conv-linear") -> Complexity:
        return count(layer, (self.channels, self.side, self.side), convention)


def check(cost: Complexity, shape: Shape, *, bits: int | Fraction, mul: int | Fraction) -> None:
    assert cost.params == ceil(Fraction(bits) / 32)
    assert cost.weight_bytes == ceil(Fraction(bits) / 8)
    assert cost.macs == shape.dense
    assert cost.mul == ceil(mul)
    assert cost.add == ceil(Fraction(shape.dense, 2))  # Eq. 34


@settings(max_examples=30, deadline=None)
@given(layers())
def test_spatial_filters_cost_their_primaries(layer: dict[str, int | bool]) -> None:
    shape = Shape(layer, s=ceil(layer["kernel_size"] / 2))
    bits = 32 * (shape.volume * shape.k + shape.bias)  # Eq. 26
    check(shape.count(SpatialVersatileConv2d(**layer)), shape, bits=bits, mul=shape.volume * shape.k * shape.positions)


@settings(max_examples=30, deadline=None)
@given(layers(), st.sampled_from([(1, 1), (2, 1), (2, 2), (3, 1)]))
def test_channel_filters_in_both_readings(layer: dict[str, int | bool], window: tuple[int, int]) -> None:
    gap, g = window
    shape = Shape(layer, s=gap // g + 1)  # Eq. 6
    cost = shape.count(ChannelVersatileConv2d(**layer, gap=gap, channel_stride=g))
    bits = 32 * (shape.volume * shape.k + shape.bias)
    check(cost, shape, bits=bits, mul=shape.volume * shape.k * shape.positions)

    alive = shape.volume - layer["kernel_size"] ** 2 * gap  # d^2 c_hat: what the released code uses
    cost = shape.count(ChannelVersatileConv2d(**layer, gap=gap, channel_stride=g, reading="released"))
    check(cost, shape, bits=32 * (alive * shape.k + shape.bias), mul=alive * shape.n * shape.positions)


@settings(max_examples=40, deadline=None)
@given(layers())
def test_both_together_cost_their_primaries(layer: dict[str, int | bool]) -> None:
    shape = Shape(layer, s=2 * ceil(layer["kernel_size"] / 2))
    cost = shape.count(SpatialChannelVersatileConv2d(**layer, gap=2, channel_stride=2))
    bits = 32 * (shape.volume * shape.k + shape.bias)
    check(cost, shape, bits=bits, mul=shape.volume * shape.k * shape.positions)


@settings(max_examples=40, deadline=None)
@given(layers(), st.integers(1, 6), st.booleans())
def test_learnable_filters_pay_for_masks(layer: dict[str, int | bool], s: int, shared: bool) -> None:
    shape = Shape(layer, s)
    model = LearnableVersatileConv2d(**layer, s=s, shared=shared)
    shared_masks = min(s, shape.n)
    readings = {  # primary filters, masks of one bit an entry
        "conv-linear": (Fraction(shape.k), shared_masks if shared else shape.n),  # Eq. 27 and 28
        "conv-linear-primary-masks": (Fraction(shape.n, s), shared_masks if shared else Fraction(shape.n, s)),
    }
    for convention, (primaries, masks) in readings.items():
        bits = 32 * (shape.volume * primaries + shape.bias) + shape.volume * masks
        mul = shape.volume * primaries * shape.positions + Fraction(shape.dense, 32)  # Eq. 32
        check(shape.count(model, convention), shape, bits=bits, mul=mul)


def test_eq_33_where_s_divides_n() -> None:
    cost = count(LearnableVersatileConv2d(64, 128, 3, padding=1, bias=False, s=4), (64, 8, 8))
    dense = 3 * 3 * 64 * 128 * 8 * 8
    assert cost.mul == dense * (Fraction(1, 4) + Fraction(1, 32))
    assert cost.weight_bytes == 4 * (3 * 3 * 64 * 128 // 4) + 3 * 3 * 64 * 128 // 8


def test_the_cifar_tables_divide_filters_that_are_whole_in_the_network() -> None:
    layer = ChannelVersatileConv2d(16, 16, 3, padding=1, bias=False, gap=8, channel_stride=4)  # n = 3 windows
    assert count(layer, (16, 8, 8)).params == 6 * 9 * 16
    divided = count(layer, (16, 8, 8), "conv-linear-primary-masks")
    assert divided.params == 16 * 9 * 16 // 3
    assert divided.mul == 16 * 9 * 16 * 64 // 3


@given(st.integers(2, 12), st.sampled_from([1, 3, 5]), st.integers(1, 2))
@settings(max_examples=30, deadline=None)
def test_slimconv_against_eq_3_and_4(quarter: int, n: int, stride: int) -> None:
    c, side = 4 * quarter, 12
    by_name = {layer.name: layer for layer in count(SlimConv2d(c, n, stride), (c, side, side)).layers}
    reduce, bottom, top = by_name["bottom.0"], by_name["bottom.3"], by_name["top.0"]
    assert 8 * reduce.params == c * c
    assert 16 * bottom.params == n * n * c * c
    assert 4 * top.params == n * n * c * c
    eq_3 = n * n * c * c
    assert reduce.params + bottom.params + top.params == Fraction(5, 16) * eq_3 + Fraction(c * c, 8)  # Eq. 4
    positions = (side // stride) ** 2
    assert (reduce.macs, bottom.macs + top.macs) == (reduce.params * side**2, (bottom.params + top.params) * positions)


# --- Conventions -----------------------------------------------------------------------------------


class Everything(nn.Module):
    """Each kind of module that the 2018 counter knows, and some that it does not."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)  # 8 x 16 x 16 from 3 x 16 x 16
        self.bn = nn.BatchNorm2d(8)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.average = nn.AvgPool2d(2)
        self.up = nn.Upsample(scale_factor=2)
        self.adaptive = nn.AdaptiveAvgPool2d(1)
        self.gate = nn.Sigmoid()
        self.fc = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn(self.conv(x)))
        x = self.relu(self.pool(x))  # the same module again
        x = F.relu(F.max_pool2d(self.up(self.average(x)), 2)) + 1
        return self.fc(self.gate(self.adaptive(x)).flatten(1))


def test_ptflops_2018_by_hand() -> None:
    cost = count(Everything(), (3, 16, 16), "ptflops-2018")
    full = 8 * 16 * 16
    macs = 3 * 3 * 3 * full + 8 * 5
    extra = full + 2 * full + (full + full // 4) + full + full // 4 + full // 4  # bias, BN, ReLUs, pools, upsample
    assert cost.macs == macs + extra
    assert cost.mul == cost.add == macs
    assert count(Everything(), (3, 16, 16)).macs == macs


def test_spconv_2020_by_hand() -> None:
    full = 8 * 16 * 16
    cost = count(Everything(), (3, 16, 16), "spconv-2020")
    assert cost.macs == 3 * 3 * 3 * full + 8 * 5 + 4 * full + (full + full // 4)  # BN, ReLUs
    assert agrees("4.14", Decimal(count("resnet50", convention="spconv-2020").macs) / 10**9)


def test_the_2018_counter_gives_a_versatile_layer_its_dense_cost_and_bias() -> None:
    layer = SpatialVersatileConv2d(4, 6, 3, padding=1)
    assert count(layer, (4, 5, 5), "ptflops-2018").macs == 3 * 3 * 4 * 6 * 25 + 6 * 25


def test_transposed_one_dimensional_and_grouped_convolutions() -> None:
    model = nn.Sequential(
        nn.ConvTranspose2d(6, 4, 3, stride=2, groups=2),
        nn.Conv2d(4, 8, (1, 3), stride=(2, 1), dilation=2, groups=4),
        nn.Flatten(2),
        nn.Conv1d(8, 2, 5),
    )
    height = width = 2 * 6 + 1
    second = 8 * ((height - 1) // 2 + 1) * (width - 4)
    last = 2 * (second // 8 - 4)
    macs = 6 * 36 * 2 * 9 + second * 3 + last * 8 * 5
    assert count(model, (6, 6, 6)).macs == macs


# --- What a layer record says, and what is counted once ---------------------------------------------


def test_layers_sum_to_the_network() -> None:
    cost = count("separate_l_versatile_resnet56_cifar_s4")
    assert sum(layer.macs for layer in cost.layers) == cost.macs
    assert ceil(sum(layer.params for layer in cost.layers)) == cost.params
    assert ceil(sum(layer.mul for layer in cost.layers)) == cost.mul
    stem = cost.layers[0]
    assert (stem.name, stem.kind, stem.input_shape, stem.output_shape, stem.macs, stem.weight_bits) == (
        "conv1", "Conv2d", (1, 3, 32, 32), (1, 16, 32, 32), 27 * 16 * 1024, 32 * 27 * 16
    )  # fmt: skip


def test_shared_weights_are_stored_once_and_unused_ones_all_the_same() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(4, 4, bias=False)
            self.second = nn.Linear(4, 4, bias=False)
            self.second.weight = self.first.weight
            self.unused = nn.Conv2d(3, 2, 1, bias=False)
            self.scale = nn.Parameter(torch.ones(7))

        def forward(self, x: Tensor) -> Tensor:
            return self.second(self.first(self.first(x)))

    cost = count(Tied(), (1, 1, 4))
    assert cost.params == 16 + 6 + 7
    assert cost.macs == 3 * 16
    calls = {layer.name: layer.calls for layer in cost.layers}
    assert calls == {"": 1, "first": 2, "second": 1, "unused": 0}


def test_the_users_network_stays_as_it_was() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout()).train()
    before = copy.deepcopy(model.state_dict())
    count(model, (3, 8, 8))
    assert model.training
    assert all(module.training and not module._forward_hooks for module in model.modules())
    for key, value in model.state_dict().items():
        assert value.device.type == "cpu"
        assert torch.equal(value, before[key])


def test_batch_norm_of_any_rank_keeps_its_shape() -> None:
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(2), nn.BatchNorm1d(3, affine=False), nn.LayerNorm(16))
    cost = count(model, (3, 4, 4), "ptflops-2018")
    assert cost.macs == 2 * prod((3, 4, 4)) + prod((3, 16))
    assert [layer.output_shape for layer in cost.layers] == [(1, 3, 4, 4), (1, 3, 16), (1, 3, 16), (1, 3, 16)]


def test_half_precision_networks_count_32_bit_values() -> None:
    assert count(nn.Conv2d(3, 4, 3).half(), (3, 8, 8)).weight_bytes == 4 * (3 * 4 * 9 + 4)


def test_a_builder_that_reads_tensors_is_built_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(name: str) -> nn.Module:
        width = int(torch.tensor(8).item())  # as torchvision's RegNet does; fails on the meta device
        return nn.Conv2d(3, width, 1)

    monkeypatch.setattr(backbones, "create_model", build)
    assert count("resnet56_cifar", (3, 7, 9)).params == 32


def test_the_documentation_defines_every_convention() -> None:
    text = (Path(__file__).parents[2] / "docs" / "counting.md").read_text(encoding="utf-8")
    assert all(f"| `{convention}`" in text for convention in CONVENTIONS)


def test_number_of_classes() -> None:
    assert count("resnet56_cifar").params - count("resnet56_cifar", num_classes=4).params == 6 * 65


# --- Networks that cannot be counted ----------------------------------------------------------------


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight)


class Attention(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(x, x, x)


def test_a_functional_convolution_is_named_and_not_missed() -> None:
    with pytest.raises(UserError, match=r"'Sequential'.*0 \(Functional\) executes 300 .*aten\.convolution.* 0;"):
        count(nn.Sequential(Functional(), nn.Conv2d(4, 4, 1)), (3, 5, 5))


def test_attention_is_named_and_not_missed() -> None:
    with pytest.raises(UserError, match=r"1 \(Attention\) executes"):
        count(nn.Sequential(nn.Conv2d(3, 4, 1), Attention()), (3, 5, 5))


@pytest.mark.parametrize("op", [torch.bmm, torch.matmul])
def test_matrix_products_are_not_missed(op: object) -> None:
    class Product(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return op(x[0], x[0])

    with pytest.raises(UserError, match=r"the network itself \(Product\) executes 375"):
        count(Product(), (3, 5, 5))


def test_a_forward_pass_that_fails_names_model_and_input() -> None:
    with pytest.raises(UserError, match=r"'small' cannot be run on an input of 4x8x8: RuntimeError: ") as caught:
        count(nn.Conv2d(3, 4, 3), (4, 8, 8), name="small")
    assert "\n" not in str(caught.value)


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(UserError, match="no model 'sc_resnet5'; did you mean sc_resnet50"):
        count("sc_resnet5")
    with pytest.raises(UserError, match="'ptflops-2019'; did you mean ptflops-2018"):
        count("resnet50", convention="ptflops-2019")
    with pytest.raises(UserError, match="choose one of conv-linear, "):
        count("resnet50", convention="?")


@pytest.mark.parametrize("text", ["3x224", "224", "3x224x224x1", "ax1x1", "3x0x5", "-3x4x4", ""])
def test_bad_inputs(text: str) -> None:
    with pytest.raises(UserError, match=r"such as 3x224x224|such as .3, 224, 224"):
        parse_input(text)


def test_inputs() -> None:
    assert parse_input("1x41X50") == (1, 41, 50)
    with pytest.raises(UserError, match="three whole numbers"):
        count("resnet50", (3, 224))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="named models"):
        count(nn.Conv2d(3, 4, 3), num_classes=10)


def test_json_keys() -> None:
    cost = count("resnet56_cifar")
    keys = ["model", "input", "convention", "params", "macs", "mul", "add", "weight_bytes"]
    assert list(cost.to_json_dict()) == keys
    assert list(cost.to_json_dict(layers=True)) == [*keys, "layers"]
    assert cost.to_json_dict()["input"] == "3x32x32"


def test_the_naive_summation_costs_what_a_convolution_costs() -> None:
    naive, plain = (count(name) for name in ("naive_versatile_resnet56_cifar", "resnet56_cifar"))
    assert (naive.params, naive.macs, naive.mul, naive.add) == (plain.params, plain.macs, plain.mul, plain.add)
