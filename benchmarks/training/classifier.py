"""Classification as an MMEngine model, and the bf16 optimizer wrapper."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS, OPTIM_WRAPPERS
from torch import Tensor, nn

from benchmarks.training.compiling import Choice
from benchmarks.training.network import NetworkModel


@MODELS.register_module(force=True)
class ImageClassifier(NetworkModel):
    """`backbones.create_model(name, num_classes=...)` with cross-entropy.

    inputs (N, C, H, W), labels (N,) int64. mode "loss" returns dict(loss_cls=scalar), "predict" returns one
    dict(scores=(N, classes), labels=(N,)) for the batch, "tensor" returns the scores. For the other arguments see
    `NetworkModel`; those that it does not know go to `create_model`.
    """

    def __init__(
        self,
        name: str,
        num_classes: int = 1000,
        channels_last: bool = True,
        val_dtype: str | None = None,
        compile: Choice = None,  # noqa: A002, the name of what it asks for
        data_preprocessor: dict[str, Any] | nn.Module | None = None,
        **kwargs: Any,
    ) -> None:
        import backbones

        network = backbones.create_model(name, num_classes=num_classes, **kwargs)
        super().__init__(network, channels_last, val_dtype, compile, data_preprocessor)
        self.criterion = nn.CrossEntropyLoss()

    def forward(self, inputs: Tensor, labels: Tensor | None = None, mode: str = "tensor") -> Any:
        scores = self.outputs(inputs)
        if mode == "loss":
            return {"loss_cls": self.criterion(scores, labels)}
        if mode == "predict":
            return [{"scores": scores, "labels": labels}]
        if mode == "tensor":
            return scores
        raise ValueError(f"no mode {mode!r}; it is one of 'loss', 'predict', 'tensor'")


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
