from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from typing import Any

import pytest
import references as ref
import timm
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

import backbones
from backbones.ops import (
    ChannelVersatileConv2d,
    LearnableVersatileConv2d,
    SpatialChannelVersatileConv2d,
    SpatialVersatileConv2d,
    VersatileConv2d,
)
from backbones.surgery.versatile import project

KINDS: dict[str, dict[str, Any]] = {
    "spatial": {},
    "channel": {"gap": 4, "channel_stride": 2},
    "spatial+channel": {"gap": 4, "channel_stride": 4},
    "shared": {},
    "separate": {"s": 4},
}
CLASSES = {
    "spatial": SpatialVersatileConv2d,
    "channel": ChannelVersatileConv2d,
    "spatial+channel": SpatialChannelVersatileConv2d,
    "shared": LearnableVersatileConv2d,
    "separate": LearnableVersatileConv2d,
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def own() -> nn.Sequential:
    """A user's network: a stem, 1x1, grouped and depthwise convolutions, a classifier."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1),
        nn.ReLU(),
        nn.Conv2d(16, 24, 1, bias=False),
        nn.BatchNorm2d(24),
        nn.Conv2d(24, 24, 3, padding=1, groups=24),
        nn.Conv2d(24, 32, 5, padding=4, dilation=2, groups=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 5),
    )


def images(n: int = 2, size: int = 32) -> Tensor:
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(1))


def layers(model: nn.Module) -> dict[str, VersatileConv2d]:
    return {name: module for name, module in model.named_modules() if isinstance(module, VersatileConv2d)}


@pytest.mark.parametrize(
    ("kind", "replaced"),
    [
        ("spatial", {"0", "5"}),
        ("channel", {"2", "5"}),
        ("spatial+channel", {"0", "2", "5"}),
        ("shared", {"0", "2", "5"}),
        ("separate", {"0", "2", "5"}),
    ],
)
def test_replaces_what_it_should_and_reports_the_rest(kind: Any, replaced: set[str]) -> None:
    model = own()
    before = {name: copy.deepcopy(m) for name, m in model.named_modules() if isinstance(m, nn.Conv2d)}
    state = copy.deepcopy(model.state_dict())
    assert backbones.versatile(model, kind, **KINDS[kind], quiet=True) is model
    found = layers(model)
    assert set(found) == replaced
    for name, layer in found.items():
        old = before[name]
        expected = SpatialVersatileConv2d if (kind, name) == ("spatial+channel", "0") else CLASSES[kind]
        assert type(layer) is expected
        for attribute in ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups"):
            assert getattr(layer, attribute) == getattr(old, attribute), attribute
        assert (layer.bias is None) == (old.bias is None)
        if old.bias is not None:
            torch.testing.assert_close(layer.bias, old.bias, rtol=0, atol=0)
    (report,) = backbones.surgery_report(model)
    assert {change.name for change in report.replaced} == replaced
    assert {change.weights for change in report.replaced} == {"initialised anew"}
    left = {change.name: change.outcome for change in report.left}
    assert set(left) == set(before) - replaced
    assert "depthwise" in left["4"]
    for key, value in model.state_dict().items():
        if key.split(".")[0] not in replaced:
            assert torch.equal(value, state[key]), key
    model(images()).square().mean().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_reasons() -> None:
    def left(**options: Any) -> dict[str, str]:
        model = backbones.versatile(own(), **options, quiet=True)
        return {change.name: change.outcome for change in backbones.surgery_report(model)[0].left}

    assert left(kind="spatial")["2"] == "1x1 kernel: no rings to take away"
    assert left(kind="channel", gap=12, channel_stride=12) == {
        "0": "the first convolution",
        "4": "one output channel a group (depthwise): a primary filter would have a single secondary",
        "5": "12 input channels a group: too few for a window",
    }
    assert left(kind="separate", exclude=("5",), skip_first=True) == {
        "0": "the first convolution",
        "4": "one output channel a group (depthwise): a primary filter would have a single secondary",
        "5": "excluded by '5'",
    }


def test_options_reach_the_operator() -> None:
    def one(**options: Any) -> Any:
        return backbones.versatile(own(), **options, quiet=True)[5]

    layer = one(kind="channel", gap=6, channel_stride=3, reading="released")
    assert (layer.gap, layer.channel_stride, layer.reading, layer.num_secondary) == (6, 3, "released", 3)
    layer = one(kind="spatial+channel", gap=6, channel_stride=2, scale_grad=False)
    assert (layer.gap, layer.channel_stride, layer.scale_grad, layer.num_secondary) == (6, 2, False, 12)
    assert one(kind="spatial", scale_grad=False).scale_grad is False
    assert one(kind="spatial").scale_grad is True
    layer = one(kind="shared", s=3, rule="literal")
    assert (layer.shared, layer.num_secondary, layer.rule) == (True, 3, "literal")
    layer = one(kind="separate")
    assert (layer.shared, layer.num_secondary, layer.rule) == (False, 2, "clipped")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "temporal"}, "kind='temporal'.*spatial, channel, spatial.channel, shared, separate, naive"),
        ({"kind": "spatial", "s": 2}, "s=2: spatial versatile filters have no s"),
        ({"kind": "shared", "s": 1}, "s=1"),
        ({"weights": "keep"}, "weights='keep'.*fresh, project"),
        ({"kind": "channel", "gap": 8, "channel_stride": 3}, "2: channel_stride=3"),
        ({"kind": "separate", "rule": "soft"}, "0: rule='soft'"),
        ({"kind": "channel", "reading": "new"}, "2: reading='new'"),
        ({"kind": "separate", "s": 3, "strict": True}, r"0: out_channels=16.*s=3.*15, 18"),
        ({"kind": "spatial", "strict": True}, r"5: out_channels=32 in 2 group\(s\).*s=3.*30, 36"),
        ({"kind": "spatial+channel", "gap": 12, "channel_stride": 3, "strict": True}, "2: out_channels=24.*s=5"),
    ],
)
def test_errors_name_the_layer_and_leave_the_network_whole(options: dict[str, Any], message: str) -> None:
    model = own()
    before = repr(model)
    with pytest.raises(ValueError, match=message):
        backbones.versatile(model, **options)
    assert repr(model) == before
    assert backbones.surgery_report(model) == []


def test_strict_counts_in_the_stem_of_spatial_channel_too() -> None:
    model = nn.Sequential(nn.Conv2d(3, 15, 3), nn.Conv2d(15, 16, 3))
    with pytest.raises(ValueError, match=r"0: out_channels=15.*s=2.*14, 16"):
        backbones.versatile(model, "spatial+channel", strict=True)


@pytest.mark.parametrize(
    ("model", "kind", "message"),
    [
        (nn.Sequential(nn.Linear(3, 3)), "separate", "Sequential has no convolution for separate.*none"),
        (nn.Sequential(nn.Conv2d(8, 8, 1)), "spatial", "0: 1x1 kernel"),
        (nn.Sequential(nn.Conv2d(8, 8, 3)), "channel", "0: the first convolution"),
        (nn.Conv2d(8, 8, 3), "separate", "a convolution cannot be replaced inside itself"),
    ],
)
def test_nothing_to_replace_is_an_error_with_the_reason(model: nn.Module, kind: Any, message: str) -> None:
    with pytest.raises(backbones.SurgeryError, match=message):
        backbones.versatile(model, kind)
    assert layers(model) == {}


class Same(nn.Conv2d):
    """As timm's Conv2dSame: its padding follows from the input."""

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(F.pad(x, (0, 1, 0, 1)), self.weight, self.bias)


@pytest.mark.parametrize(
    ("conv", "reason"),
    [
        (Same(16, 16, 3), "Same does more than convolve"),
        (nn.Conv2d(16, 16, 3, padding=1, padding_mode="circular"), "padding_mode='circular'"),
        (nn.utils.parametrizations.weight_norm(nn.Conv2d(16, 16, 3)), "weight_norm"),
        (nn.LazyConv2d(16, 3), "lazy"),
    ],
)
def test_convolutions_that_are_more_than_that_are_left(conv: nn.Module, reason: str) -> None:
    model = backbones.versatile(nn.Sequential(nn.Conv2d(3, 16, 3), conv), quiet=True)
    assert model[1] is conv
    assert reason in backbones.surgery_report(model)[0].left[0].outcome


def test_a_subclass_that_changes_nothing_is_replaced() -> None:
    class Named(nn.Conv2d):
        pass

    assert set(layers(backbones.versatile(nn.Sequential(Named(3, 4, 3)), quiet=True))) == {"0"}


def test_a_convolution_in_two_places_stays_one() -> None:
    conv = nn.Conv2d(8, 8, 3, padding=1)
    model = nn.ModuleDict({"a": nn.Sequential(conv, nn.ReLU()), "b": nn.Sequential(conv)})
    backbones.versatile(model, quiet=True)
    assert isinstance(model["a"][0], LearnableVersatileConv2d)
    assert model["a"][0] is model["b"][0]
    assert len(backbones.surgery_report(model)[0].replaced) == 1


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(("mobilenet_v2", kind) for kind in KINDS),
        ("timm resnet50", "separate"),
        ("timm mobilenetv3_small_100", "separate"),
        ("timm tf_efficientnet_b0", "channel"),
        ("resnext50_32x4d", "spatial+channel"),
    ],
)
def test_networks_of_torchvision_and_timm(kind: Any, name: str) -> None:
    with torch.device("meta"):
        build: Callable[..., nn.Module] = (
            timm.create_model if name.startswith("timm ") else torchvision.models.get_model
        )
        model = build(name.removeprefix("timm "))
    convolutions = {n for n, m in model.named_modules() if isinstance(m, nn.Conv2d)}
    shape = model.eval()(torch.empty(1, 3, 64, 64, device="meta")).shape
    parameters = sum(p.numel() for p in model.parameters())
    backbones.versatile(model, kind, **KINDS[kind], quiet=True)
    (report,) = backbones.surgery_report(model)
    assert {c.name for c in report.replaced} == set(layers(model))
    assert {c.name for c in report.replaced} | {c.name for c in report.left} == convolutions
    assert model.eval()(torch.empty(1, 3, 64, 64, device="meta")).shape == shape
    assert {tensor.device.type for tensor in (*model.parameters(), *model.buffers())} == {"meta"}
    agents = sum(layer.agent.numel() for _, layer in backbones.learnable_layers(model))
    assert sum(p.numel() for p in model.parameters()) - agents < parameters


@every_kind
def test_outputs_have_the_scale_of_the_baseline(kind: Any) -> None:
    model = torchvision.models.resnet.ResNet(torchvision.models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=50)
    baseline = copy.deepcopy(model)
    backbones.versatile(model, kind, **KINDS[kind], quiet=True)
    expected, found = baseline.train()(images(4)), model.train()(images(4))
    assert 0.5 < found.std() / expected.std() < 2
    # A layer on its own, at a scale far from any default.
    conv = nn.Sequential(nn.Conv2d(3, 32, 3), nn.Conv2d(32, 64, 3, bias=False))
    nn.init.normal_(conv[1].weight, std=3)
    x = torch.randn(4, 32, 12, 12)
    expected = conv[1](x).std()
    backbones.versatile(conv, kind, **KINDS[kind], quiet=True)
    assert 0.7 < conv[1](x).std() / expected < 1.4


# --- weights="project" ----------------------------------------------------------------------------------


@every_kind
def test_projection_recovers_the_primaries_of_a_dense_network(kind: Any) -> None:
    source = backbones.versatile(own().double(), kind, **KINDS[kind], quiet=True)
    dense = own().double()
    for name, layer in layers(source).items():
        with torch.no_grad():
            dense.get_submodule(name).weight.copy_(layer.secondary_filters())
    found = copy.deepcopy(dense)
    backbones.versatile(found, kind, **KINDS[kind], weights="project", quiet=True)
    assert {change.weights for change in backbones.surgery_report(found)[0].replaced} == {"projected"}
    if kind in ("shared", "separate"):  # these masks are drawn anew: give the new layers those of the source
        for name, layer in layers(source).items():
            again = found.get_submodule(name)
            again.agent.data.copy_(layer.agent)
            project(again, dense.get_submodule(name).weight.detach())
    for name, layer in layers(source).items():
        recovered = found.get_submodule(name).secondary_filters()
        assert recovered.abs().sum() > 0
        torch.testing.assert_close(recovered, layer.secondary_filters(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.eval()(images().double()), dense.eval()(images().double()))


@pytest.mark.parametrize(
    "make",
    [
        lambda: SpatialVersatileConv2d(3, 7, 3, bias=False),
        lambda: ChannelVersatileConv2d(4, 5, 1, gap=2, channel_stride=1, bias=False),
        lambda: ChannelVersatileConv2d(4, 5, 3, gap=2, channel_stride=2, bias=False, reading="released"),
        lambda: SpatialChannelVersatileConv2d(8, 6, 3, gap=2, channel_stride=2, groups=2, bias=False),
        lambda: LearnableVersatileConv2d(3, 7, 3, s=3, shared=True, bias=False),
        lambda: LearnableVersatileConv2d(4, 8, 3, s=3, groups=2, bias=False),
    ],
)
def test_projection_is_the_least_squares_optimum(make: Callable[[], VersatileConv2d]) -> None:
    layer = make().double()
    target = torch.randn(layer.secondary_filters().shape, dtype=torch.float64)
    # Unfolding is linear in the primaries: its matrix, one unit vector at a time.
    probe = copy.deepcopy(layer)
    columns = []
    for index in range(layer.weight.numel()):
        with torch.no_grad():
            probe.weight.zero_()
            probe.weight.view(-1)[index] = 1
        columns.append(probe.secondary_filters().detach().flatten())
    # gelsd: the solution of least norm, which is zero where no secondary keeps a weight.
    expected = torch.linalg.lstsq(torch.stack(columns, 1), target.flatten()[:, None], driver="gelsd").solution
    project(layer, target)
    ref.assert_equal(layer.weight.detach().flatten(), expected.flatten(), "primaries")


def test_projection_of_a_trained_layer_is_closer_than_a_fresh_start() -> None:
    conv = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1))
    x = torch.randn(2, 8, 9, 9)
    expected = conv(x)

    def error(weights: Any) -> float:
        model = backbones.versatile(copy.deepcopy(conv), "spatial", weights=weights, quiet=True)
        return (model(x) - expected).square().mean().item()

    assert error("project") < 0.8 * error("fresh")


@every_kind
@pytest.mark.parametrize("weights", ["fresh", "project"])
def test_precision_and_mode_are_kept(kind: Any, weights: Any) -> None:
    for dtype, training in ((torch.float64, False), (torch.bfloat16, True)):
        model = own().to(dtype).train(training)
        backbones.versatile(model, kind, **KINDS[kind], weights=weights, quiet=True)
        assert {p.dtype for p in model.parameters()} == {dtype}
        assert {m.training for m in model.modules()} == {training}
        assert torch.isfinite(model(images().to(dtype))).all()


def test_projection_on_the_meta_device_says_that_nothing_was_projected() -> None:
    with torch.device("meta"):
        model = own()
    backbones.versatile(model, "spatial", weights="project", quiet=True)
    assert {c.weights for c in backbones.surgery_report(model)[0].replaced} == {"initialised anew"}


# --- One after the other ----------------------------------------------------------------------------------


def test_spatial_first_then_channel_on_what_is_left() -> None:
    model = backbones.versatile(own(), "spatial", quiet=True)
    backbones.versatile(model, "separate", quiet=True)
    assert {name: type(layer) for name, layer in layers(model).items()} == {
        "0": SpatialVersatileConv2d,
        "2": LearnableVersatileConv2d,
        "5": SpatialVersatileConv2d,
    }
    assert len(backbones.surgery_report(model)) == 2
    with pytest.raises(backbones.SurgeryError, match="4: one output channel a group"):
        backbones.versatile(model, "separate")


def test_it_is_said_aloud_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "backbones.surgery"):
        backbones.versatile(own(), "spatial")
        backbones.versatile(own(), "spatial", quiet=True)
    assert caplog.messages == [
        "versatile(kind='spatial'): 2 convolutions replaced, 0 layers resized, 2 left; weights: 2 initialised anew"
    ]
