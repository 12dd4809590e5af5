"""Registers our data sets, the sampler and the collation with MMEngine, so that configs can name them."""

from __future__ import annotations

from typing import Any

from mmengine.dataset import DefaultSampler
from mmengine.registry import DATA_SAMPLERS, DATASETS, FUNCTIONS

from benchmarks.datasets.cifar import CifarInMemory, identity_collate

DATASETS.register_module(name="CifarInMemory", module=CifarInMemory, force=True)
FUNCTIONS.register_module(name="identity_collate", module=identity_collate, force=True)


@DATA_SAMPLERS.register_module(force=True)
class EpochSampler(DefaultSampler):
    """MMEngine's DefaultSampler (order drawn from seed and epoch) that also tells the data set seed and epoch."""

    def set_epoch(self, epoch: int) -> None:
        super().set_epoch(epoch)
        tell: Any = getattr(self.dataset, "set_epoch", None)
        if tell is not None:
            tell(self.seed, epoch)
