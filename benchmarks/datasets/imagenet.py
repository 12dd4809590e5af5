"""ImageNet (ILSVRC 2012): where it is, whether it is whole, and how the user's own archives are unpacked.

It may only be had with a registration at image-net.org, so nothing is downloaded here.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from functools import lru_cache
from pathlib import Path

from torchvision.datasets import imagenet as torchvision_imagenet
from torchvision.datasets.utils import check_integrity

from benchmarks.datasets.findings import Finding
from benchmarks.datasets.locate import candidate_roots, not_found
from benchmarks.errors import UserError

FOLDERS = ("imagenet", "ILSVRC2012")
CLASSES = 1000
IMAGES = {"train": 1_281_167, "val": 50_000}
PER_CLASS = {"train": (732, 1300), "val": (50, 50)}  # fewest and most images of a class
WORDNET_ID = re.compile(r"n\d{8}")
LAYOUT = "imagenet/{train,val}/<WordNet id>/<image>.JPEG"
PREPARE = "slimbench data prepare imagenet --data {root}"


def locate(
    data: str | os.PathLike[str] | None = None, folders: tuple[str, ...] = FOLDERS, name: str = "imagenet"
) -> str:
    """The folder that holds train/ and val/: one of `folders` below a root, or the root itself. Raises UserError."""
    roots = candidate_roots(data)
    tried = [path for root in roots for path in (*(root / folder for folder in folders), root)]
    for path in tried:
        if (path / "train").is_dir() and (path / "val").is_dir():
            return str(path)
    raise not_found(
        name, [path / "train" for path in tried], f"slimbench data prepare {name} --data {{root}}", roots[0]
    )


@lru_cache(maxsize=8)
def checksum(root: str, _verify: bool = True) -> str:
    """SHA-256 over the names and sizes of all files below train/ and val/; their 150 GB are not read."""
    digest = hashlib.sha256()
    for split in ("train", "val"):
        for folder in _sorted(Path(root) / split):
            for file in _sorted(folder.path):
                digest.update(f"{split}/{folder.name}/{file.name} {file.stat().st_size}\n".encode())
    return f"sha256:{digest.hexdigest()}"


def _sorted(folder: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def check(root: Path) -> list[Finding]:
    """Classes and images of both splits against ILSVRC 2012's, and the devkit, which only unpacking needs."""
    findings = [finding for split in IMAGES for finding in _check_split(root, split)]
    train, val = ({entry.name for entry in _sorted(root / split) if entry.is_dir()} for split in IMAGES)
    findings.append(
        Finding(train == val, f"train/ and val/ have {'the same' if train == val else 'different'} classes")
    )
    archive, md5 = torchvision_imagenet.ARCHIVE_META["devkit"]
    if (root / archive).is_file():
        whole = check_integrity(str(root / archive), md5)
        findings.append(Finding(whole, f"{archive}: {'official MD5 sum' if whole else 'not the official MD5 sum'}"))
    return findings


def _check_split(root: Path, split: str) -> list[Finding]:
    counts: Counter[str] = Counter()
    empty = 0
    for folder in _sorted(root / split):
        if folder.is_dir():
            files = _sorted(folder.path)
            counts[folder.name] = len(files)
            empty += sum(file.stat().st_size == 0 for file in files)
    images, (fewest, most) = sum(counts.values()), PER_CLASS[split]
    strange = sorted(name for name in counts if not WORDNET_ID.fullmatch(name))
    odd = sorted(name for name, count in counts.items() if not fewest <= count <= most)
    findings = [
        Finding(len(counts) == CLASSES, f"{split}/: {len(counts):,} class folders" + _unless(len(counts), CLASSES)),
        Finding(images == IMAGES[split], f"{split}/: {images:,} images" + _unless(images, IMAGES[split])),
    ]
    if strange:
        findings.append(
            Finding(False, f"{split}/: {len(strange):,} folders are no WordNet ids, {strange[0]} among them")
        )
    if odd:
        usual = f"{fewest}" if fewest == most else f"{fewest} to {most}"
        findings.append(
            Finding(False, f"{split}/: {len(odd):,} classes have not {usual} images, {odd[0]} {counts[odd[0]]:,}")
        )
    if empty:
        findings.append(Finding(False, f"{split}/: {empty:,} files are empty"))
    return findings


def _unless(count: int, right: int) -> str:
    return "" if count == right else f", not {right:,}"


def prepare(root: Path) -> Path:
    """Unpack the user's ILSVRC 2012 archives, which lie in root/imagenet or in root, beside themselves.

    torchvision does it and compares the official MD5 sums first. Returns the folder with train/ and val/.
    Raises UserError if an archive is missing or altered.
    """
    archives = {key: name for key, (name, _) in torchvision_imagenet.ARCHIVE_META.items()}
    places = [*(root / folder for folder in FOLDERS), root]
    place = next((path for path in places if any((path / name).is_file() for name in archives.values())), None)
    for split in ("val", "train"):
        done = place is not None and (place / split).is_dir()
        needed = [archives[split]] if split == "train" else [archives["devkit"], archives[split]]
        missing = [name for name in needed if place is None or not (place / name).is_file()]
        if missing and not done:
            raise UserError(
                f"{missing[0]} is not in {place or root}: ImageNet must be fetched by hand, with a registration, from "
                f"https://image-net.org/download-images; put {', '.join(archives.values())} there and repeat"
            )
    assert place is not None
    for split in ("val", "train"):
        _unpack(place, split)
    return place


def _unpack(place: Path, split: str) -> None:
    if (place / split).is_dir():
        wrong = [finding.text for finding in _check_split(place, split) if not finding.ok]
        if wrong:
            raise UserError(f"{place / split} is there and not whole ({wrong[0]}): remove it and repeat")
        return
    try:
        torchvision_imagenet.ImageNet(str(place), split=split)
    except ImportError as error:
        raise UserError("unpacking ImageNet's devkit needs scipy: python -m pip install scipy") from error
    except (RuntimeError, OSError, EOFError) as error:
        raise UserError(f"cannot unpack ImageNet's {split} images in {place}: {error}") from error
