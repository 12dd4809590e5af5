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

from benchmarks.training.compiling import GRAPH_MODES, Choice, chosen_mode, compile_network


@MODELS.register_module(force=True)
class ImageClassifier(BaseModel):
    """`backbones.create_model(name, num_classes=...)` with cross-entropy.

    inputs (N, C, H, W), labels (N,) int64. mode "loss" returns dict(loss_cls=scalar), "predict" returns one
    dict(scores=(N, classes), labels=(N,)) for the batch, "tensor" returns the scores.

    val_dtype: precision of the accuracy that is watched during training ("bfloat16" under autocast, or None for
    float32); `test_step`, whose accuracy is recorded, always computes in float32, without TF32.

    compile: None or "auto" (on in long runs where it was measured to help), True, False, a mode of torch.compile or a
    backend; see `benchmarks.training.compiling`. It takes effect with `CompileHook`. The keys of the state dict are
    those of an uncompiled network, so checkpoints of both serve each other.
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
        # A copy to a GPU is not waited for (a no-op for data that are there already).
        super().__init__(data_preprocessor or {"type": "BaseDataPreprocessor", "non_blocking": True})
        import backbones

        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.network = backbones.create_model(name, num_classes=num_classes, **kwargs)
        self.network.to(memory_format=self.memory_format)  # type: ignore[call-overload]
        self.val_dtype = None if val_dtype is None else getattr(torch, val_dtype)
        self.criterion = nn.CrossEntropyLoss()
        self.compile_choice = compile
        self.compiled_mode: str | None = None
        self._compiled_rows: int | None = None

    def init_weights(self) -> None:
        """The networks initialise themselves; MMEngine must not do it again."""

    def forward(self, inputs: Tensor, labels: Tensor | None = None, mode: str = "tensor") -> Any:
        scores = self._scores(inputs.contiguous(memory_format=self.memory_format))
        if mode == "loss":
            return {"loss_cls": self.criterion(scores, labels)}
        if mode == "predict":
            return [{"scores": scores, "labels": labels}]
        if mode == "tensor":
            return scores
        raise ValueError(f"no mode {mode!r}; it is one of 'loss', 'predict', 'tensor'")

    def compile_for(self, rows: int, iterations: int = 0, alone: bool = True) -> None:
        """Compile the network for training batches of so many images, if `compile` asks for it. Raises UserError.

        iterations: of the whole run, for "auto".
        alone: forget what was compiled for other networks of this process, which are not used any more.
        """
        device = next(self.parameters()).device.type
        self.compiled_mode = chosen_mode(self.compile_choice, device, iterations)
        if self.compiled_mode is not None:
            self._compiled_rows = rows
            if alone:  # else torch takes a series of networks for one that changes, and runs the ninth eagerly
                torch.compiler.reset()
            compile_network(self.network, self.compiled_mode, device)

    def _scores(self, inputs: Tensor) -> Tensor:
        if self.compiled_mode is None:
            scores: Tensor = self.network(inputs)
        elif not self.training or len(inputs) != self._compiled_rows:
            scores = self.network.forward(inputs)  # calling the network itself would compile it for this batch too
        else:
            if self.compiled_mode in GRAPH_MODES:
                torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
            scores = self.network(inputs)
        return scores

    def val_step(self, data: Any) -> Any:
        device = next(self.parameters()).device.type
        with torch.autocast(device, dtype=self.val_dtype, enabled=self.val_dtype is not None):
            return super().val_step(data)

    def test_step(self, data: Any) -> Any:
        before = torch.backends.cudnn.allow_tf32
        torch.backends.cudnn.allow_tf32 = False  # or convolutions in "float32" round to ten bits on recent GPUs
        try:
            return super().test_step(data)
        finally:
            torch.backends.cudnn.allow_tf32 = before


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
