"""COCO, T.-Y. Lin et al., ECCV 2014: the images of 2014 and 2017 with boxes, and 64 of them to try the path."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from torchvision.datasets.utils import download_and_extract_archive

from benchmarks.datasets import mini_sets, minival
from benchmarks.datasets.findings import Part
from benchmarks.datasets.scenes import SceneSet

ARCHIVES = "http://images.cocodataset.org"


def photographs(split: str, count: int) -> Part:
    """The images of a split, such as train2017."""
    return Part(f"coco/{split}/*.jpg", count, pixels=True)


def boxes(split: str) -> Part:
    """The file of a split's boxes."""
    return Part(f"coco/annotations/instances_{split}.json", 1)


def fetch(root: Path, archives: Mapping[str, tuple[Part, ...]]) -> None:
    """Download and unpack the archives of which a part is not whole: nothing of 20 GB is fetched twice."""
    for archive, parts in archives.items():
        if not all(part.check(root).ok for part in parts):
            download_and_extract_archive(f"{ARCHIVES}/{archive}", str(root / "coco"), remove_finished=True)


TRAIN_2017, VAL_2017 = photographs("train2017", 118_287), photographs("val2017", 5_000)
TRAIN_2014, VAL_2014 = photographs("train2014", 82_783), photographs("val2014", 40_504)
ANNOTATIONS_2017 = boxes("train2017"), boxes("val2017")
ANNOTATIONS_2014 = boxes("train2014"), boxes("val2014")
ARCHIVES_2017 = {
    "zips/train2017.zip": (TRAIN_2017,),
    "zips/val2017.zip": (VAL_2017,),
    "annotations/annotations_trainval2017.zip": ANNOTATIONS_2017,
}
ARCHIVES_2014 = {
    "zips/train2014.zip": (TRAIN_2014,),
    "zips/val2014.zip": (VAL_2014,),
    "annotations/annotations_trainval2014.zip": ANNOTATIONS_2014,
}


def _split_2014(root: Path) -> None:
    """Make minival, for which COCO's archive of 2017 is fetched if its annotations are not there."""
    needed = {"annotations/annotations_trainval2017.zip": (boxes("val2017"),)}
    minival.split(root, fetch=partial(fetch, archives=needed))


COCO = SceneSet(
    "coco",
    "COCO 2017",
    "123,287 photographs with boxes of 80 classes, train2017 and val2017",
    "20 GB",
    "coco/{train2017,val2017}/*.jpg and coco/annotations/instances_{train2017,val2017}.json",
    (TRAIN_2017, VAL_2017, *ANNOTATIONS_2017),
    fetch=partial(fetch, archives=ARCHIVES_2017),
)
COCO_2014 = SceneSet(
    "coco2014",
    "COCO 2014",
    "123,287 photographs with boxes of 80 classes, tested on the 5,000 of minival",
    "20 GB",
    "coco/{train2014,val2014}/*.jpg and coco/annotations/instances_{train2014,valminusminival2014,minival2014}.json",
    (
        TRAIN_2014,
        VAL_2014,
        boxes("train2014"),
        *(Part(minival.path_of(split), count, images=True) for split, count in minival.IMAGES.items()),
    ),
    fetch=partial(fetch, archives=ARCHIVES_2014),
    finish=_split_2014,
)
COCO_MINI = SceneSet(
    "coco-mini",
    "coco-mini",
    "64 images of COCO's train2017, to try detection",
    "8 MB",
    "coco-mini/train2017/*.jpg and coco-mini/annotations/instances_train2017.json",
    (
        Part("coco-mini/train2017/*.jpg", 64, pixels=True),
        Part("coco-mini/annotations/instances_train2017.json", 64, images=True),
    ),
    finish=mini_sets.make_coco_mini,
    advice=mini_sets.ADVICE,
)
