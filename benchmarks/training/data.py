"""Registers our data sets, the sampler and the collation with MMEngine, so that configs can name them."""

from __future__ import annotations

from mmengine.registry import DATASETS, FUNCTIONS

from benchmarks.datasets.cifar import CifarInMemory, identity_collate
from benchmarks.training.sampler import EpochSampler

__all__ = ["CifarInMemory", "EpochSampler", "identity_collate"]

DATASETS.register_module(name="CifarInMemory", module=CifarInMemory, force=True)
FUNCTIONS.register_module(name="identity_collate", module=identity_collate, force=True)
