"""Conformity with the authors' released checkpoints, by a module written from the description of their file alone."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck, ResNet

import backbones
from backbones.adapters import load_official_slimconv
from backbones.adapters.official import CheckpointError, official_to_ours


class TheirSlimConv(nn.Module):
    """Names and order as in the released keys: conv2_1, conv2_2, fc."""

    def __init__(self, c: int, stride: int, r: int, groups: int, bottom_groups: int) -> None:
        super().__init__()
        m, b = c // r, c // (2 * r)
        self.r = r
        self.conv2_1 = nn.Sequential(nn.Conv2d(m, m, 3, stride, 1, groups=groups, bias=False), nn.BatchNorm2d(m))
        self.conv2_2 = nn.Sequential(
            nn.Conv2d(m, b, 1, bias=False),
            nn.BatchNorm2d(b),
            nn.ReLU(),
            nn.Conv2d(b, b, 3, stride, 1, groups=bottom_groups, bias=False),
            nn.BatchNorm2d(b),
        )
        self.fc = nn.Sequential(
            nn.Conv2d(c, c // 32, 1, bias=False),
            nn.BatchNorm2d(c // 32),
            nn.ReLU(),
            nn.Conv2d(c // 32, c, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        w = self.fc(nn.functional.adaptive_avg_pool2d(x, 1))
        n, c, height, width = x.shape
        above = (x * w).view(n, self.r, c // self.r, height, width).sum(1)
        below = (x * torch.flip(w, dims=[1])).view(n, self.r, c // self.r, height, width).sum(1)
        return torch.cat((self.conv2_1(above), self.conv2_2(below)), dim=1)


def theirs(depths: list[int], r: int = 2, groups: int = 1, bottom_groups: int = 1, base: int = 64) -> nn.Module:
    model = ResNet(Bottleneck, depths, num_classes=1000, groups=groups, width_per_group=base)
    for stage in (model.layer1, model.layer2, model.layer3, model.layer4):
        for block in stage:
            c = block.conv2.in_channels
            block.conv2 = TheirSlimConv(c, block.conv2.stride[0], r, groups, bottom_groups)
            block.bn2 = nn.Identity()
            block.conv3 = nn.Conv2d(c // r + c // (2 * r), block.conv3.out_channels, 1, bias=False)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1)
            nn.init.normal_(module.bias, std=0.2)
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return model.eval()


MODELS: dict[str, Callable[[], nn.Module]] = {
    "sc_resnet50": lambda: theirs([3, 4, 6, 3]),
    "sc_resnet101": lambda: theirs([3, 4, 23, 3]),
    "sc_resnext101_32x3d_k2": lambda: theirs([4, 8, 18, 3], r=3, groups=32, bottom_groups=16, base=3),
}


@pytest.mark.parametrize(
    "name", ["sc_resnet50", pytest.param("sc_resnet101", marks=pytest.mark.slow), "sc_resnext101_32x3d_k2"]
)
def test_gives_the_outputs_of_the_authors_network(name: str, tmp_path: Path) -> None:
    reference = MODELS[name]()
    path = tmp_path / "released.tar"
    torch.save({"state_dict": {f"module.{k}": v for k, v in reference.state_dict().items()}, "epoch": 120}, path)
    model = backbones.create_model(name).eval()
    assert load_official_slimconv(model, path) is model
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        expected = reference(x)
        torch.testing.assert_close(model(x), expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())


# --- Forms and faults, on a network of one block a stage ------------------------------------------------------


def ours_small() -> nn.Module:
    return backbones.slim(ResNet(Bottleneck, [1, 1, 1, 1], num_classes=1000), quiet=True).eval()


@pytest.fixture(scope="module")
def small() -> nn.Module:
    torch.manual_seed(0)
    return theirs([1, 1, 1, 1])


def plain(state: dict[str, Tensor]) -> Any:
    return state


def prefixed(state: dict[str, Tensor]) -> Any:
    return {f"module.{key}": value for key, value in state.items()}


def nested(state: dict[str, Tensor]) -> Any:
    return {"epoch": 3, "best_acc1": torch.tensor(77.0), "state_dict": state, "optimizer": {"lr": [0.1]}}


def uncounted(state: dict[str, Tensor]) -> Any:
    return {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}


@pytest.mark.parametrize("form", [plain, prefixed, nested, uncounted, lambda s: nested(prefixed(uncounted(s)))])
@pytest.mark.parametrize("zipped", [True, False])
def test_every_form_of_file(form: Callable[..., Any], zipped: bool, small: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pth"
    torch.save(form(dict(small.state_dict())), path, _use_new_zipfile_serialization=zipped)
    model = load_official_slimconv(ours_small(), str(path))
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        expected = small(x)
        torch.testing.assert_close(model(x), expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())


def without(key: str) -> Callable[[dict[str, Tensor]], Any]:
    return lambda state: {k: v for k, v in state.items() if k != key}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("layer1.0.conv2.fc.3.bias"), r"keys 1 missing \(layer1.0.conv2.gate.3.bias\)$"),
        (without("conv1.weight"), r"keys 1 missing \(conv1.weight\)$"),
        (lambda s: {**s, "layer1.0.bn2.weight": torch.ones(64)}, r"keys 1 left over \(layer1.0.bn2.weight\)$"),
        (
            lambda s: {**s, "layer1.0.conv2.conv2_3.0.weight": torch.ones(1)},
            r"1 left over \(layer1.0.conv2.conv2_3.0.weight\)$",
        ),
        (
            lambda s: {**s, "fc.weight": torch.ones(10, 2048)},
            r"1 of another shape \(fc.weight \(10, 2048\) instead of \(1000, 2048\)\)$",
        ),
        (lambda s: {**s, "module.conv1.weight": s["conv1.weight"]}, "holds keys twice"),
        (lambda s: {"conv1.weight": s["conv1.weight"]}, r"\d+ missing \(bn1.bias, bn1.running_mean, .*, \.\.\.\)$"),
        (lambda s: list(s.values()), "holds no state_dict"),
        (lambda s: {**s, "epoch": 3}, "holds no state_dict"),
        (lambda s: {**s, 7: torch.ones(1)}, "holds no state_dict"),
        (lambda s: torch.ones(3), "holds no state_dict"),
        (lambda s: {"state_dict": None}, "holds no state_dict"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_whole(
    change: Callable[..., Any], message: str, small: nn.Module, tmp_path: Path
) -> None:
    path = tmp_path / "checkpoint.pth"
    torch.save(change(dict(small.state_dict())), path)
    model = ours_small()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=message) as raised:
        load_official_slimconv(model, path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


class Harmful:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("harmed"),))


def test_objects_are_not_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}, "args": Harmful()}, "object.pth")
    Path("plain.pkl").write_bytes(pickle.dumps({"conv1.weight": Harmful()}, protocol=2))
    for name in ("object.pth", "plain.pkl"):
        with pytest.raises(CheckpointError, match=f"{name}: not a file of tensors and plain values") as raised:
            load_official_slimconv(nn.Linear(1, 1), name)
        assert "\n" not in str(raised.value)
    assert not Path("harmed").exists()


def test_damaged_files_are_named(small: nn.Module, tmp_path: Path) -> None:
    whole = tmp_path / "whole.pth"
    torch.save({"weight": torch.ones(1, 1), "bias": torch.ones(1)}, whole)
    data = whole.read_bytes()
    legacy = tmp_path / "legacy.pth"
    torch.save({"weight": torch.ones(1, 1), "bias": torch.ones(1)}, legacy, _use_new_zipfile_serialization=False)
    old = legacy.read_bytes()
    damaged = [b"", b"\x80", b"not a checkpoint", b"PK\x03\x04", bytes(500), data[: len(data) // 2], data[:-30]]
    damaged += [old[:n] for n in range(1, len(old) - 1, 7)]
    for content in damaged:
        path = tmp_path / "damaged.pth"
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"damaged\.pth: ") as raised:
            load_official_slimconv(nn.Linear(1, 1), path)
        assert "\n" not in str(raised.value)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nowhere\.pth: no such file$"):
        load_official_slimconv(nn.Linear(1, 1), tmp_path / "nowhere.pth")
    with pytest.raises(CheckpointError, match=r"not a file"):
        load_official_slimconv(nn.Linear(1, 1), tmp_path)


@pytest.mark.parametrize(
    ("key", "ours"),
    [
        ("module.layer1.0.conv2.conv2_1.0.weight", "layer1.0.conv2.top.0.weight"),
        ("layer3.22.conv2.conv2_2.4.running_var", "layer3.22.conv2.bottom.4.running_var"),
        ("layer4.2.conv2.fc.3.bias", "layer4.2.conv2.gate.3.bias"),
        ("fc.weight", "fc.weight"),
        ("module.layer2.0.downsample.1.bias", "layer2.0.downsample.1.bias"),
    ],
)
def test_translation_of_keys(key: str, ours: str) -> None:
    assert official_to_ours(key) == ours
