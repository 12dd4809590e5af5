"""A config's network with a checkpoint's weights: all of them, or an error that says what does not fit."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.errors import UserError
from benchmarks.prediction.configs import Named
from benchmarks.training.weights import load_strictly, network_weights, read_checkpoint


def build(named: Named) -> nn.Module:
    """The network with random weights, in evaluation mode. Raises UserError if the config does not give one."""
    from mmengine.model import revert_sync_batchnorm
    from mmengine.registry import MODELS, DefaultScope

    try:
        with warnings.catch_warnings(), DefaultScope.overwrite_default_scope(named.host):
            warnings.simplefilter("ignore")  # on arguments that concern training
            model: nn.Module = revert_sync_batchnorm(MODELS.build(named.config.model))
    except Exception as error:  # whatever the config's arguments make of its classes
        raise UserError(f"config {named.name}: its network cannot be built: {error}") from error
    return model.eval()


def load(model: nn.Module, named: Named, path: Path) -> dict[str, Any]:
    """Load a checkpoint of ours, MMEngine's or a bare state dict; return what MMEngine notes of the data ("classes").

    Raises UserError if it is missing or unreadable, or if one key does not fit; says both numbers where classes differ.
    """
    content = read_checkpoint(path)
    weights = network_weights(content)
    if not any(isinstance(value, torch.Tensor) for value in weights.values()):
        raise UserError(f"checkpoint {path} holds no weights of a network")
    expected = model.state_dict()
    # Files from before BatchNorm counted its batches lack the number, which only training reads.
    missing = {key: value for key, value in expected.items() if key.endswith(".num_batches_tracked")}
    weights = missing | weights
    ours = num_classes(model)
    theirs = classes_of(weights, expected, ours) if ours is not None else None
    if theirs is not None:
        raise UserError(f"checkpoint {path} has {theirs} classes, the network of {named.name} has {ours}")
    load_strictly(model, weights, str(path), named.name)
    meta = content.get("meta")
    noted = meta.get("dataset_meta") if isinstance(meta, dict) else None
    return {str(key).lower(): value for key, value in noted.items()} if isinstance(noted, dict) else {}


def num_classes(model: nn.Module) -> int | None:
    """How many classes the network tells apart (MMDetection: without the background), None where it does not say."""
    for name in ("roi_head", "bbox_head", "mask_head", "decode_head", "panoptic_head", "panoptic_fusion_head"):
        head: Any = getattr(model, name, None)
        head = getattr(head, "bbox_head", head) if name == "roi_head" else head
        if isinstance(head, nn.ModuleList):  # a cascade, whose last stage decides
            head = head[-1]
        found = getattr(head, "num_classes", None)
        if isinstance(found, int):
            return found
    return None


def classes_of(weights: Mapping[str, Any], expected: Mapping[str, torch.Tensor], ours: int) -> int | None:
    """How many classes a checkpoint is for, if that is all in which it differs from a network of `ours`; else None.

    A layer that has one number a class, or one a class and anchor, is told from others by its size in our network; a
    softmax of MMDetection (fc_cls) has one class more, the background.
    """
    if set(weights) != set(expected):
        return None
    found: set[int] | None = None
    for key, tensor in expected.items():
        other = weights[key]
        if not isinstance(other, torch.Tensor) or other.shape == tensor.shape:
            continue
        if other.dim() != tensor.dim() or other.shape[1:] != tensor.shape[1:]:
            return None
        here, there = len(tensor), len(other)
        background = 1 if re.search(r"\bfc_cls\.", key) and here == ours + 1 else 0
        each, rest = divmod(here - background, ours)
        if rest or (there - background) % each:
            return None
        possible = {(there - background) // each}
        found = possible if found is None else found & possible
    return found.pop() if found else None
