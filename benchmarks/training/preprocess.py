"""From the bytes that a DataLoader hands over to the floats that a network takes, on the device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor
from mmengine.registry import MODELS
from torch import Tensor


@MODELS.register_module(force=True)
class NormaliseOnDevice(BaseDataPreprocessor):
    """Copies a batch to the device as uint8, without waiting where its memory is pinned, and normalises it there.

    mean, std: a channel, for pixels in 0..255. inputs (N, C, H, W) uint8 become float32 (pixel - mean) / std in the
    same memory order; labels are copied.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__(non_blocking=True)
        spread = torch.tensor(std)
        self.register_buffer("scale", (1 / spread).view(-1, 1, 1), persistent=False)
        self.register_buffer("shift", (-torch.tensor(mean) / spread).view(-1, 1, 1), persistent=False)

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        moved: dict[str, Any] = dict(self.cast_data(data))
        moved["inputs"] = moved["inputs"].to(torch.float32).mul_(self.scale).add_(self.shift)
        return moved
