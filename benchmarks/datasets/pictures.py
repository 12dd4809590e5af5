"""Picture files of a folder as 8-bit tensors."""

from __future__ import annotations

import re
import struct
from itertools import count
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from benchmarks.errors import UserError

SUFFIXES = (".png", ".bmp", ".jpg", ".jpeg", ".tif", ".tiff", ".webp")
TRUTH = "_GT"  # what some copies of the test sets append to the names of the original pictures
# What PIL's decoders raise on broken files, beside OSError (UnidentifiedImageError is one).
BROKEN = (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError)


def picture_files(folder: Path) -> list[Path]:
    """The pictures in a folder, by name, without hidden files. Raises UserError if there are none."""
    found = sorted(path for path in folder.iterdir() if _is_picture(path)) if folder.is_dir() else []
    if not found:
        raise UserError(f"no pictures in {folder} (files ending in {', '.join(SUFFIXES)})")
    return found


def named_pictures(folder: Path) -> dict[str, Path]:
    """The pictures in a folder by the names that results give them, in the order of the files.

    A name is the file's, without suffix and a final "_GT", with "-" for everything but letters, digits, "." and "_" of
    ASCII; a name that is taken gets a number. Raises UserError if there are no pictures.
    """
    named: dict[str, Path] = {}
    for path in picture_files(folder):
        name = re.sub(r"[^A-Za-z0-9._-]", "-", path.stem.removesuffix(TRUTH) or path.stem)
        free = (each for number in count(2) if (each := f"{name}-{number}") not in named)
        named[next(free) if name in named else name] = path
    return named


def read_bytes(path: Path) -> Tensor:
    """A picture as uint8 ``(1, 3, H, W)``, or ``(1, 1, H, W)`` if it is grey.

    16 bits are rounded to 8, palettes and CMYK become RGB, an opaque alpha channel is dropped. Raises UserError for
    what has transparent pixels (their colour would depend on a background), other numbers of bits, and broken files.
    """
    try:
        with Image.open(path) as image:
            pixels = _in_8_bits(image)
    except BROKEN as error:
        raise UserError(f"cannot read the picture {path}: {error}") from error
    return torch.from_numpy(pixels.reshape(*pixels.shape[:2], -1)).permute(2, 0, 1)[None]


def _is_picture(path: Path) -> bool:
    # Hidden: "._baby.png", which macOS lays beside each file on foreign disks, is no picture.
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _in_8_bits(image: Image.Image) -> NDArray[np.uint8]:
    """``(H, W)`` or ``(H, W, 3)``. Raises ValueError that says what the picture has."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):  # older PIL's mode of these
        # PIL's own conversion would cut all values at 255.
        return np.round(np.asarray(image) / 257).astype(np.uint8)
    if image.mode in ("I", "F", "LAB"):
        raise ValueError(f"its pixels are of PIL's mode {image.mode}; save it with 8 or 16 bits a channel")
    grey = image.mode in ("1", "L", "LA")
    palette = image.mode in ("P", "PA")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            raise ValueError("it has transparent pixels; flatten it onto a background first")
    pixels = np.array(image.convert("L" if grey else "RGB"))
    if palette and (pixels == pixels[..., :1]).all():
        return pixels[..., 0]  # a grey picture, packed
    return pixels
