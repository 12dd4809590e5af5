from __future__ import annotations

import copy
import logging
import pickle
import re
from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from timm.models.resnet import Bottleneck as TimmBottleneck
from timm.models.resnet import ResNet as TimmResNet
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

import backbones
from backbones.ops import SlimConv2d


class Block(nn.Module):
    """A user's own bottleneck, with biases and a GELU."""

    def __init__(self, channels: int = 32, width: int = 16, **conv2: Any) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, **{"kernel_size": 3, "padding": 1, **conv2})
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, channels, 1)
        self.bn3 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        out = F.gelu(self.bn1(self.conv1(x)))
        out = F.gelu(self.bn2(self.conv2(out)))
        return x + self.bn3(self.conv3(out))


def own(blocks: int = 2, **conv2: Any) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 32, 3, 2, 1), *(Block(**conv2) for _ in range(blocks)), nn.Flatten(2))


def small(block: Any = Bottleneck, **options: Any) -> nn.Module:
    return ResNet(block, [1, 1, 1, 2], num_classes=7, **options)


def small_timm(**options: Any) -> nn.Module:
    return TimmResNet(TimmBottleneck, (1, 1, 1, 1), num_classes=7, **options)


def images(n: int = 2, size: int = 64) -> Tensor:
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(1))


def slim_layers(model: nn.Module) -> dict[str, SlimConv2d]:
    return {name: module for name, module in model.named_modules() if isinstance(module, SlimConv2d)}


# --- Networks that others wrote: shapes, on the meta device ---------------------------------------------


@pytest.mark.parametrize(
    ("build", "blocks", "others"),
    [
        (torchvision.models.resnet50, 16, 1),
        (torchvision.models.resnext50_32x4d, 16, 1),
        (torchvision.models.wide_resnet50_2, 16, 1),
        (torchvision.models.resnet18, 8, 1),
        (torchvision.models.mobilenet_v2, 17, 1),
        (lambda: timm.create_model("resnet50", pretrained=False), 16, 1),
        (lambda: timm.create_model("resnext50_32x4d", pretrained=False), 16, 1),
        (lambda: timm.create_model("resnet50d", pretrained=False), 16, 3),
        (lambda: timm.create_model("seresnet50", pretrained=False), 16, 1),
        (lambda: timm.create_model("resnetaa50", pretrained=False), 16, 1),
        (lambda: timm.create_model("resnetblur50", pretrained=False), 13, 4),
        (lambda: timm.create_model("resnet50_gn", pretrained=False), 16, 1),
        (lambda: timm.create_model("mobilenetv2_100", pretrained=False), 17, 1),
        (lambda: timm.create_model("mobilenetv3_small_100", pretrained=False), 2, 10),
        (lambda: timm.create_model("dla34", pretrained=False), 12, 3),
    ],
    ids=lambda value: None if isinstance(value, int) else "",
)
def test_networks_of_torchvision_and_timm(build: Callable[[], nn.Module], blocks: int, others: int) -> None:
    with torch.device("meta"):
        model = build()
    spatial = [n for n, m in model.named_modules() if isinstance(m, nn.Conv2d) and m.kernel_size != (1, 1)]
    assert backbones.slim(model, quiet=True) is model
    (report,) = backbones.surgery_report(model)
    assert (len(report.replaced), len(report.resized), len(report.left)) == (blocks, blocks, others)
    assert {c.name for c in report.replaced} == set(slim_layers(model))
    assert all(change.outcome for change in report.left)
    accounted = [c.name for c in (*report.replaced, *report.left)]
    assert len(accounted) == len(set(accounted))
    resized = {c.name for c in report.resized}
    assert set(spatial) - resized == set(accounted)
    assert model.eval()(torch.empty(2, 3, 64, 64, device="meta")).shape == (2, 1000)


@pytest.mark.parametrize("name", ["resnetv2_50", "skresnet18", "regnetx_002", "efficientnet_b0"])
def test_unknown_networks_are_refused_and_left_alone(name: str) -> None:
    with torch.device("meta"):
        model = timm.create_model(name, pretrained=False)
    before = repr(model)
    with pytest.raises(backbones.SurgeryError, match=r"no block that SlimConv can go into \(known: bottleneck, basic"):
        backbones.slim(model)
    assert repr(model) == before
    assert backbones.surgery_report(model) == []


@pytest.mark.parametrize(
    "model", [nn.Conv2d(8, 8, 3), nn.Linear(3, 3), nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))], ids=str
)
def test_no_network_of_blocks(model: nn.Module) -> None:
    with pytest.raises(backbones.SurgeryError, match=f"{type(model).__name__} has no block"):
        backbones.slim(model)


# --- What becomes of the rest ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "build",
    [
        small,
        lambda: small(BasicBlock),
        lambda: small(groups=4, width_per_group=16),
        lambda: small(replace_stride_with_dilation=[False, True, True]),
        lambda: small(norm_layer=nn.SyncBatchNorm),
        small_timm,
        lambda: small_timm(stem_type="deep", stem_width=8, avg_down=True),
        lambda: small_timm(block_args={"attn_layer": "se"}),
        lambda: small_timm(aa_layer=nn.AvgPool2d),
        lambda: small_timm(output_stride=8),
        own,
        lambda: own(dilation=2, padding=2),
        lambda: own(groups=4),
        lambda: own(kernel_size=5, padding=2),
    ],
)
def test_trains_and_has_the_scale_of_the_baseline(build: Callable[[], nn.Module]) -> None:
    model = build()
    baseline = copy.deepcopy(model)
    backbones.slim(model, quiet=True)
    untouched = baseline.state_dict()
    slimmed = slim_layers(model)
    resized = {change.name for change in backbones.surgery_report(model)[0].resized}
    kept = 0
    for key, value in model.state_dict().items():
        owner = key.rpartition(".")[0]
        if owner.startswith(tuple(slimmed)) or (owner in resized and key.endswith("weight")):
            continue
        assert torch.equal(value, untouched[key]), key  # bit for bit, biases of resized layers included
        kept += 1
    assert kept > 0
    expected, found = baseline.train()(images()), model.train()(images())
    assert found.shape == expected.shape
    assert 0.4 < found.std() / expected.std() < 2.5
    found.square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    assert model.eval()(images(1, 96)).shape == baseline.eval()(images(1, 96)).shape


def test_the_slimmed_block_computes_conv1_slim_conv_act_conv3() -> None:
    model = own(1).eval()
    block = model[1]
    backbones.slim(model, k=2, se_min=5, quiet=True)
    assert block.conv2.r == 3
    assert block.conv2.gate[0].out_channels == 5
    x = torch.randn(2, 32, 6, 6)
    inner = F.gelu(block.conv2(F.gelu(block.bn1(block.conv1(x)))))
    torch.testing.assert_close(block(x), x + block.bn3(block.conv3(inner)))


def test_geometry_of_the_convolution_is_kept() -> None:
    model = small(replace_stride_with_dilation=[False, False, True])
    geometry = {n: (m.stride, m.dilation, m.padding) for n, m in model.named_modules() if isinstance(m, nn.Conv2d)}
    backbones.slim(model, quiet=True)
    for name, layer in slim_layers(model).items():
        for conv in (layer.top[0], layer.bottom[3]):
            assert (conv.stride, conv.dilation, conv.padding) == geometry[name]
    assert {layer.top[0].stride for layer in slim_layers(model).values()} == {(1, 1), (2, 2)}
    assert {layer.top[0].dilation for layer in slim_layers(model).values()} == {(1, 1), (2, 2)}


def test_options_reach_the_operator() -> None:
    model = small(groups=8, width_per_group=8)
    backbones.slim(
        model, k=8 / 3, bottom_groups=2, se_reduction=8, arrangement="shuffle", third_branch=True, quiet=True
    )
    for layer in slim_layers(model).values():
        assert (layer.r, layer.arrangement, layer.third is not None) == (4, "shuffle", True)
        assert (layer.top[0].groups, layer.bottom[3].groups) == (8, 2)
        assert layer.gate[0].out_channels == layer.in_channels // 8


def test_groups_of_the_bottom_are_as_many_as_fit() -> None:
    model = small(groups=32, width_per_group=3)  # widths 96, 192, 384, 768; below C / 6 = 16 ... 128 with k = 2
    backbones.slim(model, k=2, quiet=True)
    groups = [layer.bottom[3].groups for name, layer in slim_layers(model).items() if name.endswith("0.conv2")]
    assert groups == [16, 32, 32, 32]


def test_new_weights_have_the_gain_of_the_old() -> None:
    def gain(conv: nn.Conv2d) -> float:
        return float(conv.weight.detach().std()) * conv.weight[0].numel() ** 0.5

    model = nn.Sequential(Block(64, 64))
    for conv in (model[0].conv2, model[0].conv3):
        nn.init.normal_(conv.weight, std=3)
    before = gain(model[0].conv2), gain(model[0].conv3)
    backbones.slim(model, quiet=True)
    layer = model[0].conv2
    assert gain(layer.top[0]) == pytest.approx(before[0], rel=0.1)
    assert gain(layer.bottom[3]) == pytest.approx(before[0], rel=0.1)
    assert gain(model[0].conv3) == pytest.approx(before[1], rel=0.1)


def test_norms_are_like_the_network_s() -> None:
    model = small(norm_layer=lambda channels: nn.BatchNorm2d(channels, eps=1e-3, momentum=0.03))
    backbones.slim(model, quiet=True)
    for layer in slim_layers(model).values():
        for norm in (layer.gate[1], layer.top[1], layer.bottom[1], layer.bottom[4]):
            assert (type(norm), norm.eps, norm.momentum) == (nn.BatchNorm2d, 1e-3, 0.03)
    model = small(norm_layer=nn.SyncBatchNorm)
    backbones.slim(model, quiet=True)
    assert all(type(layer.top[1]) is nn.SyncBatchNorm for layer in slim_layers(model).values())
    model = small(norm_layer=lambda channels: nn.GroupNorm(4, channels))
    backbones.slim(model, quiet=True)
    assert "GroupNorm" in backbones.surgery_report(model)[0].replaced[0].outcome


def test_an_activation_inside_the_norm_survives() -> None:
    class WithActivation(Block):
        def __init__(self) -> None:
            super().__init__()
            self.bn2 = timm.layers.BatchNormAct2d(16, eps=1e-3, act_layer=nn.Hardswish)

    model = nn.Sequential(WithActivation()).eval()
    backbones.slim(model, quiet=True)
    assert isinstance(model[0].bn2, nn.Hardswish)
    assert model[0].conv2.top[1].eps == 1e-3


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("training", [True, False])
def test_precision_and_mode_are_kept(dtype: torch.dtype, training: bool) -> None:
    model = own().to(dtype).train(training)
    backbones.slim(model, arrangement="shuffle", quiet=True)
    assert {p.dtype for p in model.parameters()} == {dtype}
    assert {m.training for m in model.modules() if not isinstance(m, nn.Identity)} == {training}
    assert model(images(2, 16).to(dtype)).dtype == dtype


def test_a_model_on_the_meta_device_stays_there() -> None:
    with torch.device("meta"):
        model = own()
    backbones.slim(model, arrangement="shuffle", quiet=True)
    assert {tensor.device.type for tensor in (*model.parameters(), *model.buffers())} == {"meta"}


# --- What cannot be slimmed -----------------------------------------------------------------------------


class PreActivation(nn.Module):
    """BN, ReLU, conv: here bn2 comes before conv2, and bn3 reads what conv2 writes."""

    def __init__(self, basic: bool) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(16)
        self.conv1 = nn.Conv2d(16, 16, 3 if basic else 1, padding=int(basic))
        self.bn2 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 16, 3, padding=1)
        if not basic:
            self.bn3 = nn.BatchNorm2d(16)
            self.conv3 = nn.Conv2d(16, 16, 1)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv2(F.relu(self.bn2(self.conv1(F.relu(self.bn1(x))))))
        return x + (self.conv3(F.relu(self.bn3(out))) if hasattr(self, "conv3") else out)


class Standardised(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight - self.weight.mean(), self.bias, self.stride, self.padding)


class Squeezed(Block):
    """Something that knows the width stands between the convolution and its reader."""

    def __init__(self) -> None:
        super().__init__()
        conv3, bn3 = self.conv3, self.bn3
        del self.conv3, self.bn3
        self.scale = nn.PReLU(16)
        self.conv3, self.bn3 = conv3, bn3

    def forward(self, x: Tensor) -> Tensor:
        out = self.scale(self.bn2(self.conv2(self.bn1(self.conv1(x)))))
        return x + self.bn3(self.conv3(out))


class Dense(nn.Module):
    """Its third convolution reads what the first two write: a narrower first one does not fit."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(16, 16, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 16, 3, padding=1)
        self.conv3 = nn.Conv2d(32, 16, 1)

    def forward(self, x: Tensor) -> Tensor:
        first = self.bn1(self.conv1(x))
        return self.conv3(torch.cat([first, self.conv2(first)], 1))


def with_conv2(conv: nn.Module) -> nn.Module:
    block = Block()
    block.conv2 = conv
    return block


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        (PreActivation(basic=True), "pre-activation"),
        (PreActivation(basic=False), "pre-activation"),
        (Dense(), "no block|that has a rule"),
        (Squeezed(), r"scale \(PReLU\) works on the channels"),
        (with_conv2(nn.Conv2d(16, 16, 3, padding=1, padding_mode="reflect")), "padding_mode='reflect'"),
        (with_conv2(nn.Conv2d(16, 16, 3, (2, 1), 1)), r"stride=\(2, 1\)"),
        (with_conv2(nn.Conv2d(16, 16, 3, padding=(1, 0))), r"padding=\(1, 0\)"),
        (with_conv2(Standardised(16, 16, 3, padding=1)), "Standardised does more than convolve"),
        (with_conv2(nn.utils.parametrizations.weight_norm(nn.Conv2d(16, 16, 3))), "weight_norm"),
        (Block(width=2), "at least 4 channels"),
    ],
)
def test_blocks_that_would_silently_go_wrong_are_left_with_the_reason(block: nn.Module, reason: str) -> None:
    model = nn.Sequential(nn.Conv2d(3, 32, 1), Block(), block)
    before = copy.deepcopy(block)
    backbones.slim(model, quiet=True)
    report = backbones.surgery_report(model)[0]
    assert [change.name for change in report.replaced] == ["1.conv2"]
    assert any(re.search(reason, change.outcome) for change in report.left if change.name.startswith("2."))
    x = torch.randn(2, before.conv1.in_channels, 6, 6)
    inner = before.conv2(before.conv1(x))
    torch.testing.assert_close(block.conv2(block.conv1(x)), inner, rtol=0, atol=0)
    assert repr(block) == repr(before)
    with pytest.raises(backbones.SurgeryError, match=reason):
        backbones.slim(block)


@pytest.mark.parametrize("k", [3, 1.5, 7])
def test_a_wrong_k_is_named_before_anything_changes(k: float) -> None:
    model = own()
    before = repr(model)
    with pytest.raises(ValueError, match=rf"k={k}.*4/3, 2"):
        backbones.slim(model, k=k)
    assert repr(model) == before


def test_blocks_that_name_their_norms_as_openmmlab_does() -> None:
    class Named(nn.Module):
        norm2_name = "gn_second"

        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(8, 8, 1)
            self.conv2 = nn.Conv2d(8, 8, 3, padding=1)
            self.add_module(self.norm2_name, nn.BatchNorm2d(8))
            self.conv3 = nn.Conv2d(8, 8, 1)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.conv3(F.relu(getattr(self, self.norm2_name)(self.conv2(self.conv1(x)))))

    model = backbones.slim(nn.Sequential(Named()), quiet=True)
    assert isinstance(model[0].conv2, SlimConv2d)
    assert isinstance(model[0].gn_second, nn.Identity)
    assert model(torch.randn(2, 8, 4, 4)).shape == (2, 8, 4, 4)


def test_exclude() -> None:
    model = small()
    backbones.slim(model, exclude=("layer4.*", "layer1.0"), quiet=True)
    assert set(slim_layers(model)) == {"layer2.0.conv2", "layer3.0.conv2"}
    left = {c.name: c.outcome for c in backbones.surgery_report(model)[0].left}
    assert left["layer4.1.conv2"] == "excluded by 'layer4.*'"


def test_a_part_of_a_network_and_a_block_itself() -> None:
    model = small()
    backbones.slim(model.layer4, quiet=True)
    assert set(slim_layers(model)) == {"layer4.0.conv2", "layer4.1.conv2"}
    block = Block()
    assert backbones.slim(block, quiet=True) is block
    assert isinstance(block.conv2, SlimConv2d)
    assert [c.name for c in backbones.surgery_report(block)[0].resized] == ["conv3"]


def test_a_second_time_there_is_nothing_left() -> None:
    model = backbones.slim(own(), quiet=True)
    with pytest.raises(backbones.SurgeryError, match="no block"):
        backbones.slim(model)
    assert len(backbones.surgery_report(model)) == 1


def test_slim_then_versatile_and_the_other_way_round() -> None:
    model = backbones.versatile(backbones.slim(small(), quiet=True), "separate", exclude=("*.gate.*",), quiet=True)
    assert [report.operation for report in backbones.surgery_report(model)] == [
        "slim(k=1.333)",
        "versatile(kind='separate')",
    ]
    assert model(images()).shape == (2, 7)
    model.eval()(images(1, 40))
    model = backbones.versatile(small(), "spatial", quiet=True)
    with pytest.raises(backbones.SurgeryError, match="no block"):
        backbones.slim(model)  # its k x k convolutions are versatile already


def test_the_report_speaks_and_travels_with_the_model(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "backbones.surgery"):
        model = backbones.slim(own())
        backbones.slim(own(), quiet=True)
    summary = "slim(k=1.333): 2 convolutions replaced, 2 layers resized, 1 left; weights: 4 initialised anew"
    assert caplog.messages == [summary]
    for copied in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        text = str(backbones.surgery_report(copied)[0])
        assert text.splitlines()[0] == summary
        assert "replaced 1.conv2: SlimConv2d(16 -> 12) (initialised anew)" in text
        assert "resized 2.conv3: reads 12 instead of 16 channels" in text
        assert "left 0: " in text
