"""A picture cut into parts that see enough of their surroundings: computed apart, they are what the whole would be."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise, product
from typing import NamedTuple

import torch
from torch import nn

# Pixels of the enlarged picture at a tile's side. On a CPU a tile's features then stay near the cache: VDSR took two
# thirds of the time a pixel that it took at 1024. A GPU wants work.
USUAL_TILE = {"cpu": 512, "cuda": 1536}
SMALLEST_TILE = 64
FEATURE_MAPS = 3  # that exist at once: a layer's input and output, and one of them in another memory order


class Part(NamedTuple):
    """A range of rows and one of columns, in pixels of the picture that is enlarged."""

    top: int
    bottom: int
    left: int
    right: int

    def with_margin(self, margin: int, height: int, width: int) -> Part:
        """The part and ``margin`` pixels around it, as far as the picture goes."""
        return Part(
            max(0, self.top - margin),
            min(height, self.bottom + margin),
            max(0, self.left - margin),
            min(width, self.right + margin),
        )


def reach(network: nn.Module) -> int:
    """How many pixels away an input pixel can be from an output pixel that it changes: half the receptive field.

    The sum over the network's convolutions, as if each came after the others: 20 for VDSR's 20 layers of 3x3. Raises
    ValueError for a network that changes the size of an image on its way, whose reach this is not.
    """
    total = 0
    for name, module in network.named_modules():
        if not hasattr(module, "kernel_size"):
            continue
        kernel, stride, dilation = (_pair(getattr(module, key, 1)) for key in ("kernel_size", "stride", "dilation"))
        if stride != (1, 1):
            raise ValueError(f"{name} has stride {stride}; a network in tiles has stride 1 throughout")
        total += max(k // 2 * d for k, d in zip(kernel, dilation, strict=True))
    return total


def _pair(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return (value, value) if isinstance(value, int) else tuple(value)


def parts(height: int, width: int, side: int) -> Iterator[Part]:
    """Cut ``height`` x ``width`` pixels into parts of about the same size, none with more than ``side`` at a side."""
    for (top, bottom), (left, right) in product(_cuts(height, side), _cuts(width, side)):
        yield Part(top, bottom, left, right)


def _cuts(length: int, side: int) -> list[tuple[int, int]]:
    count = math.ceil(length / side)
    return list(pairwise(length * i // count for i in range(count + 1)))


def automatic_tile(network: nn.Module, device: torch.device) -> int:
    """A tile's side, in pixels of the enlarged picture, that is fast on the device and fits its free memory."""
    margin = reach(network)
    widest = max((max(weight.shape[:2]) for weight in network.parameters() if weight.dim() == 4), default=1)
    affordable = math.isqrt(free_memory(device) // 2 // (4 * FEATURE_MAPS * widest)) - 2 * margin
    return max(SMALLEST_TILE, min(USUAL_TILE.get(device.type, USUAL_TILE["cpu"]), affordable))


def free_memory(device: torch.device) -> int:
    """Bytes that are free on the device; 4 GiB where the system does not tell."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        with open("/proc/meminfo", encoding="ascii") as file:  # noqa: PTH123  no file of a user
            (line,) = (line for line in file if line.startswith("MemAvailable:"))
        return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        return 4 * 2**30
