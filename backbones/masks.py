"""What learnable masks need in a training loop: a penalty, an update after each step, parameter groups, a log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor, nn

from backbones.ops.learnable import LearnableVersatileConv2d, distances_from_identity


def learnable_layers(model: nn.Module) -> Iterator[tuple[str, LearnableVersatileConv2d]]:
    """Yield the name and the layer of every learnable versatile convolution, wrappers such as DDP included."""
    for name, module in model.named_modules():
        if isinstance(module, LearnableVersatileConv2d):
            yield name, module


def mask_penalty(model: nn.Module, weight: float = 0.1, reduction: Literal["sum", "mean"] = "sum") -> Tensor:
    """Return the second term of Eq. (14), ``weight`` times Eq. (12) summed over the layers; a scalar.

    Add it to the loss. Zero, without a gradient, for a model whose masks do not learn.

    Args:
        weight: lambda; the paper finds 0.1 best (Figure 4b).
        reduction: within a layer of separate masks, over its primary filters: see
            :meth:`LearnableVersatileConv2d.penalty`.
    """
    alike: dict[Any, list[LearnableVersatileConv2d]] = {}
    for _, layer in learnable_layers(model):
        agent = layer.agent
        if agent.requires_grad:
            key = (agent.shape, agent.dtype, agent.device, layer.num_secondary, layer.threshold)
            alike.setdefault(key, []).append(layer)
    if not alike:
        parameter = next(model.parameters(), None)
        return torch.zeros((), device=None if parameter is None else parameter.device)
    return weight * torch.stack([_joint_penalty(layers, reduction) for layers in alike.values()]).sum()


def _joint_penalty(layers: list[LearnableVersatileConv2d], reduction: str) -> Tensor:
    """The sum of the penalties of layers that are alike, at once: a small network has dozens of them."""
    first = layers[0]
    agents = torch.cat([layer.agent for layer in layers])
    distances = distances_from_identity(agents, first.num_secondary, first.threshold)
    total: Tensor = distances.sum()
    return total * len(layers) / len(distances) if reduction == "mean" else total


def after_step(model: nn.Module) -> None:
    """Do what each mask's rule asks after an optimizer step: clip H, or restart it (Eq. 24 and 25)."""
    for _, layer in learnable_layers(model):
        layer.after_step()


def parameter_groups(
    model: nn.Module, lr: float, weight_decay: float = 0.0, mask_lr_scale: float = 30.0
) -> list[dict[str, Any]]:
    """Split the trainable parameters for an optimizer: everything else, then the agents H of the masks.

    Weight decay would pull H, and with it every mask, towards zero: H has none. Nor has it momentum, which would
    push it on against the clipping. On the weights' own learning rate masks hardly ever change, so theirs is
    ``mask_lr_scale`` times as large. The second group is left out where no mask learns.

    Args:
        lr: learning rate of the weights.
        weight_decay: of the weights.
        mask_lr_scale: learning rate of H in multiples of ``lr``.
    """
    agents = [layer.agent for _, layer in learnable_layers(model) if layer.agent.requires_grad]
    ids = {id(agent) for agent in agents}
    others = [p for p in model.parameters() if p.requires_grad and id(p) not in ids]
    groups: list[dict[str, Any]] = [{"params": others, "lr": lr, "weight_decay": weight_decay}]
    if agents:
        groups.append({"params": agents, "lr": lr * mask_lr_scale, "weight_decay": 0.0, "momentum": 0.0})
    return groups


def snapshot_masks(model: nn.Module) -> dict[str, Tensor]:
    """Return a copy of the binary masks by layer name, to count later what :func:`masks_changed` since."""
    return {name: layer.masks() for name, layer in learnable_layers(model)}


def masks_changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> float:
    """Return the share of mask entries that differ between two snapshots, in [0, 1]; 0 without masks."""
    total = sum(mask.numel() for mask in before.values())
    return sum(int((before[name] != after[name]).sum()) for name in before) / total if total else 0.0


def mask_statistics(model: nn.Module) -> dict[str, float]:
    """Return ``share_of_ones`` over all mask entries and their number ``entries``; empty without masks."""
    masks = snapshot_masks(model)
    total = sum(mask.numel() for mask in masks.values())
    if not total:
        return {}
    return {"share_of_ones": sum(int(m.sum()) for m in masks.values()) / total, "entries": float(total)}
