"""Luminance of the pictures that super-resolution is trained and tested on: read once, kept on the device.

What a patch looks like in an epoch (its place, scale and orientation) depends only on (seed, epoch, its number in
that epoch): never on the model, the batch, the process or the point at which a run was resumed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.device import get_device
from torch import Tensor
from torch.utils.data import Dataset

from benchmarks.datasets.pictures import named_pictures, read_bytes
from benchmarks.errors import UserError
from benchmarks.super_resolution.colour import luminance_of_bytes
from benchmarks.super_resolution.resize import cropped, degraded


class Picture(NamedTuple):
    """name: that of results. luminance: (1, 1, H, W) uint8."""

    name: str
    luminance: Tensor


@lru_cache(maxsize=4)
def load(folder: str) -> tuple[Picture, ...]:
    """The pictures of a folder by name. Raises UserError if there are none or one cannot be read."""
    pictures = named_pictures(Path(folder))
    return tuple(Picture(name, luminance_of_bytes(read_bytes(path))) for name, path in pictures.items())


@lru_cache(maxsize=8)
def checksum(folder: str) -> str:
    """SHA-256 over names, sizes and luminance of the pictures: the same for every lossless copy of the same data."""
    digest = hashlib.sha256()
    for name, luminance in load(folder):
        digest.update(f"{name} {tuple(luminance.shape[-2:])} ".encode())
        digest.update(luminance.numpy().tobytes())
    return f"sha256:{digest.hexdigest()}"


class PatchesInMemory(Dataset[dict[str, Tensor]]):
    """Patches of the pictures in a folder at several scales; `__getitems__` returns a whole batch on the device.

    A batch is inputs (N, 1, size, size), the patch reduced and enlarged again with its whole picture, and targets of
    that shape, the original; both float32 in 0..1. Patches lie side by side from the upper left corner, without
    overlap; a picture loses the rows and columns that the scale does not divide. Each patch is seen in one of 8
    orientations (rotations by 90 degrees, flips), which the data are closed under, as bicubic resizing is symmetric.

    An epoch draws from (patch, scale, orientation) without replacement, `per_epoch` samples, or all of them. In
    epochs after one another these are the parts of one random order, so that nothing comes twice before all has come.

    root: the folder of the pictures. size: of a patch. scales: mixed in every batch. per_epoch: samples an epoch;
    None for each patch in each scale and orientation once. limit: read only so many pictures. device: "cpu", "cuda",
    ...; "auto" for what MMEngine would train on.
    Raises UserError if no picture holds a patch, ValueError if `per_epoch` is not positive.
    """

    def __init__(
        self,
        root: str,
        size: int = 41,
        scales: Sequence[int] = (2, 3, 4),
        per_epoch: int | None = None,
        limit: int | None = None,
        device: str = "cpu",
        name: str = "train291",
    ) -> None:
        if per_epoch is not None and per_epoch < 1:
            raise ValueError(f"per_epoch must be at least 1, not {per_epoch}")
        self.root, self.size, self.scales, self.name = root, size, tuple(scales), name
        self.device = torch.device(get_device() if device == "auto" else device)
        inputs, targets = [], []
        for _, luminance in load(root)[:limit]:
            for scale in self.scales:
                truth = cropped(luminance, scale)
                if min(truth.shape[-2:]) < size:
                    continue
                inputs.append(tiles(degraded(truth.double() / 255, scale).float(), size))
                targets.append(tiles(truth, size))
        if not inputs:
            raise UserError(f"no picture in {root} holds a patch of {size}x{size} pixels")
        self.inputs, self.targets = torch.cat(inputs).to(self.device), torch.cat(targets).to(self.device)
        self.samples = len(self.inputs) * ORIENTATIONS
        self.per_epoch = min(per_epoch or self.samples, self.samples)
        self.set_epoch(0, 0)

    def set_epoch(self, seed: int, epoch: int) -> None:
        """Draw the samples of this epoch, on the CPU."""
        first = epoch * self.per_epoch
        rounds = range(first // self.samples, (first + self.per_epoch - 1) // self.samples + 1)
        orders = [_order(seed, number, self.samples) for number in rounds]
        begin = first - rounds[0] * self.samples
        self._drawn = torch.cat(orders)[begin : begin + self.per_epoch]

    def __len__(self) -> int:
        return self.per_epoch

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        batch = self.__getitems__([index])
        return {key: value[0] for key, value in batch.items()}

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Tensor]:
        drawn = self._drawn[torch.as_tensor(indices, dtype=torch.int64)]
        # Only from pinned memory is a copy to the GPU not waited for.
        drawn = (drawn.pin_memory() if self.device.type == "cuda" else drawn).to(self.device, non_blocking=True)
        patch, orientation = drawn // ORIENTATIONS, drawn % ORIENTATIONS
        inputs = orient(self.inputs[patch], orientation)
        return {"inputs": inputs, "targets": orient(self.targets[patch], orientation).float().div_(255)}


ORIENTATIONS = 8


@lru_cache(maxsize=2)
def _order(seed: int, number: int, samples: int) -> Tensor:
    generator = torch.Generator().manual_seed((seed * 1_000_003 + number) * 2 + 1)
    return torch.randperm(samples, generator=generator)


def tiles(images: Tensor, size: int) -> Tensor:
    """``(1, 1, H, W) -> (N, 1, size, size)``: the whole tiles from the upper left corner on, row by row."""
    return images[0].unfold(1, size, size).unfold(2, size, size).reshape(-1, 1, size, size)


def orient(patches: Tensor, orientation: Tensor) -> Tensor:
    """Turn each of ``(N, C, d, d)`` into one of 8 orientations: bit 0 flips rows, bit 1 columns, bit 2 transposes."""
    for bit, dims in ((0, (2,)), (1, (3,))):
        patches = torch.where(_bit(orientation, bit), patches.flip(dims), patches)
    return torch.where(_bit(orientation, 2), patches.mT, patches)


def _bit(number: Tensor, bit: int) -> Tensor:
    return (number >> bit & 1).bool().view(-1, 1, 1, 1)


class PicturesAtScales(Dataset[dict[str, Any]]):
    """Every picture of a folder at every scale, one a sample, for tests.

    A sample is inputs and targets, each (1, 1, H, W) float32 in 0..1 (reduced and enlarged again; original luminance,
    cropped to a multiple of the scale), `scale` and `name`. Order: scale by scale, pictures by name.

    root: the folder. scales: enlargements. limit: read only so many pictures. device: as for `PatchesInMemory`.
    keep: make all samples at once and keep them on the device; else each is made when it is asked for.
    Raises UserError if a picture is too small to be reduced and measured.
    """

    def __init__(
        self,
        root: str,
        scales: Sequence[int] = (2, 3, 4),
        limit: int | None = None,
        device: str = "cpu",
        name: str = "set5",
        keep: bool = True,
    ) -> None:
        self.root, self.name = root, name
        self.device = torch.device(get_device() if device == "auto" else device)
        self._places = [(picture, scale) for scale in scales for picture in load(root)[:limit]]
        for picture, scale in self._places:
            _refuse_small(picture, scale, root)
        self.items = [{"scale": scale, "name": picture.name} for picture, scale in self._places]
        if keep:
            self.items = [self._made(index) for index in range(len(self))]
        self.keep = keep

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.items[index] if self.keep else self._made(index)

    def _made(self, index: int) -> dict[str, Any]:
        picture, scale = self._places[index]
        truth = cropped(picture.luminance, scale).double() / 255
        inputs, targets = (each.float().to(self.device) for each in (degraded(truth, scale), truth))
        return {"inputs": inputs, "targets": targets, "scale": scale, "name": picture.name}


def _refuse_small(picture: Picture, scale: int, root: str) -> None:
    """SSIM needs a window of 11x11 within a border of `scale`."""
    sides = picture.luminance.shape[-2:]
    if min(side - side % scale for side in sides) < 11 + 2 * scale:
        told = "x".join(map(str, sides))
        raise UserError(f"{Path(root) / picture.name}: {told} pixels are too few to be measured at scale {scale}")


def only_one(batch: list[dict[str, Any]]) -> dict[str, Any]:
    """The collation of `PicturesAtScales`, whose pictures differ in size: a batch is one picture."""
    (item,) = batch
    return item
