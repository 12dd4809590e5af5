"""How well images are segmented: mean intersection over union and accuracies, in percent.

Importing this module imports MMSegmentation: only where a segmentation experiment runs.
"""

from __future__ import annotations

from typing import Any

import torch
from mmengine.registry import METRICS
from torch import Tensor

import backbones.adapters.openmmlab  # noqa: F401 (MMSegmentation imports without compiled operators only after it)
from benchmarks.errors import UserError

# isort: split
from mmseg.evaluation.metrics import IoUMetric


@METRICS.register_module(force=True)
class SegmentationQuality(IoUMetric):
    """`miou`, `macc`, `aacc` and `iou.<class>` over the pixels of all images, without those of `ignore_index`.

    As VOC and mmseg define them: IoU of a class is intersection / union over the data set, `macc` the mean over classes
    of the share of their pixels that is right, `aacc` that share of all pixels. A class that is neither in the truth
    nor predicted has no IoU: it is left out, also of `miou`. One that is predicted but nowhere in the truth has an IoU
    of 0 and no accuracy. Pixels are counted in int64; mmseg sums float32, inexact beyond 16.8 million of a class.
    """

    default_prefix = ""  # none, and MMEngine does not warn of it

    def __init__(self, collect_device: str = "gpu", **kwargs: Any) -> None:
        super().__init__(collect_device=collect_device, **kwargs)

    @staticmethod
    def intersect_and_union(pred_label: Tensor, label: Tensor, num_classes: int, ignore_index: int) -> tuple[Any, ...]:
        """Pixels a class, each (num_classes,) int64 on the CPU: intersection, union, predicted, true.

        pred_label, label: (H, W), classes from 0. Raises UserError if the truth has a class that there is not.
        """
        pairs = num_classes * label.long() + pred_label.long()
        counts = torch.bincount(pairs[label != ignore_index], minlength=num_classes**2).cpu()
        if len(counts) > num_classes**2:
            highest = (len(counts) - 1) // num_classes
            raise UserError(f"a mask has a pixel of class {highest}; there are classes 0 to {num_classes - 1}")
        matrix = counts.view(num_classes, num_classes)
        right, predicted, true = matrix.diagonal(), matrix.sum(0), matrix.sum(1)
        return right, predicted + true - right, predicted, true

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """results: what `intersect_and_union` returned for each image."""
        if not results:
            return {}
        right, union, _, true = (torch.stack(counts).sum(0).double() for counts in zip(*results, strict=True))
        classes = [name.replace(" ", "-") for name in self.dataset_meta["classes"]]
        iou = {f"iou.{name}": value for name, value in zip(classes, (right / union).tolist(), strict=True)}
        values = {
            "miou": (right / union).nanmean(),
            "macc": (right / true).nanmean(),
            "aacc": right.sum() / true.sum(),
            **iou,
        }
        return {name: 100.0 * float(value) for name, value in values.items() if float(value) == float(value)}
