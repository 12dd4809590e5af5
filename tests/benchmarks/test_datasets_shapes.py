"""The drawn scenes: boxes and masks that are where the shapes are, in the folders of coco-mini and voc-mini."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from benchmarks.cli import main
from benchmarks.datasets import registry, shapes, shapes_tiny
from benchmarks.errors import UserError

VOC = "VOCdevkit/VOC2012"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    assert main(["data", "prepare", "shapes-tiny", "--data", str(root)]) == 0
    return root / "shapes-tiny"


def test_it_serves_both_mini_sets(drawn):
    assert registry.get("coco-mini").locate(drawn) == str(drawn)
    assert registry.get("voc-mini").locate(drawn) == str(drawn)
    assert registry.get("shapes-tiny").locate(drawn.parent) == str(drawn)
    checksums = {registry.get(name).checksum(str(drawn), True) for name in ("coco-mini", "voc-mini", "shapes-tiny")}
    assert len(checksums) == 3


def test_it_is_drawn_again_alike(drawn, tmp_path):
    registry.get("shapes-tiny").prepare(tmp_path)
    files = [path.relative_to(drawn) for path in sorted(drawn.rglob("*")) if path.is_file()]
    assert len(files) == 4 * 64 + 1 + 6
    assert all((drawn / file).read_bytes() == (tmp_path / "shapes-tiny" / file).read_bytes() for file in files)
    (tmp_path / "shapes-tiny" / files[0]).unlink()
    with pytest.raises(UserError, match="shapes-tiny is there and not whole: remove it"):
        registry.get("shapes-tiny").prepare(tmp_path)


def test_shapes_have_their_colour_inside_and_lie_apart():
    kinds = set()
    for index in range(64):
        picture, found = shapes.scene(index)
        assert picture.dtype == np.uint8
        assert 96 <= min(picture.shape[:2]) <= max(picture.shape[:2]) <= 160
        assert 1 <= len(found) <= 3
        assert sum(shape.pixels.astype(int) for shape in found).max() == 1
        for shape in found:
            kinds.add(shapes.NAMES[shape.kind])
            rest = picture[~np.logical_or.reduce([each.pixels for each in found])].mean(0)
            difference = picture[shape.pixels].mean(0) - rest
            assert difference.argmax() == shape.kind  # red rectangles, green triangles, blue discs
    assert kinds == {"car", "bird", "cat"}


def test_both_layouts_tell_the_same_and_what_is_drawn(drawn):
    content = json.loads((drawn / "coco-mini/annotations/instances_train2017.json").read_text())
    assert len(content["categories"]) == 80
    names = {each["id"]: each["name"] for each in content["categories"]}
    assert (names[1], names[90]) == ("person", "toothbrush")
    labels = {"car": 7, "bird": 3, "cat": 8}  # VOC's numbers
    for image in content["images"]:
        name = f"shapes_{image['id'] - 1:03}"
        jpeg = (drawn / "coco-mini/train2017" / image["file_name"]).read_bytes()
        assert jpeg == (drawn / VOC / f"JPEGImages/{name}.jpg").read_bytes()
        with Image.open(drawn / VOC / f"SegmentationClass/{name}.png") as mask_file:
            mask = np.array(mask_file)
        assert mask.shape == (image["height"], image["width"])
        tree = ET.parse(drawn / VOC / f"Annotations/{name}.xml")
        objects = [each for each in content["annotations"] if each["image_id"] == image["id"]]
        assert len(objects) == len(tree.findall("object")) > 0
        for coco, voc in zip(objects, tree.findall("object"), strict=True):
            x, y, width, height = coco["bbox"]
            edges = [int(voc.findtext(f"bndbox/{edge}")) for edge in ("xmin", "ymin", "xmax", "ymax")]
            assert edges == [x + 1, y + 1, x + width, y + height]
            assert voc.findtext("name") == names[coco["category_id"]]
            inside = mask[y : y + height, x : x + width]
            assert {labels[voc.findtext("name")], 255} <= set(inside.flat) <= {0, labels[voc.findtext("name")], 255}
            assert (inside > 0).sum() == coco["area"]
            assert (inside[0] > 0).any()
            assert (inside[:, -1] > 0).any()
        assert (mask > 0).sum() == sum(each["area"] for each in objects)


def test_lists_share_the_images_out(drawn):
    lists = {path.relative_to(drawn / VOC / "ImageSets").as_posix(): path.read_text().split()
             for path in (drawn / VOC / "ImageSets").rglob("*.txt")}  # fmt: skip
    assert lists["Main/train.txt"] + lists["Main/val.txt"] == lists["Main/trainval.txt"]
    assert lists["Main/train.txt"] == lists["Segmentation/train.txt"]
    assert (len(lists["Main/train.txt"]), len(lists["Main/val.txt"])) == (shapes_tiny.TRAIN, shapes_tiny.VAL)
