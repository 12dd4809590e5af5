"""Registers our data sets, the sampler and the collation with MMEngine, so that configs can name them."""

from __future__ import annotations

from mmengine.registry import DATASETS, FUNCTIONS

from benchmarks.datasets.cifar import CifarInMemory, identity_collate
from benchmarks.datasets.image_folder import ImagesInFolders
from benchmarks.training.preprocess import NormaliseOnDevice
from benchmarks.training.sampler import EpochSampler

__all__ = ["CifarInMemory", "EpochSampler", "ImagesInFolders", "NormaliseOnDevice", "identity_collate"]

DATASETS.register_module(name="CifarInMemory", module=CifarInMemory, force=True)
DATASETS.register_module(name="ImagesInFolders", module=ImagesInFolders, force=True)
FUNCTIONS.register_module(name="identity_collate", module=identity_collate, force=True)
