"""The detection metrics against pycocotools, mmdet's own VOC evaluation and what hand-made detections must give."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("mmdet")

from mmengine.registry import METRICS

from benchmarks.errors import UserError
from benchmarks.training import detection
from benchmarks.training.detection import COCO_NUMBERS, CocoQuality, VocQuality

CLASSES = ("cat", "potted plant", "dog")
IDS = (3, 7, 9)  # COCO's ids are no class numbers


def write_annotations(path, images=12, seed=0):
    """Objects from tiny to large, one in ten a crowd, none of the third class in a COCO file."""
    draw = np.random.default_rng(seed)
    objects = []
    for image in range(images):
        for _ in range(draw.integers(0, 6)):
            width, height = draw.uniform(8, 200, 2).round(1).tolist()
            x, y = draw.uniform(0, 400, 2).round(1).tolist()
            objects.append({
                "id": len(objects) + 1, "image_id": 100 + image, "category_id": IDS[draw.integers(0, 2)],
                "bbox": [x, y, width, height], "area": 0.7 * width * height, "iscrowd": int(draw.uniform() < 0.1),
            })  # fmt: skip
    content = {
        "images": [{"id": 100 + i, "file_name": f"{i}.jpg", "width": 640, "height": 640} for i in range(images)],
        "annotations": objects,
        "categories": [{"id": number, "name": name} for number, name in zip(IDS, CLASSES, strict=True)],
    }
    path.write_text(json.dumps(content))
    return content


def guesses(content, seed=1):
    """By image id boxes (n, 4), scores and labels: objects shifted, some missed, some of the wrong class."""
    draw = np.random.default_rng(seed)
    found = {}
    for image in content["images"]:
        boxes, labels = np.zeros((0, 4)), np.zeros(0, int)
        for each in content["annotations"]:
            if each["image_id"] == image["id"] and draw.uniform() < 0.8:
                x, y, width, height = each["bbox"]
                shifts = draw.normal(0, 0.08, (2, 4)) * (width, height, width, height)
                boxes = np.vstack([boxes, np.array([x, y, x + width, y + height]) + shifts])
                labels = np.append(labels, [IDS.index(each["category_id"]), draw.integers(0, 3)])
        scores = draw.uniform(0, 1, len(boxes))
        found[image["id"]] = (boxes.astype(np.float32), scores.astype(np.float32), labels)
    return found


def sample(image, boxes, scores, labels, **more):
    instances = {"bboxes": torch.tensor(boxes), "scores": torch.tensor(scores), "labels": torch.tensor(labels)}
    return {"img_id": image, "ori_shape": (640, 640), "pred_instances": instances, **more}


def coco_numbers(metric, found):
    for image, guess in found.items():
        metric.process(None, [sample(image, *guess)])
    return metric.evaluate(len(found))


def by_pycocotools(content, found, tmp_path):
    """The twelve numbers, in percent, of the official tool on files of these images alone."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = {**content, "images": [image for image in content["images"] if image["id"] in found]}
    truth["annotations"] = [each for each in content["annotations"] if each["image_id"] in found]
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    results = [
        {"image_id": image, "category_id": IDS[label], "score": float(score), "bbox": [*box[:2], *(box[2:] - box[:2])]}
        for image, (boxes, scores, labels) in found.items()
        for box, score, label in zip(boxes.astype(float), scores, labels, strict=True)
    ]
    (tmp_path / "found.json").write_text(json.dumps(results))
    coco = COCO(str(tmp_path / "truth.json"))
    evaluation = COCOeval(coco, coco.loadRes(str(tmp_path / "found.json")), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return dict(zip(COCO_NUMBERS, 100 * evaluation.stats, strict=True))


@pytest.fixture
def annotations(tmp_path):
    content = write_annotations(tmp_path / "instances.json")
    return content, str(tmp_path / "instances.json")


def coco_metric(path=None, classes=CLASSES):
    metric = METRICS.build({"type": "CocoQuality", "ann_file": path})
    metric.dataset_meta = {"classes": classes}
    return metric


def test_twelve_numbers_as_pycocotools_has_them_and_nothing_is_printed(annotations, tmp_path, capsys):
    content, path = annotations
    found = guesses(content)
    metrics = coco_numbers(coco_metric(path), found)
    assert capsys.readouterr().out == ""
    expected = by_pycocotools(content, found, tmp_path)
    assert min(expected.values()) > 0
    assert metrics == pytest.approx(expected, abs=1e-9)
    assert tuple(metrics) == COCO_NUMBERS


def test_images_outside_the_subset_do_not_count(annotations, tmp_path):
    content, path = annotations
    found = dict(list(guesses(content).items())[2:7])
    metrics = coco_numbers(coco_metric(path), found)
    expected = by_pycocotools(content, found, tmp_path)
    assert metrics == pytest.approx({name: value for name, value in expected.items() if value >= 0}, abs=1e-9)
    assert metrics["ar100"] > 1.5 * coco_numbers(coco_metric(path), {**nothing_found(content), **found})["ar100"]


def nothing_found(content):
    nothing = (np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, int))
    return {image["id"]: nothing for image in content["images"]}


def test_who_finds_everything_has_a_hundred_and_who_finds_nothing_zero(annotations):
    content, path = annotations
    found = nothing_found(content)
    assert set(coco_numbers(coco_metric(path), found).values()) == {0}
    for each in content["annotations"]:
        x, y, width, height = each["bbox"]
        boxes, scores, labels = found[each["image_id"]]
        boxes = np.vstack([boxes, np.float32([[x, y, x + width, y + height]])])
        found[each["image_id"]] = (boxes, np.append(scores, 0.9), np.append(labels, IDS.index(each["category_id"])))
    metrics = coco_numbers(coco_metric(path), found)
    assert [metrics[name] for name in ("map", "map50", "map75", "ar100")] == pytest.approx([100] * 4)


def test_sizes_without_objects_are_left_out(tmp_path):
    content = write_annotations(tmp_path / "instances.json")
    for each in content["annotations"]:
        each["area"] = 50.0
    (tmp_path / "instances.json").write_text(json.dumps(content))
    metrics = coco_numbers(coco_metric(str(tmp_path / "instances.json")), guesses(content))
    assert set(COCO_NUMBERS) - set(metrics) == {"map_medium", "map_large", "ar_medium", "ar_large"}


def test_annotations_of_other_classes_are_refused(annotations):
    content, path = annotations
    with pytest.raises(UserError, match="have 3 of the 4 classes of the data set"):
        coco_numbers(coco_metric(path, (*CLASSES, "unicorn")), nothing_found(content))


def test_without_a_file_the_samples_carry_the_truth(annotations, tmp_path):
    content, _ = annotations
    for each in content["annotations"]:
        each["area"] = each["bbox"][2] * each["bbox"][3]
    found, metric = guesses(content), coco_metric()
    for image, guess in found.items():
        mine = [each for each in content["annotations"] if each["image_id"] == image]
        corners = [(x, y, x + width, y + height) for x, y, width, height in (each["bbox"] for each in mine)]
        instances = [
            {"bbox": box, "bbox_label": IDS.index(each["category_id"]), "ignore_flag": each["iscrowd"]}
            for box, each in zip(corners, mine, strict=True)
        ]
        metric.process(None, [sample(image, *guess, instances=instances)])
    assert metric.evaluate(len(found)) == pytest.approx(by_pycocotools(content, found, tmp_path), abs=1e-9)


def share_out(monkeypatch, metrics, size):
    """`evaluate` of the first of several metrics as its process runs it, the others being on other processes."""
    from mmengine.dist import dist
    from mmengine.evaluator import metric as base

    parts = [list(metric.results) for metric in metrics]
    monkeypatch.setattr(dist, "get_dist_info", lambda: (0, len(parts)))
    monkeypatch.setattr(dist, "all_gather_object", lambda mine: parts)
    monkeypatch.setattr(base, "broadcast_object_list", lambda content: None)
    return metrics[0].evaluate(size)


def test_several_processes_count_each_image_once(annotations, monkeypatch):
    content, path = annotations
    found = dict(list(guesses(content).items())[:11])  # the second process takes the first image again
    alone = coco_numbers(coco_metric(path), found)
    images, metrics = [*found, next(iter(found))], [coco_metric(path), coco_metric(path)]
    for place, image in enumerate(images):
        metrics[place % 2].process(None, [sample(image, *found[image])])
    assert share_out(monkeypatch, metrics, 11) == alone


def voc_metric():
    metric = METRICS.build({"type": "VocQuality"})
    metric.dataset_meta = {"classes": CLASSES}
    return metric


def voc_samples(seed=3, images=8):
    """Samples as mmdet's test pipeline and detector hand them over; the third class has no object but a difficult."""
    draw = np.random.default_rng(seed)
    samples = []
    for image in range(images):
        corners = draw.integers(0, 300, (6, 2))
        boxes = np.hstack([corners, corners + draw.integers(10, 90, (6, 2))]).astype(np.float32)
        labels = np.array([0, 1, 0, 1, draw.integers(0, 2), 2])
        easy = np.arange(6) < 5
        shifted = np.vstack([boxes, boxes]) + draw.normal(0, 6, (12, 4)).astype(np.float32)
        truth, ignored = (
            {"bboxes": torch.tensor(boxes[mine]), "labels": torch.tensor(labels[mine])} for mine in (easy, ~easy)
        )
        scores, guessed = (
            draw.uniform(0, 1, 12).astype(np.float32),
            np.where(draw.uniform(size=12) < 0.8, [*labels] * 2, 1),
        )
        samples.append(sample(image, shifted, scores, guessed, gt_instances=truth, ignored_instances=ignored))
    return samples


def test_both_rules_of_voc_as_mmdet_has_them_one_at_a_time():
    from mmdet.evaluation.functional import eval_map

    samples, metric = voc_samples(), voc_metric()
    metric.process(None, samples)
    metrics = metric.evaluate(len(samples))
    found, truths = [], []
    for each in samples:
        guess, truth, ignored = (
            {key: value.numpy() for key, value in each[part].items()}
            for part in ("pred_instances", "gt_instances", "ignored_instances")
        )
        rows = np.hstack([guess["bboxes"], guess["scores"][:, None]])
        found.append([rows[guess["labels"] == label] for label in range(3)])
        truths.append({**truth, "bboxes_ignore": ignored["bboxes"], "labels_ignore": ignored["labels"]})
    for rule, mode in (("11point", "11points"), ("area", "area")):
        mean, classes = eval_map(
            found, truths, dataset=list(CLASSES), logger="silent", nproc=1, use_legacy_coordinate=True, eval_mode=mode
        )
        assert metrics[f"map50_{rule}"] == pytest.approx(100 * mean, abs=1e-4)
        assert metrics[f"ap50_{rule}.cat"] == pytest.approx(100 * classes[0]["ap"], abs=1e-4)
        assert metrics[f"ap50_{rule}.potted-plant"] == pytest.approx(100 * classes[1]["ap"], abs=1e-4)
    assert not [name for name in metrics if "dog" in name]


def test_a_class_without_objects_is_in_no_mean():
    metric = voc_metric()
    box = {"bboxes": torch.tensor([[0.0, 0, 9, 9]]), "labels": torch.tensor([0])}
    nothing = {"bboxes": torch.zeros(0, 4), "labels": torch.zeros(0)}
    metric.process(
        None, [sample(1, [[0.0, 0, 9, 9]] * 2, [0.9, 0.8], [0, 1], gt_instances=box, ignored_instances=nothing)]
    )
    assert metric.evaluate(1) == {
        "map50_11point": 100, "map50_area": 100, "ap50_11point.cat": 100, "ap50_area.cat": 100,
    }  # fmt: skip


def test_several_processes_find_what_one_does(monkeypatch):
    samples = voc_samples(images=5)
    alone, metrics = voc_metric(), [voc_metric(), voc_metric()]
    alone.process(None, samples)
    for place, each in enumerate([*samples, samples[0]]):
        metrics[place % 2].process(None, [each])
    assert share_out(monkeypatch, metrics, 5) == alone.evaluate(5)


def test_samples_without_their_boxes_are_refused():
    with pytest.raises(UserError, match=r"a\.jpg came without its boxes: the test pipeline needs LoadAnnotations"):
        voc_metric().process(None, [sample(1, [], [], [], img_path="a.jpg", gt_instances={}, ignored_instances={})])


def test_the_names_build_these_classes_and_metrics_have_no_prefix():
    assert isinstance(coco_metric(), CocoQuality)
    assert isinstance(voc_metric(), VocQuality)
    assert coco_metric().prefix == voc_metric().prefix == ""
    assert METRICS.get("VocQuality") is detection.VocQuality


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    from benchmarks.datasets import registry

    return registry.get("shapes-tiny").prepare(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize(
    ("config", "metric", "names"),
    [
        ("voc_mini", "VocQuality", {"map50_11point", "map50_area"}),
        ("coco_mini", "CocoQuality", {"map", "map50", "map75", "ar100"}),
    ],
)
def test_the_truth_that_a_config_loads_is_worth_a_hundred(drawn, monkeypatch, config, metric, names):
    """Images are resized and truth is not: boxes in the image's own pixels, as detectors hand them back."""
    from mmdet.registry import DATASETS
    from mmengine.config import Config
    from mmengine.registry import DefaultScope

    monkeypatch.setenv("SLIMBENCH_DATA", str(drawn))
    DefaultScope.get_instance("test", scope_name="mmdet")
    path = Path(__file__).parents[2] / f"mmconfigs/det/_base_/datasets/{config}.py"
    dataset = DATASETS.build(Config.fromfile(path).test_dataloader.dataset)
    quality = METRICS.build({"type": metric})
    quality.dataset_meta = dataset.metainfo
    for item in dataset:
        one = item["data_samples"].to_dict()
        truth = {key: getattr(value, "tensor", value) for key, value in one["gt_instances"].items()}
        one |= {"gt_instances": truth, "pred_instances": {**truth, "scores": torch.ones(len(truth["labels"]))}}
        one["ignored_instances"] = {
            key: getattr(value, "tensor", value) for key, value in one["ignored_instances"].items()
        }
        quality.process(None, [one])
    metrics = quality.evaluate(len(dataset))
    assert {name: metrics[name] for name in names} == pytest.approx(dict.fromkeys(names, 100.0))
