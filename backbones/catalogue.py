"""Every named model of both papers: name -> baseline + surgery."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, Literal

import torchvision
from torch import nn
from torchvision.models.resnet import Bottleneck, ResNet

from backbones.naming import UnknownModelError
from backbones.nets.resnet_cifar import resnet56_cifar
from backbones.surgery import slim, versatile

Paper = Literal["slimconv", "versatile", "both"]
Builder = Callable[..., nn.Module]


@dataclass(frozen=True)
class ModelSpec:
    """A named model: what it is made of, and the input that the papers give it."""

    name: str
    paper: Paper
    method: str
    source: str
    build: Builder
    baseline: str = ""
    input_size: tuple[int, int, int] = (3, 224, 224)
    num_classes: int = 1000


_CATALOGUE: dict[str, ModelSpec] = {}


def list_models(pattern: str = "*") -> list[str]:
    """Return the names that match ``pattern`` (``*``, ``?``, ``[...]`` as in timm), sorted."""
    return sorted(name for name in _CATALOGUE if fnmatchcase(name, pattern))


def model_spec(name: str) -> ModelSpec:
    """Return what is known of a named model.

    Raises:
        UnknownModelError: with the nearest names.
    """
    try:
        return _CATALOGUE[name]
    except KeyError:
        raise UnknownModelError(name, _CATALOGUE) from None


def create_model(name: str, **kwargs: Any) -> nn.Module:
    """Build a named model, newly initialised.

    Args:
        name: one of :func:`list_models`.
        **kwargs: for the baseline's builder, ``num_classes`` among them.

    Raises:
        UnknownModelError: with the nearest names.
    """
    spec = model_spec(name)
    return spec.build(**{"num_classes": spec.num_classes, **kwargs})


def _add(spec: ModelSpec) -> None:
    if spec.name in _CATALOGUE:
        raise ValueError(f"two models are called {spec.name!r}")
    _CATALOGUE[spec.name] = spec


def _derive(name: str, baseline: str, paper: Paper, method: str, operate: Callable[[nn.Module], nn.Module]) -> None:
    base = _CATALOGUE[baseline]

    def build(**kwargs: Any) -> nn.Module:
        return operate(base.build(**kwargs))

    _add(ModelSpec(name, paper, method, "slimbench", build, baseline, base.input_size, base.num_classes))


# --- Baselines ------------------------------------------------------------------------------------


def _torchvision(name: str, paper: Paper) -> None:
    builder = partial(torchvision.models.get_model, name, weights=None)
    _add(ModelSpec(name, paper, "baseline", "torchvision", builder))


def _resnext101_32x3d(**kwargs: Any) -> nn.Module:
    # Depths 4, 8, 18, 3: only they give Table I's 23.70 M with SlimConv; the usual 3, 4, 23, 3 gives 26.1 M.
    net: nn.Module = ResNet(Bottleneck, [4, 8, 18, 3], groups=32, width_per_group=3, **kwargs)
    return net


def _resnext101_32x4d(**kwargs: Any) -> nn.Module:
    net: nn.Module = ResNet(Bottleneck, [3, 4, 23, 3], groups=32, width_per_group=4, **kwargs)
    return net


_torchvision("resnet50", "both")
for _name in ("resnet101", "resnext50_32x4d", "densenet161"):
    _torchvision(_name, "slimconv")
_add(ModelSpec("resnext101_32x4d", "slimconv", "baseline", "torchvision", _resnext101_32x4d))
_add(ModelSpec("resnext101_32x3d", "slimconv", "baseline", "torchvision", _resnext101_32x3d))
_add(
    ModelSpec(
        "resnet56_cifar",
        "both",
        "baseline",
        "slimbench",
        resnet56_cifar,
        input_size=(3, 32, 32),
        num_classes=10,
    )
)

# --- SlimConv (Table I) ---------------------------------------------------------------------------


def _sc(baseline: str, suffix: str = "", k: float = 4 / 3, note: str = "k=4/3", **options: Any) -> None:
    operate = partial(slim, k=k, quiet=True, **options)
    _derive(f"sc_{baseline}{suffix}", baseline, "slimconv", f"SlimConv, {note}", operate)


_sc("resnet50")
_sc("resnet50", "_k8_3", 8 / 3, "k=8/3")
_sc("resnet101")
_sc("resnext50_32x4d")
_sc("resnext101_32x3d", "_k2", 2, "k=2", bottom_groups=16)

# --- Versatile filters (Tables 1 and 2) -----------------------------------------------------------


def _versatile(prefix: str, baseline: str, suffix: str, method: str, **options: Any) -> None:
    operate = partial(versatile, quiet=True, **options)
    _derive(f"{prefix}_versatile_{baseline}{suffix}", baseline, "versatile", method, operate)


_versatile("s", "resnet56_cifar", "", "spatial versatile filters", kind="spatial")
for _gap, _g in ((1, 1), (2, 2), (4, 4), (8, 8), (12, 12), (8, 4), (8, 2)):
    _versatile(
        "c", "resnet56_cifar", f"_{_gap}_{_g}", f"channel versatile filters, c - c_hat={_gap}, g={_g}",
        kind="channel", gap=_gap, channel_stride=_g,
    )  # fmt: skip
_versatile(
    "s_c", "resnet56_cifar", "", "spatial and channel versatile filters, c - c_hat = g = 8",
    kind="spatial+channel", gap=8, channel_stride=8,
)  # fmt: skip
for _kind, _s in (("shared", 2), ("separate", 2), ("separate", 4)):
    _versatile(
        f"{_kind}_l", "resnet56_cifar", f"_s{_s}", f"learnable masks, {_kind}, s = {_s}",
        kind=_kind, s=_s, skip_first=True,
    )  # fmt: skip
