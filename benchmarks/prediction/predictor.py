"""A trained detector or segmentor that takes picture files: the config's own test pipeline, and its network."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import nn

from benchmarks.datasets.pictures import BROKEN
from benchmarks.errors import UserError
from benchmarks.precision import without_tf32
from benchmarks.prediction import configs, names, networks
from benchmarks.prediction.configs import Host
from benchmarks.prediction.drawing import Pixels, clipped, draw
from benchmarks.prediction.names import Classes


class Box(NamedTuple):
    """xyxy: left, top, right and bottom in pixels of the picture. score: 0..1."""

    name: str
    score: float
    xyxy: tuple[float, float, float, float]


class Prediction(NamedTuple):
    """image: ``(H, W, 3)``, RGB, upright. sample: the toolbox's own data sample, on the CPU."""

    image: Pixels
    sample: Any


class Predictor:
    """Reads pictures, predicts, draws. Made by `load`."""

    def __init__(self, host: Host, model: nn.Module, pipeline: list[Any], classes: Classes) -> None:
        from mmengine.dataset import Compose
        from mmengine.registry import DefaultScope

        self.host: Host = host
        self.model = model
        self.classes = classes
        with DefaultScope.overwrite_default_scope(host):
            self._pipeline = Compose(pipeline)

    def __call__(self, path: Path) -> Prediction:
        """Predict on one picture file. Raises UserError if it cannot be read, or for want of memory."""
        from mmengine.registry import DefaultScope

        image = read(path)
        with DefaultScope.overwrite_default_scope(self.host), torch.no_grad(), without_tf32():
            try:
                item = self._pipeline({"img_path": str(path), "img_id": 0})
            except Exception as error:  # transforms of any kind, on a picture of any kind
                raise UserError(f"{path}: the config's test pipeline fails: {error}") from error
            model: Any = self.model
            try:
                (found,) = model.test_step({"inputs": [item["inputs"]], "data_samples": [item["data_samples"]]})
            except NotImplementedError as error:  # an operator that only the compiled mmcv has, which the error says
                raise UserError(str(error)) from error
            except (MemoryError, RuntimeError) as error:
                if isinstance(error, RuntimeError) and "memory" not in str(error):
                    raise
                raise UserError(f"{path}: not enough memory for {image.shape[1]}x{image.shape[0]} pixels") from error
        return Prediction(image, found.cpu())

    def drawn(self, prediction: Prediction, score_threshold: float) -> Pixels:
        """The picture with boxes or masks over it."""
        return draw(self.host, prediction.image, prediction.sample, self.classes, score_threshold=score_threshold)

    def boxes(self, prediction: Prediction, score_threshold: float) -> list[Box]:
        """The boxes that score more than the threshold, best first as the network gives them; none of a segmentor."""
        if "pred_instances" not in prediction.sample:
            return []
        height, width = prediction.image.shape[:2]
        found = prediction.sample.pred_instances
        found = found[found.scores > score_threshold]
        corners = clipped(found.bboxes, width, height)
        listed = zip(found.labels.tolist(), found.scores.tolist(), corners.tolist(), strict=True)
        return [Box(self.classes.names[label], score, (*corner,)) for label, score, corner in listed]

    def class_ids(self, prediction: Prediction) -> Pixels | None:
        """``(H, W)``: each pixel's class; None of a detector."""
        if self.host != "mmseg":
            return None
        ids: Pixels = prediction.sample.pred_sem_seg.data[0].to(torch.uint8).numpy()
        return ids


def load(config: str, checkpoint: Path, device: str) -> Predictor:
    """The network of a config with a checkpoint's weights.

    Raises UserError, one line, for a config that is none of a detector or a segmentor and for a checkpoint that does
    not fit it in all its keys.
    """
    named = configs.read(config)
    pipeline = configs.pipeline_of(named)
    model = networks.build(named)
    noted = networks.load(model, named, checkpoint)
    classes = names.of(named, networks.num_classes(model), noted)
    return Predictor(named.host, model.to(device), pipeline, classes)


def read(path: Path) -> Pixels:
    """A picture as the toolboxes read it, upright, as ``(H, W, 3)`` RGB. Raises UserError that names the file."""
    import mmcv

    try:
        with Image.open(path) as image:
            image.load()  # OpenCV fills what a truncated file lacks with grey
    except BROKEN as error:
        raise UserError(f"cannot read the picture {path}: {error}") from error
    pixels: Pixels | None = mmcv.imread(str(path), channel_order="rgb")
    if pixels is None:
        raise UserError(f"cannot read the picture {path}: OpenCV does not know its format")
    return pixels
