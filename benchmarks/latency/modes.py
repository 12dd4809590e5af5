"""A network and the ways to run it: as it is, compiled by PyTorch as well as that can, deployed, and in ncnn.

An entrant is written `MODEL` or `MODEL:MODE`, as `separate_l_versatile_resnet50_s4:deployed`.
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

import torch
from torch import Tensor, nn

import backbones
from benchmarks.errors import UserError, did_you_mean
from benchmarks.latency import ncnn_runtime
from benchmarks.latency.records import MODES, Mode
from benchmarks.latency.setting import Setting

Function = Callable[[Tensor], Tensor]

#: What inductor is told for inference. Frozen weights are constants: batch norms are folded into them, and they are
#: packed for oneDNN or stored channels_last beforehand. On a GPU kernels are chosen by trial, and one CUDA graph saves
#: the launches; on a CPU convolutions are oneDNN's in any case.
FROZEN: dict[str, dict[str, Any]] = {
    "cpu": {"freezing": True},
    "cuda": {
        "freezing": True,
        "max_autotune": True,
        "coordinate_descent_tuning": True,
        "triton.cudagraphs": True,
    },
}
#: Weights that are trained cannot be frozen.
TRAINED: dict[str, dict[str, Any]] = {"cpu": {}, "cuda": {"max_autotune": True, "coordinate_descent_tuning": True}}


@dataclass(frozen=True)
class Wanted:
    """A named model and how it is to be run."""

    model: str
    mode: Mode

    @property
    def label(self) -> str:
        return f"{self.model}:{self.mode}"


def parse(text: str, mode: Mode) -> Wanted:
    """Read `MODEL` or `MODEL:MODE`; `mode` is that of a name without one.

    Raises:
        UserError: no such mode.
        UnknownModelError: no such model; with the nearest names.
    """
    model, colon, given = text.partition(":")
    if colon and given not in MODES:
        raise UserError(f"{text}: no mode {given!r} (there are {', '.join(MODES)}){did_you_mean(given, MODES)}")
    return Wanted(backbones.model_spec(model).name, cast("Mode", given) if colon else mode)


def matching(text: str, mode: Mode, like: Wanted) -> list[Wanted]:
    """As `parse`, or every classifier of `like`'s input whose name matches a pattern (`sc_*`, `sc_*:compiled`).

    Raises UserError where none does.
    """
    pattern, colon, given = text.partition(":")
    if not any(sign in pattern for sign in "*?["):
        return [parse(text, mode)]
    own = backbones.model_spec(like.model)
    specs = [backbones.model_spec(name) for name in backbones.list_models(pattern)]
    names = [one.name for one in specs if one.num_classes and one.input_size == own.input_size]
    if not names:
        raise UserError(f"no model of {own.name}'s input is called {pattern}; slimbench models lists all")
    return [parse(f"{name}{colon}{given}", mode) for name in names]


def check(wanted: Wanted, setting: Setting) -> None:
    """Say what is missing or cannot be before minutes are spent on other entrants. Raises UserError."""
    if "compiled" in wanted.mode:
        from benchmarks.training.compiling import missing_tool

        if missing := missing_tool(setting.device):
            raise UserError(f"{wanted.label}: torch.compile needs {missing} on a {setting.device} device; install it")
    if "deployed" in wanted.mode:
        if setting.task == "training":
            raise UserError(f"{wanted.label}: a deployed network cannot be trained; measure it without --training")
        _deploy()
    if wanted.mode == "ncnn":
        ncnn_runtime.check(wanted.label, setting)


def deployed(network: nn.Module, wanted: Wanted) -> nn.Module:
    """`backbones.deploy` of it. Raises UserError where that cannot."""
    try:
        return _deploy()(network)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise UserError(f"{wanted.label}: {type(error).__name__}: {error}") from error


@contextlib.contextmanager
def compiling(options: dict[str, Any]) -> Iterator[None]:
    """The block for the first call of what `compiled` returns: Dynamo asks the global settings."""
    from torch._inductor import config

    with config.patch(options):
        yield


def compiled(function: Function, options: dict[str, Any]) -> Function:
    """`function` compiled for inputs of one size.

    Each gets a code object of its own. Networks of one class share theirs, Dynamo keeps what it compiled beside the
    code, and gives up silently after eight of them.
    """

    def call(images: Tensor) -> Tensor:
        return function(images)

    name = f"call_{id(function):x}"
    own = types.FunctionType(call.__code__.replace(co_name=name), call.__globals__, name, None, call.__closure__)
    return cast("Function", torch.compile(own, dynamic=False, options=options))


def kernel() -> str | None:
    """Which code convolves in deployed networks; None in versions of backbones without kernels of their own."""
    try:
        found: str = import_module("backbones.kernels").in_use()
    except (ImportError, AttributeError):
        return None
    return found


def _deploy() -> Callable[[nn.Module], nn.Module]:
    """`backbones.deploy`, in the versions that have it."""
    found = getattr(backbones, "deploy", None)
    if found is None:
        raise UserError("this version of backbones has no deploy(); modes without it are eager, compiled and ncnn")
    return cast("Callable[[nn.Module], nn.Module]", found)
