"""SlimConv and versatile filters: operators, surgery on any network, the named models of both papers.

>>> import backbones, torchvision
>>> model = backbones.slim(torchvision.models.resnet50(), k=4 / 3)

Names are imported on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from backbones.naming import UnknownModelError

if TYPE_CHECKING:
    from backbones import adapters, kernels, ops
    from backbones.catalogue import ModelSpec, create_model, list_models, model_spec
    from backbones.kernels import deploy
    from backbones.masks import (
        after_step,
        learnable_layers,
        mask_penalty,
        mask_statistics,
        masks_changed,
        parameter_groups,
        snapshot_masks,
    )
    from backbones.surgery import Change, SurgeryError, SurgeryReport, quantize, slim, surgery_report, versatile

_HOME = {
    "backbones.catalogue": ("ModelSpec", "create_model", "list_models", "model_spec"),
    "backbones.kernels": ("deploy",),
    "backbones.masks": (
        "after_step",
        "learnable_layers",
        "mask_penalty",
        "mask_statistics",
        "masks_changed",
        "parameter_groups",
        "snapshot_masks",
    ),
    "backbones.surgery": ("Change", "SurgeryError", "SurgeryReport", "quantize", "slim", "surgery_report", "versatile"),
}
_WHERE = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "Change",
    "ModelSpec",
    "SurgeryError",
    "SurgeryReport",
    "UnknownModelError",
    "adapters",
    "after_step",
    "create_model",
    "deploy",
    "kernels",
    "learnable_layers",
    "list_models",
    "mask_penalty",
    "mask_statistics",
    "masks_changed",
    "model_spec",
    "ops",
    "parameter_groups",
    "quantize",
    "slim",
    "snapshot_masks",
    "surgery_report",
    "versatile",
]


def __getattr__(name: str) -> Any:
    if name in ("adapters", "kernels", "ops"):
        return import_module(f"backbones.{name}")
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'backbones' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
