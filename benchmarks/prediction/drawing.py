"""Drawing by the toolboxes' own visualisers, into arrays instead of files."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.prediction.configs import Host
from benchmarks.prediction.names import Classes

Pixels = NDArray[np.uint8]
OPACITY = 0.5  # of masks: the picture is seen through them


def draw(
    host: Host,
    image: Pixels,
    sample: Any,
    classes: Classes,
    *,
    score_threshold: float = 0.0,
    truth: bool = False,
    line_width: float = 3,
    labels: bool = True,
) -> Pixels:
    """A picture ``(H, W, 3)``, RGB, with a data sample's prediction (or its truth) over it, of the same size.

    score_threshold: boxes must score more. labels: also the names of the masks' classes; boxes always have theirs.
    """
    visualizer: Any
    options: dict[str, Any] = {"draw_gt": truth, "draw_pred": not truth}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # matplotlib's and MMEngine's, on fonts and on places outside the picture
        if host == "mmdet":
            from mmdet.visualization import DetLocalVisualizer

            visualizer = DetLocalVisualizer(line_width=line_width)
            options["pred_score_thr"] = score_threshold
            sample = _within(sample, image)
        else:
            from mmseg.visualization import SegLocalVisualizer

            visualizer = SegLocalVisualizer(alpha=OPACITY)
            options["with_labels"] = labels
        visualizer.dataset_meta = {"classes": classes.names, "palette": classes.palette}
        visualizer.add_datasample("picture", image, sample, show=False, **options)
        drawn: Pixels = visualizer.get_image()
    return drawn


def _within(sample: Any, image: Pixels) -> Any:
    """The data sample with boxes inside the picture: matplotlib would make room for one that is not, by a margin."""
    sample = sample.clone()
    height, width = image.shape[:2]
    for name in ("gt_instances", "pred_instances"):
        instances = sample.get(name)
        if instances is not None and "bboxes" in instances:
            inside = instances.clone()
            inside.bboxes = clipped(instances.bboxes, width, height)
            setattr(sample, name, inside)
    return sample


def clipped(boxes: torch.Tensor, width: int, height: int) -> torch.Tensor:
    """Boxes ``(N, 4)``, left, top, right and bottom in pixels, with corners inside a picture.

    A network's own are, until scaling back to the picture's size rounds them to beyond its edge.
    """
    return boxes.clamp(min=0).minimum(boxes.new_tensor([width, height, width, height]))
