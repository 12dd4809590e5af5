"""Top-k accuracy that waits for the device once, at the end, and counts each image once on any number of processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dist import all_reduce, get_dist_info
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS
from torch import Tensor


def ranks(scores: Tensor, labels: Tensor) -> Tensor:
    """How many classes stand before the label's, (N,) int64, for scores (N, classes) and labels (N,) int64.

    Equal scores (frequent in bfloat16) stand in the order of the classes, as `argmax` has them; an image with a score
    that is NaN gets the largest int64, a hit for no k.
    """
    own = scores.gather(1, labels[:, None])
    earlier = torch.arange(scores.shape[1], device=scores.device) < labels[:, None]
    before = (scores > own) | ((scores == own) & earlier)
    return before.sum(dim=1).masked_fill(scores.isnan().any(dim=1), torch.iinfo(torch.int64).max)


@METRICS.register_module(force=True)
class TopKAccuracy(BaseMetric):
    """Share of images whose label is among the k highest scores, in percent: `top1_accuracy`, `top5_accuracy`, ...

    Takes what `ImageClassifier` predicts, dict(scores=(N, classes), labels=(N,)) for a batch. With several processes
    the samples must be dealt out in turn, as MMEngine's DefaultSampler does; the images that fill the last round are
    then known and not counted, and unequal shares need no filling.

    topk: the k wanted; where there are fewer classes, k is all of them. Raises ValueError for a k below 1.
    """

    def __init__(self, topk: Sequence[int] = (1, 5), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not topk or min(topk) < 1:
            raise ValueError(f"topk must be numbers of at least 1, not {topk!r}")
        self.topk = tuple(topk)

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Tensor]]) -> None:
        self.results.extend(ranks(sample["scores"], sample["labels"]) for sample in data_samples)

    def evaluate(self, size: int) -> dict[str, float]:
        """The accuracies over the `size` images of the data set, the same on every process."""
        index, processes = get_dist_info()
        mine = torch.cat(self.results) if self.results else torch.zeros(0, dtype=torch.int64)
        filling = torch.arange(len(mine), device=mine.device) * processes + index >= size
        sums = torch.stack([*((~filling & (mine < k)).sum() for k in self.topk), (~filling).sum()])
        all_reduce(sums)
        self.results.clear()
        return self.compute_metrics(sums.tolist())

    def compute_metrics(self, results: list[int]) -> dict[str, float]:
        """results: the hits for each k, then the number of images."""
        *hits, total = results
        return {f"top{k}_accuracy": 100.0 * count / max(total, 1) for k, count in zip(self.topk, hits, strict=True)}


@METRICS.register_module(force=True)
class Top1Accuracy(TopKAccuracy):
    """`TopKAccuracy` with k = 1 only."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(topk=(1,), **kwargs)
