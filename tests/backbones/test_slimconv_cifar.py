"""Every network of SlimConv's CIFAR-100 tables: counted to the printed digits, and fit for training."""

from __future__ import annotations

import copy
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from functools import lru_cache

import pytest
import torch
from torch import Tensor, nn

import backbones
from backbones.ops import SlimConv2d
from benchmarks.complexity import Complexity, count

MEGA, GIGA = 10**6, 10**9

# (model, operations as printed, their unit, millions of parameters as printed)
PRINTED = [
    # Table V
    ("shufflenetv2_cifar", "46.22", MEGA, "1.36"),
    ("sc_shufflenetv2_cifar", "44.58", MEGA, "1.34"),
    ("mobilenetv2_cifar", "94.72", MEGA, "2.41"),
    ("sc_mobilenetv2_cifar_k8_3", "74.80", MEGA, "2.19"),
    ("resnet56_cifar", "126.56", MEGA, "0.86"),
    ("sc_resnet56_cifar", "67.28", MEGA, "0.46"),
    ("nasnet_cifar", "681.88", MEGA, "5.22"),
    ("sc_nasnet_cifar", "644.71", MEGA, "5.05"),
    # Table VI
    ("resnet50_cifar", "1.305", GIGA, "23.71"),
    ("sc_resnet50_cifar", "0.836", GIGA, "14.91"),
    ("oct_resnet50_cifar", "0.936", GIGA, "23.71"),
    ("sc_oct_resnet50_cifar", "0.876", GIGA, "20.04"),
    ("sknet50_cifar", "1.568", GIGA, "28.16"),
    ("sc_resnext50_cifar", "1.221", GIGA, "20.64"),
    ("se_resnet50_cifar", "1.317", GIGA, "26.50"),
    ("sc_se_resnet50_cifar", "0.847", GIGA, "17.61"),
    ("se_resnet101_cifar", "2.538", GIGA, "47.77"),
    ("sc_se_resnet101_cifar", "1.564", GIGA, "31.08"),
    # Table XI
    ("resnet50_cifar", "1.31", GIGA, "23.71"),
    ("sc_resnet50_cifar", "0.84", GIGA, "14.91"),
    ("sc_resnet50_cifar_sf", "0.84", GIGA, "14.91"),
    ("sc_resnet50_cifar_3b_sf", "0.96", GIGA, "17.03"),
]
FIGURE8 = {
    "": "37.12", "_k2": "51.23", "_k8_3": "56.77", "_k10_3": "59.86",
    "_k4": "61.70", "_k14_3": "62.89", "_k16_3": "63.68",
}  # fmt: skip

SLIMMED = {
    "sc_shufflenetv2_cifar": 13,
    "sc_mobilenetv2_cifar_k8_3": 17,
    "sc_resnet20_cifar": 9,
    "sc_resnet20_cifar_sf": 9,
    "sc_resnet20_cifar_noflip": 9,
    "sc_resnet56_cifar": 27,
    "sc_nasnet_cifar": 2 * (12 * 5 + 2 * 5),
    "sc_resnet50_cifar": 16,
    "sc_oct_resnet50_cifar": 2,
    "sc_resnext50_cifar": 16,
    "sc_se_resnet50_cifar": 16,
    "sc_se_resnet101_cifar": 33,
    "sc_resnet50_cifar_sf": 16,
    "sc_resnet50_cifar_3b_sf": 16,
}
# Large, or a near relative of one that every run tests.
HEAVY = (
    "nasnet_cifar", "sc_nasnet_cifar", "se_resnet101_cifar", "sc_se_resnet101_cifar", "se_resnet50_cifar",
    "resnext50_cifar", "oct_resnet50_cifar", "sc_resnet50_cifar_3b_sf",
)  # fmt: skip
LIGHT = ("sc_shufflenetv2_cifar",)
NETWORKS = list(dict.fromkeys([model for model, *_ in PRINTED] + ["resnext50_cifar"]))


def slow_except(quick: tuple[str, ...] | list[str], names: list[str] = NETWORKS) -> list[object]:
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in names]


def agrees(value: float, printed: str) -> bool:
    digit = Decimal(1).scaleb(Decimal(printed).as_tuple().exponent)
    return Decimal(printed) in {Decimal(value).quantize(digit, rounding) for rounding in (ROUND_HALF_UP, ROUND_DOWN)}


def table_v_to_xi(name: str) -> Complexity:
    return count(name, (3, 32, 32), "ptflops-2018", num_classes=100)


def operations(name: str) -> int:
    """Count; the blocks' own ReLUs of ResNet-56 were functions in the code behind Table V, so not counted there."""
    cost = table_v_to_xi(name)
    modules = [c.macs for c in cost.layers if c.kind == "ReLU" and c.name.split(".")[-1] == "relu"]
    return cost.macs - (sum(modules) if "resnet56" in name else 0)


def batch(size: int, images: int = 1) -> Tensor:
    return torch.randn(images, 3, size, size, generator=torch.Generator().manual_seed(size))


@pytest.mark.parametrize(("name", "macs", "unit", "params"), PRINTED)
def test_tables_v_vi_and_xi_to_the_digit(name: str, macs: str, unit: int, params: str) -> None:
    assert agrees(operations(name) / unit, macs)
    assert agrees(table_v_to_xi(name).params / MEGA, params)


@pytest.mark.parametrize(("suffix", "printed"), FIGURE8.items())
def test_figure_8_to_the_digit(suffix: str, printed: str) -> None:
    plain, slim = (table_v_to_xi(name).params for name in ("resnet50_cifar", f"sc_resnet50_cifar{suffix}"))
    assert agrees(100 - 100 * slim / plain, printed)


def test_the_se_rows_need_the_stage_that_is_too_wide() -> None:
    from backbones.nets.se_resnet_cifar import SEResNetCifar

    with torch.device("meta"):
        right = SEResNetCifar((3, 4, 6, 3), widths=(64, 128, 256, 512))
    assert agrees(count(right, (3, 32, 32)).params / MEGA, "26.26")


@lru_cache
def structure(name: str) -> nn.Module:
    with torch.device("meta"):
        return backbones.create_model(name)


@pytest.mark.parametrize(("name", "number"), SLIMMED.items())
def test_what_is_slimmed(name: str, number: int) -> None:
    assert sum(isinstance(module, SlimConv2d) for module in structure(name).modules()) == number


def test_octave_blocks_stay() -> None:
    (report,) = backbones.surgery_report(structure("sc_oct_resnet50_cifar"))
    assert [change.name for change in report.replaced] == ["layer4.1.conv2", "layer4.2.conv2"]


def test_depthwise_slimconvs_are_depthwise_and_without_bias() -> None:
    for name in ("sc_nasnet_cifar", "sc_mobilenetv2_cifar_k8_3", "sc_shufflenetv2_cifar"):
        for module in (m for m in structure(name).modules() if isinstance(m, SlimConv2d)):
            for conv in (module.top[0], module.bottom[3]):
                assert conv.groups == conv.in_channels
                assert conv.bias is None


@pytest.mark.parametrize("name", slow_except([n for n in NETWORKS if n not in HEAVY]))
def test_trains_with_two_images_and_with_one(name: str) -> None:
    model = backbones.create_model(name, num_classes=7).train()
    images = batch(32, 2)
    logits = model(images)
    assert logits.shape == (2, 7)
    logits.square().sum().backward()
    for key, parameter in model.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, key
        assert parameter.grad is None or parameter.grad.isfinite().all(), key
    assert model(batch(16)).isfinite().all()


@pytest.mark.parametrize("name", slow_except([n for n in NETWORKS if n not in HEAVY]))
def test_one_image_of_an_odd_size_a_copy_and_a_state_dict(name: str) -> None:
    model = backbones.create_model(name).eval()
    image = torch.randn(1, 3, 19, 21)
    with torch.no_grad():
        expected = model(image)
        assert expected.shape == (1, backbones.model_spec(name).num_classes)
        assert torch.equal(copy.deepcopy(model)(image), expected)
        with torch.device("meta"):
            again = backbones.create_model(name).eval()
        again.load_state_dict(model.state_dict(), assign=True)
        assert torch.equal(again(image), expected)


@pytest.mark.parametrize("name", slow_except([n for n in SLIMMED if n not in HEAVY], list(SLIMMED)))
def test_starts_as_its_baseline_does(name: str) -> None:
    ratio = spread(name) / spread(backbones.model_spec(name).baseline)
    assert 1 / 3 < ratio < 3


@lru_cache
@torch.no_grad()
def spread(name: str) -> float:
    """Standard deviation of the logits over a batch, as training sees them at its first step."""
    torch.manual_seed(0)
    return float(backbones.create_model(name, num_classes=100).train()(batch(16, 6)).std(0).mean())


@pytest.mark.parametrize("name", slow_except(LIGHT))
def test_is_exported(name: str) -> None:
    model, image = backbones.create_model(name).eval(), batch(32)
    program = torch.export.export(model, (image,))
    torch.testing.assert_close(program.module()(image), model(image))


@pytest.mark.parametrize("name", slow_except([]))
def test_compiles_without_a_break(name: str) -> None:
    model, images = backbones.create_model(name).eval(), batch(32)
    torch.compiler.reset()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(images), model(images), rtol=1e-4, atol=1e-5)


def test_sk_attention_of_one_image_leaves_its_statistics_alone() -> None:
    from backbones.nets.sk_resnet_cifar import SelectiveKernel

    layer = SelectiveKernel(32, groups=4).train()
    before = copy.deepcopy(layer.bn.state_dict())
    layer(torch.randn(1, 32, 5, 5))
    assert all(torch.equal(value, before[key]) for key, value in layer.bn.state_dict().items())
    layer(torch.randn(2, 32, 5, 5))
    assert layer.bn.num_batches_tracked == 1


def test_sk_attention_is_the_weighted_sum_of_its_branches() -> None:
    from backbones.nets.sk_resnet_cifar import SelectiveKernel

    layer = SelectiveKernel(32, stride=2, groups=4).eval()
    nn.init.zeros_(layer.select.weight)
    nn.init.constant_(layer.select.bias[:32], 20.0)
    nn.init.zeros_(layer.select.bias[32:])
    x = torch.randn(2, 32, 6, 7)
    torch.testing.assert_close(layer(x), layer.branches[0](x))


def test_an_octave_convolution_of_a_smooth_image_is_a_convolution() -> None:
    """Where high and low frequencies carry the same constant image, 1x1 octave convolutions equal a plain one."""
    from backbones.nets.oct_resnet_cifar import OctaveConv

    for stride in (1, 2):
        conv = OctaveConv(4, 6, 1, stride, low_in=True, low_out=True).double()
        values = torch.randn(1, 4, 1, 1, dtype=torch.float64)
        high, low = values[:, :2].expand(1, 2, 9, 7), values[:, 2:].expand(1, 2, 5, 4)
        out_high, out_low = conv((high, low))
        top = torch.cat((conv.high_to_high.weight, conv.low_to_high.weight), 1)[..., 0, 0]
        bottom = torch.cat((conv.high_to_low.weight, conv.low_to_low.weight), 1)[..., 0, 0]
        vector = values[0, :, 0, 0]
        height, width = (9, 7) if stride == 1 else (5, 4)
        torch.testing.assert_close(out_high, (top @ vector)[None, :, None, None].expand(1, 3, height, width))
        size = (5, 4) if stride == 1 else (3, 2)
        torch.testing.assert_close(out_low, (bottom @ vector)[None, :, None, None].expand(1, 3, *size))


def test_the_shuffle_interleaves_two_halves() -> None:
    from backbones.nets.shufflenetv2_cifar import shuffle

    first, second = torch.randn(2, 2, 3, 3, 3)
    expected = nn.ChannelShuffle(2)(torch.cat((first, second), 1))
    assert torch.equal(shuffle(first, second), expected)


def test_nasnet_keeps_its_spare_adapters_out_of_training() -> None:
    frozen = {name for name, p in structure("nasnet_cifar").named_parameters() if not p.requires_grad}
    assert frozen
    assert all(".spare." in name for name in frozen)
