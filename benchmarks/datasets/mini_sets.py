"""coco-mini and voc-mini: so few images of COCO and of PASCAL VOC that a network learns them by heart in minutes.

They try the path and measure nothing. Their lists, `mini_sets.yaml`, name images of the data sets' own.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from benchmarks.datasets.findings import read_names
from benchmarks.datasets.minival import subset, write
from benchmarks.errors import UserError

VOC = "VOCdevkit/VOC2012"
ADVICE = (
    ", or, without the data set of which it is a part, 'slimbench data prepare shapes-tiny' draws a stand-in: "
    "--data {root}/shapes-tiny"
)
MOST_IMAGES = 500  # of a VOC2012 that is taken for a small one


@lru_cache(maxsize=1)
def lists() -> dict[str, Any]:
    """`coco-mini`: ids of images. `voc-mini`: names of images, by split, and those with boxes and no masks."""
    content: dict[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    return content


def make_coco_mini(root: Path) -> None:
    """Copy the images out of root/coco into root/coco-mini. Raises UserError if COCO 2017 is not there."""
    annotations = "annotations/instances_train2017.json"
    source, wanted = root / "coco", set(lists()["coco-mini"])
    files = {number: f"train2017/{number:012}.jpg" for number in sorted(wanted)}
    _need("coco-mini", "coco", "COCO 2017", source, [annotations, *files.values()])
    with _appearing(root / "coco-mini") as folder:
        _copy(source, folder, files.values())
        content = subset(json.loads((source / annotations).read_bytes()), wanted)
        for part in ("images", "annotations"):
            content[part].sort(key=lambda entry: entry["id"])
        if len(content["images"]) != len(wanted):
            raise UserError(
                f"{source / annotations} lists {len(content['images'])} of the {len(wanted)} images of coco-mini: it "
                "is not COCO's own"
            )
        write(content, folder / annotations)


def make_voc_mini(root: Path) -> None:
    """Copy the images out of root/VOCdevkit/VOC2012 into root/voc-mini/VOCdevkit/VOC2012.

    Raises UserError if PASCAL VOC 2012 is not there.
    """
    source, names = root / VOC, lists()["voc-mini"]
    masked = sorted(names["train"] + names["val"])
    everything = sorted(masked + names["boxes_only"])
    files = [
        *(f"JPEGImages/{name}.jpg" for name in everything),
        *(f"Annotations/{name}.xml" for name in everything),
        *(f"SegmentationClass/{name}.png" for name in masked),
    ]
    _need("voc-mini", "voc12aug", "PASCAL VOC 2012", source, files)
    with _appearing(root / "voc-mini") as folder:
        _copy(source, folder / VOC, files)
        trained = sorted(names["train"] + names["boxes_only"])
        for task, train, all_of_them in (("Segmentation", names["train"], masked), ("Main", trained, everything)):
            where = folder / VOC / "ImageSets" / task
            where.mkdir(parents=True)
            for split, chosen in (("train", train), ("val", names["val"]), ("trainval", all_of_them)):
                text = "".join(f"{name}\n" for name in chosen)
                (where / f"{split}.txt").write_text(text, encoding="utf-8", newline="\n")


def not_mini(place: Path) -> str:
    """Why the VOC2012 of this place is no voc-mini: it has too many images; "" for a small one, whichever it is."""
    found = len(read_names(place / VOC / "ImageSets/Segmentation/train.txt"))
    return "" if found <= MOST_IMAGES else f"has a whole VOC 2012, of {found:,} images to train on, and no voc-mini"


def _need(name: str, whole: str, title: str, source: Path, files: list[str]) -> None:
    lacking = [file for file in files if not (source / file).is_file()]
    if lacking:
        root = source.parent if whole == "coco" else source.parents[1]
        raise UserError(
            f"{name} is a part of {title}, and {source / lacking[0]} is not there: 'slimbench data prepare {whole} "
            f"--data {root}' fetches it; 'slimbench data prepare shapes-tiny' draws a stand-in that takes none of it"
        )


def _copy(source: Path, goal: Path, files: Any) -> None:
    for file in files:
        (goal / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / file, goal / file)


@contextmanager
def _appearing(goal: Path) -> Iterator[Path]:
    """A folder to fill, which is at `goal` when the block ends without an error. Raises UserError if something is."""
    if goal.exists():
        raise UserError(f"{goal} is there and not whole: remove it and repeat")
    unfinished = goal.with_name(f".{goal.name}.{os.getpid()}")
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        unfinished.rename(goal)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
