"""What the processes of one run must agree on: when to stop, what to go on from, which number to write down.

Each function is called by all processes at the same point, and costs nothing where there is one. The talk goes over
the CPU (gloo), never over the device, so that nobody waits for a GPU's queue.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as torch_dist
from mmengine.dist import get_dist_info, get_rank, get_world_size, is_main_process

__all__ = [
    "anyone",
    "barrier",
    "every_ones",
    "from_main",
    "get_rank",
    "get_world_size",
    "is_main_process",
    "means",
    "separate_random_state",
    "steps_between_talks",
    "tensors_from_main",
]

T = TypeVar("T")
_groups: dict[int, torch_dist.ProcessGroup | None] = {}


def cpu_group() -> torch_dist.ProcessGroup | None:
    """A gloo group of all processes: the default one if that is gloo's, else one of its own, made at the first call."""
    default = torch_dist.distributed_c10d._get_default_group()
    if id(default) not in _groups:
        _groups.clear()
        _groups[id(default)] = None if torch_dist.get_backend() == "gloo" else torch_dist.new_group(backend="gloo")
    return _groups[id(default)]


def alone() -> bool:
    """There is one process only, so that there is nobody to agree with."""
    return bool(get_world_size() == 1)


def steps_between_talks() -> int:
    """After how many steps of training to ask `anyone`: on GPUs a step may be no longer than a few such questions."""
    return 1 if alone() or torch_dist.get_backend() == "gloo" else 5


def barrier() -> None:
    """Wait until all processes are here."""
    if not alone():
        torch_dist.barrier(cpu_group())


def anyone(*flags: bool) -> tuple[bool, ...]:
    """For each flag, whether at least one process has it set: what all of them then do together."""
    if alone():
        return flags
    votes = torch.tensor(flags, dtype=torch.uint8)
    torch_dist.all_reduce(votes, torch_dist.ReduceOp.MAX, group=cpu_group())
    return tuple(bool(vote) for vote in votes.tolist())


def means(numbers: Mapping[str, float]) -> dict[str, float]:
    """The mean over the processes of each number; all must name the same ones. Not a number if one of them is not."""
    if alone() or not numbers:
        return dict(numbers)
    sums = torch.tensor([float(numbers[name]) for name in sorted(numbers)], dtype=torch.float64)
    torch_dist.all_reduce(sums, group=cpu_group())
    return dict(zip(sorted(numbers), (sums / get_world_size()).tolist(), strict=True))


def from_main(value: T) -> T:
    """The main process's value (numbers, texts, paths, lists and dictionaries of them) on all."""
    if alone():
        return value
    box = [value]
    torch_dist.broadcast_object_list(box, src=0, group=cpu_group())
    return box[0]


def every_ones(value: T) -> list[T]:
    """The values of all processes, in their order, on all."""
    if alone():
        return [value]
    values: list[Any] = [None] * get_world_size()
    torch_dist.all_gather_object(values, value, group=cpu_group())
    return values


def tensors_from_main(content: dict[str, Any] | None) -> dict[str, Any] | None:
    """The main process's checkpoint (tensors and plain values, on the CPU) on all, so that only it must have the file.

    It travels as a checkpoint file would and is read as one: `torch.load(weights_only=True)`.
    """
    if alone():
        return content
    stored = None
    if is_main_process() and content is not None:
        stream = io.BytesIO()
        torch.save(content, stream)
        stored = stream.getvalue()
    stored = from_main(stored)
    if is_main_process() or stored is None:
        return content
    received: dict[str, Any] = torch.load(io.BytesIO(stored), map_location="cpu", weights_only=True)
    return received


def separate_random_state(seed: int) -> None:
    """Let the further processes draw (dropout, drop path) independently; the main one draws as if it were alone."""
    import random

    rank, _ = get_dist_info()
    if rank == 0:
        return
    own = int(np.random.SeedSequence([seed, rank]).generate_state(1)[0])
    torch.manual_seed(own)  # the CPU's and all GPUs'
    np.random.seed(own)  # noqa: NPY002 (what MMEngine and torchvision draw from)
    random.seed(own)
