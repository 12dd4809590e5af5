"""torch.compile of a network for the batches of its training, and for nothing else.

Validation, tests and a last, smaller batch run eagerly on the same weights: each would be compiled anew (a minute a
shape on two cores), for a hundredth of the work. Which batch is compiled does not depend on where a run was resumed,
so a resumed run computes what an uninterrupted one does.
"""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from torch import nn

from backbones.adapters.mmengine import unwrap
from benchmarks.errors import UserError, did_you_mean

Choice = bool | str | None

# What None and "auto" mean, by the type of the device: on only where it was measured to help. A training step of 128
# images in bf16 costs one core of a Xeon 1.27 s with Sc-ResNet-56 and 0.63 s compiled; ResNet-56 gains 5 %. Nobody has
# measured a GPU yet (`slimbench throughput --modes no,default,reduce-overhead`); of its launches reduce-overhead should
# save most, as a small network waits for them.
AUTO: dict[str, str | None] = {"cpu": "default", "cuda": None}
# Compiling takes a minute or more, which a shorter run does not win back.
LONG_RUN = 3000

# Modes that replay a recorded CUDA graph: one launch instead of a thousand, which is what a small network waits for.
GRAPH_MODES = ("reduce-overhead", "max-autotune")

_COMPILERS = ("g++", "clang++", "c++", "cl")


def chosen_mode(choice: Choice, device: str, iterations: int = 0) -> str | None:
    """The mode of torch.compile, or the name of a backend, that a choice means on a device; None for eager.

    choice: None or "auto" (see AUTO; eager in runs below LONG_RUN `iterations` and where no compiler is), False, True
    (mode "default"), a mode or a backend. device: "cpu", "cuda", ... Raises UserError for anything else.
    """
    if choice is None or choice == "auto":
        return AUTO.get(device) if iterations >= LONG_RUN and not missing_tool(device) else None
    if isinstance(choice, bool):
        return "default" if choice else None
    known = [*modes(), *backends()]
    if choice not in known:
        raise UserError(
            f"compile={choice!r}{did_you_mean(choice, known)}: it is 'auto', True, False, a mode of torch.compile "
            f"({', '.join(modes())}) or a backend"
        )
    return choice


def modes() -> list[str]:
    """The modes of torch.compile's own backend, inductor."""
    import torch._inductor

    return list(torch._inductor.list_mode_options())


def backends() -> list[str]:
    """Every backend, those for finding errors ("eager", "aot_eager") included."""
    return list(torch._dynamo.list_backends(exclude_tags=()))


def compile_network(network: nn.Module, mode: str, device: str) -> None:
    """Make `network(x)` run compiled; `network.forward(x)` stays eager. Parameters, buffers and their names stay.

    Raises UserError where what inductor needs on that device, a C++ compiler or Triton, is missing.
    """
    if mode in modes():
        missing = missing_tool(device)
        if missing:
            raise UserError(f"torch.compile needs {missing} on a {device} device; install it or use --no-compile")
        import torch._inductor

        options = torch._inductor.list_mode_options(mode, dynamic=False)
        network.compile(options={**options, **own_threads()}, dynamic=False)
    else:
        network.compile(backend=mode, dynamic=False)


def own_threads() -> dict[str, int]:
    """The option that has inductor's loops run on this process's threads, whoever filled its cache.

    They are written for a number of threads, which is no part of the key of inductor's cache on disk unless it is
    given (as of torch 2.11). Loops for two threads, found by a run that has one core beside another run, wait for each
    other: an epoch of ResNet-56 took seven times as long.
    """
    return {"cpp.threads": torch.get_num_threads()}


def missing_tool(device: str) -> str | None:
    """What inductor lacks on a device; None if nothing."""
    if device == "cpu":
        return None if any(map(shutil.which, _COMPILERS)) or os.environ.get("CXX") else "a C++ compiler"
    return None if find_spec("triton") else "Triton"


@HOOKS.register_module(force=True)
class CompileHook(Hook):
    """Compiles an `ImageClassifier` as its option `compile` says, for batches of the training loader's size."""

    priority = "LOW"

    def before_train(self, runner: Any) -> None:
        start = getattr(unwrap(runner.model), "compile_for", None)
        if start is not None:
            start(runner.train_dataloader.batch_size, runner.max_iters)
