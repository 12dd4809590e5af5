"""Reading checkpoints without running what somebody put into them.

A pickle may run any code when it is read, so a checkpoint is read with `torch.load(weights_only=True)`, always. What
MMEngine writes beside tensors (the history of its log) is allowed by name. Importing this module closes MMEngine's own
doors as well, for every Runner of the process: its loader, which `load_from`, `resume`, `Runner.load_checkpoint` and
`init_cfg=dict(type="Pretrained")` share, falls back to full unpickling when the safe way fails, and its download never
tries the safe way.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import checkpoint as mmengine_checkpoint
from torch.hub import load_state_dict_from_url

from benchmarks.errors import UserError

_STATISTICS = ("min", "max", "current", "mean")


def load_safely(path: str | os.PathLike[str], map_location: Any = "cpu", mmengine: bool = False) -> dict[str, Any]:
    """Read a checkpoint of tensors and plain values. Raises UserError if it is missing, unreadable or holds objects.

    mmengine: allow also the few classes that MMEngine's CheckpointHook writes (its log's history).
    """
    if not Path(path).is_file():
        raise UserError(f"no checkpoint file {path}")
    content = read(path, map_location, mmengine=mmengine)
    if not isinstance(content, dict):
        raise UserError(f"checkpoint {path} holds a {type(content).__name__}, not a dictionary of tensors")
    return content


def read(source: Any, map_location: Any = None, *, mmengine: bool = True) -> Any:
    """`torch.load(weights_only=True)` of a path or a stream; every failure is a UserError of one line."""
    allowed = mmengine_classes() if mmengine else []
    try:
        with torch.serialization.safe_globals(allowed):
            return torch.load(source, map_location=map_location, weights_only=True)
    except Exception as error:  # torch raises a dozen kinds for a truncated or foreign file
        raise UserError(f"cannot read checkpoint {source} (tensors and plain values only): {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """What torch has against a file, without its advice to read it unsafely."""
    refused = error.__context__ if isinstance(error, UnpicklingError) else None
    lines = str(refused or error).strip().splitlines() or [type(error).__name__]
    return lines[0].partition(". Please")[0]


def mmengine_classes() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """MMEngine's own allow-list, but for `getattr`, with which a file could reach any function of any module.

    MMEngine needs it for one thing only, the functions in a HistoryBuffer, so that is what its name stands for here.
    """
    allowed = [entry for entry in mmengine_checkpoint.get_torch_safe_globals() if entry is not getattr]
    return [*allowed, (_statistic, "builtins.getattr")]


def _statistic(owner: Any, name: str) -> Any:
    if owner is not HistoryBuffer or name not in _STATISTICS:
        raise UnpicklingError(f"a checkpoint may not look up {name!r} of {owner!r}")
    return getattr(HistoryBuffer, name)


def _read_for_mmengine(file: Any, map_location: Any = None, weights_only: bool | None = None) -> Any:
    del weights_only  # whatever the caller asks for
    return read(file, map_location)


def close_mmengine_doors() -> None:
    """Let MMEngine read every checkpoint, local or downloaded, as `read` does. Raises RuntimeError if it cannot."""
    for door in ("_safe_torch_load", "load_url"):
        if not hasattr(mmengine_checkpoint, door):
            raise RuntimeError(f"this MMEngine reads checkpoints in a way that slimbench does not know (no {door})")
    mmengine_checkpoint._safe_torch_load = _read_for_mmengine
    mmengine_checkpoint.load_url = partial(load_state_dict_from_url, weights_only=True)


close_mmengine_doors()
