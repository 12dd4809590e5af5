"""The files that a prediction becomes: a drawn picture, and if asked for what it was drawn from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.atomic import replacing
from benchmarks.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

    from benchmarks.prediction.drawing import Pixels
    from benchmarks.prediction.names import Classes
    from benchmarks.prediction.predictor import Box


def targets(pictures: Iterable[Path], folder: Path) -> list[Path]:
    """Where each drawn picture goes, ``<folder>/<name>.png``.

    Raises UserError if two would be one file, or one would take the place of a picture that is to be read.
    """
    pictures = list(pictures)
    found = [folder / f"{picture.stem}.png" for picture in pictures]
    (target, count), *_ = Counter(found).most_common(1)
    if count > 1:
        same = [str(picture) for picture, its in zip(pictures, found, strict=True) if its == target]
        raise UserError(f"{' and '.join(same)} would all become {target}; draw them into different folders")
    sources = {picture.resolve() for picture in pictures}
    for target in found:
        if target.resolve() in sources:
            raise UserError(f"{target} is a picture to be read; give another --output")
    return found


def refuse_existing(target: Path, overwrite: bool) -> None:
    """Raises UserError if one of the files of a picture is there and may not be replaced."""
    for path in (target, boxes_file(target), ids_file(target)):
        if path.exists() and not overwrite:
            raise UserError(f"{path} is there already; --overwrite replaces it")


def boxes_file(target: Path) -> Path:
    """Where the boxes of a drawn picture go: `street.json` beside `street.png`."""
    return target.with_suffix(".json")


def ids_file(target: Path) -> Path:
    """Where the class ids behind a drawn picture go: `street.classes.png` beside `street.png`."""
    return target.with_suffix(".classes.png")


def write_drawing(target: Path, pixels: Pixels) -> None:
    """Write a picture ``(H, W, 3)``, RGB, as PNG. Raises UserError if the disk does not take it."""
    from PIL import Image

    _save(Image.fromarray(pixels), target)


def write_boxes(target: Path, picture: Path, size: tuple[int, int], threshold: float, boxes: Sequence[Box]) -> None:
    """Write boxes as JSON; ``size`` is the picture's width and height, corners are in its pixels."""
    width, height = size
    content = {
        "picture": picture.name,
        "width": width,
        "height": height,
        "score_threshold": threshold,
        "boxes": [
            {"class": box.name, "score": round(box.score, 6), "xyxy": [round(corner, 3) for corner in box.xyxy]}
            for box in boxes
        ],
    }
    try:
        with replacing(boxes_file(target)) as temporary:
            temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {boxes_file(target)}: {error.strerror or error}") from error


def write_ids(target: Path, ids: Pixels, classes: Classes) -> None:
    """Write class ids ``(H, W)`` as a PNG whose pixels are the ids and whose palette has the classes' colours."""
    from PIL import Image

    image = Image.fromarray(ids)
    image.putpalette([part for colour in classes.palette[:256] for part in colour])
    _save(image, ids_file(target))


def _save(image: Image, path: Path) -> None:
    try:
        with replacing(path) as temporary:
            image.save(temporary, format="PNG")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
