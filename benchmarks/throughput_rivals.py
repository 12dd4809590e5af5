"""What the training engine is measured against: the plain loop that users write, and the device's ceiling.

Both train the network that the engine trains. The learning rate is small everywhere, so that random pixels do no harm.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

import backbones
from benchmarks.datasets import cifar
from benchmarks.datasets.pixels import PADDING

LEARNING_RATE = 0.01
PLAIN_WORKERS = 2
_PREFETCHED = 2  # batches a worker, torch's default


class Ceiling:
    """Forward, backward and step on one batch that never changes: no data, no Runner, no hooks.

    Network, precision, memory format, optimizer and compilation are the engine's; the penalty of learnable masks, which
    a hook adds, is not in it.
    """

    def __init__(self, config: Config, device: str) -> None:
        self.model: Any = MODELS.build(config.model).to(device).train()
        self.wrapper = build_optim_wrapper(self.model, config.optim_wrapper)
        batch, classes = config.train_dataloader.batch_size, config.model.num_classes
        images = torch.randn(batch, *config.dataset.input_size, device=device)
        self.images = images.contiguous(memory_format=self.model.memory_format)
        self.labels = torch.randint(classes, (batch,), device=device)
        self.model.compile_for(batch, alone=False)

    def __call__(self, iterations: int) -> int:
        """Train so many iterations and return the number of images."""
        for _ in range(iterations):
            with self.wrapper.optim_context(self.model):
                loss = self.model(self.images, self.labels, mode="loss")["loss_cls"]
            loss.backward()
            self.wrapper.optimizer.step()
            self.wrapper.optimizer.zero_grad()
        return iterations * len(self.images)


class PlainLoop:
    """torchvision's transforms, image by image, in a DataLoader with two workers; float32, (N, C, H, W) in memory."""

    def __init__(self, config: Config, device: str) -> None:
        data, model = config.train_dataloader.dataset, config.model
        self.device = torch.device(device)
        self.network: nn.Module = backbones.create_model(model.name, num_classes=model.num_classes).to(device).train()
        self.criterion = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=LEARNING_RATE, momentum=0.9, weight_decay=5e-4)
        self.loader = DataLoader(
            PlainCifar(data.root, data.get("name", "cifar10"), data.get("verify", True), data.get("rotation", 0.0)),
            batch_size=config.train_dataloader.batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=PLAIN_WORKERS,
            pin_memory=self.device.type == "cuda",
        )
        self.batches = self._endless()

    def _endless(self) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield from self.loader

    def skip_prefetched(self) -> None:
        """Drop what the workers made while others were measured."""
        for _ in range(PLAIN_WORKERS * _PREFETCHED):
            next(self.batches)

    def __call__(self, iterations: int) -> int:
        """Train so many iterations and return the number of images."""
        images = 0
        for _ in range(iterations):
            inputs, labels = (tensor.to(self.device) for tensor in next(self.batches))
            self.optimizer.zero_grad()
            self.criterion(self.network(inputs), labels).backward()
            self.optimizer.step()
            images += len(inputs)
        return images

    def close(self) -> None:
        """End the workers."""
        self.batches.close()  # type: ignore[attr-defined]


RIVALS = {"ceiling": Ceiling, "plain": PlainLoop}


class PlainCifar(Dataset[tuple[Tensor, int]]):
    """The training images as torchvision's data set and transforms give them, one at a time."""

    def __init__(self, root: str, name: str, verify: bool, rotation: float) -> None:
        self.images, self.labels, _ = cifar.load_arrays(root, True, verify, name)
        kind = cifar.kind(name)
        turned = [transforms.RandomRotation(rotation)] if rotation else []
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=PADDING),
                transforms.RandomHorizontalFlip(),
                *turned,
                transforms.ToTensor(),
                transforms.Normalize(kind.mean, kind.std),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), int(self.labels[index])


def generate_cifar(name: str, root: Path, train: int = 50_000, test: int = 500) -> Path:
    """Write random images in the files of CIFAR-10 or CIFAR-100 below `root` and return it."""
    draw = np.random.default_rng(0)
    folder = root / cifar.kind(name).folder
    folder.mkdir(parents=True)
    hundred = name == "cifar100"
    files = {"train": train} if hundred else {f"data_batch_{part}": train // 5 for part in range(1, 6)}
    for file, count in {**files, ("test" if hundred else "test_batch"): test}.items():
        pixels = draw.integers(0, 256, (count, 3072), dtype=np.uint8)
        labels = draw.integers(0, 100 if hundred else 10, count).tolist()
        content = {"data": pixels, "fine_labels" if hundred else "labels": labels}
        (folder / file).write_bytes(pickle.dumps(content))
    names = [f"class {index}" for index in range(100 if hundred else 10)]
    meta = {"fine_label_names": names} if hundred else {"label_names": names}
    (folder / ("meta" if hundred else "batches.meta")).write_bytes(pickle.dumps(meta))
    return root
