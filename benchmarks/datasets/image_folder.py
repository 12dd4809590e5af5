"""Photographs in one folder a class (torchvision's ImageFolder and ImageNet layout), decoded on the fly.

What happens to an image in an epoch follows from (seed, epoch, index) alone: each image's transforms draw from a
generator that these three numbers seed, so neither the number of workers nor a resumption changes a pixel.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.datasets import folder

from benchmarks.datasets import image_transforms, imagenet, registry
from benchmarks.errors import UserError


class ImageError(UserError):
    """An image that cannot be read; the text names its file.

    A DataLoader's worker hands on its exceptions with a traceback as their text; only the last line is this one's.
    """

    def __str__(self) -> str:
        last = super().__str__().strip().splitlines()[-1]
        return last.removeprefix(f"{type(self).__module__}.{type(self).__qualname__}: ")


@contextmanager
def drawing_from(*numbers: int) -> Iterator[None]:
    """Within the block, torch's CPU draws follow from these numbers; afterwards its generator is as it was."""
    before = torch.get_rng_state()
    digest = hashlib.blake2b(repr(numbers).encode(), digest_size=8).digest()
    torch.default_generator.manual_seed(int.from_bytes(digest, "little"))
    try:
        yield
    finally:
        torch.set_rng_state(before)


class ImagesInFolders(Dataset[dict[str, Tensor]]):
    """One split of a data set with `train/<class>/<image>` and `val/<class>/<image>`, for DataLoaders with workers.

    Classes are numbered in the order of their folders' names. Batches leave as uint8, a quarter of the bytes of
    floats, to be normalised on the device (`NormaliseOnDevice`).

    root: the folder that holds train/ and val/; None looks for the data set `name`. verify: of "imagenet" all 1,000
    classes must be there and, unless `limit` is set, all images. num_classes: outputs of the network; fewer folders are
    allowed with a warning. size: side of the square input. augmentation: see `image_transforms.training`.
    limit: so many images, evenly spread over the classes, for smoke tests.

    A batch is dict(inputs=uint8 (N, 3, size, size) in channels_last order, labels=int64 (N,)).
    Raises UserError if the folders do not fit, ImageError if an image cannot be read.
    """

    def __init__(
        self,
        root: str | None = None,
        train: bool = True,
        name: str = "imagenet",
        num_classes: int = 1000,
        size: int = 224,
        augmentation: str = "crop-flip",
        limit: int | None = None,
        verify: bool = True,
    ) -> None:
        self.root = Path(root or registry.get(name).locate(None))
        self.train = train
        self.size = size
        classes = class_folders(self.root, train)
        _check_classes(self.root, classes, name, num_classes, verify)
        found = _images(self.root / split_of(train), classes)
        if name == "imagenet" and verify and not limit:
            _check_count(self.root, split_of(train), len(found))
        kept = found[: limit * (len(found) // limit) : len(found) // limit] if limit and limit < len(found) else found
        # Arrays, because workers that read a list of tuples copy its pages one by one (reference counts).
        self.paths = np.array([os.fsencode(path.removeprefix(f"{self.root}{os.sep}")) for path, _ in kept])
        self.labels = torch.tensor([label for _, label in kept])
        self.transform = image_transforms.training(augmentation, size) if train else image_transforms.testing(size)
        self.metainfo = {"classes": tuple(classes)}
        # Shared, so that workers that outlive an epoch (persistent_workers) see the next one.
        self._seed_and_epoch: Tensor = torch.zeros(2, dtype=torch.int64)
        self._seed_and_epoch.share_memory_()  # type: ignore[no-untyped-call]

    def set_epoch(self, seed: int, epoch: int) -> None:
        """From now on images are augmented as this epoch has them."""
        self._seed_and_epoch[0], self._seed_and_epoch[1] = seed, epoch

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        batch = self.__getitems__([index])
        return {key: value[0] for key, value in batch.items()}

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Tensor]:
        pixels = torch.empty(len(indices), self.size, self.size, 3, dtype=torch.uint8)
        for place, index in enumerate(indices):
            pixels[place] = self.pixels(index)
        return {"inputs": pixels.permute(0, 3, 1, 2), "labels": self.labels[torch.as_tensor(indices)]}

    def pixels(self, index: int) -> Tensor:
        """(size, size, 3) uint8 of one image as this epoch has it."""
        path = self.root / os.fsdecode(self.paths[index])
        try:
            image = folder.pil_loader(str(path))
        except (OSError, SyntaxError, ValueError) as error:  # Pillow reports broken PNG files as SyntaxError
            reason = " ".join(str(error).replace(str(path), "").split()) or type(error).__name__
            raise ImageError(f"cannot read the image {path}: {reason}") from error
        if not self.train:
            return self.transform(image)
        with drawing_from(*self._seed_and_epoch.tolist(), index):
            return self.transform(image)


def split_of(train: bool) -> str:
    """The folder of a split."""
    return "train" if train else "val"


def class_folders(root: Path, train: bool = True) -> list[str]:
    """Names of the class folders, sorted. Raises UserError if there are none or the two splits differ."""
    try:
        classes, _ = folder.find_classes(root / split_of(train))
        others = {entry.name for entry in os.scandir(root / split_of(not train)) if entry.is_dir()}
    except OSError as error:
        raise UserError(
            f"{root} is not laid out as train/<class>/<image> and val/<class>/<image>: {error.strerror or error}"
        ) from error
    if different := sorted(others.symmetric_difference(classes)):
        raise UserError(
            f"train/ and val/ of {root} differ in {len(different)} class folders, the first is {different[0]!r}: "
            "both must hold the same"
        )
    return list(classes)


def _check_classes(root: Path, classes: list[str], name: str, num_classes: int, verify: bool) -> None:
    if len(classes) > num_classes:
        raise UserError(f"{root} holds {len(classes):,} class folders, and the network has {num_classes:,} classes")
    if name == "imagenet" and verify and len(classes) != imagenet.CLASSES:
        raise UserError(
            f"{root} holds {len(classes):,} class folders and ImageNet has {imagenet.CLASSES:,}; "
            "without all of them only smoke tests run (slimbench train 'imagenet-tiny/*')"
        )
    if len(classes) < num_classes:
        warnings.warn(
            f"{root} holds {len(classes):,} class folders: they are the first {len(classes):,} of the network's "
            f"{num_classes:,} classes, in the order of their names",
            stacklevel=3,
        )


def _check_count(root: Path, split: str, count: int) -> None:
    if count != imagenet.IMAGES[split]:
        raise UserError(
            f"{root / split} holds {count:,} images and ImageNet has {imagenet.IMAGES[split]:,}; "
            f"'slimbench data check imagenet' says which classes are not whole"
        )


def _images(where: Path, classes: list[str]) -> list[tuple[str, int]]:
    numbers = {name: number for number, name in enumerate(classes)}
    try:
        return list(folder.make_dataset(str(where), numbers, extensions=folder.IMG_EXTENSIONS))
    except FileNotFoundError as error:
        empty = [name for name in classes if not any((where / name).iterdir())]
        raise UserError(f"{where} has class folders without images, {(empty or classes)[0]!r} among them") from error
