"""``deploy``: the same outputs from a copy with fewer layers."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn

import backbones
from backbones.kernels import PackedConv2d, deploy, library
from backbones.ops import LearnableVersatileConv2d, SpatialVersatileConv2d

needs_library = pytest.mark.skipif(library.get() is None, reason="without it dense convolutions stay PyTorch's")


def trained(model: nn.Module) -> nn.Module:
    """Batch norms as after training: none is the identity."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None:
            nn.init.normal_(module.running_mean, 0, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            if module.affine:
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, 0, 0.1)
    return model.eval()


def same(deployed: nn.Module, model: nn.Module, x: Tensor) -> None:
    with torch.no_grad():
        expected, got = model(x), deployed(x)
    assert ((got - expected).abs().max() <= 1e-5 * expected.abs().max()).item()


def kinds(model: nn.Module) -> set[type[nn.Module]]:
    return {type(module) for module in model.modules()}


class Net(nn.Module):
    """What is around one convolution, `around` says: conv, norm and relu are there."""

    def __init__(self, around: str, width: int = 24) -> None:
        super().__init__()
        self.conv = LearnableVersatileConv2d(width, width, 3, padding=1, s=3, bias=around == "twice")
        self.norm = nn.BatchNorm2d(width, track_running_stats=around != "batch", affine=around != "plain")
        self.relu = nn.ReLU(inplace=True)
        self.around = around

    def forward(self, x: Tensor) -> Any:
        if self.around == "twice":  # one convolution, two sites: only one is followed by the norm
            return self.relu(self.norm(self.conv(self.conv(x))))
        if self.around == "read":  # what the norm reads is read by another, too
            y = self.conv(x)
            return self.norm(y) + y
        if self.around == "kept":  # what the ReLU would overwrite is needed
            y = self.norm(self.conv(x))
            return torch.cat([torch.relu(y), y], 1)
        if self.around == "written":  # x changes in place, and is read after it
            z = x * 1
            z += self.norm(self.conv(x))
            return torch.cat([z.relu(), z], 1)
        if self.around == "shifted":  # the other operand changes in place after the convolution
            z = x * 1
            y = self.norm(self.conv(x))
            z.mul_(2)
            return y + z
        if self.around == "broadcast":
            return torch.relu(self.norm(self.conv(x)) + x.mean((2, 3), keepdim=True))
        if self.around == "later":  # the other operand comes after the convolution
            y = self.norm(self.conv(x))
            return y + torch.sin(x)
        if self.around == "control":
            return self.relu(self.norm(self.conv(x))) if x.sum() > 0 else self.norm(self.conv(x))
        return nn.functional.relu6(x + self.norm(self.conv(x)))


AROUND = ("plain", "batch", "twice", "read", "kept", "written", "shifted", "broadcast", "later", "control")


@pytest.mark.parametrize("around", AROUND)
def test_only_what_is_safe_is_fused(around: str) -> None:
    model = trained(Net(around))
    deployed = deploy(model)
    assert PackedConv2d in kinds(deployed)
    assert LearnableVersatileConv2d not in kinds(deployed)
    for _ in range(2):
        same(deployed, model, torch.randn(2, 24, 7, 6) * 3)


def test_everything_is_fused_where_it_is_safe() -> None:
    deployed = deploy(trained(Net("plain")))
    assert isinstance(deployed, fx.GraphModule)
    assert [node.op for node in deployed.graph.nodes] == ["placeholder", "call_module", "output"]
    assert deployed.get_submodule("conv").activation == "relu6"


@pytest.mark.parametrize(
    ("name", "size"),
    [("separate_l_versatile_resnet50_s4", 64), ("separate_l_versatile_mobilenet_v2_s4", 96)],
)
def test_a_named_model_computes_the_same(name: str, size: int) -> None:
    model = trained(backbones.create_model(name, num_classes=10))
    before = copy.deepcopy(model.state_dict())
    deployed = deploy(model)
    same(deployed, model, torch.randn(2, 3, size, size))
    assert nn.BatchNorm2d not in kinds(deployed)
    assert not any(module.training for module in deployed.modules())
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())


def test_compiling_does_not_break() -> None:
    deployed = deploy(trained(nn.Sequential(Net("plain"), Net("broadcast"))))
    x = torch.randn(1, 24, 12, 12)
    with torch.no_grad():
        assert torch.equal(torch.compile(deployed, backend="aot_eager", fullgraph=True)(x), deployed(x))


@needs_library
@pytest.mark.parametrize(("out_channels", "kind"), [(3, nn.Conv2d), (24, PackedConv2d)])
def test_few_filters_are_materialised_and_many_packed(out_channels: int, kind: type[nn.Module]) -> None:
    norm = nn.BatchNorm2d(out_channels)
    model = trained(nn.Sequential(SpatialVersatileConv2d(4, out_channels, 3, padding=1), norm, nn.ReLU()))
    deployed = deploy(model)
    assert kinds(deployed) & {nn.Conv2d, PackedConv2d, SpatialVersatileConv2d, nn.BatchNorm2d} == {kind}
    same(deployed, model, torch.randn(1, 4, 8, 8))


class Classifier(nn.Module):
    """A convolution, and the end of a network in the ways that people write it."""

    def __init__(self, end: str, classes: int) -> None:
        super().__init__()
        self.conv, self.fc, self.end = nn.Conv2d(3, 12, 3), nn.Linear(12, classes, bias=end != "functional"), end
        self.pool = nn.AdaptiveAvgPool2d((1, 1) if end == "modules" else 1)
        self.flatten, self.dropout = nn.Flatten(), nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Any:
        x = self.conv(x)
        if self.end == "modules":
            return self.fc(self.dropout(self.flatten(self.pool(x))))
        if self.end == "functional":
            return torch.relu(self.fc(torch.flatten(nn.functional.adaptive_avg_pool2d(x, (1, 1)), 1)))
        y = self.pool(x).flatten(1, -1)
        if self.end == "read":
            return self.fc(y), y
        return self.fc(y) + (self.fc(y * 2) if self.end == "twice" else 0)


@needs_library
@pytest.mark.parametrize("classes", [2, 19])
@pytest.mark.parametrize("end", ["modules", "functional", "methods", "twice", "read"])
def test_a_classifier_belongs_to_the_chain(end: str, classes: int) -> None:
    model = Classifier(end, classes).eval()
    deployed = deploy(model)
    assert (nn.Linear in kinds(deployed)) == (end in ("twice", "read"))
    for n, height, width in ((1, 9, 8), (3, 4, 3), (20, 5, 5)):
        x = torch.randn(n, 3, height, width)
        with torch.no_grad():
            torch.testing.assert_close(deployed(x), model(x))


@needs_library
def test_a_named_classifier_is_one_chain() -> None:
    deployed = deploy(backbones.create_model("resnet50", num_classes=10).eval())
    assert [type(module).__name__ for module in deployed.children()] == ["Chain"]


@needs_library
def test_identities_vanish() -> None:
    layers = (nn.Conv2d(4, 24, 3), nn.Identity(), nn.BatchNorm2d(24), nn.Identity(), nn.ReLU(), nn.Identity())
    model = trained(nn.Sequential(nn.Identity(), *layers))
    deployed = deploy(model)
    assert isinstance(deployed, fx.GraphModule)
    assert [node.op for node in deployed.graph.nodes] == ["placeholder", "call_module", "output"]
    same(deployed, model, torch.randn(1, 4, 8, 8))
    only = deploy(nn.Sequential(nn.Identity()))
    x = torch.randn(1, 4, 8, 8)
    assert torch.equal(only(x), x)


def test_a_padding_mode_is_not_lost() -> None:
    model = trained(nn.Sequential(nn.Conv2d(4, 24, 3, padding=1, padding_mode="reflect"), nn.BatchNorm2d(24)))
    same(deploy(model), model, torch.randn(1, 4, 8, 8))


def test_a_lone_layer_and_a_training_model_can_be_deployed() -> None:
    layer = LearnableVersatileConv2d(4, 6, 3)
    same(deploy(layer), layer, torch.randn(1, 4, 8, 8))
    model = trained(Net("plain")).train()
    deployed = deploy(model)
    assert model.training
    same(deployed, model.eval(), torch.randn(1, 24, 8, 8))


def test_a_batch_norm_without_statistics_cannot_be_folded() -> None:
    packed = PackedConv2d(LearnableVersatileConv2d(4, 6, 3))
    with pytest.raises(ValueError, match="running statistics"):
        packed.fold(nn.BatchNorm2d(6, track_running_stats=False))
