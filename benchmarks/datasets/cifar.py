"""CIFAR-10 in memory as uint8, handed out in batches that are already cropped, flipped and normalised.

Decoding is torchvision's; the batch work is ours, because a sample at a time in Python costs more than the small
networks of the papers do. What happens to an image in an epoch depends only on (seed, epoch, index of the image):
never on the model, the batch, the process or the point at which a run was resumed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.datasets import CIFAR10 as TorchvisionCIFAR10

from benchmarks.datasets.locate import find_root
from benchmarks.errors import UserError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
MEAN = (0.4914, 0.4822, 0.4465)  # of the training images, a channel, pixels in 0..1
STD = (0.2470, 0.2435, 0.2616)
PADDING = 4
DOWNLOAD = 'python -c "import torchvision; torchvision.datasets.CIFAR10({root!r}, download=True)"'


class _UncheckedCIFAR10(TorchvisionCIFAR10):
    """The same files without the official checksums, for generated data of the same layout."""

    train_list: ClassVar = [[name, None] for name, _ in TorchvisionCIFAR10.train_list]
    test_list: ClassVar = [[name, None] for name, _ in TorchvisionCIFAR10.test_list]
    meta: ClassVar = {**TorchvisionCIFAR10.meta, "md5": None}


@lru_cache(maxsize=8)
def load_arrays(root: str, train: bool, verify: bool = True) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Images (N, 32, 32, 3) uint8 and labels (N,) int64 of one split; UserError if a file is missing or altered."""
    reader = TorchvisionCIFAR10 if verify else _UncheckedCIFAR10
    folder = Path(root) / reader.base_folder
    try:
        data = reader(root, train=train, download=False)
    except (RuntimeError, OSError, EOFError, KeyError, ValueError) as error:
        raise UserError(
            f"CIFAR-10 in {folder} is incomplete or its files differ from the official MD5 sums; "
            f"remove that folder and fetch it again: {DOWNLOAD.format(root=root)}"
        ) from error
    return np.ascontiguousarray(data.data), np.asarray(data.targets, dtype=np.int64)


@lru_cache(maxsize=8)
def checksum(root: str, verify: bool = True) -> str:
    """SHA-256 over the decoded pixels and labels of both splits: the same for every copy of the same data."""
    digest = hashlib.sha256()
    for train in (True, False):
        images, labels = load_arrays(root, train, verify)
        digest.update(images.tobytes())
        digest.update(labels.astype("<i8").tobytes())
    return f"sha256:{digest.hexdigest()}"


def locate(data: str | os.PathLike[str] | None = None) -> str:
    """The folder that holds `cifar-10-batches-py` (see benchmarks.datasets.locate). Raises UserError if none does."""
    return str(find_root("CIFAR-10", TorchvisionCIFAR10.base_folder, DOWNLOAD, data))


class CifarInMemory(Dataset[dict[str, Tensor]]):
    """One split of CIFAR-10 whose `__getitems__` returns a whole normalised batch, in channels_last order.

    Training images are padded by 4 black pixels, cropped at random to 32x32 and flipped with probability 1/2.
    root: folder with `cifar-10-batches-py`; None looks for it. limit: only the first images, for smoke tests.
    verify: compare the files with the official MD5 sums.

    A batch is dict(inputs=float32 (N, 3, 32, 32), labels=int64 (N,)).
    """

    def __init__(
        self, root: str | None = None, train: bool = True, limit: int | None = None, verify: bool = True
    ) -> None:
        self.root = locate(root)
        self.train = train
        self.verify = verify
        images, labels = load_arrays(self.root, train, verify)
        stored = torch.from_numpy(images[:limit])
        self.size = stored.shape[1]
        if train:
            stored = torch.nn.functional.pad(stored, (0, 0, PADDING, PADDING, PADDING, PADDING))
        self.images = stored
        self.labels = torch.from_numpy(labels[:limit])
        # (pixel / 255 - mean) / std as one multiplication and one addition
        self.scale = 1.0 / (255.0 * torch.tensor(STD))
        self.shift = -torch.tensor(MEAN) / torch.tensor(STD)
        self.metainfo = {"classes": CLASSES}
        self.set_epoch(0, 0)

    def set_epoch(self, seed: int, epoch: int) -> None:
        """Draw this epoch's crop and flip of every image."""
        if not self.train:
            return
        generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) * 2 + 1)
        count = len(self)
        self.offsets = torch.randint(0, 2 * PADDING + 1, (2, count), generator=generator)
        self.flips = torch.randint(0, 2, (count,), generator=generator).bool()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        batch = self.__getitems__([index])
        return {key: value[0] for key, value in batch.items()}

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Tensor]:
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        pixels = self._crops(chosen) if self.train else self.images[chosen]
        inputs = pixels.to(torch.float32).mul_(self.scale).add_(self.shift)
        return {"inputs": inputs.permute(0, 3, 1, 2), "labels": self.labels[chosen]}

    def _crops(self, chosen: Tensor) -> Tensor:
        span = torch.arange(self.size)
        columns = torch.where(self.flips[chosen][:, None], span.flip(0), span)
        rows = self.offsets[0, chosen][:, None] + span
        columns = self.offsets[1, chosen][:, None] + columns
        return self.images[chosen[:, None, None], rows[:, :, None], columns[:, None, :]]


def identity_collate(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """`__getitems__` has made the batch already."""
    return batch
