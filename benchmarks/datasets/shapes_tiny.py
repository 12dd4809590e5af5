"""Drawn scenes with boxes and masks: rectangles, triangles and discs on noise, which pass for cars, birds and cats.

They lie in the folders of coco-mini and of voc-mini, so whose experiments run on them (`--data ROOT/shapes-tiny`)
without any data set, and a network can learn them. They measure nothing.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
from PIL import Image

from benchmarks.datasets.findings import Part
from benchmarks.datasets.sbd import VOID, write_mask
from benchmarks.datasets.scenes import SceneSet
from benchmarks.datasets.shapes import NAMES, Shape, scene
from benchmarks.errors import UserError

Array = np.ndarray[Any, Any]
FOLDER = "shapes-tiny"
COCO, VOC = "coco-mini", "VOCdevkit/VOC2012"
TRAIN, VAL = 48, 16  # images; COCO's layout has all of them
VOC_FOLDERS = ("JPEGImages", "Annotations", "SegmentationClass", "ImageSets/Main", "ImageSets/Segmentation")


def draw_all(root: Path) -> None:
    """Draw the data set in root/shapes-tiny; the same versions of NumPy and Pillow draw the same files.

    Raises UserError if a part of it is there already.
    """
    goal = root / FOLDER
    if goal.exists():
        raise UserError(f"{goal} is there and not whole: remove it and repeat")
    unfinished = goal.with_name(f".{FOLDER}.{os.getpid()}")
    try:
        _write(unfinished)
        unfinished.rename(goal)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write(folder: Path) -> None:
    for below in (f"{COCO}/train2017", f"{COCO}/annotations", *(f"{VOC}/{name}" for name in VOC_FOLDERS)):
        (folder / below).mkdir(parents=True)
    images, objects, names = [], [], []
    classes = _voc_classes()
    for index in range(TRAIN + VAL):
        pixels, shapes = scene(index)
        height, width = pixels.shape[:2]
        name, file_name = f"shapes_{index:03}", f"{index + 1:012}.jpg"
        names.append(name)
        Image.fromarray(pixels).save(folder / COCO / "train2017" / file_name, quality=90)
        shutil.copyfile(folder / COCO / "train2017" / file_name, folder / VOC / "JPEGImages" / f"{name}.jpg")
        images.append({"id": index + 1, "file_name": file_name, "width": width, "height": height})
        objects += [_coco_object(shape, index + 1) for shape in shapes]
        write_mask(_voc_mask(shapes, (height, width), classes), folder / VOC / "SegmentationClass" / f"{name}.png")
        _write_xml(shapes, name, (height, width), folder / VOC / "Annotations" / f"{name}.xml")
    content = {
        "images": images,
        "annotations": [{"id": number + 1, **each} for number, each in enumerate(objects)],
        "categories": [{"id": number, "name": name} for number, name in _coco_categories().items()],
    }
    (folder / COCO / "annotations/instances_train2017.json").write_text(json.dumps(content), encoding="utf-8")
    for split, chosen in (("train", names[:TRAIN]), ("val", names[TRAIN:]), ("trainval", names)):
        for task in ("Main", "Segmentation"):
            text = "".join(f"{name}\n" for name in chosen)
            (folder / VOC / f"ImageSets/{task}/{split}.txt").write_text(text, encoding="utf-8", newline="\n")


def _coco_categories() -> dict[int, str]:
    """COCO's 80 classes by their ids, 1 to 90, as torchvision's detectors have them."""
    from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

    names: Sequence[str] = FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"]
    return {number: name for number, name in enumerate(names) if number and name != "N/A"}


def _voc_classes() -> list[int]:
    """The class of each kind in VOC's masks, as torchvision's segmentors have them; 0 is the background."""
    from torchvision.models.segmentation import DeepLabV3_ResNet50_Weights

    names: Sequence[str] = DeepLabV3_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1.meta["categories"]
    return [names.index(name) for name in NAMES]


def _coco_object(shape: Shape, image: int) -> dict[str, Any]:
    x1, y1, x2, y2 = shape.box
    category = next(number for number, name in _coco_categories().items() if name == NAMES[shape.kind])
    return {
        "image_id": image,
        "category_id": category,
        "bbox": [x1, y1, x2 - x1 + 1, y2 - y1 + 1],
        "area": int(shape.pixels.sum()),
        "iscrowd": 0,
        "segmentation": [shape.corners.ravel().tolist()],
    }


def _voc_mask(shapes: Sequence[Shape], size: tuple[int, int], classes: Sequence[int]) -> Array:
    """(H, W) uint8; the outermost pixels of a shape are void, as in VOC's masks."""
    mask = np.zeros(size, dtype=np.uint8)
    for shape in shapes:
        inside = shape.pixels.copy()
        for axis in (0, 1):
            for step in (-1, 1):
                inside &= np.roll(shape.pixels, step, axis)
        mask[shape.pixels] = VOID
        mask[inside] = classes[shape.kind]
    return mask


def _write_xml(shapes: Sequence[Shape], name: str, size: tuple[int, int], path: Path) -> None:
    """VOC's annotation of an image; its pixels count from 1."""
    root = ET.Element("annotation")
    ET.SubElement(root, "filename").text = f"{name}.jpg"
    _fields(ET.SubElement(root, "size"), {"width": size[1], "height": size[0], "depth": 3})
    for shape in shapes:
        each = ET.SubElement(root, "object")
        _fields(each, {"name": NAMES[shape.kind], "difficult": 0})
        edges = dict(zip(("xmin", "ymin", "xmax", "ymax"), (edge + 1 for edge in shape.box), strict=True))
        _fields(ET.SubElement(each, "bndbox"), edges)
    ET.indent(root)
    ET.ElementTree(root).write(path, encoding="utf-8")


def _fields(parent: ET.Element, values: dict[str, Any]) -> None:
    for name, value in values.items():
        ET.SubElement(parent, name).text = str(value)


SHAPES_TINY = SceneSet(
    FOLDER,
    FOLDER,
    f"{TRAIN + VAL} drawn scenes in the folders of coco-mini and voc-mini, to try the path",
    "1 MB",
    f"{FOLDER}/{COCO} and {FOLDER}/{VOC}; --data {FOLDER} serves the experiments of both",
    (
        Part(f"{COCO}/train2017/*.jpg", TRAIN + VAL, pixels=True),
        Part(f"{COCO}/annotations/instances_train2017.json", TRAIN + VAL, images=True),
        Part(f"{VOC}/JPEGImages/*.jpg", TRAIN + VAL, pixels=True),
        Part(f"{VOC}/Annotations/*.xml", TRAIN + VAL),
        Part(f"{VOC}/SegmentationClass/*.png", TRAIN + VAL),
        Part(f"{VOC}/ImageSets/Main/train.txt", TRAIN, lines=True),
        Part(f"{VOC}/ImageSets/Main/val.txt", VAL, lines=True),
        Part(f"{VOC}/ImageSets/Segmentation/train.txt", TRAIN, lines=True),
        Part(f"{VOC}/ImageSets/Segmentation/val.txt", VAL, lines=True),
    ),
    finish=draw_all,
    folders=(FOLDER,),
)
