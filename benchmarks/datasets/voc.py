"""PASCAL VOC, M. Everingham et al., IJCV 2010 and 2015: 2007 with boxes, 2012 with masks and SBD's, and 100 images."""

from __future__ import annotations

from pathlib import Path

from torchvision import datasets as torchvision_datasets

from benchmarks.datasets import mini_sets, sbd
from benchmarks.datasets.findings import Listed, Part
from benchmarks.datasets.scenes import SceneSet

VOC07, VOC12 = "VOCdevkit/VOC2007", "VOCdevkit/VOC2012"


def _list(path: str, count: int) -> Part:
    return Part(path, count, lines=True)


PARTS_07 = (
    Part(f"{VOC07}/JPEGImages/*.jpg", 9_963, pixels=True),
    Part(f"{VOC07}/Annotations/*.xml", 9_963),
    _list(f"{VOC07}/ImageSets/Main/trainval.txt", 5_011),
    _list(f"{VOC07}/ImageSets/Main/test.txt", 4_952),
)
PARTS_12 = (
    Part(f"{VOC12}/JPEGImages/*.jpg", 17_125, pixels=True),
    Part(f"{VOC12}/SegmentationClass/*.png", 2_913),
    _list(f"{VOC12}/ImageSets/Segmentation/train.txt", 1_464),
    _list(f"{VOC12}/ImageSets/Segmentation/val.txt", 1_449),
)


def _fetch_voc07(root: Path) -> None:
    for image_set in ("trainval", "test"):
        torchvision_datasets.VOCDetection(str(root), year="2007", image_set=image_set, download=True)


def _fetch_voc12aug(root: Path) -> None:
    if not all(part.check(root).ok for part in PARTS_12):
        torchvision_datasets.VOCSegmentation(str(root), year="2012", image_set="trainval", download=True)
    sbd.fetch(root)


VOC_2007 = SceneSet(
    "voc07",
    "PASCAL VOC 2007",
    "9,963 photographs with boxes of 20 classes, trainval and test",
    "0.9 GB",
    f"{VOC07}/{{JPEGImages,Annotations,ImageSets}}",
    PARTS_07,
    fetch=_fetch_voc07,
)
VOC_2012_AUG = SceneSet(
    "voc12aug",
    "PASCAL VOC 2012 with SBD",
    "segmentation into 21 classes: 10,582 training and 1,449 validation images",
    "4 GB",
    f"{VOC12}/{{JPEGImages,SegmentationClass,SegmentationClassAug,ImageSets}}",
    (
        *PARTS_12,
        _list(sbd.NAMES, sbd.COUNT),
        Listed(f"{sbd.MASKS}/{{}}.png", sbd.NAMES),
    ),
    fetch=_fetch_voc12aug,
    finish=sbd.convert,
)
VOC_MINI = SceneSet(
    "voc-mini",
    "voc-mini",
    "100 images of PASCAL VOC 2012, 93 with masks, to try detection and segmentation",
    "9 MB",
    f"voc-mini/{VOC12}/{{JPEGImages,Annotations,SegmentationClass,ImageSets}}, or {VOC12} if it is small",
    (
        Part(f"{VOC12}/JPEGImages/*.jpg", 100, pixels=True),
        Part(f"{VOC12}/Annotations/*.xml", 100),
        Part(f"{VOC12}/SegmentationClass/*.png", 93),
        _list(f"{VOC12}/ImageSets/Main/train.txt", 50),
        _list(f"{VOC12}/ImageSets/Main/val.txt", 50),
        _list(f"{VOC12}/ImageSets/Segmentation/train.txt", 43),
        _list(f"{VOC12}/ImageSets/Segmentation/val.txt", 50),
    ),
    finish=mini_sets.make_voc_mini,
    folders=("voc-mini", ""),
    refuses=mini_sets.not_mini,
    advice=mini_sets.ADVICE,
)
