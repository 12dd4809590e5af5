"""Rounds of a fixed number of iterations, for schedules that count no epochs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from mmengine.registry import DATA_SAMPLERS

from benchmarks.training.sampler import EpochSampler


@DATA_SAMPLERS.register_module(force=True)
class RoundSampler(EpochSampler):
    """Cuts an endless stream of shuffled images, each pass in an order of its own, into rounds of `length` images.

    The stream is what MMEngine's InfiniteSampler draws, pass by pass; a round stands where the engine expects an epoch,
    so that resumption, curves and time budgets work alike. Yields position + len(dataset) * pass, for `SeededItems`.

    length: images of all processes together in a round. Raises ValueError if it cannot be dealt out equally.
    """

    def __init__(self, dataset: Any, length: int, seed: int | None = None, shuffle: bool = True) -> None:
        super().__init__(dataset, shuffle=shuffle, seed=seed)
        if length < 1 or length % self.world_size:
            raise ValueError(f"length must be a multiple of the {self.world_size} processes, not {length}")
        self.length = length

    def __len__(self) -> int:
        return int(self.length // self.world_size)

    def __iter__(self) -> Iterator[int]:
        begin, images = self.epoch * self.length, len(self.dataset)
        passes = range(begin // images, (begin + self.length - 1) // images + 1)
        stream = torch.cat([self._order(number) + number * images for number in passes])
        first = begin - passes[0] * images
        mine = stream[first : first + self.length][self.rank :: self.world_size].tolist()
        done, self._first_step = self._first_step * (self.batch_size or 0), 0
        return iter(mine[done:])

    def weight(self, step: int) -> float:
        """1: all processes have equally many images in every step."""
        return 1.0

    def _order(self, number: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(self.seed + number)
        images = len(self.dataset)
        return torch.randperm(images, generator=generator) if self.shuffle else torch.arange(images)
