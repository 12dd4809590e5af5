"""Tiny data sets in the files of CIFAR and as pictures, and a network that a test can train in no time."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn


def write_cifar10(root, per_batch=16, test=24, seed=0):
    """Images whose colour tells their class, in the Python layout of CIFAR-10."""
    draw = np.random.default_rng(seed)
    palette = draw.integers(0, 256, (10, 3))
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for name, count in [(f"data_batch_{i}", per_batch) for i in range(1, 6)] + [("test_batch", test)]:
        labels = [int(i % 10) for i in range(count)]
        noise = draw.integers(-20, 21, (count, 3, 32, 32))
        images = np.clip(palette[labels][:, :, None, None] + noise, 0, 255).astype(np.uint8)
        content = {"data": images.reshape(count, -1), "labels": labels, "batch_label": name}
        (folder / name).write_bytes(pickle.dumps(content))
    meta = {"label_names": [f"class {i}" for i in range(10)], "num_vis": 3072}
    (folder / "batches.meta").write_bytes(pickle.dumps(meta))
    return root


def write_cifar100(root, train=80, test=24, seed=0):
    """The Python layout of CIFAR-100: coarse labels that are no function of the fine ones."""
    draw = np.random.default_rng(seed)
    palette = draw.integers(0, 256, (100, 3))
    folder = root / "cifar-100-python"
    folder.mkdir(parents=True)
    for name, count in (("train", train), ("test", test)):
        labels = [int(i % 100) for i in range(count)]
        noise = draw.integers(-20, 21, (count, 3, 32, 32))
        images = np.clip(palette[labels][:, :, None, None] + noise, 0, 255).astype(np.uint8)
        content = {"data": images.reshape(count, -1), "fine_labels": labels, "coarse_labels": [0] * count}
        (folder / name).write_bytes(pickle.dumps(content))
    meta = {"fine_label_names": [f"class {i}" for i in range(100)], "coarse_label_names": ["all"]}
    (folder / "meta").write_bytes(pickle.dumps(meta))
    return root


def write_pictures(folder, sizes, seed=0):
    """Smooth and sharp colours: sums of waves, and discs. sizes: (height, width) by name."""
    draw = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for name, (height, width) in sizes.items():
        y, x = np.mgrid[:height, :width]
        picture = np.full((height, width, 3), 128.0)
        for _ in range(4):
            turn, waves, phase = draw.uniform(0, 1, 3) * (np.pi, 0.5, 6)
            wave = np.sin(waves * (x * np.cos(turn) + y * np.sin(turn)) + phase)
            picture += wave[..., None] * draw.uniform(-30, 30, 3)
        for _ in range(6):
            centre, radius = draw.uniform(0, 1, 2) * (height, width), draw.uniform(2, 9)
            inside = np.hypot(y - centre[0], x - centre[1]) < radius
            picture[inside] = draw.integers(0, 256, 3)
        Image.fromarray(np.clip(picture.round(), 0, 255).astype(np.uint8)).save(folder / f"{name}.png")
    return folder


@pytest.fixture(scope="session")
def make_pictures():
    return write_pictures


@pytest.fixture
def cifar100(tmp_path):
    return write_cifar100(tmp_path / "data")


@pytest.fixture(scope="session")
def make_cifar10():
    return write_cifar10


@pytest.fixture
def cifar10(tmp_path):
    return write_cifar10(tmp_path / "data")


class TinyNet(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2)
        self.bn = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, num_classes)

    def forward(self, x):
        return self.fc(torch.relu(self.bn(self.conv(x))).mean((2, 3)))


@pytest.fixture
def tiny_network(monkeypatch):
    """Every name of the catalogue makes a network of three layers."""
    import backbones

    monkeypatch.setattr(backbones, "create_model", lambda name, num_classes=10, **kwargs: TinyNet(num_classes))
    return TinyNet


@pytest.fixture(autouse=True)
def _no_counts_of_stand_ins(monkeypatch):
    """Counts are kept by name: what a stand-in for the catalogue left there must not meet the next test."""
    import backbones

    real = backbones.create_model
    yield
    if backbones.create_model is not real:
        from benchmarks.complexity import counting

        counting._run_named.cache_clear()
