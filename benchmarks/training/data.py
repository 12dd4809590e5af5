"""Registers our data sets, the sampler and the collation with MMEngine, so that configs can name them."""

from __future__ import annotations

from mmengine.registry import DATASETS, FUNCTIONS

from benchmarks.datasets.cifar import CifarInMemory, identity_collate
from benchmarks.datasets.image_folder import ImagesInFolders
from benchmarks.datasets.super_resolution import PatchesInMemory, PicturesAtScales, only_one
from benchmarks.training.preprocess import NormaliseOnDevice
from benchmarks.training.rounds import RoundSampler
from benchmarks.training.sampler import EpochSampler
from benchmarks.training.seeded import SeededItems

__all__ = [
    "CifarInMemory",
    "EpochSampler",
    "ImagesInFolders",
    "NormaliseOnDevice",
    "PatchesInMemory",
    "PicturesAtScales",
    "RoundSampler",
    "SeededItems",
    "identity_collate",
    "only_one",
]

DATASETS.register_module(name="CifarInMemory", module=CifarInMemory, force=True)
DATASETS.register_module(name="ImagesInFolders", module=ImagesInFolders, force=True)
DATASETS.register_module(name="PatchesInMemory", module=PatchesInMemory, force=True)
DATASETS.register_module(name="PicturesAtScales", module=PicturesAtScales, force=True)
FUNCTIONS.register_module(name="only_one", module=only_one, force=True)
FUNCTIONS.register_module(name="identity_collate", module=identity_collate, force=True)
