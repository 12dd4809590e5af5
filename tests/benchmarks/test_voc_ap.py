"""VOC's average precision against the devkit's definition, written out with fractions, and against closed forms."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from benchmarks.training.voc_ap import ClassInImage, average_precisions, overlap


def image(detections=(), truth=(), difficult=()):
    """detections: (score, box); truth and difficult: boxes."""
    boxes = np.array([box for _, box in detections], dtype=np.float32).reshape(-1, 4)
    scores = np.array([score for score, _ in detections], dtype=np.float32)
    objects = np.array([*truth, *difficult], dtype=np.float32).reshape(-1, 4)
    return ClassInImage(boxes, scores, objects, np.arange(len(objects)) >= len(truth))


def iou_of(one, other):
    """Pixels in both over pixels in either."""
    pixels = [
        {(x, y) for x in range(int(b[0]), int(b[2]) + 1) for y in range(int(b[1]), int(b[3]) + 1)} for b in (one, other)
    ]
    return Fraction(len(pixels[0] & pixels[1]), len(pixels[0] | pixels[1]))


def by_the_devkit(images):
    """Both rules as VOC's development kit defines them, one detection after the other, in exact numbers."""
    objects = sum(1 for each in images for hard in each.difficult if not hard)
    order = sorted(
        (
            (float(score), number, place)
            for number, each in enumerate(images)
            for place, score in enumerate(each.scores)
        ),
        key=lambda entry: -entry[0],
    )
    claimed, curve, right, wrong = set(), [], 0, 0
    for _, number, place in order:
        each = images[number]
        overlaps = [iou_of(each.boxes[place], box) for box in each.truth]
        best = max(range(len(overlaps)), key=overlaps.__getitem__) if overlaps else None
        if best is not None and overlaps[best] >= Fraction(1, 2):
            if each.difficult[best]:
                continue
            if (number, best) not in claimed:
                claimed.add((number, best))
                right += 1
            else:
                wrong += 1
        else:
            wrong += 1
        curve.append((Fraction(right, objects), Fraction(right, right + wrong)))

    def highest(recall):
        return max((precision for reached, precision in curve if reached >= recall), default=Fraction(0))

    eleven = sum(highest(Fraction(level, 10)) for level in range(11)) / 11
    area = sum(highest(Fraction(number, objects)) for number in range(1, objects + 1)) / objects
    return float(eleven), float(area)


def test_a_perfect_detector_has_everything():
    boxes = [(0, 0, 9, 9), (20, 20, 29, 39)]
    assert average_precisions([image([(0.9, boxes[0]), (0.8, boxes[1])], boxes)]) == (1, 1)


@pytest.mark.parametrize(("found", "of"), [(1, 2), (3, 10), (7, 10), (1, 3)])
def test_a_detector_that_finds_some_and_errs_never_is_where_the_rules_differ(found, of):
    """Precision 1 up to the recall r: the area is r, and floor(10 r) + 1 of the 11 levels are reached."""
    boxes = [(30 * i, 0, 30 * i + 9, 9) for i in range(of)]
    eleven, area = average_precisions([image([(0.5, box) for box in boxes[:found]], boxes)])
    assert area == pytest.approx(found / of)
    assert eleven == pytest.approx((10 * found // of + 1) / 11)


def test_one_wrong_detection_first_halves_the_precision():
    assert average_precisions([image([(0.9, (50, 50, 59, 59)), (0.8, (0, 0, 9, 9))], [(0, 0, 9, 9)])]) == (0.5, 0.5)


def test_a_second_detection_of_an_object_is_wrong_and_one_of_a_difficult_object_is_nothing():
    box, hard, other = (0, 0, 9, 9), (20, 0, 29, 9), (40, 0, 49, 9)
    detections = [(0.9, box), (0.8, box), (0.7, hard), (0.6, hard), (0.5, other)]
    assert average_precisions([image(detections, [box, other], [hard])])[1] == pytest.approx((1 + 2 / 3) / 2)
    assert average_precisions([image(detections[:1], [box], [hard])]) == (1, 1)


def test_an_overlap_of_exactly_a_half_is_enough():
    assert overlap(np.array([[0, 0, 9, 9]]), np.array([[0, 0, 9, 4], [0, 5, 9, 14]])) == pytest.approx(
        np.array([[1 / 2, 1 / 3]])
    )
    assert average_precisions([image([(0.9, (0, 0, 9, 9))], [(0, 0, 9, 4)])]) == (1, 1)
    assert average_precisions([image([(0.9, (0, 0, 9, 10))], [(0, 0, 9, 4)])]) == (0, 0)


def test_without_objects_there_is_no_precision_and_without_detections_it_is_zero():
    assert average_precisions([image([(0.9, (0, 0, 9, 9))], difficult=[(0, 0, 9, 9)])]) is None
    assert average_precisions([image(), image()]) is None
    assert average_precisions([image(truth=[(0, 0, 9, 9)])]) == (0, 0)


def draws(seed):
    """Images whose detections are their objects shifted, doubled and missed, with few different scores."""
    draw = np.random.default_rng(seed)
    images = []
    for _ in range(draw.integers(4, 12)):
        corners = draw.integers(0, 40, (draw.integers(0, 6), 2))
        objects = np.hstack([corners, corners + draw.integers(4, 16, corners.shape)]).astype(np.float32)
        copies = objects[draw.integers(0, len(objects), draw.integers(0, 7))] if len(objects) else np.zeros((1, 4))
        boxes = (copies + draw.integers(-2, 3, copies.shape)).astype(np.float32)
        scores = draw.choice([0.1, 0.4, 0.5, 0.9], len(boxes)).astype(np.float32)
        images.append(ClassInImage(boxes, scores, objects, draw.uniform(size=len(objects)) < 0.2))
    return images


@pytest.mark.parametrize("seed", range(30))
def test_random_detections_as_the_devkit_has_them(seed):
    images = draws(seed)
    assert any((~each.difficult).any() for each in images)
    assert average_precisions(images) == pytest.approx(by_the_devkit(images), abs=1e-12)
