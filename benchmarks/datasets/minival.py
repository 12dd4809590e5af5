"""COCO 2014 with the split of the community: 5,000 images of val2014 to test on, "minival", the others to train on.

Its 5,000 images are those that COCO later made val2017, so its list needs no file of anybody else's: image ids are the
same in the annotations of 2014 and 2017. The annotations are those of 2014.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.atomic import replacing
from benchmarks.datasets.fetch import fetching
from benchmarks.errors import UserError

#: what is made of val2014, and how many images it has
IMAGES = {"valminusminival2014": 35_504, "minival2014": 5_000}


def path_of(split: str) -> str:
    """A split's file below the root."""
    return f"coco/annotations/instances_{split}.json"


def split(root: Path, fetch: Callable[[Path], None]) -> None:
    """Write both files of `IMAGES`, from val2014's and val2017's annotations, each whole or not at all.

    fetch: downloads val2017's into root. Raises UserError if it cannot, or if a file does not have the images it must.
    """
    if not (root / path_of("val2017")).is_file():
        with fetching("the annotations of COCO 2017, whose val2017 is minival,", root):
            fetch(root)
    chosen = {image["id"] for image in _read(root, "val2017")["images"]}
    content = _read(root, "val2014")
    everything = {image["id"] for image in content["images"]}
    if strange := sorted(chosen - everything):
        raise UserError(
            f"{len(strange):,} images of {root / path_of('val2017')}, {strange[0]} among them, are not in "
            f"{root / path_of('val2014')}: these are not COCO's own files"
        )
    for name, kept in (("valminusminival2014", everything - chosen), ("minival2014", chosen)):
        if len(kept) != IMAGES[name]:
            raise UserError(
                f"{name} would have {len(kept):,} images, not {IMAGES[name]:,}: {root / path_of('val2014')} and "
                f"{root / path_of('val2017')} must be COCO's own, of 40,504 and 5,000 images"
            )
    for name, kept in (("valminusminival2014", everything - chosen), ("minival2014", chosen)):
        write(subset(content, kept), root / path_of(name))


def subset(content: dict[str, Any], images: set[int]) -> dict[str, Any]:
    """COCO's annotations of these images alone, in the order they had; everything else as it is."""
    return {
        **content,
        "images": [image for image in content["images"] if image["id"] in images],
        "annotations": [each for each in content["annotations"] if each["image_id"] in images],
    }


def write(content: dict[str, Any], path: Path) -> None:
    """Write annotations, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")


def _read(root: Path, name: str) -> dict[str, Any]:
    path = root / path_of(name)
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}; remove it and repeat, to fetch it again") from error
    if not {"images", "annotations"} <= content.keys():
        raise UserError(f"{path} has no images and annotations: it is no file of COCO's instances")
    return content
