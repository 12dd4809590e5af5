"""What a batch normalisation does with one value a channel, of which it cannot take statistics."""

from __future__ import annotations

from typing import Any

import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn


def normalise_pooled(norm: Any, z: Tensor) -> Tensor:
    """``norm(z)`` for ``(N, C, 1, 1)``, what an average over the whole image leaves; N = 1 is allowed in training.

    There one value a channel has no variance: the running statistics normalise it, and stay as they are. Under
    SyncBatchNorm over several processes there are enough values, and nothing special happens.
    """
    if _cannot_take_statistics(norm, z):
        return F.batch_norm(z, norm.running_mean, norm.running_var, norm.weight, norm.bias, False, 0.0, norm.eps)
    out: Tensor = norm(z)
    return out


def _cannot_take_statistics(norm: Any, z: Tensor) -> bool:
    if not norm.training or z.shape[0] > 1 or getattr(norm, "running_mean", None) is None:
        return False
    synchronised = isinstance(norm, nn.SyncBatchNorm) and dist.is_available() and dist.is_initialized()
    return not (synchronised and dist.get_world_size(norm.process_group) > 1)
