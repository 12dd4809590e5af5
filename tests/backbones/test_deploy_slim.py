"""``deploy`` on networks with SlimConv: the same outputs, no batch norm left."""

from __future__ import annotations

import copy
import logging
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import backbones
from backbones.kernels import DeployedSlimConv2d, deploy
from backbones.ops import SlimConv2d


def trained(model: nn.Module) -> nn.Module:
    """Batch norms as after training: none is the identity."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None:
            nn.init.normal_(module.running_mean, 0, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
    return model.eval()


def error(model: nn.Module, x: Tensor, exact: Tensor) -> float:
    """The largest difference, relative to the largest output."""
    with torch.no_grad():
        return float((model(x) - exact).abs().max() / exact.abs().max())


def same(deployed: nn.Module, model: nn.Module, x: Tensor) -> None:
    """Against the original in float64."""
    with torch.no_grad():
        exact = copy.deepcopy(model).double()(x.double())
    assert error(deployed, x, exact) <= 1e-5


def kinds(model: nn.Module) -> set[type[nn.Module]]:
    return {type(module) for module in model.modules()}


LAYERS: list[tuple[int, dict[str, Any]]] = [
    (12, {}),
    (16, {"k": 8 / 3, "stride": 2}),
    (22, {"k": 8 / 3, "dilation": 2}),  # two channels are left over
    (24, {"k": 2, "stride": 2, "kernel_size": 5}),
    (32, {"groups": 8, "bottom_groups": 4}),
    (12, {"arrangement": "none"}),
    (12, {"arrangement": "flip-both"}),
    (13, {"arrangement": "shuffle"}),
    (12, {"third_branch": True, "padding": 0}),
]


@pytest.mark.parametrize(("channels", "options"), LAYERS)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_layer_computes_the_same(channels: int, options: dict[str, Any], memory_format: torch.memory_format) -> None:
    layer = trained(SlimConv2d(channels, se_min=4, **options))
    deployed = deploy(layer)
    assert isinstance(deployed, DeployedSlimConv2d)
    assert nn.BatchNorm2d not in kinds(deployed)
    for size in ((9, 7), (5, 12)):
        same(deployed, layer, (torch.randn(3, channels, *size) * 3).contiguous(memory_format=memory_format))


@pytest.mark.parametrize(
    ("name", "size"),
    [("sc_resnet50", 65), ("sc_resnet50_k8_3", 64), ("sc_resnext50_cifar", 17), ("sc_mobilenet_v2_k8_3", 64)],
)
def test_a_named_model_computes_the_same(name: str, size: int) -> None:
    torch.manual_seed(0)
    model = trained(backbones.create_model(name))
    before = copy.deepcopy(model.state_dict())
    deployed = deploy(model)
    x = torch.randn(2, 3, size, size)
    with torch.no_grad():
        exact = copy.deepcopy(model).double()(x.double())
    assert error(deploy(copy.deepcopy(model).double()), x.double(), exact) <= 1e-11
    # A deep network of random weights amplifies float32's rounding, whoever rounds.
    assert error(deployed, x, exact) <= max(1e-5, 4 * error(model, x, exact))
    assert DeployedSlimConv2d in kinds(deployed)
    assert not kinds(deployed) & {nn.BatchNorm2d, SlimConv2d}
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())


@pytest.mark.parametrize("activation", [nn.ReLU, nn.ReLU6])
def test_an_activation_is_taken_in(activation: type[nn.Module]) -> None:
    model = trained(nn.Sequential(SlimConv2d(12), activation(inplace=True)))
    deployed = deploy(model)
    assert kinds(deployed).isdisjoint({nn.ReLU, nn.ReLU6})
    same(deployed, model, torch.randn(2, 12, 6, 5) * 9)


class Read(nn.Module):
    """What the ReLU reads is read by another, too."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = SlimConv2d(8)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return torch.relu(y) - 2 * y


def test_an_activation_is_left_where_others_read_what_comes_before_it() -> None:
    model = trained(Read())
    same(deploy(model), model, torch.randn(2, 8, 6, 5))


@pytest.mark.parametrize("norm", [lambda n: nn.GroupNorm(1, n), lambda n: nn.BatchNorm2d(n, track_running_stats=False)])
def test_a_layer_that_cannot_be_folded_is_left_and_named(norm: Any, caplog: pytest.LogCaptureFixture) -> None:
    layer = SlimConv2d(8, norm_layer=norm)
    model = trained(nn.Sequential(layer, nn.ReLU()))
    with caplog.at_level(logging.WARNING):
        deployed = deploy(model)
    assert "SlimConv2d(8, 6" in caplog.text
    assert "is left as it is" in caplog.text
    assert SlimConv2d in kinds(deployed)
    same(deployed, model, torch.randn(2, 8, 6, 5))
    with pytest.raises(ValueError, match="inside"):
        DeployedSlimConv2d(layer)


def test_it_compiles_and_exports() -> None:
    deployed = deploy(trained(nn.Sequential(SlimConv2d(12), nn.ReLU(), nn.Conv2d(9, 4, 1), nn.BatchNorm2d(4))))
    x = torch.randn(2, 12, 6, 5)
    with torch.no_grad():
        expected = deployed(x)
        torch.testing.assert_close(torch.compile(deployed, backend="aot_eager", fullgraph=True)(x), expected)
        torch.testing.assert_close(torch.export.export(deployed, (x,)).module()(x), expected)
