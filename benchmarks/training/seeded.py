"""Augmentation that depends on seed, epoch and image alone: not on the workers, nor on where a run resumed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from mmengine.registry import DATASETS


@DATASETS.register_module(force=True)
class SeededItems:
    """Another data set, whose random transforms draw from generators seeded by (seed, epoch, position).

    MMEngine seeds each data loading worker when it starts: what an image looks like depends on which worker took it,
    and a run that was stopped goes on with other images than one that was not. Here item `i` of an epoch is always the
    same. Positions beyond the length begin anew, so that one epoch may hold an image twice, augmented in two ways.

    dataset: a data set or its config; what else is asked of this one, that one answers.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
        # In shared memory: workers that outlive an epoch see the next one's number.
        self._seed_and_epoch = torch.zeros(2, dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]

    def set_epoch(self, seed: int, epoch: int) -> None:
        """From now on images are augmented as this epoch has them."""
        self._seed_and_epoch[0], self._seed_and_epoch[1] = seed, epoch

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, position: int) -> Any:
        seed, epoch = self._seed_and_epoch.tolist()
        with _seeded(seed, epoch, position):
            return self.dataset[position % len(self.dataset)]

    def get_data_info(self, position: int) -> Any:
        """What is known of an image before it is read."""
        return self.dataset.get_data_info(position % len(self.dataset))

    def __getattr__(self, name: str) -> Any:
        if name == "dataset":  # not there yet while a worker unpickles this
            raise AttributeError(name)
        return getattr(self.dataset, name)


@contextmanager
def _seeded(*numbers: int) -> Iterator[None]:
    """Within the block Python, NumPy and torch (CPU) draw from generators seeded by these numbers."""
    python, numpy, torchs = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    (seed,) = np.random.SeedSequence(numbers).generate_state(1).tolist()
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (the generator that OpenMMLab's transforms draw from)
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        torch.set_rng_state(torchs)
