"""PASCAL VOC's average precision, both of its rules from one matching of the boxes.

M. Everingham et al., The PASCAL Visual Object Classes (VOC) Challenge, IJCV 2010, section 4.2: VOC 2007 takes the mean
of the highest precisions at 11 levels of recall, later years the area under the curve of these highest precisions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
LEVELS = 11  # of recall: 0, 0.1, ..., 1


@dataclass(frozen=True)
class ClassInImage:
    """One class in one image. Boxes are (n, 4): x1, y1, x2, y2 of the first and the last pixel.

    boxes, scores: what was detected, (n, 4) and (n,). truth: the objects, (m, 4); difficult: (m,) bool.
    """

    boxes: Array
    scores: Array
    truth: Array
    difficult: Array


def average_precisions(images: Sequence[ClassInImage], iou: float = 0.5) -> tuple[float, float] | None:
    """AP of one class by the 11-point rule and by the area rule, 0 to 1; None where no image has an object of it.

    Detections are taken by falling score, equal scores in the order of the images. Each belongs to the object that it
    overlaps most: it is right if they overlap by `iou` or more and the object has none yet, wrong if the object has
    one, and of no account if the object is difficult. Difficult objects need not be found.
    """
    objects = sum(int((~image.difficult).sum()) for image in images)
    if not objects:
        return None
    scores = np.concatenate([image.scores for image in images])
    verdicts = np.concatenate([_verdicts(image, iou) for image in images])
    verdicts = verdicts[np.argsort(-scores, kind="stable")]
    found = np.cumsum(verdicts == 1)
    precision = found / np.maximum(found + np.cumsum(verdicts == -1), 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]  # the highest precision at this recall or a higher one
    # In whole numbers: as floats, 3 objects of 10 miss the level 0.1 + 0.1 + 0.1.
    reached = [np.searchsorted(found * (LEVELS - 1), level * objects) for level in range(LEVELS)]
    eleven = sum(float(best[place]) for place in reached if place < len(best)) / LEVELS
    return eleven, float(best[verdicts == 1].sum()) / objects


def _verdicts(image: ClassInImage, iou: float) -> Array:
    """For each detection 1 (right), -1 (wrong) or 0 (of no account), in the detections' own order."""
    verdicts = np.full(len(image.boxes), -1)
    if not len(image.truth) or not len(image.boxes):
        return verdicts
    overlaps = overlap(image.boxes, image.truth)
    nearest = overlaps.argmax(axis=1)
    taken = np.zeros(len(image.truth), dtype=bool)
    for place in np.argsort(-image.scores, kind="stable"):
        target = nearest[place]
        if overlaps[place, target] < iou:
            continue
        if image.difficult[target]:
            verdicts[place] = 0
        elif not taken[target]:
            taken[target] = True
            verdicts[place] = 1
    return verdicts


def overlap(boxes: Array, others: Array) -> Array:
    """Intersection over union of (n, 4) and (m, 4) boxes, (n, m); both pixels at a box's ends belong to it."""
    boxes, others = boxes.astype(np.float64)[:, None], others.astype(np.float64)[None]
    sides = np.minimum(boxes[..., 2:], others[..., 2:]) - np.maximum(boxes[..., :2], others[..., :2]) + 1
    common = sides.clip(min=0).prod(axis=-1)
    areas = [(each[..., 2:] - each[..., :2] + 1).prod(axis=-1) for each in (boxes, others)]
    overlaps: Array = common / (areas[0] + areas[1] - common)
    return overlaps
