"""The segmentation metric against a confusion matrix that is counted pixel by pixel."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

pytest.importorskip("mmseg")

from mmengine.registry import METRICS

from benchmarks.errors import UserError
from benchmarks.training.segmentation import SegmentationQuality

CLASSES = ("background", "potted plant", "cat", "dog")


def processed(pairs, classes=CLASSES):
    """The metric after these pairs of prediction and truth, each (H, W)."""
    metric = METRICS.build({"type": "SegmentationQuality"})
    assert isinstance(metric, SegmentationQuality)
    metric.dataset_meta = {"classes": classes}
    for prediction, truth in pairs:
        sample = {
            "pred_sem_seg": {"data": torch.as_tensor(np.asarray(prediction), dtype=torch.int64)[None]},
            "gt_sem_seg": {"data": torch.as_tensor(np.asarray(truth), dtype=torch.uint8)[None]},
        }
        metric.process(None, [sample])
    return metric


def quality(pairs):
    return processed(pairs).evaluate(len(pairs))


def test_as_a_confusion_matrix_has_it_and_255_is_nothing():
    draw = np.random.default_rng(0)
    pairs = []
    for _ in range(5):
        truth = draw.integers(0, 4, (13, 17))
        prediction = np.where(draw.uniform(size=truth.shape) < 0.7, truth, draw.integers(0, 4, truth.shape))
        truth[draw.uniform(size=truth.shape) < 0.2] = 255
        pairs.append((prediction, truth))
    seen = Counter(
        (int(true), int(guess))
        for prediction, truth in pairs
        for true, guess in zip(truth.flat, prediction.flat, strict=True)
        if true != 255
    )
    matrix = np.array([[seen[true, guess] for guess in range(4)] for true in range(4)])
    hits = np.diag(matrix)
    iou, accuracy = hits / (matrix.sum(0) + matrix.sum(1) - hits), hits / matrix.sum(1)
    assert quality(pairs) == pytest.approx(
        {
            "miou": 100 * iou.mean(),
            "macc": 100 * accuracy.mean(),
            "aacc": 100 * hits.sum() / matrix.sum(),
            "iou.background": 100 * iou[0],
            "iou.potted-plant": 100 * iou[1],
            "iou.cat": 100 * iou[2],
            "iou.dog": 100 * iou[3],
        }
    )


def test_a_class_that_is_nowhere_is_left_out_and_one_that_is_only_predicted_has_zero():
    metrics = quality([([[0, 0, 1, 2]], [[0, 0, 1, 1]])])
    assert metrics == pytest.approx(
        {
            "miou": 50.0, "macc": 75.0, "aacc": 75.0,
            "iou.background": 100.0, "iou.potted-plant": 50.0, "iou.cat": 0.0,
        }
    )  # fmt: skip


def test_pixels_beyond_the_exact_integers_of_float32_are_counted():
    """2 ** 24 + 1 is the first whole number that float32 lacks."""
    right = torch.tensor([2**24, 1])
    metric = SegmentationQuality()
    metric.dataset_meta = {"classes": ("a", "b")}
    one = torch.tensor([1, 0])
    metric.results = [(right, right, right, right), (one, one, one, one), (0 * one, one, one, one)]
    assert metric.evaluate(3)["iou.a"] == 100 * (2**24 + 1) / (2**24 + 2)


def test_a_mask_of_other_classes_is_refused():
    with pytest.raises(UserError, match="a mask has a pixel of class 9; there are classes 0 to 3"):
        quality([([[0, 3]], [[0, 9]])])


def test_images_of_ignored_pixels_alone_measure_nothing():
    assert quality([([[0, 1]], [[255, 255]])]) == {}


def test_several_processes_count_each_image_once(monkeypatch):
    from mmengine.dist import dist
    from mmengine.evaluator import metric as base

    pairs = [([[0, 0, 1]], [[0, 1, 1]]), ([[1, 0, 2]], [[2, 0, 2]]), ([[3, 3, 3]], [[3, 3, 0]])]
    alone = quality(pairs)
    mine, others = processed(pairs[::2]), processed([pairs[1], pairs[0]])  # the last round is filled with the first
    parts = [list(mine.results), list(others.results)]
    monkeypatch.setattr(dist, "get_dist_info", lambda: (0, 2))
    monkeypatch.setattr(dist, "all_gather_object", lambda part: parts)
    monkeypatch.setattr(base, "broadcast_object_list", lambda content: None)
    assert mine.evaluate(3) == alone
