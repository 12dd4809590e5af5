"""Every data set by name: where it is, whether it is whole, how it is fetched."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.datasets import cifar, coco, imagenet, imagenet_tiny, picture_sets, shapes_tiny, voc
from benchmarks.datasets.findings import Finding
from benchmarks.datasets.scenes import SceneSet
from benchmarks.errors import UserError, did_you_mean


@dataclass(frozen=True)
class DatasetInfo:
    """What the harness asks of a data set.

    name: in configs and in the ledger. description: what it is, in a few words. size: on the disk. layout: the folders
    below a root.
    locate: from the folder the user named (or None) to the place of the data set, which the data set classes get as
    `root` and `check` and `checksum` take; UserError if it is nowhere.
    check: every finding, good and bad. prepare: fetch, unpack or draw it below a root; UserError if it cannot.
    checksum: from the place and `verify` to "sha256:..."; UserError for data sets that no training reads yet.
    on_device: the data set class takes `device` and hands out batches that lie there.
    private: the user's own data; what is measured on them stays out of the ledger unless it is asked for.
    """

    name: str
    title: str
    description: str
    size: str
    layout: str
    locate: Callable[[str | os.PathLike[str] | None], str]
    check: Callable[[Path], list[Finding]]
    prepare: Callable[[Path], Path]
    checksum: Callable[[str, bool], str]
    on_device: bool = False
    private: bool = False


def _cifar(name: str, description: str, size: str) -> DatasetInfo:
    kind = cifar.kind(name)
    return DatasetInfo(
        name,
        kind.title,
        description,
        size,
        f"{kind.folder}/",
        locate=partial(cifar.locate, name=name),
        check=partial(cifar.check, name=name),
        prepare=partial(cifar.prepare, name=name),
        checksum=partial(cifar.checksum, name=name),
        on_device=True,
    )


def _other(source: SceneSet | picture_sets.PictureSet | picture_sets.OwnPictures) -> DatasetInfo:
    return DatasetInfo(
        source.name,
        source.title,
        source.description,
        source.size,
        source.layout,
        locate=source.locate,
        check=source.check,
        prepare=source.prepare,
        checksum=source.checksum,
        on_device=not isinstance(source, SceneSet),
        private=isinstance(source, picture_sets.OwnPictures),
    )


SCENES = (
    voc.VOC_2007,
    voc.VOC_2012_AUG,
    coco.COCO,
    coco.COCO_2014,
    voc.VOC_MINI,
    coco.COCO_MINI,
    shapes_tiny.SHAPES_TINY,
)
_ALL = (
    _cifar("cifar10", "60,000 images of 32x32, 10 classes", "180 MB"),
    _cifar("cifar100", "60,000 images of 32x32, 100 classes", "180 MB"),
    DatasetInfo(
        "imagenet",
        "ImageNet",
        "ILSVRC 2012: 1,331,167 photographs, 1,000 classes",
        "150 GB",
        imagenet.LAYOUT,
        locate=imagenet.locate,
        check=imagenet.check,
        prepare=imagenet.prepare,
        checksum=imagenet.checksum,
    ),
    DatasetInfo(
        "imagenet-tiny",
        "imagenet-tiny",
        "192 drawn images in ImageNet's layout, to try the path",
        "3 MB",
        imagenet_tiny.LAYOUT,
        locate=partial(imagenet.locate, folders=(imagenet_tiny.FOLDER,), name="imagenet-tiny"),
        check=imagenet_tiny.check,
        prepare=imagenet_tiny.prepare,
        checksum=imagenet.checksum,
    ),
    *map(_other, SCENES),
    *map(_other, picture_sets.ALL),
)
DATASETS = {info.name: info for info in _ALL}


def get(name: str) -> DatasetInfo:
    """A data set by name. Raises UserError, with the nearest names, if there is none."""
    if name not in DATASETS:
        hint = did_you_mean(name, list(DATASETS)) or f"; there are {', '.join(DATASETS)}"
        raise UserError(f"no data set {name!r}{hint}")
    return DATASETS[name]
