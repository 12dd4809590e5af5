"""Statistics for batch norms whose weights are random and came with none."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn


@contextlib.contextmanager
def settling(model: nn.Module) -> Iterator[None]:
    """Within the block each batch norm takes mean and variance of what it gets, layer after layer.

    For a forward pass in evaluation mode on typical input; the norm's own output is normalised by the new statistics.
    """
    handles = [
        module.register_forward_pre_hook(_settle)
        for module in model.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.track_running_stats  # noqa: SLF001
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _settle(norm: Any, arguments: tuple[torch.Tensor, ...]) -> None:
    (features,) = arguments
    if features.numel() > features.shape[1]:  # one value a channel has no variance
        axes = [axis for axis in range(features.dim()) if axis != 1]
        variance, mean = torch.var_mean(features.float(), axes, correction=0)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
