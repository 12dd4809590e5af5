"""The Semantic Boundaries Dataset as more masks for PASCAL VOC 2012.

B. Hariharan et al., Semantic contours from inverse detectors, ICCV 2011. It has masks for 11,355 of VOC's images; 9,118
of them are neither in VOC's train nor in its val. With the 1,464 of train they are the 10,582 images of "VOC aug".
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torchvision.datasets import SBDataset
from torchvision.datasets.utils import download_and_extract_archive

from benchmarks.atomic import replacing
from benchmarks.datasets.findings import read_names
from benchmarks.errors import UserError

Array = np.ndarray[Any, Any]
SBD = "VOCdevkit/VOCaug/dataset"  # cls/*.mat, train.txt, val.txt
LISTS = "VOCdevkit/VOC2012/ImageSets/Segmentation"
NAMES = f"{LISTS}/aug.txt"
MASKS = "VOCdevkit/VOC2012/SegmentationClassAug"
PHOTOGRAPHS = "VOCdevkit/VOC2012/JPEGImages"
COUNT = 9_118
CLASSES, VOID = 21, 255


def fetch(root: Path) -> None:
    """Download SBD's archive, which torchvision knows, unless its folder is there. It appears whole or not at all."""
    goal = root / SBD
    if goal.is_dir():
        return
    goal.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=goal.parent, prefix=".sbd.") as folder:
        download_and_extract_archive(
            SBDataset.url, str(goal.parent), folder, filename=SBDataset.filename, md5=SBDataset.md5
        )
        Path(folder, "benchmark_RELEASE", "dataset").rename(goal)


def convert(root: Path) -> None:
    """Write SBD's masks as VOC's are written, a PNG with VOC's palette each, and then the list of their names.

    Masks that are there are kept, so it can be interrupted. Raises UserError if the lists do not come out at 9,118
    names or a mask does not fit its image.
    """
    ours = {split: read_names(root / SBD / f"{split}.txt") for split in ("train", "val")}
    theirs = {split: read_names(root / LISTS / f"{split}.txt") for split in ("train", "val")}
    names = sorted({*ours["train"], *ours["val"]} - {*theirs["train"], *theirs["val"]})
    if len(names) != COUNT:
        counts = [f"{len(lines):,} in {place}/{split}.txt" for place, lists in ((SBD, ours), (LISTS, theirs))
                  for split, lines in lists.items()]  # fmt: skip
        raise UserError(
            f"{len(names):,} images of SBD are not in PASCAL VOC 2012's train and val, not {COUNT:,}: there are "
            f"{', '.join(counts)} of {root}; remove what is not whole and repeat"
        )
    (root / MASKS).mkdir(exist_ok=True)
    for name in names:
        if not (root / MASKS / f"{name}.png").is_file():
            write_mask(_checked(root, name), root / MASKS / f"{name}.png")
    with replacing(root / NAMES) as temporary:
        temporary.write_text("".join(f"{name}\n" for name in names), encoding="utf-8", newline="\n")


def read_mat(path: Path) -> Array:
    """The mask of one of SBD's MATLAB files, (H, W) uint8. Raises UserError if there is none in it."""
    from scipy.io import loadmat

    try:
        mask: Array = loadmat(path)["GTcls"][0]["Segmentation"][0]
    except Exception as error:  # a broken file has scipy raise whatever comes
        raise UserError(f"cannot read SBD's mask {path}: {type(error).__name__}: {error}") from error
    return mask


def write_mask(mask: Array, path: Path) -> None:
    """Write classes (H, W) uint8 as a PNG with VOC's palette, whole or not at all."""
    image = Image.fromarray(mask)
    image.putpalette(palette())
    with replacing(path) as temporary:
        image.save(temporary, format="PNG")


def palette() -> bytes:
    """VOC's colours of 256 classes, (256 * 3) bytes: a class's bits are dealt out to red, green, blue from above."""
    colours = np.zeros((256, 3), dtype=np.uint8)
    classes = np.arange(256)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= ((classes >> (3 * bit + channel) & 1) << (7 - bit)).astype(np.uint8)
    return colours.tobytes()


def _checked(root: Path, name: str) -> Array:
    source, photograph = root / SBD / "cls" / f"{name}.mat", root / PHOTOGRAPHS / f"{name}.jpg"
    mask = read_mat(source)
    if mask.dtype != np.uint8 or ((mask >= CLASSES) & (mask != VOID)).any():
        raise UserError(f"{source} has values that are no class of 0 to {CLASSES - 1}, {int(mask.max())} the highest")
    try:
        with Image.open(photograph) as image:
            width, height = image.size
    except OSError as error:
        raise UserError(f"cannot read {os.fspath(photograph)}, of which {source} is the mask: {error}") from error
    if mask.shape != (height, width):
        raise UserError(f"{source} is of {mask.shape[1]}x{mask.shape[0]} pixels and {photograph} of {width}x{height}")
    return mask
