"""The most memory that a call takes from PyTorch's allocators, beside what was there before.

On a CPU the profiler notes every block that PyTorch takes and gives back; their running sum is the same in every run
and knows nothing of the other networks in the process, as resident memory would. What a library takes by itself (a
scratchpad that is not PyTorch's) is not in it.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import nn

from backbones import kernels


def weight_bytes(network: nn.Module) -> int:
    """Bytes of parameters and buffers; what several share counts once."""
    tensors = [*network.parameters(), *network.buffers()]
    return sum({one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for one in tensors}.values())


def most_allocated(call: Callable[[], None], device: str) -> int:
    """Bytes at the height of one call; what deployed networks keep for the next call is taken anew, and counts."""
    kernels.release()
    return _on_gpu(call) if device == "cuda" else _on_cpu(call)


def _on_gpu(call: Callable[[], None]) -> int:
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    torch.cuda.synchronize()
    return max(0, torch.cuda.max_memory_allocated() - before)


def _on_cpu(call: Callable[[], None]) -> int:
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # it complains where there is no GPU, about which nobody asked
    from torch.profiler import ProfilerActivity, profile

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the profiler's word on its own cycles
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
            call()
    tree = found.profiler.kineto_results.experimental_event_tree()
    events = sorted(_allocations(tree), key=lambda event: event.start_time_ns)
    now = most = 0
    for event in events:
        now += event.extra_fields.alloc_size
        most = max(most, now)
    return most


def _allocations(events: Iterable[Any]) -> Iterator[Any]:
    """Blocks taken (above 0 bytes) and given back (below), in no order."""
    allocation = torch._C._profiler._EventType.Allocation  # noqa: SLF001
    waiting = list(events)
    while waiting:
        event = waiting.pop()
        waiting += event.children
        if event.tag == allocation:
            yield event
