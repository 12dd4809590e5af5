"""What a host's user expects of a backbone, of ours in each host that is installed."""

from __future__ import annotations

import copy
import importlib
from contextlib import nullcontext

import pytest
import torch
from mmengine.registry import DefaultScope
from torch import nn

pytest.importorskip("mmcv")
pytest.importorskip("mmdet")
pytest.importorskip("mmseg")

import backbones
from backbones.adapters import openmmlab
from backbones.ops import LearnableVersatileConv2d, SlimConv2d
from backbones.ops.versatile import VersatileConv2d

BATCH_NORMS = nn.BatchNorm2d | nn.SyncBatchNorm
SLIM = {"type": "SlimResNet", "depth": 50, "base_channels": 8, "stem_channels": 8}
VERSATILE = {**SLIM, "type": "VersatileResNet", "s": 4}
ALL = (0, 1, 2, 3)


@pytest.fixture(params=list(openmmlab.HOSTS), autouse=True)
def host(request):
    pytest.importorskip(request.param)
    return request.param


@pytest.fixture
def build(host):
    models = importlib.import_module(f"{host}.registry").MODELS

    def build_with_all_stages(config, **changes):
        if host == "mmpretrain" and "base_width" in config:
            config = {{"base_width": "width_per_group"}.get(key, key): value for key, value in config.items()}
        with DefaultScope.overwrite_default_scope(host):  # which a runner before may have left at another
            return models.build({"out_indices": ALL, **config, **changes})

    return build_with_all_stages


def without_drawing(host):
    """Where weights matter not; mmpretrain's networks cannot be built there."""
    return nullcontext() if host == "mmpretrain" else torch.device("meta")


def images(n=2, size=64):
    return torch.randn(n, 3, size, size)


def batch_norms(module):
    return [m for m in module.modules() if isinstance(m, BATCH_NORMS)]


@pytest.mark.parametrize("name", ["SlimResNet", "SlimResNeXt", "SlimMobileNetV2", "VersatileResNet"])
def test_each_is_the_host_s_own_network(host, name):
    own = getattr(
        importlib.import_module(f"{host}.models.backbones"), name.removeprefix("Slim").removeprefix("Versatile")
    )
    assert issubclass(importlib.import_module(f"{host}.registry").MODELS.get(name), own)


@pytest.mark.parametrize(
    ("config", "channels"),
    [
        (SLIM, (32, 64, 128, 256)),
        ({**SLIM, "depth": 18}, (8, 16, 32, 64)),
        ({**SLIM, "deep_stem": True, "avg_down": True, "k": 8 / 3}, (32, 64, 128, 256)),
        ({**SLIM, "type": "SlimResNeXt", "base_channels": 32, "groups": 4, "base_width": 4}, (128, 256, 512, 1024)),
        (VERSATILE, (32, 64, 128, 256)),
        ({**VERSATILE, "depth": 18, "kind": "spatial", "s": None, "in_channels": 3}, (8, 16, 32, 64)),
    ],
)
def test_shapes_of_every_stage(build, config, channels):
    outs = build(config).eval()(images(1))
    assert [tuple(out.shape) for out in outs] == [(1, c, 16 // 2**i, 16 // 2**i) for i, c in enumerate(channels)]


def test_shapes_of_mobilenet(build):
    outs = build({"type": "SlimMobileNetV2", "widen_factor": 0.25}, out_indices=(1, 2, 4, 6)).eval()(images(1))
    assert [tuple(out.shape) for out in outs] == [(1, 8, 16, 16), (1, 8, 8, 8), (1, 24, 4, 4), (1, 80, 2, 2)]


@pytest.mark.parametrize("style", ["pytorch", "caffe"])
def test_strides_and_dilations_reach_the_convolutions_of_the_operator(build, style):
    model = build(SLIM, strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4), style=style)
    assert [out.shape[-1] for out in model.eval()(images(1))] == [16, 8, 8, 8]
    for stage, (dilation, stride) in enumerate(((1, 1), (1, 2), (2, 1), (4, 1)), 1):
        first = getattr(model, f"layer{stage}")[0].conv2
        for conv in (first.top[0], first.bottom[3]):
            assert conv.dilation == (dilation, dilation)
            assert conv.stride == ((stride, stride) if style == "pytorch" else (1, 1))


def test_multi_grid_and_contracted_dilation(build, host):
    if host != "mmseg":
        pytest.skip("mmseg's own arguments")
    model = build(SLIM, dilations=(1, 1, 2, 4), strides=(1, 2, 1, 1), multi_grid=(1, 2, 4), contract_dilation=True)
    versatile = build(VERSATILE, dilations=(1, 1, 2, 4), strides=(1, 2, 1, 1), multi_grid=(1, 2, 4))
    assert [block.conv2.top[0].dilation[0] for block in model.layer3] == [1, 2, 2, 2, 2, 2]
    assert [block.conv2.bottom[3].dilation[0] for block in model.layer4] == [1, 2, 4]
    assert [block.conv2.dilation[0] for block in versatile.layer4] == [1, 2, 4]


@pytest.mark.parametrize("config", [SLIM, VERSATILE])
def test_frozen_stages_get_no_gradient_and_keep_their_statistics(build, config):
    model = build(config, frozen_stages=2, norm_eval=False).train()
    before = copy.deepcopy(model.state_dict())
    sum(out.square().mean() for out in model(images())).backward()
    frozen = (model.conv1, model.bn1, model.layer1, model.layer2)
    assert all(p.grad is None for module in frozen for p in module.parameters())
    assert not any(norm.training for module in frozen for norm in batch_norms(module))
    trained = [p for module in (model.layer3, model.layer4) for p in module.parameters()]
    assert all(p.grad is not None for p in trained)
    changed = {key.split(".")[0] for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {"layer3", "layer4"}


@pytest.mark.parametrize("norm", ["BN", "SyncBN"])
def test_norm_eval_reaches_the_norms_inside_the_operator(build, norm):
    inside = batch_norms(build(SLIM, norm_cfg={"type": norm}, norm_eval=True).train().layer1)
    plain = build(SLIM, norm_cfg={"type": norm}, norm_eval=False).train()
    assert len(inside) == 1 + 3 * 6  # shortcut; conv1, conv3 and four norms of a SlimConv in each block
    assert not any(module.training for module in inside)
    assert all(module.training for module in batch_norms(plain))


def test_norm_cfg_is_that_of_the_norms_inside(build):
    norm_cfg = {"type": "SyncBN", "eps": 1e-3, "momentum": 0.01, "requires_grad": False}
    model = build(SLIM, norm_cfg=norm_cfg)
    inside = [norm for op in model.modules() if isinstance(op, SlimConv2d) for norm in batch_norms(op)]
    assert len(inside) == 16 * 4
    assert all(isinstance(norm, nn.SyncBatchNorm) for norm in inside)
    assert {(norm.eps, norm.momentum) for norm in inside} == {(1e-3, 0.01)}
    assert not any(p.requires_grad for norm in inside for p in norm.parameters())
    assert model.layer1[0].conv2.gate[0].weight.requires_grad
    bare = build(SLIM, norm_cfg={"type": "BN", "affine": False})
    assert all(norm.weight is None for norm in batch_norms(bare.layer2))
    stage_frozen = build(SLIM, frozen_stages=1)
    assert all(p.requires_grad for p in stage_frozen.layer2.parameters())


def test_blocks_may_be_left_as_they_are(build):
    model = build(SLIM, exclude=["layer1.*"])
    assert isinstance(model.layer1[0].conv2, nn.Conv2d)
    assert isinstance(model.layer2[0].conv2, SlimConv2d)
    assert len(model.eval()(images(1))) == 4


@pytest.mark.parametrize("config", [SLIM, VERSATILE])
@pytest.mark.filterwarnings("ignore:.*use_reentrant")
def test_checkpointing_gives_the_same_gradients(build, config):
    model = build(config, norm_eval=False).train()
    other = build(config, norm_eval=False, with_cp=True).train()
    other.load_state_dict(model.state_dict())
    x = images().requires_grad_()
    for net in (model, other):
        net(x)[-1].square().mean().backward()
    theirs = dict(other.named_parameters())
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(theirs[name].grad, parameter.grad, msg=name)


@pytest.mark.parametrize("config", [SLIM, VERSATILE])
def test_one_image_trains(build, config):
    model = build(config, norm_eval=False).train()
    gates = [op.gate[1] for op in model.modules() if isinstance(op, SlimConv2d)]
    before = [gate.running_mean.clone() for gate in gates]
    model(images(1))[-1].square().mean().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())
    assert all(torch.equal(gate.running_mean, mean) for gate, mean in zip(gates, before, strict=True))


@pytest.mark.parametrize("config", [SLIM, VERSATILE])
def test_state_dict_round_trip(build, config):
    model, other = build(config).eval(), build(config).eval()
    x = images(1)
    assert not torch.equal(model(x)[-1], other(x)[-1])
    other.load_state_dict(model.state_dict())
    torch.testing.assert_close(other(x), model(x), rtol=0, atol=0)
    inside = nn.ModuleDict({"backbone": other})  # as in a detector's checkpoint
    assert inside.load_state_dict({f"backbone.{key}": value for key, value in model.state_dict().items()})


def test_initialisation_is_the_host_s(build):
    slim, versatile = build(SLIM), build(VERSATILE)
    for model in (slim, versatile):
        model.init_weights()
        blocks = [block for stage in ("layer1", "layer4") for block in getattr(model, stage)]
        assert all(torch.equal(block.bn3.weight, torch.zeros_like(block.bn3.weight)) for block in blocks)
        model.eval()
    torch.testing.assert_close(
        slim.layer4[0].conv2.top[0].weight.std().item(), (2 / (32 * 9)) ** 0.5, rtol=0.05, atol=0
    )
    primary = versatile.layer4[1].conv2.weight  # half of a filter's weights are masked
    torch.testing.assert_close(primary.std().item(), (2 * 2 / (64 * 9)) ** 0.5, rtol=0.05, atol=0)
    kept = build(SLIM, zero_init_residual=False)
    kept.init_weights()
    assert kept.layer1[0].bn3.weight.min() == 1


@pytest.mark.parametrize(
    ("config", "name", "left"),
    [
        ({"type": "SlimResNet", "depth": 50}, "sc_resnet50", ""),
        ({"type": "SlimResNet", "depth": 50, "k": 8 / 3}, "sc_resnet50_k8_3", ""),
        ({"type": "SlimResNet", "depth": 101}, "sc_resnet101", ""),
        ({"type": "SlimResNeXt", "depth": 50, "groups": 32, "base_width": 4}, "sc_resnext50_32x4d", ""),
        (
            {"type": "SlimResNeXt", "depth": 101, "groups": 32, "base_width": 3, "k": 2, "bottom_groups": 16,
             "stage_blocks": (4, 8, 18, 3)},
            "sc_resnext101_32x3d_k2",
            "",
        ),
        ({"type": "SlimMobileNetV2", "out_indices": (6,)}, "sc_mobilenet_v2_k8_3", "features.18."),
        ({"type": "VersatileResNet", "depth": 50, "kind": "spatial"}, "s_versatile_resnet50", ""),
        ({"type": "VersatileResNet", "depth": 50, "kind": "spatial+channel"}, "s_c_versatile_resnet50", ""),
        ({"type": "VersatileResNet", "depth": 50, "s": 32}, "separate_l_versatile_resnet50_s32", ""),
    ],
)  # fmt: skip
def test_parameters_are_those_of_the_named_model(build, host, config, name, left):
    with without_drawing(host):
        ours, catalogued = build(config), backbones.create_model(name)
    without = ("fc.", "classifier.", left) if left and host == "mmseg" else ("fc.", "classifier.")
    expected = sum(p.numel() for key, p in catalogued.named_parameters() if not key.startswith(without))
    assert sum(p.numel() for p in ours.parameters()) == expected


@pytest.mark.parametrize(
    ("config", "error", "words"),
    [
        ({**SLIM, "k": 3.0}, ValueError, "k=3: SlimConv's ratio"),
        ({**SLIM, "depth": 20}, KeyError, "depth 20"),
        ({**SLIM, "dcn": {"type": "DCN"}}, ValueError, "leave dcn out"),
        ({**SLIM, "norm_cfg": {"type": "GN", "num_groups": 2}}, ValueError, "BN or SyncBN, not by GroupNorm"),
        ({**SLIM, "arrangement": "flipped"}, ValueError, "arrangement='flipped'"),
        ({**SLIM, "type": "SlimResNeXt", "stage_blocks": (3, 4)}, ValueError, "stage_blocks=.3, 4.: must be"),
        (
            {**SLIM, "type": "SlimResNeXt", "base_channels": 32, "groups": 4, "base_width": 4, "bottom_groups": 8},
            ValueError,
            "layer1.0.conv2: groups=8 does not divide the 4 channels of SlimConv's bottom path",
        ),
        ({**VERSATILE, "kind": "spacial", "s": None}, ValueError, "kind='spacial'"),
        ({**VERSATILE, "kind": "spatial"}, ValueError, "s=4: spatial versatile filters have no s"),
        ({**VERSATILE, "channel_step": 2}, TypeError, "channel_step"),
    ],
)
def test_bad_arguments(build, config, error, words):
    with pytest.raises(error, match=words):
        build(config)


def test_plugins_stand_where_no_channels_are_missing(build, host):
    if host == "mmpretrain":
        pytest.skip("its ResNet has no plugins")
    plugin = {"cfg": {"type": "ContextBlock", "ratio": 1 / 4}, "position": "after_conv3"}
    assert len(build(SLIM, plugins=[plugin]).eval()(images(1))) == 4
    with pytest.raises(ValueError, match="after_conv1 and after_conv3 will do"):
        build(SLIM, plugins=[{**plugin, "position": "after_conv2"}])


def test_masks_are_learned_in_every_convolution_that_is_not_excluded(build):
    model = build(VERSATILE, exclude=["layer4.*"])
    kinds = {name: isinstance(m, VersatileConv2d) for name, m in model.named_modules() if hasattr(m, "kernel_size")}
    del kinds["maxpool"]
    assert all(versatile != name.startswith("layer4.") for name, versatile in kinds.items())
    assert isinstance(model.conv1, LearnableVersatileConv2d)
