"""A data set in ImageNet's layout that is drawn, not photographed: four patterns in random colours and sizes.

It lets anybody run the whole ImageNet path (decoding, augmentation, workers, 1,000 outputs, both tests) in a minute.
It measures nothing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.datasets.findings import Finding, Part, check_parts
from benchmarks.errors import UserError

Array = np.ndarray[Any, Any]
FOLDER = "imagenet-tiny"
IMAGES = {"train": 32, "val": 16}  # a class
LAYOUT = f"{FOLDER}/{{train,val}}/<pattern>/<number>.JPEG"

# (x, y) in periods -> where the second colour is
PATTERNS: dict[str, Callable[[Array, Array], Array]] = {
    "bars": lambda x, _: x % 1 < 0.5,
    "checks": lambda x, y: (x % 1 < 0.5) ^ (y % 1 < 0.5),
    "discs": lambda x, y: np.hypot(x % 1 - 0.5, y % 1 - 0.5) < 0.35,
    "waves": lambda x, y: (y + 0.3 * np.sin(2 * np.pi * x)) % 1 < 0.5,
}


def picture(pattern: str, draw: np.random.Generator) -> Array:
    """One image (H, W, 3) uint8, 96 to 160 pixels a side; each pattern has colours that it prefers."""
    height, width = draw.integers(96, 161, 2)
    y, x = np.mgrid[:height, :width] / draw.uniform(16, 32) + draw.uniform(0, 1, (2, 1, 1))
    share = PATTERNS[pattern](x, y)[..., None]
    favourite = 255 * np.eye(4)[list(PATTERNS).index(pattern)][:3]
    first, second = 0.5 * favourite + draw.uniform(0, 128, (2, 3))
    noise = draw.normal(0, 8, (height, width, 3))
    pixels: Array = np.clip(np.where(share, first, second) + noise, 0, 255).astype(np.uint8)
    return pixels


def prepare(root: Path) -> Path:
    """Draw the data set in root/imagenet-tiny; the same versions of NumPy and Pillow draw the same files.

    Raises UserError if a part of it is there already.
    """
    place = root / FOLDER
    if place.exists():
        if wrong := [finding.text for finding in check(place) if not finding.ok]:
            raise UserError(f"{place} is there and not whole ({wrong[0]}): remove it and repeat")
        return place
    unfinished = root / f".{FOLDER}.{os.getpid()}"
    try:
        for split, count in IMAGES.items():
            for number, pattern in enumerate(PATTERNS):
                folder = unfinished / split / pattern
                folder.mkdir(parents=True)
                for index in range(count):
                    draw = np.random.default_rng([split == "val", number, index])
                    Image.fromarray(picture(pattern, draw)).save(folder / f"{index:03}.JPEG", quality=90)
        unfinished.rename(place)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return place


def check(root: Path) -> list[Finding]:
    """The number of images of each class."""
    return check_parts((Part(f"{split}/{name}/*.JPEG", IMAGES[split]) for split in IMAGES for name in PATTERNS), root)
