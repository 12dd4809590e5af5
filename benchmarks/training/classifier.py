"""A network of `backbones` as an MMEngine model, and the bf16 optimizer wrapper."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS, OPTIM_WRAPPERS
from torch import Tensor, nn


@MODELS.register_module(force=True)
class ImageClassifier(BaseModel):
    """`backbones.create_model(name, num_classes=...)` with cross-entropy.

    inputs (N, C, H, W), labels (N,) int64. mode "loss" returns dict(loss_cls=scalar), "predict" returns one
    dict(scores=(N, classes), labels=(N,)) for the batch, "tensor" returns the scores.

    val_dtype: precision of the accuracy that is watched during training ("bfloat16" under autocast, or None for
    float32); `test_step`, whose accuracy is recorded, always computes in float32.
    """

    def __init__(
        self,
        name: str,
        num_classes: int = 1000,
        channels_last: bool = True,
        val_dtype: str | None = None,
        data_preprocessor: dict[str, Any] | nn.Module | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        import backbones

        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.network = backbones.create_model(name, num_classes=num_classes, **kwargs)
        self.network.to(memory_format=self.memory_format)  # type: ignore[call-overload]
        self.val_dtype = None if val_dtype is None else getattr(torch, val_dtype)
        self.criterion = nn.CrossEntropyLoss()

    def init_weights(self) -> None:
        """The networks initialise themselves; MMEngine must not do it again."""

    def forward(self, inputs: Tensor, labels: Tensor | None = None, mode: str = "tensor") -> Any:
        scores = self.network(inputs.contiguous(memory_format=self.memory_format))
        if mode == "loss":
            return {"loss_cls": self.criterion(scores, labels)}
        if mode == "predict":
            return [{"scores": scores, "labels": labels}]
        if mode == "tensor":
            return scores
        raise ValueError(f"no mode {mode!r}; it is one of 'loss', 'predict', 'tensor'")

    def val_step(self, data: Any) -> Any:
        device = next(self.parameters()).device.type
        with torch.autocast(device, dtype=self.val_dtype, enabled=self.val_dtype is not None):
            return super().val_step(data)


@OPTIM_WRAPPERS.register_module(force=True)
class AutocastOptimWrapper(OptimWrapper):
    """Forward passes under torch.autocast in bfloat16, on any device (MMEngine's AmpOptimWrapper refuses a CPU).

    bfloat16 has float32's exponent, so no loss scaling is needed; weights and their updates stay float32.
    """

    def __init__(self, *args: Any, dtype: str = "bfloat16", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if dtype != "bfloat16":
            raise ValueError(f"AutocastOptimWrapper scales no losses, so dtype must be 'bfloat16', not {dtype!r}")
        self.dtype = torch.bfloat16

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, dtype=self.dtype):
            yield
