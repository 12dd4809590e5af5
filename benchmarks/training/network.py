"""A network of `backbones` as an MMEngine model: memory order, precision and compilation, the same for every task."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from benchmarks.precision import without_tf32
from benchmarks.training.compiling import GRAPH_MODES, Choice, chosen_mode, compile_network


class NetworkModel(BaseModel):
    """Holds the network; subclasses say in `forward` what is done with its output.

    val_dtype: precision of what is watched during training ("bfloat16" under autocast, or None for float32);
    `test_step`, whose result is recorded, always computes in float32, without TF32.

    compile: None or "auto" (on in long runs where it was measured to help), True, False, a mode of torch.compile or a
    backend; see `benchmarks.training.compiling`. It takes effect with `CompileHook`. The keys of the state dict are
    those of an uncompiled network, so checkpoints of both serve each other.
    """

    def __init__(
        self,
        network: nn.Module,
        channels_last: bool = True,
        val_dtype: str | None = None,
        compile: Choice = None,  # noqa: A002, the name of what it asks for
        data_preprocessor: dict[str, Any] | nn.Module | None = None,
    ) -> None:
        # A copy to a GPU is not waited for (a no-op for data that are there already).
        super().__init__(data_preprocessor or {"type": "BaseDataPreprocessor", "non_blocking": True})
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.network = network
        self.network.to(memory_format=self.memory_format)  # type: ignore[call-overload]
        self.val_dtype = None if val_dtype is None else getattr(torch, val_dtype)
        self.compile_choice = compile
        self.compiled_mode: str | None = None
        self._compiled_rows: int | None = None

    def init_weights(self) -> None:
        """The networks initialise themselves; MMEngine must not do it again."""

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

    def outputs(self, inputs: Tensor) -> Tensor:
        """What the network makes of a batch, in its memory order, compiled where this batch is to be."""
        inputs = inputs.contiguous(memory_format=self.memory_format)
        if self.compiled_mode is None:
            found: Tensor = self.network(inputs)
        elif not self.training or len(inputs) != self._compiled_rows:
            found = self.network.forward(inputs)  # calling the network itself would compile it for this batch too
        else:
            if self.compiled_mode in GRAPH_MODES:
                torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
            found = self.network(inputs)
        return found

    def val_step(self, data: Any) -> Any:
        device = next(self.parameters()).device.type
        with torch.autocast(device, dtype=self.val_dtype, enabled=self.val_dtype is not None):
            return super().val_step(data)

    def test_step(self, data: Any) -> Any:
        with without_tf32():
            return super().test_step(data)
