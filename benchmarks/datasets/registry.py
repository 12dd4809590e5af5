"""Every data set by name: where it is, whether it is whole, how it is fetched."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from benchmarks.datasets import cifar
from benchmarks.errors import UserError, did_you_mean


@dataclass(frozen=True)
class DatasetInfo:
    """What the harness asks of a data set.

    locate: from the folder the user named (or None) to the root that holds the data set; UserError if none does.
    checksum: from the root and `verify` to "sha256:..." over what the networks see.
    on_device: the data set class takes `device` and hands out batches that lie there.
    """

    name: str
    title: str
    description: str
    locate: Callable[[str | os.PathLike[str] | None], str]
    checksum: Callable[[str, bool], str]
    on_device: bool = False


def _cifar(name: str, description: str) -> DatasetInfo:
    return DatasetInfo(
        name,
        cifar.kind(name).title,
        description,
        locate=partial(cifar.locate, name=name),
        checksum=partial(cifar.checksum, name=name),
        on_device=True,
    )


_ALL = (
    _cifar("cifar10", "60,000 images 32x32, 10 classes"),
    _cifar("cifar100", "60,000 images 32x32, 100 classes"),
)
DATASETS = {info.name: info for info in _ALL}


def get(name: str) -> DatasetInfo:
    """A data set by name. Raises UserError, with the nearest names, if there is none."""
    if name not in DATASETS:
        hint = did_you_mean(name, list(DATASETS)) or f"; there are {', '.join(DATASETS)}"
        raise UserError(f"no data set {name!r}{hint}")
    return DATASETS[name]
