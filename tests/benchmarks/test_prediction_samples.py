"""The pictures beside a detection or segmentation run: what they show, of which images, and how small they are."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("mmcv")
pytest.importorskip("mmdet")
pytest.importorskip("mmseg")

import toolbox_samples
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope, build_from_cfg

from benchmarks import sample_files
from benchmarks.prediction import configs, networks, samples
from benchmarks.prediction.drawing import draw
from benchmarks.prediction.names import Classes
from benchmarks.sample_files import Sample
from benchmarks.training import samples as training_samples

WANTED = [{"picture": "b"}, {"picture": "nowhere"}, {"picture": "a"}]
FILES = [f"{name}{shows}.jpg" for name in "ba" for shows in ("_image", "_truth", "")]


def network(folder: Path, host: str, model: dict[str, Any]) -> torch.nn.Module:
    path = toolbox_samples.write_config(folder / "config.py", host, model)
    torch.manual_seed(1)
    return networks.build(configs.read(str(path)))


def dataset(host: str, **config: Any) -> Any:
    with DefaultScope.overwrite_default_scope(host):
        return build_from_cfg(Config(config)._cfg_dict, DATASETS)


def detection(folder: Path) -> Any:
    """Two images, one box that counts in each, and one that does not."""
    sizes = {"a": (64, 40), "b": (500, 300)}
    for name, size in sizes.items():
        toolbox_samples.write_picture(folder / f"{name}.png", *size)
    boxes = [(index, box, crowd) for index in (0, 1) for box, crowd in (([8, 8, 16, 16], 0), ([40, 20, 9, 9], 1))]
    content = {
        "images": [
            {"id": index, "file_name": f"{name}.png", "width": size[0], "height": size[1]}
            for index, (name, size) in enumerate(sizes.items())
        ],
        "annotations": [
            {"id": index, "image_id": image, "bbox": box, "area": box[2] * box[3], "iscrowd": crowd, "category_id": 2}
            for index, (image, box, crowd) in enumerate(boxes, 1)
        ],
        "categories": [{"id": index, "name": name} for index, name in enumerate(toolbox_samples.NAMES, 1)],
    }
    (folder / "truth.json").write_text(json.dumps(content), encoding="utf-8")
    steps = [{"type": "LoadImageFromFile"}, {"type": "Resize", "scale": (48, 48), "keep_ratio": True}]
    return dataset(
        "mmdet",
        type="CocoDataset",
        ann_file=str(folder / "truth.json"),
        data_prefix={"img": f"{folder}/"},
        metainfo={"classes": toolbox_samples.NAMES, "palette": [(255, 0, 0), (0, 255, 0), (0, 0, 255)]},
        test_mode=True,
        pipeline=[*steps, {"type": "PackDetInputs"}],
    )


def segmentation(folder: Path) -> Any:
    """Two images whose left halves are dogs, and the rest void or cats."""
    for name, (width, height) in {"a": (64, 40), "b": (500, 300)}.items():
        toolbox_samples.write_picture(folder / f"images/{name}.jpg", width, height)
        ids = np.full((height, width), 255, dtype=np.uint8)
        ids[:, : width // 2] = 1
        ids[: height // 2, width // 2 :] = 0
        (folder / "masks").mkdir(exist_ok=True)
        Image.fromarray(ids).save(folder / f"masks/{name}.png")
    steps = ["LoadImageFromFile", {"type": "Resize", "scale": (48, 48), "keep_ratio": True}, "LoadAnnotations"]
    return dataset(
        "mmseg",
        type="BaseSegDataset",
        data_prefix={"img_path": str(folder / "images"), "seg_map_path": str(folder / "masks")},
        metainfo={"classes": toolbox_samples.NAMES, "palette": [(255, 0, 0), (0, 255, 0), (0, 0, 255)]},
        pipeline=[{"type": step} if isinstance(step, str) else step for step in [*steps, "PackSegInputs"]],
    )


def pixels(path: Path) -> Any:
    with Image.open(path) as image:
        return np.asarray(image).astype(int)


def check(found: tuple[Sample, ...], folder: Path) -> None:
    """All files are there as listed, small, and say what they are of."""
    assert [sample.file for sample in found] == FILES
    assert sample_files.problems(found, folder) == []
    assert [sample.shows for sample in found] == ["image", "truth", "result"] * 2
    assert [sample.picture for sample in found] == ["b"] * 3 + ["a"] * 3
    assert {(sample.picture, sample.scale, sample.box) for sample in found} == {
        ("b", 1, (0, 0, 500, 300)),
        ("a", 1, (0, 0, 64, 40)),
    }
    for sample in found:
        assert pixels(folder / sample.file).shape == ((40, 64, 3) if sample.picture == "a" else (134, 224, 3))
        assert (folder / sample.file).stat().st_size < 25_000


def test_boxes_of_a_detector(tmp_path: Path) -> None:
    model = network(tmp_path, "mmdet", toolbox_samples.detector())
    with torch.no_grad():  # one class wins for sure
        model.roi_head.bbox_head.fc_cls.weight.zero_()
        model.roi_head.bbox_head.fc_cls.bias.copy_(torch.tensor([20.0, 0.0, 0.0, 0.0]))
    model.train()
    data, out = detection(tmp_path), tmp_path / "out"
    check(samples.save(model, data, WANTED, out), out)
    assert model.training  # as it was
    image, truth, result = (pixels(out / f"b{shows}.jpg") for shows in ("_image", "_truth", ""))
    changed = np.abs(truth - image).max(-1) > 60
    left, top = round(8 * 224 / 500), round(8 * 224 / 500)
    assert changed[top : top + 8, left : left + 8].any()
    assert not changed[100:, 60:].any()
    assert (np.abs(truth - image).max(-1) > 30)[20 * 224 // 500 + 4 :, 40 * 224 // 500 :].sum() < 100  # of no crowd
    blue_over_red = (truth - image)[..., 1] - (truth - image)[..., 0]
    assert blue_over_red.max() > 60  # the second class is green
    assert (np.abs(result - image).max(-1) > 60).sum() > 100
    again = samples.save(model, torch.utils.data.DataLoader(data, collate_fn=list), WANTED, tmp_path / "again")
    assert [sample.sha256 for sample in again] == [sample_files_digest(out / name) for name in FILES]


def test_a_run_keeps_the_pictures_of_its_config(tmp_path: Path) -> None:
    model = network(tmp_path, "mmdet", toolbox_samples.detector())
    loader = torch.utils.data.DataLoader(detection(tmp_path), collate_fn=list)
    runner: Any = SimpleNamespace(model=model, test_loop=SimpleNamespace(dataloader=loader))
    assert training_samples.saved(Config({}), runner, tmp_path / "none") == ()
    found = training_samples.saved(Config({"samples": WANTED, "toolbox": "mmdet"}), runner, tmp_path / "out")
    check(found, tmp_path / "out")


def sample_files_digest(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_boxes_that_score_little_are_not_drawn(tmp_path: Path) -> None:
    model = network(tmp_path, "mmdet", toolbox_samples.detector())  # all score about a quarter
    samples.save(model, detection(tmp_path), WANTED, tmp_path / "out")
    assert (tmp_path / "out/b.jpg").read_bytes() == (tmp_path / "out/b_image.jpg").read_bytes()


def test_masks_of_a_segmentor(tmp_path: Path) -> None:
    model = network(tmp_path, "mmseg", toolbox_samples.segmentor())
    with torch.no_grad():  # birds everywhere
        model.decode_head.conv_seg.weight.zero_()
        model.decode_head.conv_seg.bias.copy_(torch.tensor([0.0, 0.0, 9.0]))
    out = tmp_path / "out"
    check(samples.save(model, segmentation(tmp_path), WANTED, out), out)
    image, truth, result = (pixels(out / f"b{shows}.jpg") for shows in ("_image", "_truth", ""))
    parts = {"dog": np.s_[30:, :108], "cat": np.s_[:60, 116:], "void": np.s_[72:, 116:]}
    colours = {"dog": (0, 255, 0), "cat": (255, 0, 0), "void": (0, 0, 0)}
    for name, part in parts.items():
        expected = image[part].reshape(-1, 3).mean(0) / 2 + np.array(colours[name]) / 2
        assert truth[part].reshape(-1, 3).mean(0) == pytest.approx(expected, abs=3), name
        expected = image[part].reshape(-1, 3).mean(0) / 2 + np.array((0, 0, 255)) / 2
        assert result[part].reshape(-1, 3).mean(0) == pytest.approx(expected, abs=3)


def test_a_box_beyond_the_edge_makes_no_margin() -> None:
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData

    image = np.full((60, 80, 3), 10, dtype=np.uint8)
    box = InstanceData(bboxes=torch.tensor([[20.0, 30.0, 90.0, 60.5]]), labels=torch.tensor([0]))
    sample = DetDataSample(gt_instances=box)
    drawn = draw("mmdet", image, sample, Classes(("cat",), [(0, 0, 250)]), truth=True)
    assert drawn.shape == image.shape
    assert (drawn[:20] == 10).all()
    assert (drawn[:, :10] == 10).all()
    assert drawn[45, 77:, 2].max() > 100  # the edge of the box, on that of the picture
    assert box.bboxes[0, 2] == 90  # the caller's is as it was
