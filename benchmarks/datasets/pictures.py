"""Picture files of a folder as 8-bit tensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from benchmarks.errors import UserError

SUFFIXES = (".png", ".bmp", ".jpg", ".jpeg", ".tif", ".tiff", ".webp")


def picture_files(folder: Path) -> list[Path]:
    """The pictures in a folder, by name. Raises UserError if there are none."""
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES) if folder.is_dir() else []
    if not found:
        raise UserError(f"no pictures in {folder} (files ending in {', '.join(SUFFIXES)})")
    return found


def read_bytes(path: Path) -> Tensor:
    """A picture as uint8 ``(1, 3, H, W)``, or ``(1, 1, H, W)`` if it is grey. Raises UserError."""
    try:
        with Image.open(path) as image:
            pixels = np.array(image if image.mode in ("L", "RGB") else image.convert("RGB"))
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise UserError(f"cannot read the picture {path}: {error}") from error
    return torch.from_numpy(pixels.reshape(*pixels.shape[:2], -1)).permute(2, 0, 1)[None]
