from __future__ import annotations

import copy
from fnmatch import fnmatch
from typing import Any

import pytest
import torch
from torch import nn

import backbones
from backbones.ops import SlimConv2d, VersatileConv2d

#: Table I of SlimConv: parameters. Those of the paper are printed in millions, with two digits behind the point.
IMAGENET: dict[str, int | str] = {
    "resnet50": 25_557_032,
    "resnet101": "44.55",
    "resnext50_32x4d": "25.03",
    "resnext101_32x4d": "44.18",
    "resnext101_32x3d": "",
    "densenet161": "28.68",
    "sc_resnet50": 16_758_740,
    "sc_resnet50_k8_3": "12.10",
    "sc_resnet101": "",
    "sc_resnext50_32x4d": "",
    "sc_resnext101_32x3d_k2": "23.70",
}
CIFAR = {
    "resnet56_cifar": None,
    "s_versatile_resnet56_cifar": "SpatialVersatileConv2d",
    **{
        f"c_versatile_resnet56_cifar_{gap_g}": "ChannelVersatileConv2d"
        for gap_g in ("1_1", "2_2", "4_4", "8_8", "12_12", "8_4", "8_2")
    },
    "s_c_versatile_resnet56_cifar": "SpatialChannelVersatileConv2d",
    "shared_l_versatile_resnet56_cifar_s2": "LearnableVersatileConv2d",
    "separate_l_versatile_resnet56_cifar_s2": "LearnableVersatileConv2d",
    "separate_l_versatile_resnet56_cifar_s4": "LearnableVersatileConv2d",
}


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def on_meta(name: str, **kwargs: Any) -> nn.Module:
    with torch.device("meta"):
        return backbones.create_model(name, **kwargs)


# --- Names ------------------------------------------------------------------------------------------------


def test_all_names_of_the_two_first_tables() -> None:
    names = backbones.list_models()
    assert {*IMAGENET, *CIFAR} <= set(names)
    assert names == sorted(names)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("pattern", ["sc_*", "*versatile*", "resnet??", "resnet50", "[rs]*50", "nothing*"])
def test_wildcards(pattern: str) -> None:
    expected = [name for name in backbones.list_models() if fnmatch(name, pattern)]
    assert backbones.list_models(pattern) == expected
    assert bool(expected) == (pattern != "nothing*")


@pytest.mark.parametrize("ask", [backbones.create_model, backbones.model_spec])
def test_unknown_names_get_the_nearest(ask: Any) -> None:
    with pytest.raises(backbones.UnknownModelError, match=r"^no model 'sc_resnet5'; did you mean sc_resnet50\b.*\?$"):
        ask("sc_resnet5")
    with pytest.raises(KeyError, match=r"^no model 'qqqq'$"):
        ask("qqqq")


def test_what_is_known_of_every_model() -> None:
    for name in backbones.list_models():
        spec = backbones.model_spec(name)
        assert spec.name == name
        assert spec.paper in ("slimconv", "versatile", "both")
        assert spec.method
        assert spec.source in ("torchvision", "timm", "slimbench")
        assert len(spec.input_size) == 3
        if spec.baseline:
            assert backbones.model_spec(spec.baseline).baseline == ""
            assert spec.input_size == backbones.model_spec(spec.baseline).input_size
            assert spec.num_classes == backbones.model_spec(spec.baseline).num_classes


def test_specs_of_two_models() -> None:
    spec = backbones.model_spec("sc_resnet50_k8_3")
    assert (spec.paper, spec.baseline, spec.input_size, spec.num_classes) == (
        "slimconv",
        "resnet50",
        (3, 224, 224),
        1000,
    )
    spec = backbones.model_spec("separate_l_versatile_resnet56_cifar_s4")
    assert (spec.paper, spec.baseline, spec.input_size, spec.num_classes) == (
        "versatile",
        "resnet56_cifar",
        (3, 32, 32),
        10,
    )


# --- Large models -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", IMAGENET)
def test_imagenet_models_have_the_papers_parameters_and_shapes(name: str) -> None:
    model = on_meta(name).eval()
    count = parameters(model)
    printed = IMAGENET[name]
    if isinstance(printed, int):
        assert count == printed
    elif printed:
        assert f"{count / 1e6:.2f}" == printed
    assert model(torch.empty(1, 3, 224, 224, device="meta")).shape == (1, 1000)
    assert model(torch.empty(1, 3, 97, 65, device="meta")).shape == (1, 1000)
    slimmed = sum(isinstance(module, SlimConv2d) for module in model.modules())
    blocks = 33 if "101" in name else 16
    assert slimmed == (blocks if name.startswith("sc_") else 0)


def test_groups_of_sc_resnext101_32x3d() -> None:
    model = on_meta("sc_resnext101_32x3d_k2")
    layers = [module for module in model.modules() if isinstance(module, SlimConv2d)]
    assert {(layer.r, layer.top[0].groups, layer.bottom[3].groups) for layer in layers} == {(3, 32, 16)}
    assert [layer.in_channels for layer in layers] == [96] * 4 + [192] * 8 + [384] * 18 + [768] * 3


@pytest.mark.parametrize("name", ["sc_resnet50", "sc_resnext50_32x4d"])
def test_imagenet_models_train(name: str) -> None:
    model = backbones.create_model(name, num_classes=4).train()
    y = model(torch.randn(2, 3, 64, 64))
    assert y.shape == (2, 4)
    y.square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    with torch.inference_mode():
        assert torch.isfinite(model.eval()(torch.randn(1, 3, 61, 83))).all()


# --- CIFAR models -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CIFAR)
def test_cifar_models_train_and_travel(name: str) -> None:
    model = backbones.create_model(name)
    kinds = {type(module).__name__ for module in model.modules() if isinstance(module, VersatileConv2d)}
    assert kinds - {"SpatialVersatileConv2d"} == {CIFAR[name]} - {None, "SpatialVersatileConv2d"}
    y = model.train()(torch.randn(2, 3, 16, 16))
    assert y.shape == (2, 10)
    (y.square().mean() + backbones.mask_penalty(model)).backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
    x = torch.randn(1, 3, 15, 17)
    with torch.inference_mode():
        expected = model.eval()(x)
        twin = copy.deepcopy(model)
        fresh = backbones.create_model(name).eval()
        assert not torch.allclose(fresh(x), expected)
        fresh.load_state_dict(model.state_dict())
        for other in (twin, fresh):
            torch.testing.assert_close(other(x), expected, rtol=0, atol=0)


def test_one_layer_is_left_where_the_paper_leaves_it() -> None:
    for name, first in (
        ("s_versatile_resnet56_cifar", VersatileConv2d),
        ("s_c_versatile_resnet56_cifar", VersatileConv2d),
        ("c_versatile_resnet56_cifar_8_8", nn.Conv2d),
        ("separate_l_versatile_resnet56_cifar_s2", nn.Conv2d),
        ("shared_l_versatile_resnet56_cifar_s2", nn.Conv2d),
    ):
        model = on_meta(name)
        assert isinstance(model.conv1, first)
        dense = [n for n, module in model.named_modules() if isinstance(module, nn.Conv2d)]
        assert dense == (["conv1"] if first is nn.Conv2d else [])


@pytest.mark.parametrize(
    "name",
    [
        "s_versatile_resnet56_cifar",
        "c_versatile_resnet56_cifar_8_2",
        "s_c_versatile_resnet56_cifar",
        "separate_l_versatile_resnet56_cifar_s4",
    ],
)
def test_cifar_models_compile_and_export(name: str) -> None:
    model = backbones.create_model(name).eval()
    # One block a stage, the widening ones among them: all others are like the first.
    for stage in ("layer1", "layer2", "layer3"):
        setattr(model, stage, getattr(model, stage)[:1])
    x = torch.randn(2, 3, 16, 16)
    expected = model(x)
    program = torch.export.export(model, (x,))
    torch.testing.assert_close(program.module()(x), expected)
    model.train()
    torch._dynamo.reset()
    compiled = torch.compile(copy.deepcopy(model), backend="aot_eager", fullgraph=True)
    gradients = [
        torch.autograd.grad(each(x).square().sum(), [p for p in each.parameters() if p.requires_grad])
        for each in (model, compiled)
    ]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("name", "wrong"), [("sc_resnet50", {"classes": 3}), ("resnet56_cifar", {"pretrained": True})])
def test_arguments_go_to_the_builder(name: str, wrong: dict[str, Any]) -> None:
    assert on_meta(name, num_classes=3).fc.out_features == 3
    with pytest.raises(TypeError, match=next(iter(wrong))):
        backbones.create_model(name, **wrong)
