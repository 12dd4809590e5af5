"""What this device can do at most: the product of two square matrices."""

from __future__ import annotations

from collections.abc import Callable

import torch

from benchmarks.latency.timing import warm_up

#: Rows that are tried; larger ones need more memory than caches have, smaller ones keep fewer threads busy.
SIZES = {"cpu": (512, 1024, 2048), "cuda": (4096, 8192)}


def multiplication(size: int, place: str, dtype: torch.dtype) -> Callable[[], None]:
    """One product of `size` x `size` matrices on a device."""
    left, right = (torch.randn(size, size, device=place).to(dtype) for _ in range(2))
    result = torch.empty_like(left)

    def call() -> None:
        torch.mm(left, right, out=result)

    return call


def fastest(place: str, dtype: torch.dtype, wait: Callable[[], None]) -> tuple[int, Callable[[], None], float]:
    """The size of most MACs a second, its product and about how many seconds one takes."""
    device = place.partition(":")[0]
    found = []
    for size in SIZES[device]:
        call = multiplication(size, place, dtype)
        found.append((size, call, warm_up(call, wait, device)))
    return max(found, key=lambda one: one[0] ** 3 / one[2])
