"""The data sets of detection and segmentation: where they lie, what must be there, who has them.

Counts are the data sets' own; nobody publishes checksums of their unpacked files. torchvision checks the archives that
it fetches.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torchvision import datasets as torchvision_datasets
from torchvision.datasets.utils import download_and_extract_archive

from benchmarks.datasets.fetch import fetching
from benchmarks.datasets.findings import Finding, Part, check_parts
from benchmarks.datasets.locate import find_root
from benchmarks.errors import UserError

COCO = "http://images.cocodataset.org"


@dataclass(frozen=True)
class Other:
    """anchor: the folder below a root whose presence means that the data set is there. parts: counted below the root.

    fetch: downloads and unpacks into a root. by_hand: who has the data, where no program can fetch them.
    """

    name: str
    title: str
    description: str
    size: str
    layout: str
    anchor: str
    parts: tuple[Part, ...]
    fetch: Callable[[str], None] | None = None
    by_hand: str = ""

    def locate(self, data: str | os.PathLike[str] | None = None) -> str:
        """The root above the anchor. Raises UserError if none has it."""
        return str(find_root(self.title, self.anchor, f"slimbench data prepare {self.name} --data {{root}}", data))

    def check(self, root: Path) -> list[Finding]:
        """A finding a part."""
        return check_parts(self.parts, root)

    def checksum(self, root: str, verify: bool = True) -> str:
        """Raises UserError: no training reads it yet."""
        raise UserError(f"{self.title} has no checksum: no experiment of this version reads it")

    def prepare(self, root: Path) -> Path:
        """Fetch it into root, or raise UserError that says who has it."""
        if (root / self.anchor).is_dir() and all(finding.ok for finding in self.check(root)):
            return root
        if self.fetch is None:
            raise UserError(f"{self.title} must be fetched by hand: {self.by_hand}; lay it out as {root / self.layout}")
        with fetching(self.title, root):
            self.fetch(str(root))
        return root


def _fetch_voc07(root: str) -> None:
    for image_set in ("trainval", "test"):
        torchvision_datasets.VOCDetection(root, year="2007", image_set=image_set, download=True)


def _fetch_voc12aug(root: str) -> None:
    torchvision_datasets.VOCSegmentation(root, year="2012", image_set="trainval", download=True)
    extra = Path(root, "VOCdevkit", "VOCaug", "dataset")
    extra.mkdir(parents=True, exist_ok=True)
    torchvision_datasets.SBDataset(str(extra), image_set="train_noval", mode="segmentation", download=True)


def _coco(name: str, year: int, train: int, val: int) -> Other:
    archives = {
        f"zips/train{year}.zip": Part(f"coco/train{year}/*.jpg", train),
        f"zips/val{year}.zip": Part(f"coco/val{year}/*.jpg", val),
        f"annotations/annotations_trainval{year}.zip": Part(f"coco/annotations/instances_*{year}.json", 2),
    }

    def fetch(root: str) -> None:
        for archive, part in archives.items():
            if not part.check(Path(root)).ok:  # these are 20 GB: nothing is fetched twice
                download_and_extract_archive(f"{COCO}/{archive}", str(Path(root, "coco")), remove_finished=True)

    return Other(
        name,
        f"COCO {year}",
        f"{train + val:,} photographs with boxes of 80 classes, train{year} and val{year}",
        "20 GB",
        f"coco/{{train{year},val{year}}}/*.jpg and coco/annotations/instances_{{train{year},val{year}}}.json",
        f"coco/train{year}",
        tuple(archives.values()),
        fetch=fetch,
    )


ALL = (
    Other(
        "voc07",
        "PASCAL VOC 2007",
        "9,963 photographs with boxes of 20 classes, trainval and test",
        "0.9 GB",
        "VOCdevkit/VOC2007/{JPEGImages,Annotations,ImageSets}",
        "VOCdevkit/VOC2007",
        (
            Part("VOCdevkit/VOC2007/JPEGImages/*.jpg", 9_963),
            Part("VOCdevkit/VOC2007/Annotations/*.xml", 9_963),
            Part("VOCdevkit/VOC2007/ImageSets/Main/trainval.txt", 5_011, lines=True),
            Part("VOCdevkit/VOC2007/ImageSets/Main/test.txt", 4_952, lines=True),
        ),
        fetch=_fetch_voc07,
    ),
    Other(
        "voc12aug",
        "PASCAL VOC 2012 with SBD",
        "segmentation into 21 classes: 10,582 training and 1,449 validation images",
        "4 GB",
        "VOCdevkit/VOC2012/{JPEGImages,SegmentationClass,ImageSets} and VOCdevkit/VOCaug/dataset/cls/*.mat",
        "VOCdevkit/VOC2012",
        (
            Part("VOCdevkit/VOC2012/JPEGImages/*.jpg", 17_125),
            Part("VOCdevkit/VOC2012/SegmentationClass/*.png", 2_913),
            Part("VOCdevkit/VOC2012/ImageSets/Segmentation/train.txt", 1_464, lines=True),
            Part("VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt", 1_449, lines=True),
            Part("VOCdevkit/VOCaug/dataset/cls/*.mat", 11_355),
        ),
        fetch=_fetch_voc12aug,
    ),
    _coco("coco", 2017, 118_287, 5_000),
    _coco("coco2014", 2014, 82_783, 40_504),
)
