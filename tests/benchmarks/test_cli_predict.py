"""``slimbench predict``: boxes and masks on a user's pictures, and one line for each thing that can be wrong."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("mmcv")
pytest.importorskip("mmdet")
pytest.importorskip("mmseg")

import toolbox_samples as samples

from benchmarks import cli
from benchmarks.prediction import configs, names, networks

Run = Callable[..., tuple[int, str, str]]
MODELS = {"mmdet": samples.detector, "mmseg": samples.segmentor}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the verb in an empty folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def start(*arguments: object, config: object = "config.py", checkpoint: object = "w.pth") -> tuple[int, str, str]:
        options = ["--config", config, "--checkpoint", checkpoint, "--output", "out", "--device", "cpu"]
        code = cli.main(["predict", *map(str, [*arguments, *options])])
        return code, *capsys.readouterr()

    return start


def prepare(folder: Path, host: str, seed: int = 1, **metainfo: Any) -> torch.nn.Module:
    """Write config.py, w.pth (as MMEngine does) and in/a.png; return the network."""
    config = samples.write_config(folder / "config.py", host, MODELS[host](), **metainfo)
    torch.manual_seed(seed)
    model = networks.build(configs.read(str(config)))
    save(model, folder / "w.pth")
    samples.write_picture(folder / "in/a.png")
    return model


def save(model: torch.nn.Module, path: Path, **meta: Any) -> None:
    torch.save({"meta": {"epoch": 1, **meta}, "state_dict": model.state_dict()}, path)


def read(path: Path) -> Any:
    with Image.open(path) as image:
        return np.asarray(image)


def error(outcome: tuple[int, str, str]) -> str:
    """The one line of a command that failed."""
    code, _, err = outcome
    assert code == 2
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


def test_boxes_are_those_of_mmdetections_own_api(run: Run, tmp_path: Path) -> None:
    prepare(tmp_path, "mmdet")
    code, out, err = run("in", "--json", "--score-threshold", 0.2)
    assert (code, err) == (0, "")
    found = json.loads((tmp_path / "out/a.json").read_text(encoding="utf-8"))
    assert (found["picture"], found["width"], found["height"], found["score_threshold"]) == ("a.png", 64, 40, 0.2)
    assert out.splitlines() == [
        f"in/a.png -> out/a.png: {len(found['boxes'])} boxes above 0.2",
        "1 of 1 pictures drawn into out",
    ]

    from mmdet.apis import inference_detector, init_detector

    theirs = inference_detector(init_detector("config.py", "w.pth", device="cpu"), "in/a.png").pred_instances
    theirs = theirs[theirs.scores > 0.2]
    assert len(theirs) == len(found["boxes"]) > 2
    for box, label, score, corners in zip(found["boxes"], theirs.labels, theirs.scores, theirs.bboxes, strict=True):
        assert box["class"] == samples.NAMES[label]
        assert box["score"] == pytest.approx(float(score), abs=1e-5)
        assert box["xyxy"] == pytest.approx(corners.tolist(), abs=2e-3)
        left, top, right, bottom = box["xyxy"]
        assert 0 <= left <= right <= 64
        assert 0 <= top <= bottom <= 40

    drawn, picture = read(tmp_path / "out/a.png"), read(tmp_path / "in/a.png")
    assert drawn.shape == picture.shape
    assert (drawn != picture).any()


def test_a_box_is_drawn_where_it_is_and_nowhere_else(run: Run, tmp_path: Path) -> None:
    """Weights are set so that one class wins for sure, and the first proposal is the best by far."""
    model = prepare(tmp_path, "mmdet")
    with torch.no_grad():
        model.roi_head.bbox_head.fc_cls.weight.zero_()
        model.roi_head.bbox_head.fc_cls.bias.copy_(torch.tensor([0.0, 20.0, 0.0, 0.0]))
    model.test_cfg.rcnn.max_per_img = 1
    save(model, tmp_path / "w.pth")
    one = samples.detector()
    one["test_cfg"]["rcnn"]["max_per_img"] = 1
    samples.write_config(tmp_path / "config.py", "mmdet", one)
    samples.write_picture(tmp_path / "in/a.png", 400, 300)
    assert run("in/a.png", "--json")[0] == 0
    (box,) = json.loads((tmp_path / "out/a.json").read_text(encoding="utf-8"))["boxes"]
    assert (box["class"], box["score"]) == ("dog", 1)
    changed = (read(tmp_path / "out/a.png") != read(tmp_path / "in/a.png")).any(-1)
    left, top, right, bottom = (round(corner) for corner in box["xyxy"])
    middle = (top + bottom) // 2
    assert changed[middle, max(left, 1) - 1 : left + 2].any()
    outside = changed.copy()
    outside[max(0, top - 4) : bottom + 4, max(0, left - 4) : right + 60] = False
    assert not outside.any()
    assert changed.mean() < 0.5
    assert run("in/a.png", "--overwrite", "--score-threshold", 1)[0] == 0
    assert (read(tmp_path / "out/a.png") == read(tmp_path / "in/a.png")).all()


def test_masks_are_those_of_mmsegmentations_own_api(run: Run, tmp_path: Path) -> None:
    palette = [[10, 20, 30], [200, 0, 0], [0, 0, 250]]
    prepare(tmp_path, "mmseg", palette=palette)
    code, out, err = run("in/a.png", "--json")
    assert (code, err) == (0, "")

    from mmseg.apis import inference_model, init_model

    theirs = inference_model(init_model("config.py", "w.pth", device="cpu"), "in/a.png").pred_sem_seg.data[0].numpy()
    with Image.open(tmp_path / "out/a.classes.png") as image:
        assert (image.mode, image.size) == ("P", (64, 40))
        assert (np.asarray(image) == theirs).all()
        assert (np.asarray(image.convert("RGB")) == np.array(palette)[theirs]).all()
    there = ", ".join(samples.NAMES[index] for index in np.unique(theirs))
    assert out.splitlines()[0] == f"in/a.png -> out/a.png: {there}"
    drawn, picture = read(tmp_path / "out/a.png").astype(int), read(tmp_path / "in/a.png").astype(int)
    mixed = (picture + np.array(palette)[theirs]) / 2  # but for the words
    assert (np.abs(drawn - mixed).max(-1) <= 1).mean() > 0.5


@pytest.mark.parametrize("host", MODELS)
def test_checkpoints_of_every_kind_give_the_same(run: Run, tmp_path: Path, host: str) -> None:
    model = prepare(tmp_path, host)
    state = model.state_dict()
    torch.save(state, tmp_path / "bare.pth")
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "wrapped.pth")
    torch.save({key: v for key, v in state.items() if "num_batches" not in key}, tmp_path / "old.pth")
    drawn = []
    for name in ("w", "bare", "wrapped", "old"):
        assert run("in/a.png", "--overwrite", "--score-threshold", 0.2, checkpoint=f"{name}.pth")[0] == 0
        drawn.append((tmp_path / "out/a.png").read_bytes())
    assert len(set(drawn)) == 1


@pytest.mark.parametrize("host", MODELS)
def test_a_wrong_number_of_classes_says_both(run: Run, tmp_path: Path, host: str) -> None:
    prepare(tmp_path, host)
    samples.write_config(tmp_path / "other.py", host, MODELS[host](classes=7), classes=tuple("abcdefg"))
    assert error(run("in", config="other.py")) == "checkpoint w.pth has 3 classes, the network of other.py has 7"
    samples.write_config(tmp_path / "other.py", host, MODELS[host](classes=7))
    save(networks.build(configs.read("other.py")), tmp_path / "seven.pth")
    assert "its network has 7 classes, its data set (" in error(run("in", config="other.py", checkpoint="seven.pth"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("host", MODELS)
def test_a_checkpoint_of_another_architecture_is_refused(run: Run, tmp_path: Path, host: str) -> None:
    model = prepare(tmp_path, host)
    samples.write_config(tmp_path / "wide.py", host, MODELS[host](channels=8))
    told = error(run("in", config="wide.py"))
    assert told.startswith("checkpoint w.pth does not fit wide.py: ")
    assert "of another shape (backbone.layer1.0.conv1.weight (4, 4, 3, 3) instead of (8, 4, 3, 3), " in told
    state = model.state_dict()
    key = next(iter(state))
    torch.save(
        {"state_dict": {k: v for k, v in state.items() if k != key} | {"more": torch.ones(1)}}, tmp_path / "w.pth"
    )
    assert error(run("in")) == f"checkpoint w.pth does not fit config.py: 1 missing ({key}); 1 unexpected (more)"


class Strange:
    def __reduce__(self) -> Any:
        return print, ("ran",)


def test_a_checkpoint_that_cannot_be_read_is_named(run: Run, tmp_path: Path) -> None:
    prepare(tmp_path, "mmdet")
    assert error(run("in", checkpoint="none.pth")) == "no checkpoint file none.pth"
    (tmp_path / "broken.pth").write_bytes(b"broken")
    assert error(run("in", checkpoint="broken.pth")).startswith("cannot read checkpoint broken.pth")
    torch.save({"state_dict": Strange()}, tmp_path / "evil.pth")
    outcome = run("in", checkpoint="evil.pth")
    assert error(outcome).startswith("cannot read checkpoint evil.pth (tensors and plain values only)")
    assert "ran" not in outcome[1]
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    assert error(run("in", checkpoint="empty.pth")) == "checkpoint empty.pth holds no weights of a network"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = 1", "config config.py has no model: give one of a detector or a segmentor"),
        (
            "default_scope = 'mmpretrain'\nmodel = dict(type='ImageClassifier')",
            "config config.py is no detector's of mmdet and no segmentor's of mmseg: its model is ImageClassifier of m",
        ),
        (
            "default_scope = 'mmdet'\nmodel = dict(type='ResNet', depth=18)",
            "config config.py is no detector's of mmdet and no segmentor's of mmseg: its model is ResNet of mmdet",
        ),
        (
            "default_scope = 'mmseg'\nmodel = dict(type='EncoderDecoder')",
            "config config.py has no test pipeline (test_dataloader.dataset.pipeline)",
        ),
        ("model = dict(", "cannot read config config.py: "),
        (
            "model = dict(type='mmseg.EncoderDecoder', x=1)\ntest_pipeline = [dict(type='LoadImageFromFile')]",
            "config config.py: its network cannot be built: ",
        ),
    ],
)
def test_a_config_of_something_else_is_named(run: Run, tmp_path: Path, text: str, said: str) -> None:
    samples.write_picture(tmp_path / "in/a.png")
    (tmp_path / "config.py").write_text(text, encoding="utf-8")
    assert error(run("in")).startswith(said)


def test_a_config_that_is_not_there_is_named(run: Run, tmp_path: Path) -> None:
    samples.write_picture(tmp_path / "in/a.png")
    assert error(run("in", config="mine.py")) == "no config file mine.py"
    told = error(run("in", config="voc12aug/paper-30k/deeplabv3plus_resnet5"))
    assert "no experiment of detection or segmentation and no config file is called" in told
    assert "did you mean" in told


def test_without_the_toolboxes_one_line_says_what_to_install(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(tmp_path, "mmdet")
    there = configs.find_spec
    for package in ("mmdet", "mmcv"):
        monkeypatch.setattr(configs, "find_spec", lambda name, gone=package: None if name == gone else there(name))
        told = error(run("in"))
        assert told.startswith(f"{package} is not installed, and config.py ")
        assert told.endswith("pip install 'slimbench[mm]'")


def test_one_bad_picture_does_not_stop_the_others(run: Run, tmp_path: Path) -> None:
    prepare(tmp_path, "mmseg")
    whole = samples.write_picture(tmp_path / "in/c.jpg", 200, 120).read_bytes()
    (tmp_path / "in/b.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "in/d.png").write_text("no picture", encoding="utf-8")
    code, out, err = run("in")
    assert code == 1
    first, second = err.splitlines()
    assert first.startswith("error: cannot read the picture in/b.jpg: ")
    assert second.startswith("error: cannot read the picture in/d.png: ")
    assert out.splitlines()[-1] == "2 of 4 pictures drawn into out; not in/b.jpg, in/d.png"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "c.png"]


def test_nothing_is_overwritten_unless_asked(run: Run, tmp_path: Path) -> None:
    prepare(tmp_path, "mmseg")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.png").write_text("mine", encoding="utf-8")
    code, _, err = run("in")
    assert (code, err) == (1, "error: out/a.png is there already; --overwrite replaces it\n")
    assert (tmp_path / "out/a.png").read_text(encoding="utf-8") == "mine"
    assert run("in", "--overwrite")[0] == 0
    samples.write_picture(tmp_path / "in/a.jpg")
    assert error(run("in")) == ("in/a.jpg and in/a.png would all become out/a.png; draw them into different folders")
    assert error(run("out/a.png")) == "out/a.png is a picture to be read; give another --output"


def test_other_names_in_the_checkpoint_are_taken_and_told(run: Run, tmp_path: Path) -> None:
    model = prepare(tmp_path, "mmdet")
    save(model, tmp_path / "w.pth", dataset_meta={"CLASSES": ("a", "b", "c")})
    code, _, err = run("in", "--json", "--score-threshold", 0.2)
    assert (code, err) == (
        0,
        "warning: the checkpoint names its classes a, b, c, the config cat, dog, bird: the checkpoint's are used\n",
    )
    found = json.loads((tmp_path / "out/a.json").read_text(encoding="utf-8"))
    assert {box["class"] for box in found["boxes"]} <= {"a", "b", "c"}


def test_a_config_without_names_numbers_its_classes(run: Run, tmp_path: Path) -> None:
    prepare(tmp_path, "mmseg", classes=())
    assert run("in")[1].startswith("in/a.png -> out/a.png: class ")


def test_a_config_of_python_objects_is_read_too(run: Run, tmp_path: Path) -> None:
    """MMEngine's newer form, in which types are classes and `_base_` is an import."""
    prepare(tmp_path, "mmdet")
    old = (tmp_path / "config.py").read_text(encoding="utf-8")
    new = "from mmdet.models import FasterRCNN\n" + old.replace("'type': 'FasterRCNN'", "'type': FasterRCNN")
    (tmp_path / "new.py").write_text(new.replace("default_scope = 'mmdet'", "default_scope = None"), encoding="utf-8")
    drawn = []
    for config in ("config.py", "new.py"):
        code, _, err = run("in", "--overwrite", "--score-threshold", 0.2, config=config)
        assert (code, err) == (0, "")
        drawn.append((tmp_path / "out/a.png").read_bytes())
    assert drawn[0] == drawn[1]


def test_an_operator_that_must_be_compiled_is_one_line(run: Run, tmp_path: Path) -> None:
    """What raises is the stand-in for mmcv's operators; where they are compiled there is nothing to say."""
    from backbones.adapters.mmcv_ext import in_use

    if in_use() == "compiled":
        pytest.skip("mmcv is compiled here")
    prepare(tmp_path, "mmdet")
    pooled = samples.detector()
    layer = pooled["roi_head"]["bbox_roi_extractor"]["roi_layer"]
    layer |= {"pool_mode": "max"}
    samples.write_config(tmp_path / "config.py", "mmdet", pooled)
    code, _, err = run("in")
    assert code == 1
    assert len(err.splitlines()) == 1
    assert err.startswith("error: ")
    assert "mmcv" in err


def test_colours_are_pascal_vocs() -> None:
    assert names.colour_map(4) == [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0)]
    assert names.colour_map(1, first=20) == [(0, 64, 128)]  # tv/monitor
    assert names.colour_map(1, first=255) == [(224, 224, 192)]  # what VOC draws around objects


def test_help_imports_no_toolbox() -> None:
    import subprocess

    code = "import sys; from benchmarks.cli import predict; print({'torch', 'mmengine', 'mmdet'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
