"""Equal-cost controls: they cost what the method costs, and are plain."""

from __future__ import annotations

import re

import contracts
import pytest
import torch
import torchvision

import backbones
from backbones.catalogue.controls import CONTROLS
from backbones.nets.thin import thin_mobilenet_v2, thin_shufflenet_v2
from backbones.nets.thin_resnet import ThinResNet
from benchmarks.complexity import count

NAMES = sorted(set(CONTROLS.values()))
TRAINED = ("resnet56_cifar_at_63m", "resnet50_cifar_at_829m", "vdsr22_at_350m", "shufflenetv2_cifar_at_44m")
UNITS = {"g": 1e9, "m": 1e6}


@pytest.mark.parametrize("method", CONTROLS)
def test_costs_what_the_method_costs(method: str) -> None:
    control = count(CONTROLS[method])
    assert control.macs == control.mul == control.add
    assert control.macs == pytest.approx(count(method).mul, rel=0.01)


@pytest.mark.parametrize("name", NAMES)
def test_name_states_the_cost(name: str) -> None:
    match = re.fullmatch(r"(.+)_at_([\d.]+)([gm])", name)
    assert match is not None
    baseline, budget, unit = match.groups()
    spec = backbones.model_spec(name)
    assert spec.baseline == baseline
    assert spec.method.startswith("control, as many multiplications as ")
    methods = [method for method, control in CONTROLS.items() if control == name]
    step = UNITS[unit] / 10 ** len(budget.partition(".")[2])
    for each in (name, *methods):
        cost = count(each).mul
        assert cost == pytest.approx(float(budget) * UNITS[unit], abs=0.5 * step + 0.01 * cost)
    for method in methods:
        theirs = backbones.model_spec(method)
        assert (theirs.input_size, theirs.num_classes) == (spec.input_size, spec.num_classes)


@pytest.mark.parametrize("name", NAMES)
def test_are_plain(name: str) -> None:
    layers = count(name).layers
    assert not any("Versatile" in layer.kind or layer.name.endswith(".top.0") for layer in layers)
    method = next(method for method, control in CONTROLS.items() if control == name)
    assert any("Versatile" in layer.kind or layer.name.endswith(".top.0") for layer in count(method).layers)


def test_at_full_width_they_are_the_baselines() -> None:
    with torch.device("meta"):
        pairs = [
            (ThinResNet((3, 4, 6, 3)), torchvision.models.resnet50()),
            (ThinResNet((3, 4, 6, 3), groups=32), torchvision.models.resnext50_32x4d()),
            (thin_mobilenet_v2(1.0), torchvision.models.mobilenet_v2()),
            (thin_shufflenet_v2(116), torchvision.models.shufflenet_v2_x1_0()),
        ]
        small, cifar = ThinResNet((3, 4, 6, 3), num_classes=100, small_images=True), "resnet50_cifar"
    for ours, theirs in pairs:
        shapes = [{key: tuple(value.shape) for key, value in net.state_dict().items()} for net in (ours, theirs)]
        assert shapes[0] == shapes[1]
    assert count(small, (3, 32, 32)).params == count(cifar).params
    assert count(small, (3, 32, 32)).macs == count(cifar).macs


@pytest.mark.parametrize("name", TRAINED)
def test_run_travel_and_start_like_the_baseline(name: str) -> None:
    spec = backbones.model_spec(name)
    size = (16, 19)
    contracts.runs(name, size, device="cpu")
    contracts.travels(name, size)
    ratio = contracts.spread(name, size) / contracts.spread(spec.baseline, size)
    assert 0.3 < ratio < 3


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_all_run_on_meta(name: str) -> None:
    height, width = backbones.model_spec(name).input_size[1:]
    contracts.runs(name, (height, width), (height + 33, width + 5))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_all_export_and_compile(name: str) -> None:
    height, width = backbones.model_spec(name).input_size[1:]
    contracts.exports(name, (height, width), "meta")
    contracts.compiles(name, (height, width), "meta")
