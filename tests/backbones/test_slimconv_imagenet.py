"""The networks of SlimConv's ImageNet tables: counts as printed, and what every network must survive."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Iterable
from functools import partial

import pytest
import torch
import torch.nn.functional as F
import torchvision
from _pytest.mark import ParameterSet
from torch import Tensor, nn

import backbones
from backbones.nets.bl_resnet import BigLittle
from backbones.nets.bl_resnet import Bottleneck as BigLittleBottleneck
from backbones.nets.ghost_resnet import GhostConv2d
from backbones.nets.oct_resnet import OctBottleneck, OctConv2d
from backbones.nets.spconv_resnet import SPConv2d
from backbones.ops import SlimConv2d
from benchmarks.complexity import count

MAC, P18 = "conv-linear", "ptflops-2018"
# name -> parameters in 1e6 as printed, operations in `unit` as printed, the counter that the table used.
PRINTED = {
    "se_resnet50": ("28.09", "4.12", 1e9, P18),
    "se_resnet101": ("49.33", "7.85", 1e9, P18),
    "se_resnext50_32x4d": ("27.56", "4.23", 1e9, MAC),
    "se_resnext101_32x4d": ("48.96", "7.97", 1e9, MAC),
    "ghost_resnet50": ("13.95", "2.15", 1e9, MAC),
    "bl_resnet50": ("26.69", "2.85", 1e9, MAC),
    "sc_bl_resnet50": ("17.77", "2.16", 1e9, MAC),
    "dla46_c": ("1.31", "5.90", 1e8, P18),
    "sc_dla46_c": ("0.97", "4.83", 1e8, MAC),
    "shufflenet_v2_x1_0": ("2.28", "1.45", 1e8, MAC),
    "sc_shufflenet_v2_x1_0": ("2.25", "1.42", 1e8, MAC),
    "sc_mobilenet_v2_k8_3": ("3.38", "2.39", 1e8, MAC),
    "sc_resnet50_noflip": ("16.76", "2.65", 1e9, MAC),
    "sc_resnet50_onlyflip": ("16.76", "2.65", 1e9, MAC),
}
# What the paper took from others, or misprinted: our counts, and why they are not the printed ones.
OURS = {
    "spconv_resnet50_a1_2": (18_341_672, 2_907_439_104),  # 18.34, 2.97: its paper adds norms and ReLUs
    "spconv_resnet50_a1_8": (16_219_688, 2_560_622_592),  # 16.22, 2.62: the same
    "oct_resnet50": (25_557_032, 2_367_143_936),  # "23.60" is a misprint; 2.40 is ptflops-2018
    "squeezenet1_1": (1_235_496, 349_151_936),  # 1.2 and 0.72e9, two operations a MAC, by its authors
    "mobilenet_v2": (3_504_872, 300_774_272),  # 3.51
}
NAMES = [*PRINTED, *OURS]
# Another depth, share or arrangement of a network that is tested anyway.
LIKE_ANOTHER = ("se_resnet101", "se_resnext101_32x4d", "spconv_resnet50_a1_8", "sc_resnet50_onlyflip")
SLOW_TO_EXPORT = [name for name in NAMES if name != "sc_dla46_c"]


def slowly(names: list[str], slow: Iterable[str]) -> list[ParameterSet | str]:
    return [pytest.param(name, marks=pytest.mark.slow) if name in slow else name for name in names]


@pytest.fixture(scope="module", params=slowly(NAMES, LIKE_ANOTHER))
def model(request: pytest.FixtureRequest) -> nn.Module:
    """A network with five classes, shared by the tests that ask for it: they copy it before they change it."""
    torch.manual_seed(0)
    return backbones.create_model(request.param, num_classes=5)


def prints_as(value: float, printed: str) -> bool:
    digits = len(printed.partition(".")[2])
    scaled = value * 10**digits
    return str(printed).replace(".", "").lstrip("0") in (str(round(scaled)), str(int(scaled)))


@pytest.mark.parametrize("name", PRINTED)
def test_counts_are_the_printed_ones(name: str) -> None:
    params, operations, unit, convention = PRINTED[name]
    counted = count(name, convention=convention)
    assert prints_as(counted.params / 1e6, params), counted.params
    assert prints_as(counted.macs / unit, operations), counted.macs


@pytest.mark.parametrize("name", OURS)
def test_counts_that_the_paper_does_not_print(name: str) -> None:
    counted = count(name)
    assert (counted.params, counted.macs) == OURS[name]


def test_the_octave_row_was_counted_like_the_resnet_row_above_it() -> None:
    assert prints_as(count("resnet50", convention=P18).macs / 1e9, "4.12")
    assert prints_as(count("oct_resnet50", convention=P18).macs / 1e9, "2.40")


def test_larger_inputs_of_table_10() -> None:
    assert prints_as(count("resnet50", (3, 256, 256)).macs / 1e9, "5.34")
    assert count("sc_resnet50", (3, 256, 256)).macs / 1e9 == pytest.approx(3.47, rel=0.0025)


def test_evaluates_one_image_of_any_size(model: nn.Module) -> None:
    model.eval()
    with torch.no_grad():
        for size in ((64, 64), (65, 79)):
            out = model(torch.randn(1, 3, *size))
            assert out.shape == (1, 5)
            assert out.isfinite().all()


def test_trains_with_one_and_with_two_images(model: nn.Module) -> None:
    model = copy.deepcopy(model).train()
    for shape in ((2, 3, 65, 65), (1, 3, 64, 64)):
        model.zero_grad(set_to_none=True)
        F.cross_entropy(model(torch.randn(shape)), torch.arange(shape[0])).backward()
        learned = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
        assert [name for name, grad in learned.items() if grad is None] == []
        assert all(grad.isfinite().all() for grad in learned.values())


def test_state_dict_and_copy_are_the_same_network(model: nn.Module, request: pytest.FixtureRequest) -> None:
    name = request.node.callspec.params["model"]
    image = torch.randn(1, 3, 64, 64)
    with torch.device("meta"):
        other = backbones.create_model(name, num_classes=5).eval()
    other.load_state_dict(model.state_dict(), strict=True, assign=True)
    copied = copy.deepcopy(model).eval()
    with torch.no_grad():
        expected = model.eval()(image)
        assert torch.equal(other(image), expected)
        assert torch.equal(copied(image), expected)


def test_starts_as_sensibly_as_a_resnet(model: nn.Module) -> None:
    # In training, where norms use the batch: outputs vary between images and are of order one.
    torch.manual_seed(0)
    with torch.no_grad():
        outputs = copy.deepcopy(model).train()(torch.randn(4, 3, 64, 64))
    spread = float(outputs.std(0).mean())
    assert 1e-3 < spread < 10


@pytest.mark.parametrize("name", slowly(NAMES, SLOW_TO_EXPORT))
def test_exports(name: str) -> None:
    model = backbones.create_model(name, num_classes=5).eval()
    images = (torch.randn(2, 3, 64, 64),)
    exported = torch.export.export(model, images).module()
    with torch.no_grad():
        assert torch.allclose(exported(*images), model(*images), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_compiles_without_a_graph_break(name: str) -> None:
    torch.compiler.reset()
    model = backbones.create_model(name, num_classes=5).train()
    for dropout in (module for module in model.modules() if isinstance(module, nn.Dropout)):
        dropout.p = 0  # compiled code draws other random numbers
    image = torch.randn(2, 3, 64, 64)
    expected = copy.deepcopy(model)(image)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)(image)
    compiled.sum().backward()
    torch.testing.assert_close(compiled, expected, atol=1e-4, rtol=1e-3)


class OctavePair(nn.Module):
    """Two blocks: one splits the frequencies, one joins them."""

    def __init__(self) -> None:
        super().__init__()
        self.split, self.join = OctBottleneck(8, 4, 1, 0, 0.5), OctBottleneck(16, 8, 2, 0.5, 0)

    def forward(self, x: Tensor) -> Tensor:
        return self.join(self.split((x, None)))[0]


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(OctavePair(), id="octave"),
        pytest.param(BigLittle(8, 16, 2, 2, 2, 4), id="big-little"),
        pytest.param(GhostConv2d(8, 16, 3, 2, relu=True), id="ghost"),
        pytest.param(SPConv2d(8, 2), id="spconv"),
    ],
)
def test_own_blocks_compile_without_a_graph_break(block: nn.Module) -> None:
    torch.compiler.reset()
    images = torch.randn(2, 8, 15, 16)
    expected = copy.deepcopy(block)(images)
    compiled = torch.compile(block, backend="aot_eager", fullgraph=True)(images)
    compiled.sum().backward()
    torch.testing.assert_close(compiled, expected, atol=1e-4, rtol=1e-3)


def test_listing_models_does_not_import_timm() -> None:
    script = "import sys, backbones; assert backbones.list_models('se_*'); print('timm' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# What the models are made of


@pytest.mark.parametrize(
    ("name", "layers"),
    [("sc_bl_resnet50", 19), ("sc_dla46_c", 12), ("sc_shufflenet_v2_x1_0", 16), ("sc_mobilenet_v2_k8_3", 17)],
)
def test_every_block_is_slim(name: str, layers: int) -> None:
    with torch.device("meta"):
        network = backbones.create_model(name)
    assert sum(isinstance(module, SlimConv2d) for module in network.modules()) == layers


@pytest.mark.parametrize(("name", "arrangement"), [("noflip", "none"), ("onlyflip", "flip-both")])
def test_ablations_change_the_order_of_the_weights_only(name: str, arrangement: str) -> None:
    with torch.device("meta"):
        ours, plain = backbones.create_model(f"sc_resnet50_{name}"), backbones.create_model("sc_resnet50")
    assert ours.state_dict().keys() == plain.state_dict().keys()
    assert {m.arrangement for m in ours.modules() if isinstance(m, SlimConv2d)} == {arrangement}


def test_octave_convolution_is_the_sum_of_its_four_paths() -> None:
    layer = OctConv2d(8, 12, 3, alpha_in=0.25, alpha_out=0.5, relu=False).double().eval()
    high, low = torch.randn(2, 6, 5, 7, dtype=torch.float64), torch.randn(2, 2, 3, 4, dtype=torch.float64)
    conv = partial(F.conv2d, padding=1)
    raised = conv(low, layer.low_to_high.weight)
    rows, columns = torch.arange(5) // 2, torch.arange(7) // 2
    expected = conv(high, layer.high_to_high.weight) + raised[:, :, rows][:, :, :, columns]
    pooled = torch.stack([high[:, :, 2 * i : 2 * i + 2].mean(2) for i in range(3)], 2)
    pooled = torch.stack([pooled[..., 2 * i : 2 * i + 2].mean(3) for i in range(4)], 3)
    expected_low = conv(low, layer.low_to_low.weight) + conv(pooled, layer.high_to_low.weight)
    ours_high, ours_low = layer((high, low))
    scale = (1 + 1e-5) ** 0.5  # a norm with unit variance divides by this
    assert torch.allclose(ours_high * scale, expected, atol=1e-10)
    assert torch.allclose(ours_low * scale, expected_low, atol=1e-10)


def test_octave_without_low_frequencies_is_a_convolution() -> None:
    layer = OctConv2d(8, 12, 3, alpha_in=0, alpha_out=0, relu=False).double().eval()
    x = torch.randn(1, 8, 6, 6, dtype=torch.float64)
    high, low = layer((x, None))
    assert low is None
    assert torch.allclose(high * (1 + 1e-5) ** 0.5, F.conv2d(x, layer.high_to_high.weight, padding=1), atol=1e-10)
    assert {name.split(".")[0] for name, _ in layer.named_parameters()} == {"high_to_high", "high_norm"}


def test_ghost_module_is_the_primary_and_its_depthwise_image() -> None:
    layer = GhostConv2d(4, 10, 3, 2, relu=True).eval()
    x = torch.randn(1, 4, 9, 9)
    out = layer(x)
    assert out.shape == (1, 10, 5, 5)
    scale = (1 + 1e-5) ** 0.5
    first = F.conv2d(x, layer.primary[0].weight, stride=2, padding=1).div(scale).relu()
    second = F.conv2d(first, layer.cheap[0].weight, padding=1, groups=5).div(scale).relu()
    assert torch.allclose(out, torch.cat((first, second), 1), atol=1e-5)


def test_spconv_weighs_its_parts_by_the_softmax_of_their_averages() -> None:
    layer = SPConv2d(16, 2, alpha=1 / 4).double().eval()
    x = torch.randn(2, 16, 8, 8, dtype=torch.float64)
    scale = (1 + 1e-5) ** 0.5
    pooled = F.avg_pool2d(x, 2)
    dear = F.conv2d(x[:, :4], layer.groupwise.weight, stride=2, padding=1, groups=2)
    dear = (dear + F.conv2d(pooled[:, :4], layer.pointwise.weight)) / scale
    cheap = F.conv2d(pooled[:, 4:], layer.cheap.weight) / scale
    weights = torch.stack([dear.mean((2, 3)), cheap.mean((2, 3))]).softmax(0)[..., None, None]
    assert torch.allclose(layer(x), weights[0] * dear + weights[1] * cheap, atol=1e-10)


def test_big_little_depths_and_resolutions() -> None:
    with torch.device("meta"):
        network = backbones.create_model("bl_resnet50")
        sizes: dict[str, Tensor] = {}
        for name in ("stem", "layer1.big", "layer1.little", "layer1", "layer2", "layer3.big", "layer3", "layer4"):
            network.get_submodule(name).register_forward_hook(lambda _m, _a, out, name=name: sizes.update({name: out}))
        network(torch.empty(1, 3, 224, 224))
    stages = [module for module in network.modules() if isinstance(module, BigLittle)]
    assert [(len(stage.big), len(stage.little)) for stage in stages] == [(2, 1), (3, 1), (5, 1)]
    assert sum(isinstance(module, BigLittleBottleneck) for module in network.modules()) == 10 + 3 + 3 + 3
    assert {name: tuple(out.shape[1:3]) for name, out in sizes.items()} == {
        "stem": (64, 56),
        "layer1.big": (256, 28),
        "layer1.little": (128, 56),
        "layer1": (256, 28),
        "layer2": (512, 14),
        "layer3.big": (1024, 7),
        "layer3": (1024, 14),
        "layer4": (2048, 7),
    }


def test_a_block_of_the_big_branch_may_end_without_relu() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 8, 6, 6)
    assert BigLittleBottleneck(8, 16, last_relu=False).eval()(x).min() < 0
    assert BigLittleBottleneck(8, 16).eval()(x).min() == 0


def test_the_projection_of_dla_that_nothing_reads() -> None:
    network = backbones.create_model("dla46_c", num_classes=5).eval()
    image = torch.randn(1, 3, 64, 64)
    dead = network.level4.project
    with torch.no_grad():
        before = network(image)
        dead[0].weight.zero_()
        assert torch.equal(network(image), before)
    assert not any(parameter.requires_grad for parameter in dead.parameters())


def test_torchvision_has_the_other_baselines() -> None:
    with torch.device("meta"):
        for name in ("squeezenet1_1", "shufflenet_v2_x1_0", "mobilenet_v2"):
            theirs = torchvision.models.get_model(name, weights=None)
            assert backbones.create_model(name).state_dict().keys() == theirs.state_dict().keys()
