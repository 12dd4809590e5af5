"""Filters as the library wants them: sorted by which outputs use them, so that each product is computed once."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

ROW = 256  # bytes of a row of a stream's panel: 64 pixels
BLOCK = 128  # rows of a stream's panel; row BLOCK is zero
RUNS = 16  # slots of a unit
UNITS = 8  # primary filters side by side in a product
PRODUCT_BLOCK = 192  # rows of a product's panel: 48 pixels of them fill three quarters of a first cache of 48 KB
STEP = np.dtype([("value", "<f4", 2), ("row", "<u2", 2), ("slot", "<u2"), ("unused", "<u2")])
GRAY = np.array([(run + 1) ^ (run + 1) >> 1 for run in range(RUNS - 1)])  # pattern of each run
_RUN_OF = np.argsort(np.concatenate([[-1], GRAY])) - 1  # and back; GRAY is a permutation of 1..15


class Streams(NamedTuple):
    """Primary filters with masks of their own, each sorted for itself.

    A *unit* is a primary filter with up to four of its s secondaries; more than four are split evenly, because beyond
    16 patterns most runs of a block would be empty. The *pattern* of a weight has bit j set where secondary j uses it;
    pattern 0 is left out. A *block* is up to ``BLOCK`` input positions, all blocks of nearly equal size. A *run* is the
    weights of one pattern in one block of a unit; runs come in the order of the Gray code. A *step* is two weights of
    a run; an odd run and an empty one end with a zero weight for the row of zeros. Two units make a *pair*, which has
    as many steps as the longer one.
    """

    steps: Tensor  # int64 (entries, 2, 2): a STEP for each unit of the pair
    starts: Tensor  # int64 (groups, blocks, pairs + 1): index of a pair's first entry, and the end
    secondaries: Tensor  # uint8 (units,): outputs of a unit, 1 to 4
    outputs: Tensor  # int64 (units,): a unit's first output in its group


class Products(NamedTuple):
    """Primary filters with the same masks, or dense filters: rows of all sorted alike.

    Rows (input positions) that some secondary uses are *kept*, sorted by pattern, and cut into blocks. A *segment* is
    the rows of one pattern in a block; after it the running sums are *read* into the secondaries whose masks end there
    (added) or begin there (subtracted).
    """

    values: (
        Tensor  # float32 (groups, kept rows * units): a block is (units / UNITS, its rows, UNITS); zero-padded units
    )
    kept: Tensor  # int64 (blocks + 1,): first kept row of a block
    order: Tensor  # int64 (kept rows,): position (channel, ky, kx) in the group
    segments: Tensor  # int64 (blocks + 1,): a block's first segment
    rows: Tensor  # int64 (segments,)
    reads: Tensor  # int64 (segments + 1,): a segment's first entry in `outputs`
    outputs: Tensor  # int64: secondary * 2, + 1 to subtract
    secondaries: Tensor  # int64 (s,): 0 .. s - 1
    masked: Tensor  # int64 (1,) where weights of -0 are none of an output's (:func:`pack_dense`), else (0,)


def flattened(packed: Products) -> tuple[Tensor, Tensor]:
    """Products as two tensors, which is what a layer holds: the values, and all integers behind their lengths."""
    values, *integers = packed
    lengths = torch.tensor([len(column) for column in integers])
    return values, torch.cat([lengths, *(column.long() for column in integers)])


def unflattened(values: Tensor, layout: Tensor) -> Products:
    """The other way, as views."""
    lengths = layout[: len(Products._fields) - 1].tolist()
    ends = list(itertools.accumulate(lengths, initial=len(lengths)))
    return Products(values, *(layout[begin:end] for begin, end in itertools.pairwise(ends)))


class Depthwise(NamedTuple):
    """A filter for each channel, which nothing can share."""

    weights: Tensor  # float32 (channels, kh * kw)


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


def pack_streams(weight: Tensor, masks: Tensor, out_channels: int, groups: int) -> Streams:
    """Sort the weights of a layer with separate masks.

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


def blocks_of(rows: int) -> tuple[int, int]:
    """Return the number of blocks of a stream and their size; the last may be smaller."""
    blocks = math.ceil(rows / BLOCK)
    return blocks, math.ceil(rows / blocks)


def _sorted(
    values: npt.NDArray[np.float32], patterns: npt.NDArray[np.int64], sizes: list[int], outputs: list[int]
) -> Streams:
    """``(groups, units, rows)`` weights and patterns to steps in the order of (group, block, pair, run)."""
    groups, number, rows = values.shape
    blocks, size = blocks_of(rows)
    pairs = math.ceil(number / 2)
    g, u, k = np.nonzero(patterns)  # row-major, so that within a run rows come in order
    run = _RUN_OF[patterns[g, u, k]]
    shape = (groups, blocks, 2 * pairs, RUNS)
    bin_of = np.ravel_multi_index((g, k // size, u, run), shape)
    counts = np.bincount(bin_of, minlength=math.prod(shape))
    exists = np.zeros((2 * pairs, RUNS), bool)
    exists[:number] = np.arange(RUNS) < (1 << np.array(sizes)[:, None]) - 1
    steps = np.maximum(np.ceil(counts.reshape(shape) / 2).astype(np.int64), exists)  # in each run
    begin = np.cumsum(steps, 3) - steps
    of_unit = steps.sum(3).reshape(groups, blocks, pairs, 2)
    longest = of_unit.max(3)
    ends = np.cumsum(longest).reshape(groups, blocks, pairs)
    starts = np.concatenate([(ends - longest)[..., :1], ends], 2)
    packed = np.zeros((int(ends.flat[-1]), 2), STEP)
    packed["row"] = BLOCK * ROW
    last = np.zeros(2 * pairs, np.int64)  # a unit's last run; idle steps repeat it
    last[:number] = (1 << np.array(sizes)) - 2
    idle = (longest[..., None] - of_unit).reshape(groups, blocks, 2 * pairs, 1)
    padded = (steps + idle * (np.arange(RUNS) == last[:, None])).reshape(groups, blocks, pairs, 2, RUNS)
    for half in (0, 1):
        of_half = padded[:, :, :, half].reshape(-1, RUNS)
        packed["slot"][:, half] = np.repeat(np.tile(np.arange(RUNS), len(of_half)), of_half.ravel()) * ROW
    order = np.argsort(bin_of, kind="stable")
    rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    g, u, k, run = g[order], u[order], k[order], run[order]
    at = starts[g, k // size, u // 2] + begin[g, k // size, u, run] + rank // 2
    packed["value"][at, u % 2, rank % 2] = values[g, u, k]
    packed["row"][at, u % 2, rank % 2] = k % size * ROW
    return Streams(
        torch.from_numpy(packed.view(np.int64).reshape(-1, 2, 2)),
        torch.from_numpy(starts),
        torch.tensor(sizes, dtype=torch.uint8),
        torch.tensor(outputs),
    )


def unpack_streams(packed: Streams, rows: int) -> Tensor:
    """Return the secondary filters again: ``(out_channels, rows)``, rows = in_channels / groups * kh * kw."""
    steps = np.ascontiguousarray(packed.steps.cpu().numpy()).view(STEP).reshape(-1, 2)
    starts = packed.starts.cpu().numpy()
    sizes, outputs = packed.secondaries.cpu().numpy().astype(int), packed.outputs.cpu().numpy()
    groups, blocks, pairs = starts.shape[0], starts.shape[1], starts.shape[2] - 1
    _, size = blocks_of(rows)
    lengths = np.diff(starts, axis=2).ravel()
    group, block, pair = np.unravel_index(np.repeat(np.arange(lengths.size), lengths), (groups, blocks, pairs))
    filters = np.zeros((groups, int((outputs + sizes).max()), rows), np.float32)
    for half, lane in itertools.product((0, 1), (0, 1)):
        step, unit = steps[:, half], 2 * pair + half
        row = step["row"][:, lane].astype(np.int64) // ROW
        real = row < BLOCK
        pattern = GRAY[step["slot"][real].astype(np.int64) // ROW]
        for j in range(4):
            here = np.flatnonzero(real)[pattern >> j & 1 == 1]
            to = (group[here], outputs[unit[here]] + j, block[here] * size + row[here])
            filters[to] = step["value"][here, lane]
    return torch.from_numpy(filters).flatten(0, 1)


def pack_products(weight: Tensor, masks: Tensor, groups: int) -> Products:
    """Sort the rows of a layer whose primary filters have the same masks.

    Args:
        weight: primary filters, ``(num_primary, in_channels / groups, kh, kw)``.
        masks: ``(s, in_channels / groups, kh, kw)``, boolean.
    """
    s, rows = masks.shape[0], weight[0].numel()
    flat = weight.detach().float().cpu().reshape(groups, -1, rows)
    bits = masks.detach().cpu().reshape(s, rows).T.numpy()
    patterns, of_row = np.unique(bits, axis=0, return_inverse=True)
    route = _route(patterns)
    place = np.full(len(patterns), len(route))  # the pattern without any secondary comes last and is left out
    place[route] = np.arange(len(route))
    order = np.argsort(place[of_row.ravel()], kind="stable")[: int(bits.any(1).sum())]
    count = max(1, math.ceil(len(order) / PRODUCT_BLOCK))
    kept = [len(order) * block // count for block in range(count + 1)]
    segments, lengths, reads, outputs = [0], [], [0], []
    for begin, end in itertools.pairwise(kept):
        now = bits[order[begin:end]]
        cuts = [0, *(np.flatnonzero((now[1:] != now[:-1]).any(1)) + 1).tolist(), len(now)] if len(now) else [0, 0]
        for cut, (first, after) in enumerate(itertools.pairwise(cuts)):
            lengths.append(after - first)
            if len(now):
                here = now[first]
                there = now[after] if cut < len(cuts) - 2 else np.zeros_like(here)
                changes = np.flatnonzero(here != there)
                outputs += (2 * changes + there[changes]).tolist()
            reads.append(len(outputs))
        segments.append(len(lengths))
    number = flat.shape[1]
    padded = torch.zeros(groups, math.ceil(number / UNITS) * UNITS, len(order))
    padded[:, :number] = flat[:, :, torch.from_numpy(order)]
    by_eight = padded.view(groups, padded.shape[1] // UNITS, UNITS, len(order)).transpose(2, 3)
    values = torch.cat([by_eight[:, :, a:b].flatten(1) for a, b in itertools.pairwise(kept)], 1)
    segment_rows, segment_reads, read_outputs = (
        torch.tensor(column, dtype=torch.int64) for column in (lengths, reads, outputs)
    )
    return Products(
        values, torch.tensor(kept), torch.from_numpy(order), torch.tensor(segments), segment_rows, segment_reads,
        read_outputs, torch.arange(s), torch.zeros(0, dtype=torch.int64),
    )  # fmt: skip


def pack_dense(weight: Tensor, masks: Tensor, out_channels: int, groups: int) -> Products:
    """Write out the secondary filters of a layer with separate masks, where a primary filter has few weights to share.

    A masked weight is -0: it adds nothing to a sum, and the library still knows it from a weight that is zero, which
    makes NaN of an infinity.

    Args:
        weight: primary filters, ``(num_primary, in_channels / groups, kh, kw)``.
        masks: ``(num_primary, s, in_channels / groups, kh, kw)``, boolean.
    """
    number = weight.shape[0] // groups
    filters = torch.where(masks, weight.detach().unsqueeze(1) + 0.0, -0.0)  # a weight of -0 becomes +0
    kept = filters.view(groups, number * masks.shape[1], *weight.shape[1:])[:, : out_channels // groups].flatten(0, 1)
    packed = pack_products(kept, torch.ones(1, *weight.shape[1:], dtype=torch.bool), groups)
    return packed._replace(masked=torch.ones(1, dtype=torch.int64))


def _route(patterns: npt.NDArray[np.bool_]) -> list[int]:
    """An order of the patterns in which few secondaries begin or end from one to the next; that of zeros is left out.

    From each of a few beginnings always on to the nearest pattern; the shortest way of these.
    """
    alive = np.flatnonzero(patterns.any(1))
    if len(alive) < 2:
        return [int(pattern) for pattern in alive]
    distance = (patterns[alive][:, None] != patterns[alive][None]).sum(2)
    size = patterns[alive].sum(1)
    best: tuple[int, list[int]] | None = None
    for start in np.argsort(-size, kind="stable")[:8].tolist() + np.argsort(size, kind="stable")[:8].tolist():
        way, left = [start], np.ones(len(alive), bool)
        left[start] = False
        while left.any():
            # among the nearest the largest, so that nested masks end one after the other
            costs = np.where(left, distance[way[-1]] * 1000 - size, np.iinfo(np.int64).max)
            way.append(int(costs.argmin()))
            left[way[-1]] = False
        reads = int(sum(distance[a, b] for a, b in itertools.pairwise(way)) + size[way[-1]])
        if best is None or reads < best[0]:
            best = (reads, way)
    assert best is not None
    return [int(pattern) for pattern in alive[best[1]]]


def unpack_products(packed: Products, out_channels: int, rows: int) -> Tensor:
    """Return the secondary filters again: ``(out_channels, rows)``, rows = in_channels / groups * kh * kw."""
    groups, ends, kept = packed.values.shape[0], packed.kept.tolist(), len(packed.order)
    number = math.ceil(out_channels // groups / len(packed.secondaries) / UNITS) * UNITS
    parts = torch.split(
        packed.values.detach().cpu().view(groups, kept, number), [b - a for a, b in itertools.pairwise(ends)], 1
    )
    by_eight = [part.reshape(groups, number // UNITS, part.shape[1], UNITS) for part in parts]
    values = torch.cat(by_eight, 2).transpose(2, 3).flatten(1, 2)
    segments, lengths = packed.segments.tolist(), packed.rows.tolist()
    reads, outputs = packed.reads.tolist(), packed.outputs.tolist()
    s = len(packed.secondaries)
    masks = torch.zeros(s, kept, dtype=torch.bool)
    row = 0
    for first, after in itertools.pairwise(segments):
        begun = {}  # secondary -> the row where it began in this block
        start = row
        for segment in range(first, after):
            row += lengths[segment]
            for output in outputs[reads[segment] : reads[segment + 1]]:
                if output & 1:
                    begun[output >> 1] = row
                else:
                    masks[output >> 1, begun.get(output >> 1, start) : row] = True
    filters = torch.zeros(groups, values.shape[1], s, rows)
    filters[..., packed.order.cpu()] = torch.where(masks, values.unsqueeze(2), 0.0)
    return filters.flatten(1, 2)[:, : out_channels // groups].flatten(0, 1)
