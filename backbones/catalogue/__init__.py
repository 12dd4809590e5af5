"""Every named model of both papers: name -> baseline + surgery, one module a family."""

from __future__ import annotations

from backbones.catalogue import (  # noqa: F401  (they fill the register)
    baselines,
    controls,
    slimconv,
    slimconv_cifar,
    slimconv_imagenet,
    standins,
    vdsr,
    versatile,
    versatile_imagenet,
)
from backbones.catalogue.registry import ModelSpec, create_model, list_models, model_spec

__all__ = ["ModelSpec", "create_model", "list_models", "model_spec"]
