"""How well objects are found, all numbers in percent: COCO's twelve and PASCAL VOC's two mean average precisions.

Importing this module imports MMDetection: only where a detection experiment runs.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS

import backbones.adapters.openmmlab  # noqa: F401 (MMDetection imports without compiled operators only after it)
from benchmarks.errors import UserError
from benchmarks.training.voc_ap import ClassInImage, average_precisions

# isort: split
from mmdet.datasets.api_wrappers import COCO, COCOeval
from mmdet.evaluation.metrics import CocoMetric

#: the order of COCOeval.stats
COCO_NUMBERS = (
    "map", "map50", "map75", "map_small", "map_medium", "map_large",
    "ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large",
)  # fmt: skip


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Pycocotools prints what it does: within the block it does so into the void."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


@METRICS.register_module(force=True)
class CocoQuality(CocoMetric):
    """COCO's summary of boxes (`COCO_NUMBERS`), at most 100 detections an image, IoU 0.5 to 0.95, from one matching.

    Only images that were tested count, whatever else the annotation file holds. A number that COCO gives as -1, because
    there is no object of that size, is left out.

    ann_file: the annotations; without it the truth is what the samples carry, as mmdet's CocoMetric has it, where an
    object's area is its box's.
    """

    default_prefix = ""  # none, and MMEngine does not warn of it

    def __init__(self, ann_file: str | None = None, collect_device: str = "gpu", **kwargs: Any) -> None:
        with quiet():
            super().__init__(ann_file=ann_file, collect_device=collect_device, **kwargs)

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """results: (truth, detections) of each image, as CocoMetric.process has them.

        Raises UserError if the annotation file has not all of the data set's classes.
        """
        truths, detected = zip(*results, strict=True) if results else ((), ())
        with quiet():
            truth = self._from_samples(truths) if self._coco_api is None else self._coco_api
            categories = truth.getCatIds(catNms=self.dataset_meta["classes"])
            if len(categories) != len(self.dataset_meta["classes"]):  # labels would stand for other classes
                told = f"{len(categories)} of the {len(self.dataset_meta['classes'])} classes of the data set"
                raise UserError(f"the annotations to test with have {told}: both must have the same")
            evaluation = COCOeval(truth, _detections(truth, detected, categories), "bbox")
            evaluation.params.catIds = categories
            evaluation.params.imgIds = sorted({image["img_id"] for image in detected})
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        numbers = zip(COCO_NUMBERS, evaluation.stats, strict=True)
        return {name: 100.0 * float(value) for name, value in numbers if value > -1}

    def _from_samples(self, truths: Sequence[dict[str, Any]]) -> COCO:
        """The truth that the samples carry. A crowd or an ignored object is a crowd of COCO's."""
        images = [{"id": each["img_id"], "width": each["width"], "height": each["height"]} for each in truths]
        objects: list[dict[str, Any]] = []
        for image in truths:
            for instance in image["anns"]:
                x1, y1, x2, y2 = map(float, instance["bbox"])
                objects.append(
                    {
                        "id": len(objects) + 1,
                        "image_id": image["img_id"],
                        "category_id": int(instance["bbox_label"]),
                        "bbox": [x1, y1, x2 - x1, y2 - y1],
                        "area": (x2 - x1) * (y2 - y1),
                        "iscrowd": int(instance.get("ignore_flag", 0)),
                    }
                )
        names = enumerate(self.dataset_meta["classes"])
        return _coco(images, objects, [{"id": number, "name": name} for number, name in names])


def _coco(images: list[Any], objects: list[Any], categories: list[Any]) -> COCO:
    made = COCO()
    made.dataset = {"images": images, "annotations": objects, "categories": categories}
    made.createIndex()
    return made


def _detections(truth: COCO, images: Sequence[dict[str, Any]], categories: list[int]) -> COCO:
    """Each image's detections as COCO's results; `loadRes` refuses to be given none at all."""
    found = []
    for image in {each["img_id"]: each for each in images}.values():
        for (x1, y1, x2, y2), score, label in zip(
            image["bboxes"].tolist(), image["scores"].tolist(), image["labels"].tolist(), strict=True
        ):
            box = [x1, y1, x2 - x1, y2 - y1]
            found.append({"image_id": image["img_id"], "category_id": categories[label], "bbox": box, "score": score})
    return truth.loadRes(found) if found else _coco(truth.dataset["images"], [], truth.dataset["categories"])


@METRICS.register_module(force=True)
class VocQuality(BaseMetric):
    """VOC's average precision at IoU 0.5: `map50_11point`, `map50_area`, and by class `ap50_11point.<class>`, ...

    Both rules come from one matching (`benchmarks.training.voc_ap`), with widths of x2 - x1 + 1 as in VOC's devkit.
    Difficult objects, which mmdet puts into `ignored_instances`, need not be found. A class without objects is left
    out, also of the mean. Samples must carry their truth: the test pipeline has LoadAnnotations after Resize.
    """

    default_prefix = ""

    def __init__(self, collect_device: str = "gpu", **kwargs: Any) -> None:
        super().__init__(collect_device=collect_device, **kwargs)

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Raises UserError if a sample has no truth."""
        for sample in data_samples:
            if "bboxes" not in sample.get("gt_instances", ()):
                image = sample.get("img_path", "a test image")
                raise UserError(f"{image} came without its boxes: the test pipeline needs LoadAnnotations")
            parts = ("gt_instances", "ignored_instances", "pred_instances")
            self.results.append(tuple(_arrays(sample[part]) for part in parts))

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """results: (objects, difficult objects, detections) of each image."""
        metrics: dict[str, float] = {}
        by_rule: list[tuple[float, float]] = []
        for label, name in enumerate(self.dataset_meta["classes"]):
            found = average_precisions([_of_class(image, label) for image in results])
            if found is not None:
                by_rule.append(found)
                for rule, value in zip(("11point", "area"), found, strict=True):
                    metrics[f"ap50_{rule}.{name.replace(' ', '-')}"] = 100.0 * value
        if by_rule:
            eleven, area = np.mean(by_rule, axis=0).tolist()
            metrics = {"map50_11point": 100.0 * eleven, "map50_area": 100.0 * area, **metrics}
        return metrics


def _arrays(instances: Any) -> dict[str, Any]:
    return {key: instances[key].cpu().numpy() for key in ("bboxes", "labels", "scores") if key in instances}


def _of_class(image: tuple[dict[str, Any], ...], label: int) -> ClassInImage:
    truth, ignored, found = image
    of_class = [each["bboxes"][each["labels"] == label] for each in (truth, ignored)]
    difficult = np.arange(sum(map(len, of_class))) >= len(of_class[0])
    mine = found["labels"] == label
    return ClassInImage(found["bboxes"][mine], found["scores"][mine], np.concatenate(of_class), difficult)
