"""Top-k accuracy against a stable sort, closed forms, and several processes with a filled or an uneven last round."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.training import accuracy
from benchmarks.training.accuracy import Top1Accuracy, TopKAccuracy, ranks


def sample(scores, labels):
    return {"scores": torch.as_tensor(scores), "labels": torch.as_tensor(labels)}


def evaluated(metric, batches, size):
    for batch in batches:
        metric.process(None, [batch])
    return metric.evaluate(size)


def test_ranks_are_positions_in_a_stable_sort():
    draw = np.random.default_rng(0)
    scores = draw.integers(0, 4, (200, 10)).astype(np.float32)  # few values, many ties
    labels = draw.integers(0, 10, 200)
    order = np.argsort(-scores, axis=1, kind="stable")
    expected = [list(row).index(label) for row, label in zip(order, labels, strict=True)]
    assert ranks(torch.from_numpy(scores), torch.from_numpy(labels)).tolist() == expected


def test_rank_zero_is_argmax_in_bfloat16():
    scores = torch.randn(500, 10, generator=torch.Generator().manual_seed(0)).mul(3).round().bfloat16()
    assert torch.equal(ranks(scores, scores.argmax(1)), torch.zeros(500, dtype=torch.int64))


@pytest.mark.parametrize("k", [1, 3, 5, 10])
def test_scores_that_fall_with_the_class_hit_the_first_k_labels(k):
    scores = torch.arange(10, 0, -1.0).expand(10, 10)
    assert evaluated(TopKAccuracy(topk=(k,)), [sample(scores, range(10))], 10) == {f"top{k}_accuracy": 10.0 * k}


def test_batches_of_unequal_length_weigh_by_images():
    right, wrong = sample(torch.eye(10), range(10)), sample(torch.eye(10)[:2], [9, 8])
    assert evaluated(TopKAccuracy(), [right, wrong], 12) == {
        "top1_accuracy": pytest.approx(1000 / 12),
        "top5_accuracy": pytest.approx(1000 / 12),
    }


def test_a_network_that_says_the_same_of_all_classes_is_not_always_right():
    assert evaluated(TopKAccuracy(), [sample(torch.zeros(10, 10), range(10))], 10) == {
        "top1_accuracy": 10.0,
        "top5_accuracy": 50.0,
    }


def test_scores_that_are_no_numbers_hit_nothing():
    scores = torch.eye(10)
    scores[:5, 0] = float("nan")
    metrics = evaluated(TopKAccuracy(topk=(1, 10, 11)), [sample(scores, range(10))], 10)
    assert metrics == {"top1_accuracy": 50.0, "top10_accuracy": 50.0, "top11_accuracy": 50.0}


def test_an_evaluator_can_be_used_again():
    metric = Top1Accuracy()
    assert evaluated(metric, [sample(torch.eye(3), [0, 1, 2])], 3) == {"top1_accuracy": 100.0}
    assert evaluated(metric, [sample(torch.eye(3), [1, 2, 0])], 3) == {"top1_accuracy": 0.0}


@pytest.mark.parametrize("topk", [(), (0,), (1, -5)])
def test_a_k_below_one_is_refused(topk):
    with pytest.raises(ValueError, match="topk must be numbers of at least 1"):
        TopKAccuracy(topk=topk)


@pytest.mark.parametrize(("images", "processes"), [(10, 1), (10, 4), (11, 4), (12, 4), (3, 4)])
@pytest.mark.parametrize("filled", [True, False])
def test_several_processes_count_each_image_once(monkeypatch, images, processes, filled):
    """Images dealt out in turn; the last round is filled with the first images again or left uneven."""
    hit = torch.arange(images) % 3 == 0
    dealt = list(range(images)) + (list(range(-images % processes)) if filled else [])
    sums = []
    for index in range(processes):
        mine = torch.tensor(dealt[index::processes], dtype=torch.int64)
        scores = torch.eye(2)[hit[mine].long()]
        monkeypatch.setattr(accuracy, "get_dist_info", lambda index=index: (index, processes))
        monkeypatch.setattr(accuracy, "all_reduce", lambda tensor: sums.append(tensor.clone()))
        metric = Top1Accuracy()
        for start in range(0, len(mine), 2):
            batch = slice(start, start + 2)
            metric.process(None, [sample(scores[batch], torch.ones(len(mine[batch]), dtype=torch.int64))])
        metric.evaluate(images)
    hits, total = torch.stack(sums).sum(0).tolist()
    assert total == images
    assert hits == int(hit.sum())
