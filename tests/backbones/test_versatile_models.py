"""The networks of Versatile Filters' Tables 3 to 10 and Figure 4: counts as printed, layers, and what they survive."""

from __future__ import annotations

from decimal import Decimal

import contracts
import pytest
import torch
from torch import nn

import backbones
from backbones.ops import VersatileConv2d
from benchmarks.complexity import count
from benchmarks.digits import agrees, at_scale

MIB = 2**20
IMAGENET, PRIMARY = "conv-linear", "conv-linear-primary-masks"

# name: convention, then (metric, scale, as printed)
PRINTED = {
    # Table 3
    "alexnet_2g": (IMAGENET, ("params", 1e7, "6.1"), ("weight_bytes", MIB, "233"), ("mul", 1e8, "7.2")),
    "s_versatile_alexnet_2g": (IMAGENET, ("params", 1e7, "3.5"), ("weight_bytes", MIB, "132")),
    "s_c_versatile_alexnet_2g": (IMAGENET, ("params", 1e7, "1.9"), ("weight_bytes", MIB, "74")),
    "shared_l_versatile_alexnet_2g_s4": (
        IMAGENET, ("params", 1e7, "1.8"), ("weight_bytes", MIB, "70"), ("mul", 1e8, "2.0"),
    ),
    "separate_l_versatile_alexnet_2g_s4": (
        IMAGENET, ("params", 1e7, "2.0"), ("weight_bytes", MIB, "76"), ("mul", 1e8, "2.0"),
    ),
    "s_versatile_resnet50": (IMAGENET, ("params", 1e7, "1.9"), ("weight_bytes", MIB, "76"), ("mul", 1e9, "3.0")),
    "s_c_versatile_resnet50": (IMAGENET, ("params", 1e7, "1.1"), ("weight_bytes", MIB, "42"), ("mul", 1e9, "1.5")),
    "shared_l_versatile_resnet50_s4": (
        IMAGENET, ("params", 1e7, "0.8"), ("weight_bytes", MIB, "30"), ("mul", 1e9, "1.1"),
    ),
    "separate_l_versatile_resnet50_s4": (  # and Table 4
        IMAGENET, ("params", 1e7, "0.9"), ("weight_bytes", MIB, "33"), ("mul", 1e9, "1.1"), ("params", 1e7, "0.87"),
    ),
    "separate_l_versatile_resnet50_s32": (
        IMAGENET, ("params", 1e7, "0.36"), ("weight_bytes", MIB, "14"), ("mul", 1e9, "0.26"),
    ),
    # Table 4
    "resnet50_x0_5": (IMAGENET, ("params", 1e7, "0.69"), ("add", 1e9, "1.1"), ("mul", 1e9, "1.1")),
    # Table 7
    "shufflenet_v1_x1_5_g3": (IMAGENET, ("params", 1e6, "3.4"), ("add", 1e8, "2.9"), ("mul", 1e8, "2.9")),
    "shufflenet_v1_x1_0_g8": (IMAGENET, ("add", 1e8, "1.4"), ("mul", 1e8, "1.4")),
    "shufflenet_v2_x1_0": (IMAGENET, ("params", 1e6, "2.3")),
    "mobilenet_v2_x0_75": (IMAGENET, ("params", 1e6, "2.6"), ("add", 1e8, "2.1"), ("mul", 1e8, "2.1")),
    "mobilenet_v2": (IMAGENET, ("params", 1e6, "3.5"), ("add", 1e8, "3.0"), ("mul", 1e8, "3.0")),
    "c_versatile_mobilenet_v2_8_8": (IMAGENET, ("params", 1e6, "2.4"), ("add", 1e8, "1.6"), ("mul", 1e8, "1.6")),
    "separate_l_versatile_mobilenet_v2_s4": (
        IMAGENET, ("params", 1e6, "2.0"), ("weight_bytes", MIB, "7.5"), ("add", 1e8, "1.6"),
    ),
    # Table 9
    "efficientnet_b0": (IMAGENET, ("params", 1e6, "5.3"), ("add", 1e8, "3.9"), ("mul", 1e8, "3.9")),
    "mnasnet_a1": (IMAGENET, ("params", 1e6, "3.9"), ("mul", 1e8, "3.1")),
    "mobilenet_v3_large": (IMAGENET, ("params", 1e6, "5.4"), ("add", 1e8, "2.2"), ("mul", 1e8, "2.2")),
    "mobilenet_v3_large_x0_75": (IMAGENET, ("params", 1e6, "4.0")),
    "c_versatile_efficientnet_b0_8_8": (IMAGENET, ("params", 1e6, "3.4"), ("add", 1e8, "2.1"), ("mul", 1e8, "2.1")),
    "separate_l_versatile_efficientnet_b0_s2": (IMAGENET, ("params", 1e6, "3.5"), ("add", 1e8, "2.1")),
    "separate_l_versatile_efficientnet_b0_s4": (IMAGENET, ("params", 1e6, "2.5"), ("add", 1e8, "2.1")),
    # Table 10, whose powers of ten are one too low for the multiplications
    "backbone_resnet50": (IMAGENET, ("params", 1e7, "2.4"), ("mul", 1e10, "5.0")),
    "backbone_s_versatile_resnet50": (IMAGENET, ("params", 1e7, "1.7"), ("mul", 1e10, "3.7")),
    "backbone_separate_l_versatile_resnet50_s4": (IMAGENET, ("params", 1e7, "0.7"), ("mul", 1e10, "1.3")),
    # Figure 4a: section 5.1.3 prints the last, Table 1 the first two
    "separate_l_versatile_resnet56_cifar_s2": (PRIMARY, ("params", 1e5, "4.4")),
    "separate_l_versatile_resnet56_cifar_s4": (PRIMARY, ("params", 1e5, "2.2")),
    "separate_l_versatile_resnet56_cifar_s6": (PRIMARY, ("params", 1e5, "1.5")),
}  # fmt: skip

# Cells that no sound count gives: name, metric, scale, as printed, ours.
MISSED = [
    # Eq. 33 literally, masks of hand-crafted filters too, gives 3.17; the ResNet-50 rows are without them.
    ("s_versatile_alexnet_2g", "mul", 1e8, "3.2", "2.95"),
    ("s_c_versatile_alexnet_2g", "mul", 1e8, "1.7", "1.59"),  # 1.81 with masks
    # Printed as if depthwise layers shared products, too (93 M, 211 M, 117 M); their filters see different channels.
    ("separate_l_versatile_mobilenet_v2_s4", "mul", 1e8, "0.9", "1.08"),
    ("separate_l_versatile_efficientnet_b0_s2", "mul", 1e8, "2.1", "2.27"),
    ("separate_l_versatile_efficientnet_b0_s4", "mul", 1e8, "1.2", "1.42"),
    # Cited from other papers, or rounded up twice
    ("separate_l_versatile_resnet50_s4", "add", 1e9, "2.1", "2.05"),
    ("shufflenet_v1_x1_0_g8", "params", 1e6, "2.5", "2.43"),
    ("shufflenet_v2_x1_0", "mul", 1e8, "1.5", "1.45"),
    ("mobilenet_v3_large_x0_75", "mul", 1e8, "1.6", "1.55"),
    ("mnasnet_a1", "add", 1e8, "3.2", "3.12"),
]

FAMILIES = (
    "s_versatile_resnet50", "s_c_versatile_resnet50", "shared_l_versatile_resnet50_s4",
    "separate_l_versatile_resnet50_s2", "separate_l_versatile_resnet50_s4", "separate_l_versatile_resnet50_s32",
    "resnet50_x0_5",
    "c_versatile_mobilenet_v2_8_8", "separate_l_versatile_mobilenet_v2_s4", "mobilenet_v2_x0_75",
    "c_versatile_efficientnet_b0_8_8", "separate_l_versatile_efficientnet_b0_s2",
    "separate_l_versatile_efficientnet_b0_s4", "efficientnet_b0", "mobilenet_v3_large", "mobilenet_v3_large_x0_75",
    "mnasnet_a1", "shufflenet_v1_x1_5_g3", "shufflenet_v1_x1_0_g8",
)  # fmt: skip
ALEXNETS = tuple(name for name in PRINTED if "alexnet" in name)
CIFAR = tuple(
    f"{kind}_l_versatile_resnet56_cifar_{end}"
    for kind, ends in (
        ("shared", ("s4", "s2_rand", "s2_literal")),
        ("separate", ("s3", "s5", "s6", "s10", "s20", "s2_rand", "s2_literal")),
    )
    for end in ends
)
ALL = [(name, (64, 64)) for name in FAMILIES] + [(name, (224, 227)) for name in ALEXNETS]
ALL += [(name, (16, 16)) for name in CIFAR]
ONE_A_KIND = ("s_c_versatile_resnet50", "separate_l_versatile_mobilenet_v2_s4")


def ours(name: str, metric: str, scale: float, convention: str = IMAGENET) -> Decimal:
    return at_scale(getattr(count(name, convention=convention), metric), scale)


@pytest.mark.parametrize("name", PRINTED)
def test_counts_are_the_printed_ones(name: str) -> None:
    convention, *cells = PRINTED[name]
    for metric, scale, printed in cells:
        value = ours(name, metric, scale, convention)
        assert agrees(printed, value), (metric, printed, value)


@pytest.mark.parametrize(("name", "metric", "scale", "printed", "expected"), MISSED)
def test_counts_that_miss_the_print(name: str, metric: str, scale: float, printed: str, expected: str) -> None:
    value = ours(name, metric, scale)
    assert f"{value:.2f}" == expected
    assert not agrees(printed, value)


def test_the_two_group_alexnet_of_the_paper() -> None:
    cost = count("alexnet_2g")
    assert cost.params == 60_965_224
    assert cost.macs == 724_406_816


def test_masks_a_primary_filter_give_the_curve_of_figure_4a() -> None:
    storage = [count(f"separate_l_versatile_resnet56_cifar_s{s}", convention=PRIMARY).params for s in (2, 3, 4, 5, 6)]
    assert storage == sorted(storage, reverse=True)
    # Without its first convolution, norms and classifier, ResNet-56 has 847,872 weights: n / s of them, and their
    # masks with 1/32 each.
    for s, stored in zip((2, 3, 4, 5, 6), storage, strict=True):
        assert stored == pytest.approx(853_018 - 847_872 + 847_872 / s * (1 + 1 / 32), abs=2)


def primaries(name: str) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        model = backbones.create_model(name)
    return {key: tuple(m.weight.shape) for key, m in model.named_modules() if isinstance(m, VersatileConv2d)}


def test_primary_filters_of_the_spatial_alexnet_are_the_listed_ones() -> None:
    assert primaries("s_versatile_alexnet_2g") == {
        "conv1": (16, 3, 11, 11),
        "conv2": (86, 48, 5, 5),
        "conv3": (192, 258, 3, 3),
        "conv4": (192, 192, 3, 3),
        "conv5": (128, 192, 3, 3),
        "fc6": (1366, 256, 6, 6),
    }


def test_which_layers_stay() -> None:
    def left(name: str) -> set[str]:
        with torch.device("meta"):
            model = backbones.create_model(name)
        convolutions = {key: m for key, m in model.named_modules() if isinstance(m, nn.Conv2d)}
        return {"depthwise" if m.groups > 1 else key for key, m in convolutions.items()}

    assert left("separate_l_versatile_alexnet_2g_s4") == set()
    assert left("separate_l_versatile_resnet50_s4") == left("s_c_versatile_resnet50") == set()
    assert left("separate_l_versatile_mobilenet_v2_s4") == {"depthwise", "features.0.0"}
    assert left("separate_l_versatile_efficientnet_b0_s2") == {"depthwise", "features.0.0"}
    # The excitations of the first three blocks read 8, 4 and 6 channels: no window of c - 8.
    few = {f"features.{block}.block.{i}.fc2" for block, i in (("1.0", 1), ("2.0", 2), ("2.1", 2), ("3.0", 2))}
    assert left("c_versatile_efficientnet_b0_8_8") == {"depthwise", "features.0.0", *few}


@pytest.mark.parametrize("name", ONE_A_KIND)
def test_run_at_their_own_size_and_at_an_odd_one(name: str) -> None:
    assert contracts.runs(name, (224, 224), (161, 75)) == [((1, 5),), ((1, 5),)]


def test_alexnet_classifies_the_mean_over_larger_images() -> None:
    assert contracts.runs("s_c_versatile_alexnet_2g", (224, 224), (291, 259)) == [((1, 5),), ((1, 5),)]
    with pytest.raises(RuntimeError, match=r"(?i)(output|kernel) size"):
        contracts.runs("alexnet_2g", (221, 221))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), ALL)
def test_all_run(name: str, size: tuple[int, int]) -> None:
    odd = (size[0] + 33, size[1] + 5)
    assert contracts.runs(name, size, odd, device="cpu") == [((1, 5),), ((1, 5),)]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), ALL)
def test_all_travel_and_start_as_their_baselines_do(name: str, size: tuple[int, int]) -> None:
    contracts.travels(name, size)
    baseline = backbones.model_spec(name).baseline or name
    ratio = contracts.spread(name, size) / contracts.spread(baseline, size)
    assert 0.3 < ratio < 3


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), ALL)
def test_all_export(name: str, size: tuple[int, int]) -> None:
    contracts.exports(name, size)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), ALL)
def test_all_compile_without_a_graph_break(name: str, size: tuple[int, int]) -> None:
    contracts.compiles(name, size)
