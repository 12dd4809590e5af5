"""ImageNet checkpoints in the hosts' networks: features are those of the named models, and nothing is lost unseen."""

from __future__ import annotations

import importlib
from contextlib import nullcontext

import mmengine.runner.checkpoint
import pytest
import torch
from torch import nn

pytest.importorskip("mmcv")
pytest.importorskip("mmdet")
pytest.importorskip("mmseg")

import backbones
from backbones.adapters import openmmlab, openmmlab_weights
from backbones.adapters.openmmlab_weights import MobileNetV2Names, Names, translate
from backbones.surgery import slim


def registry(host):
    pytest.importorskip(host)
    return importlib.import_module(f"{host}.registry").MODELS


@pytest.fixture
def shown(monkeypatch):
    """What is written to the log, by us and by MMEngine."""
    lines = []
    for module in (openmmlab_weights, mmengine.runner.checkpoint):
        monkeypatch.setattr(module, "print_log", lambda text, *_, **__: lines.append(str(text)))
    return lines


def built(make, at_once=False):
    """Without the time that drawing weights takes, each different from the other."""
    with nullcontext() if at_once else torch.device("meta"):
        model = make()
    model.to_empty(device="cpu")
    for index, tensor in enumerate(model.state_dict().values()):
        if tensor.is_floating_point():
            torch.manual_seed(index)
            if tensor.dim() == 4:
                nn.init.kaiming_uniform_(tensor)
            else:
                tensor.uniform_(0.5, 1)
        else:
            tensor.zero_()
    return model


def trunk(model):
    """torchvision's network without its classifier, which pools first."""
    return model.features if hasattr(model, "features") else nn.Sequential(*list(model.children())[:-2])


@pytest.mark.parametrize("host", openmmlab.HOSTS)
@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("sc_resnet50", {"type": "SlimResNet", "depth": 50}),
        ("separate_l_versatile_resnet50_s32", {"type": "VersatileResNet", "depth": 50, "s": 32}),
        ("sc_mobilenet_v2_k8_3", {"type": "SlimMobileNetV2"}),
        ("mobilenet_v2", {"type": "TorchvisionMobileNetV2"}),
    ],
)
def test_features_are_those_of_the_named_model(host, name, config, tmp_path, shown):
    models = registry(host)
    catalogued = built(lambda: backbones.create_model(name))
    torch.save({"state_dict": {f"network.{k}": v for k, v in catalogued.state_dict().items()}}, tmp_path / "a.pth")
    last = 6 if "mobilenet" in name else 3
    init = {"type": "Pretrained", "checkpoint": str(tmp_path / "a.pth")}
    ours = built(lambda: models.build({**config, "out_indices": (last,), "init_cfg": init}), host == "mmpretrain")
    ours.init_weights()
    expected = trunk(catalogued)[:-1] if "mobilenet" in name else trunk(catalogued)
    x = torch.randn(1, 3, 48, 64).double()
    out = ours.eval().double()(x)
    torch.testing.assert_close(out if isinstance(out, torch.Tensor) else out[0], expected.eval().double()(x))
    left_out = [line for line in shown if "left out" in line]
    assert len(left_out) == 1
    assert ("classifier (2 tensors)" if "mobilenet" in name else "fc (2 tensors)") in left_out[0]
    assert not [line for line in shown if "do not match" in line or "unexpected" in line]


def tiny(host, **changes):
    config = {"type": "SlimResNet", "depth": 50, "base_channels": 8, "stem_channels": 8}
    return registry(host).build({**config, **changes})


@pytest.mark.parametrize("host", openmmlab.HOSTS)
def test_the_authors_files_load(host, tmp_path, shown):
    model = tiny(host)
    theirs = {"conv2.top.": "conv2.conv2_1.", "conv2.bottom.": "conv2.conv2_2.", "conv2.gate.": "conv2.fc."}
    state = {}
    for key, value in model.state_dict().items():
        name = key
        for ours, their in theirs.items():
            name = name.replace(ours, their)
        if "num_batches_tracked" not in name:  # older than these counters
            state[f"module.{name}"] = torch.full_like(value, 0.25)
    assert any("conv2_2.3" in name for name in state)
    torch.save({"state_dict": {**state, "module.fc.weight": torch.ones(2, 2)}}, tmp_path / "theirs.pth")
    loaded = tiny(host, init_cfg={"type": "Pretrained", "checkpoint": str(tmp_path / "theirs.pth")})
    loaded.init_weights()
    assert all((value == 0.25).all() for key, value in loaded.state_dict().items() if "num_batches" not in key)
    assert [line.split(": ")[-1] for line in shown if "left out" in line] == ["fc (1 tensors)"]
    assert not [line for line in shown if "do not match" in line]


@pytest.mark.parametrize("host", openmmlab.HOSTS)
def test_what_is_missing_or_left_over_is_shown(host, tmp_path, shown):
    state = {f"network.{key}": value for key, value in tiny(host).state_dict().items()}
    state["network.layer3.5.conv2.extra"] = state.pop("network.layer3.5.conv2.gate.3.bias")
    torch.save({"state_dict": state}, tmp_path / "other.pth")
    init = {"type": "Pretrained", "checkpoint": str(tmp_path / "other.pth")}
    short = {"num_stages": 3, "strides": (1, 2, 2), "dilations": (1, 1, 1), "out_indices": (2,)}
    tiny(host, init_cfg=init, **short).init_weights()
    (mismatch,) = (line for line in shown if "do not match" in line)
    assert "missing keys in source state_dict: layer3.5.conv2.gate.3.bias" in mismatch
    assert "unexpected key in source state_dict: layer3.5.conv2.extra" in mismatch
    assert "layer4" not in mismatch  # the network has only three stages, which is told instead
    (left_out,) = (line for line in shown if "left out" in line)
    assert f"layer4 ({sum('.layer4.' in key for key in state)} tensors)" in left_out


def test_a_shared_head_takes_its_stage_and_says_what_it_leaves(tmp_path, shown):
    state = built(lambda: backbones.create_model("sc_resnet50")).state_dict()
    torch.save({"state_dict": {f"network.{key}": value for key, value in state.items()}}, tmp_path / "a.pth")
    init = {"type": "Pretrained", "checkpoint": str(tmp_path / "a.pth")}
    head = built(lambda: registry("mmdet").build({"type": "SlimResLayer", "depth": 50, "init_cfg": init}))
    head.init_weights()
    assert head.state_dict().keys() == {key for key in state if key.startswith("layer4.")}
    assert all(torch.equal(value, state[key]) for key, value in head.state_dict().items())
    assert [line for line in shown if "do not match" in line] == []
    assert "conv1 (1 tensors), bn1 (5 tensors), layer1 (" in next(line for line in shown if "left out" in line)


def test_a_checkpoint_of_a_detector_stays_as_it_is(shown):
    model = nn.ModuleDict({"backbone": tiny("mmdet"), "fc": nn.Linear(2, 2)})
    state = {key: torch.full_like(value, 0.5) for key, value in model.state_dict().items()}
    model.load_state_dict(state)
    assert all((value.double() == state[key].double()).all() for key, value in model.state_dict().items())
    assert shown == []


@pytest.mark.parametrize("numbered", [False, True])
def test_every_layer_of_mobilenet_has_another_name(numbered):
    network = slim(backbones.create_model("mobilenet_v2"), 8 / 3, se_min=8, quiet=True)
    names = MobileNetV2Names(numbered=numbered)
    ours = [names.translate(key) for key in network.state_dict()]
    assert len(set(ours)) == len(ours)
    assert {name.split(".")[0] for name in ours} == {
        "classifier",
        "conv1",
        "conv2",
        *(f"layer{i}" for i in range(1, 8)),
    }
    assert names.translate("features.1.conv.1.weight") == (
        "layer1.0.conv.1.conv.weight" if numbered else "layer1.0.linear_conv.conv.weight"
    )
    assert names.translate("features.17.conv.1.0.top.0.weight") == (
        "layer7.0.conv.1.conv.top.0.weight" if numbered else "layer7.0.depthwise_conv.conv.top.0.weight"
    )
    assert names.translate("features.18.1.bias") == "conv2.bn.bias"
    assert names.translate("features.19.0.weight") == "features.19.0.weight"  # no layer of this network


def test_only_what_lies_below_the_prefix_is_touched():
    state = {"neck.fc.weight": 1, "backbone.network.conv1.weight": 2, "backbone.fc.weight": 3}
    translate(state, "backbone.", Names(), {"conv1"})
    assert state == {"neck.fc.weight": 1, "backbone.conv1.weight": 2}
