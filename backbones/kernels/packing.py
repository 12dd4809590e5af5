"""Learned masks as the library wants them: each weight of a primary filter belongs to a pattern of secondaries."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

ROW = 256  # bytes of a row of the panel: 64 pixels
BLOCK = 128  # rows of a panel; row BLOCK is zero
RUNS = 16  # room for the counts of a unit's runs
# The order in which the library works on patterns: high bits 3, 1, 2, 0, and under each the low bits.
ORDER = (12, 13, 14, 15, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2, 3)


class Packed(NamedTuple):
    """A learnable versatile convolution's weights, sorted by pattern. Pattern 0 (no secondary) is left out.

    A *unit* is a primary filter with up to four of its s secondaries; more than four are split evenly, because beyond
    16 patterns most runs of a block would be empty. A *block* is ``BLOCK`` input positions. A *run* is the weights of
    one pattern in one block of a unit, made even by a zero weight for the row of zeros.
    """

    values: Tensor  # float32 (entries,)
    offsets: Tensor  # int16 (entries,), read unsigned: bytes from the panel's start to the weight's row
    counts: Tensor  # uint8 (groups, blocks, units, RUNS): pairs of weights in each run, in the order of ORDER
    starts: Tensor  # int64 (groups, blocks, units): index of a unit's first entry
    secondaries: Tensor  # uint8 (units,): outputs of a unit, 1 to 4
    outputs: Tensor  # int64 (units,): a unit's first output in its group


def split(s: int) -> list[int]:
    """Split s secondaries into as few parts of at most four as possible, evenly: ``7 -> [4, 3]``."""
    parts = math.ceil(s / 4)
    return [s // parts + (i < s % parts) for i in range(parts)]


def units(primaries: int, s: int, outputs: int) -> tuple[list[int], list[int], list[int]]:
    """Return primary, first output and number of outputs of each unit of a group, without surplus secondaries."""
    found: tuple[list[int], list[int], list[int]] = ([], [], [])
    for primary in range(primaries):
        first = primary * s
        for size in split(s):
            if first < outputs:
                for column, value in zip(found, (primary, first, min(size, outputs - first)), strict=True):
                    column.append(value)
            first += size
    return found


def pack(weight: Tensor, masks: Tensor, out_channels: int, groups: int) -> Packed:
    """Sort the weights of a layer by pattern.

    Args:
        weight: primary filters, ``(num_primary, in_channels / groups, kh, kw)``.
        masks: ``(num_primary, s, in_channels / groups, kh, kw)``, boolean; the first size is 1 where they are shared.
    """
    s, primaries = masks.shape[1], weight.shape[0] // groups
    rows = weight[0].numel()
    flat = weight.detach().float().cpu().reshape(groups, primaries, rows).numpy()
    bits = masks.detach().cpu().expand(weight.shape[0], -1, -1, -1, -1)
    bits = bits.reshape(groups, primaries, s, rows)
    of_primary, outputs, sizes = units(primaries, s, out_channels // groups)
    patterns = np.zeros((groups, len(outputs), rows), np.int64)
    for j in range(4):
        has = [u for u, size in enumerate(sizes) if size > j]
        which = [outputs[u] - of_primary[u] * s + j for u in has]
        if has:
            patterns[:, has] |= bits[:, [of_primary[u] for u in has], which].numpy().astype(np.int64) << j
    return _sorted(flat[:, of_primary], patterns, sizes, outputs)


def _sorted(
    values: npt.NDArray[np.float32], patterns: npt.NDArray[np.int64], sizes: list[int], outputs: list[int]
) -> Packed:
    """``(groups, units, rows)`` weights and patterns to entries in the order of (group, block, unit, run)."""
    groups, number, rows = values.shape
    blocks = math.ceil(rows / BLOCK)
    slot = np.zeros((5, RUNS), np.int64)  # [size of the unit, pattern] -> its run
    for size in range(1, 5):
        slot[size, [p for p in ORDER if p < 1 << size]] = np.arange((1 << size) - 1)
    g, u, k = np.nonzero(patterns)  # row-major, so that within a run rows come in order
    run = slot[np.asarray(sizes)[u], patterns[g, u, k]]
    bin_of = ((g * blocks + k // BLOCK) * number + u) * RUNS + run
    counts = np.bincount(bin_of, minlength=groups * blocks * number * RUNS)
    even = counts + counts % 2
    first = np.concatenate([[0], np.cumsum(even)])
    order = np.argsort(bin_of, kind="stable")
    rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    at = first[:-1][bin_of[order]] + rank
    packed = np.zeros(int(first[-1]), np.float32)
    offsets = np.full(int(first[-1]), BLOCK * ROW, np.uint16)
    packed[at] = values[g, u, k][order]
    offsets[at] = (k % BLOCK * ROW)[order]
    return Packed(
        torch.from_numpy(packed),
        torch.from_numpy(offsets.view(np.int16)),
        torch.from_numpy((even // 2).astype(np.uint8).reshape(groups, blocks, number, RUNS)),
        torch.from_numpy(first[:-1].reshape(groups, blocks, number, RUNS)[..., 0].copy()),
        torch.tensor(sizes, dtype=torch.uint8),
        torch.tensor(outputs),
    )


def unpack(packed: Packed, rows: int) -> Tensor:
    """Return the secondary filters again: ``(out_channels, rows)``, rows = in_channels / groups * kh * kw."""
    counts = packed.counts.long() * 2
    groups, blocks, number, _ = counts.shape
    flat = counts.flatten()
    bins = torch.repeat_interleave(torch.arange(flat.numel()), flat)
    run, unit, block = bins % RUNS, bins // RUNS % number, bins // RUNS // number % blocks
    group = bins // RUNS // number // blocks
    row = block * BLOCK + (packed.offsets.long() & 0xFFFF) // ROW
    table = torch.zeros(5, RUNS, dtype=torch.long)
    for size in range(1, 5):
        table[size, : (1 << size) - 1] = torch.tensor([p for p in ORDER if p < 1 << size])
    sizes = packed.secondaries.long()
    pattern = table[sizes[unit], run]
    real = (packed.offsets.long() & 0xFFFF) < BLOCK * ROW
    width = int((packed.outputs + sizes).max())
    filters = torch.zeros(groups, width, rows)
    for j in range(4):
        here = real & (pattern >> j & 1 == 1)
        filters[group[here], packed.outputs[unit[here]] + j, row[here]] = packed.values[here]
    return filters.flatten(0, 1)
