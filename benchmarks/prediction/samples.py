"""The small pictures that stand beside a detection or segmentation run's record: image, truth and prediction.

A config names them by their files, without suffix:

    samples = [dict(picture="2007_000033"), dict(picture="2007_000129")]
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from benchmarks import sample_files
from benchmarks.prediction.configs import Host
from benchmarks.prediction.drawing import Pixels, draw
from benchmarks.prediction.names import Classes
from benchmarks.sample_files import Sample

LONGEST = 224  # of a kept picture, in pixels
SCORE_THRESHOLD = 0.5
_LINE_WIDTH = 1.5


def save(model: nn.Module, data: Any, wanted: Sequence[Mapping[str, Any]], folder: Path) -> tuple[Sample, ...]:
    """Write three JPEG files for each picture: `2007_000033.jpg` (predicted), `..._truth.jpg`, `..._image.jpg`.

    model: a detector or segmentor. data: its test data set, or the loader of it. wanted: dictionaries of `picture`. Of
    boxes those are drawn that score more than one half, and true ones that count in the test. What the data set lacks
    is left out.
    """
    dataset: Any = data.dataset if isinstance(data, torch.utils.data.DataLoader) else data
    names = [str(one["picture"]) for one in wanted]
    training, saved = model.training, list[Sample]()
    model.eval()
    for name, index in _places(dataset, names).items():
        info = dataset.get_data_info(index)
        for shows, pixels, size in _pictures(model, dataset, index, info):
            file = f"{name}{'' if shows == 'result' else f'_{shows}'}.jpg"
            digest = sample_files.write(_jpeg(pixels), folder / file)
            content = {"file": file, "picture": name, "scale": 1, "shows": shows, "box": (0, 0, *size)}
            saved.append(Sample.model_validate(content | {"sha256": digest}))
    model.train(training)
    return tuple(saved)


def _places(dataset: Any, names: Sequence[str]) -> dict[str, int]:
    """Where the named pictures stand in the data set, in the order of the names."""
    every = {Path(dataset.get_data_info(index)["img_path"]).stem: index for index in range(len(dataset))}
    return {name: every[name] for name in names if name in every}


def _pictures(model: Any, dataset: Any, index: int, info: dict[str, Any]) -> list[tuple[str, Pixels, tuple[int, int]]]:
    """What each picture shows, its pixels, and the width and height of the original."""
    from benchmarks.prediction.predictor import read

    image = read(Path(info["img_path"]))
    size = (image.shape[1], image.shape[0])
    shrink = min(1.0, LONGEST / max(size))
    small = _resized(image, shrink, Image.Resampling.LANCZOS)
    item = dataset[index]
    with torch.no_grad():
        (found,) = model.test_step({"inputs": [item["inputs"]], "data_samples": [item["data_samples"]]})
    found = found.cpu()
    host: Host = "mmseg" if "pred_sem_seg" in found and "pred_instances" not in found else "mmdet"
    meta = dataset.metainfo
    classes = Classes(tuple(meta["classes"]), [(*map(int, colour),) for colour in meta["palette"]])  # type: ignore[misc]
    result = _seen(found.pred_sem_seg.data[0], shrink) if host == "mmseg" else _boxes(found.pred_instances, shrink)
    truth = _true_mask(dataset, info, shrink) if host == "mmseg" else _true_boxes(info, shrink)
    shown = [("image", small, size)]
    for shows, sample in (("truth", truth), ("result", result)):
        if sample is not None:
            drawn = draw(
                host,
                small,
                sample,
                classes,
                score_threshold=SCORE_THRESHOLD,
                truth=shows == "truth",
                line_width=_LINE_WIDTH,
                labels=False,
            )
            shown.append((shows, drawn, size))
    return shown


def _boxes(found: Any, shrink: float) -> Any:
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData

    kept = InstanceData(bboxes=found.bboxes * shrink, labels=found.labels, scores=found.scores)
    return DetDataSample(pred_instances=kept)


def _true_boxes(info: Mapping[str, Any], shrink: float) -> Any:
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData

    counted = [one for one in info.get("instances", []) if not one.get("ignore_flag")]
    boxes = torch.tensor([one["bbox"] for one in counted], dtype=torch.float32).reshape(-1, 4)
    labels = torch.tensor([one["bbox_label"] for one in counted], dtype=torch.long)
    return DetDataSample(gt_instances=InstanceData(bboxes=boxes * shrink, labels=labels))


def _true_mask(dataset: Any, info: dict[str, Any], shrink: float) -> Any:
    """The truth as the data set's own pipeline loads it, None where it loads none."""
    load = next((step for step in dataset.pipeline.transforms if type(step).__name__ == "LoadAnnotations"), None)
    if load is None or "seg_map_path" not in info:
        return None
    return _seen(torch.from_numpy(load(dict(info))["gt_seg_map"].astype(np.int64)), shrink, truth=True)


def _seen(ids: torch.Tensor, shrink: float, truth: bool = False) -> Any:
    """A mask ``(H, W)``, reduced, as a data sample."""
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    small = _resized(ids.to(torch.uint8).numpy(), shrink, Image.Resampling.NEAREST)
    mask = PixelData(data=torch.from_numpy(small.astype(np.int64))[None])
    return SegDataSample(**{"gt_sem_seg" if truth else "pred_sem_seg": mask})


def _resized(pixels: Pixels, shrink: float, how: Image.Resampling) -> Pixels:
    height, width = pixels.shape[:2]
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    return np.asarray(Image.fromarray(pixels).resize(size, how))


def _jpeg(pixels: Pixels) -> bytes:
    stream = io.BytesIO()
    # Colours at full resolution: they are what the masks and the lines of boxes are told apart by.
    Image.fromarray(pixels).save(stream, format="JPEG", quality=88, subsampling=0, optimize=True)
    return stream.getvalue()
