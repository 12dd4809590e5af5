"""CIFAR-10 and CIFAR-100 in memory as uint8, handed out in batches that are already augmented and normalised.

Decoding is torchvision's; the batch work is ours, because a sample at a time in Python costs more than the small
networks of the papers do. What happens to an image in an epoch depends only on (seed, epoch, index of the image):
never on the model, the batch, the process or the point at which a run was resumed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from shlex import quote
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.device import get_device
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import datasets as torchvision_datasets
from torchvision.datasets.utils import check_integrity

from benchmarks.datasets.fetch import fetching
from benchmarks.datasets.findings import Finding
from benchmarks.datasets.locate import find_root
from benchmarks.datasets.pixels import PADDING, crop, flip, pad, rotate, rotation_coefficients
from benchmarks.errors import UserError, did_you_mean

PREPARE = "slimbench data prepare {name} --data {root}"
WHOLE_EPOCH_CHUNK = 10_000  # images that a GPU augments at a time


@dataclass(frozen=True)
class Kind:
    """reader: torchvision's class; mean, std: of the training images, a channel, pixels in 0..1."""

    title: str
    reader: Any
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def folder(self) -> str:
        return str(self.reader.base_folder)

    def prepare(self, root: str) -> str:
        """The command that fetches the data into `root`."""
        return PREPARE.format(name=self.reader.__name__.lower(), root=root)


# CIFAR-100's labels are the 100 fine ones.
KINDS = {
    "cifar10": Kind("CIFAR-10", torchvision_datasets.CIFAR10, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": Kind("CIFAR-100", torchvision_datasets.CIFAR100, (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
}


class Split(NamedTuple):
    """images (N, 32, 32, 3) uint8, labels (N,) int64, names of the classes."""

    images: np.ndarray[Any, Any]
    labels: np.ndarray[Any, Any]
    classes: tuple[str, ...]


def kind(name: str) -> Kind:
    """The kind by name. Raises UserError for another than cifar10 and cifar100."""
    if name not in KINDS:
        raise UserError(f"no CIFAR data set {name!r}{did_you_mean(name, list(KINDS))}; it is one of {', '.join(KINDS)}")
    return KINDS[name]


@lru_cache(maxsize=8)
def load_arrays(root: str, train: bool, verify: bool = True, name: str = "cifar10") -> Split:
    """One split; UserError if a file is missing or, with `verify`, differs from the official MD5 sums."""
    found = kind(name)
    reader = found.reader if verify else _without_checksums(found.reader)
    try:
        data = reader(root, train=train, download=False)
    except (RuntimeError, OSError, EOFError, KeyError, ValueError) as error:
        fetch = found.prepare(quote(root))
        raise UserError(
            f"{found.title} in {Path(root) / found.folder} is incomplete or its files differ from the official MD5 "
            f"sums; remove that folder and fetch it again: {fetch}"
        ) from error
    return Split(np.ascontiguousarray(data.data), np.asarray(data.targets, dtype=np.int64), tuple(data.classes))


def _without_checksums(reader: Any) -> Any:
    """The same reader without the official checksums, for generated data of the same layout."""
    lists = {key: [[file, None] for file, _ in getattr(reader, key)] for key in ("train_list", "test_list")}
    return type(f"Unchecked{reader.__name__}", (reader,), {**lists, "meta": {**reader.meta, "md5": None}})


@lru_cache(maxsize=8)
def checksum(root: str, verify: bool = True, name: str = "cifar10") -> str:
    """SHA-256 over the decoded pixels and labels of both splits: the same for every copy of the same data."""
    digest = hashlib.sha256()
    for train in (True, False):
        split = load_arrays(root, train, verify, name)
        digest.update(split.images.tobytes())
        digest.update(split.labels.astype("<i8").tobytes())
    return f"sha256:{digest.hexdigest()}"


def locate(data: str | os.PathLike[str] | None = None, name: str = "cifar10") -> str:
    """The folder that holds `cifar-10-batches-py` or `cifar-100-python`. Raises UserError if none does."""
    found = kind(name)
    return str(find_root(found.title, found.folder, found.prepare("{root}"), data))


def check(root: Path, name: str) -> list[Finding]:
    """The official MD5 sum of every file."""
    found = kind(name)
    folder = root / found.folder
    files = [
        *found.reader.train_list,
        *found.reader.test_list,
        (found.reader.meta["filename"], found.reader.meta["md5"]),
    ]
    return [_compare(folder / file, md5) for file, md5 in files]


def _compare(file: Path, md5: str) -> Finding:
    whole = check_integrity(str(file), md5)
    text = "official MD5 sum" if whole else "is missing" if not file.is_file() else f"its MD5 sum is not {md5}"
    return Finding(whole, f"{file.name}: {text}")


def prepare(root: Path, name: str) -> Path:
    """Download and unpack it into root, unless it is there and whole. Raises UserError."""
    found = kind(name)
    with fetching(found.title, root):
        found.reader(str(root), download=True)
    return root


class CifarInMemory(Dataset[dict[str, Tensor]]):
    """One split of CIFAR-10 or CIFAR-100 whose `__getitems__` returns a whole normalised batch, in channels_last order.

    Training images are padded by 4 black pixels, cropped at random to 32x32, flipped with probability 1/2 and, with
    `rotation`, turned about their centre by an angle that is uniform within plus and minus so many degrees (nearest
    neighbour, black corners). This is torchvision's RandomCrop(32, 4), RandomHorizontalFlip, RandomRotation(rotation).

    root: folder with `cifar-10-batches-py` or `cifar-100-python`; None looks for it. name: cifar10 or cifar100.
    limit: only the first images, for smoke tests. verify: compare the files with the official MD5 sums.
    device: where the images live and batches are made ("cpu", "cuda", ...); "auto" takes the GPU if there is one. A
    GPU augments a whole epoch when its first batch is asked for; a batch is then one gather, without waiting for the
    GPU. Its pixels are those of a CPU to the bit, since they are moved and never computed.

    A batch is dict(inputs=float32 (N, 3, 32, 32), labels=int64 (N,)), on the device.
    """

    def __init__(
        self,
        root: str | None = None,
        train: bool = True,
        limit: int | None = None,
        verify: bool = True,
        name: str = "cifar10",
        rotation: float = 0.0,
        device: str = "cpu",
    ) -> None:
        self.root = locate(root, name)
        self.train = train
        self.verify = verify
        self.rotation = rotation
        self.device = torch.device(get_device() if device == "auto" else device)
        self.whole_epochs = train and self.device.type != "cpu"
        images, labels, classes = load_arrays(self.root, train, verify, name)
        stored = torch.from_numpy(images[:limit])
        self.size = stored.shape[1]
        self.images = (pad(stored) if train else stored).to(self.device)
        self.labels = torch.from_numpy(labels[:limit]).to(self.device)
        # (pixel / 255 - mean) / std as one multiplication and one addition, for the values of an image one by one
        mean, std = torch.tensor(kind(name).mean), torch.tensor(kind(name).std)
        self.scale = (1.0 / (255.0 * std)).repeat(self.size**2).to(self.device)
        self.shift = (-mean / std).repeat(self.size**2).to(self.device)
        self.metainfo = {"classes": classes}
        self.set_epoch(0, 0)

    def set_epoch(self, seed: int, epoch: int) -> None:
        """Draw this epoch's crop, flip and angle (degrees, counter-clockwise) of every image, on the CPU."""
        if not self.train:
            return
        self._epoch: Tensor | None = None
        generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) * 2 + 1)
        count = len(self)
        self.offsets = torch.randint(0, 2 * PADDING + 1, (2, count), generator=generator)
        self.flips = torch.randint(0, 2, (count,), generator=generator).bool()
        if self.rotation:
            drawn = torch.rand(count, generator=generator, dtype=torch.float64)
            self.angles = (2 * drawn - 1) * self.rotation

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        batch = self.__getitems__([index])
        return {key: value[0] for key, value in batch.items()}

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Tensor]:
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        # Only from pinned memory is a copy to the GPU not waited for.
        there = (chosen.pin_memory() if self.device.type == "cuda" else chosen).to(self.device, non_blocking=True)
        if not self.train:
            pixels = self.images[there]
        elif self.whole_epochs:
            pixels = self._whole_epoch()[there]
        else:
            pixels = self._augmented(chosen)
        inputs = pixels.view(len(chosen), -1).to(torch.float32).mul_(self.scale).add_(self.shift)
        return {"inputs": inputs.view(pixels.shape).permute(0, 3, 1, 2), "labels": self.labels[there]}

    def _whole_epoch(self) -> Tensor:
        """All training images as they are seen in this epoch, (N, 32, 32, 3) uint8."""
        if self._epoch is None:
            starts = range(0, len(self), WHOLE_EPOCH_CHUNK)
            parts = (torch.arange(start, min(start + WHOLE_EPOCH_CHUNK, len(self))) for start in starts)
            self._epoch = torch.cat([self._augmented(part) for part in parts])
        return self._epoch

    def _augmented(self, chosen: Tensor) -> Tensor:
        """The images at these indices, which are on the CPU, after crop, flip and rotation, on the device."""
        top, left = self.offsets[:, chosen].to(self.device)
        pixels = crop(self.images, chosen.to(self.device), top, left)
        pixels = flip(pixels, self.flips[chosen].to(self.device))
        if not self.rotation:
            return pixels
        return rotate(pixels, rotation_coefficients(self.angles[chosen], self.size).to(self.device))


def identity_collate(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """`__getitems__` has made the batch already."""
    return batch
