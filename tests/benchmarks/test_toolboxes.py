"""MMDetection's and MMSegmentation's configs under the one engine: trained, stopped, resumed, tested and recorded."""

from __future__ import annotations

import os
import signal
import textwrap

import numpy as np
import pytest
import torch

pytest.importorskip("mmdet")
pytest.importorskip("mmseg")

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from benchmarks.cli import main
from benchmarks.datasets import shapes_tiny
from benchmarks.errors import UserError
from benchmarks.training import engine, experiments, testing, toolboxes
from benchmarks.training.experiments import CONFIGS
from benchmarks.training.rounds import RoundSampler
from benchmarks.training.seeded import SeededItems

SEG = """
    _base_ = ["{configs}/seg/voc-mini/smoke/deeplabv3plus_sc_resnet50.py"]
    protocol = dict(name="smoke")
    model = dict(
        backbone=dict(base_channels=8, stem_channels=8),
        decode_head=dict(in_channels=256, channels=16, c1_in_channels=32, c1_channels=8),
        data_preprocessor=dict(size=(64, 64)),
    )
    scale = (64, 64)
    train_dataloader = dict(dataset=dict(indices=10, pipeline=[
        dict(type="LoadImageFromFile"), dict(type="LoadAnnotations"), dict(type="Resize", scale=scale, keep_ratio=True),
        dict(type="RandomFlip", prob=0.5), dict(type="PhotoMetricDistortion"), dict(type="PackSegInputs"),
    ]))
    test_dataloader = dict(dataset=dict(indices=3, pipeline=[
        dict(type="LoadImageFromFile"), dict(type="Resize", scale=scale, keep_ratio=True),
        dict(type="LoadAnnotations"), dict(type="PackSegInputs"),
    ]))
    val_dataloader = test_dataloader
    samples = [dict(picture="shapes_048")]
    train_cfg = dict(max_iters=8, val_interval=4)
    param_scheduler = [dict(type="PolyLR", eta_min=0.0, power=0.9, begin=0, end=8, by_epoch=False)]
    custom_hooks = [dict(type="SignalAfter")]
"""
DET = """
    _base_ = ["{configs}/det/coco-mini/smoke/faster_rcnn_fpn_resnet50_coco.py"]
    protocol = dict(name="smoke")
    model = dict(
        backbone=dict(type="VersatileResNet", kind="separate", s=4, base_channels=8, stem_channels=8),
        neck=dict(in_channels=[32, 64, 128, 256], out_channels=16),
        rpn_head=dict(in_channels=16, feat_channels=16),
        roi_head=dict(
            bbox_roi_extractor=dict(out_channels=16), bbox_head=dict(in_channels=16, fc_out_channels=16),
        ),
    )
    train_dataloader = dict(batch_size=2, dataset=dict(times=2, dataset=dict(indices=4)))
    test_dataloader = dict(dataset=dict(indices=3))
    val_dataloader = test_dataloader
    samples = [dict(picture="000000000002")]
    train_cfg = dict(max_epochs=2, val_interval=1)
    custom_hooks = [dict(type="VersatileMaskHook"), dict(type="SignalAfter")]
"""


@HOOKS.register_module(force=True)
class SignalAfter(Hook):
    """Ends the process as `kill` would, after the iteration that a test names."""

    iteration = -1

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == SignalAfter.iteration:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    shapes_tiny.draw_all(root)
    return root / shapes_tiny.FOLDER


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Two experiments of tiny networks, which stand beside those of mmconfigs/."""
    for task, dataset, text in (("seg", "voc-mini", SEG), ("det", "coco-mini", DET)):
        folder = tmp_path / "mmconfigs" / task / dataset / "smoke"
        folder.mkdir(parents=True)
        folder.joinpath("tiny.py").write_text(textwrap.dedent(text).format(configs=CONFIGS.as_posix()))
    monkeypatch.setattr(experiments, "CONFIGS", tmp_path / "mmconfigs")
    for cached in (experiments._sources, experiments._file, experiments._protocol_config, experiments._models_for):
        cached.cache_clear()
    monkeypatch.setattr(SignalAfter, "iteration", -1)
    yield
    for cached in (experiments._sources, experiments._file, experiments._protocol_config, experiments._models_for):
        cached.cache_clear()


def weights(folder, name):
    return torch.load(folder / name, weights_only=True)["state_dict"]


def values(outcome):
    return {metric.name: metric.value for metric in outcome.result.metrics}


def test_a_segmentor_is_trained_recorded_and_tested(tiny, shapes, tmp_path):
    outcome = engine.train("voc-mini/smoke/tiny", data=shapes, work_dir=tmp_path / "run")
    result = outcome.result
    assert (result.status, result.model, result.dataset.name, result.total_batch) == ("finished", "tiny", "voc-mini", 4)
    assert result.dataset.splits == {"train": 10, "test": 3}
    assert result.dataset.checksum.startswith("sha256:")
    assert result.environment.precision == "bfloat16 autocast"
    assert result.environment.memory_format == "channels_last"
    assert set(result.environment.packages) == {"mmcv", "mmseg", "mmcv operators"}
    assert result.environment.packages["mmcv operators"] in ("compiled", "stand-in")
    assert result.epochs_done == 3, "8 iterations of 4 of the 10 images are 3.2 passes"
    assert result.curves["epoch"] == (1.6, 3.2)
    assert {"miou", "macc", "aacc", "iou.background"} <= set(values(outcome))
    assert result.curves["miou"][-1] == pytest.approx(values(outcome)["miou"], abs=1e-4), (
        "both were measured at the end"
    )
    assert not [name for name in result.curves if "." in name]
    assert {sample.shows for sample in result.samples} == {"image", "truth", "result"}

    again = testing.test("voc-mini/smoke/tiny", tmp_path / "run" / "epoch_2.pth", data=shapes, results=tmp_path / "r")
    assert values(again) == values(outcome)
    assert again.result.checkpoint.startswith("sha256:")


@pytest.mark.parametrize(("name", "iteration"), [("voc-mini/smoke/tiny", 3), ("coco-mini/smoke/tiny", 6)])
def test_a_stopped_run_ends_as_if_nothing_had_happened(name, iteration, tiny, shapes, tmp_path, monkeypatch):
    engine.train(name, data=shapes, work_dir=tmp_path / "whole")
    monkeypatch.setattr(SignalAfter, "iteration", iteration)
    stopped = engine.train(name, data=shapes, work_dir=tmp_path / "parts")
    assert stopped.stopped_by == "SIGTERM"
    assert stopped.stopped_at == (iteration // 4, iteration)
    monkeypatch.setattr(SignalAfter, "iteration", -1)
    outcome = engine.train(name, data=shapes, work_dir=tmp_path / "parts")
    assert outcome.result.status == "finished"
    whole, parts = (weights(tmp_path / part, "epoch_2.pth") for part in ("whole", "parts"))
    assert list(whole) == list(parts)
    for key, tensor in whole.items():
        assert torch.equal(tensor, parts[key]), key


def test_a_detector_with_learned_masks_is_trained_and_recorded(tiny, shapes, tmp_path, capsys):
    words = ["--data", str(shapes), "--work-dir", str(tmp_path / "run"), "--no-amp"]
    assert main(["train", "coco-mini/smoke/tiny", *words]) == 0
    printed = capsys.readouterr().out
    assert "creating index" not in printed
    assert "OneDL" not in printed
    (path,) = (tmp_path / "run" / "results").rglob("*.json")
    from benchmarks import ledger

    result = ledger.read(path)
    assert result.environment.precision == "float32"
    assert result.dataset.splits == {"train": 4, "test": 3}, "RepeatDataset's copies are no images"
    assert result.epochs_done == 2
    assert {"map", "map50", "map75", "ar100"} <= {metric.name for metric in result.metrics}
    assert all(metric.unit == "%" for metric in result.metrics)
    assert len(result.curves["mask_penalty"]) == len(result.curves["share_of_ones"]) == 2
    assert (
        main(["test", "coco-mini/smoke/tiny", "--checkpoint", str(tmp_path / "run" / "epoch_2.pth"), *words[:4]]) == 0
    )
    assert f"map50 {next(m.value for m in result.metrics if m.name == 'map50'):.2f} %" in capsys.readouterr().out


def test_a_checkpoint_of_another_architecture_is_one_line(tiny, shapes, tmp_path, capsys):
    torch.save({"state_dict": {"backbone.conv1.weight": torch.zeros(8, 3, 7, 7)}}, tmp_path / "other.pth")
    words = ["--checkpoint", str(tmp_path / "other.pth"), "--data", str(shapes)]
    assert main(["test", "voc-mini/smoke/tiny", *words]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "other.pth does not fit tiny: " in line
    assert "missing" in line


def test_compiling_is_refused(tiny, shapes, tmp_path):
    with pytest.raises(UserError, match=r"--compile: voc-mini/smoke/tiny is mmseg's"):
        engine.train("voc-mini/smoke/tiny", data=shapes, work_dir=tmp_path / "run", compile=True)


def test_batch_norms_of_detectors_stay_as_they_are(tiny, shapes, tmp_path):
    with pytest.raises(UserError, match=r"--sync-bn: coco-mini/smoke/tiny is a detector"):
        engine.train("coco-mini/smoke/tiny", data=shapes, work_dir=tmp_path / "run", sync_bn=True)


def test_weights_to_start_from_that_are_not_there():
    config = Config({"experiment": "voc07/p/m", "model": {"backbone": {"init_cfg": [
        {"type": "Kaiming", "layer": "Conv2d"}, {"type": "Pretrained", "checkpoint": "checkpoints/sc_resnet50.pth"},
    ]}}})  # fmt: skip
    with pytest.raises(
        UserError, match=r"voc07/p/m starts from the weights checkpoints/sc_resnet50.pth, which are not"
    ):
        toolboxes.check_weights(config)
    config.model.backbone.init_cfg = {"type": "Pretrained", "checkpoint": "torchvision://resnet50"}
    toolboxes.check_weights(config)


def test_only_paths_of_data_are_moved(tmp_path):
    config = Config({
        "data_folder": "data",
        "train_dataloader": {"dataset": {"datasets": [
            {"data_root": "data/coco", "data_prefix": {"img": "train2014/"}},
            {"data_root": "data/coco/", "ann_file": "database.json", "scales": (1, 2)},
        ]}},
        "test_evaluator": [{"ann_file": "data/coco/annotations/a.json"}],
    })  # fmt: skip
    toolboxes.place_data(config, tmp_path)
    first, second = config.train_dataloader.dataset.datasets
    assert first == {"data_root": str(tmp_path / "coco"), "data_prefix": {"img": "train2014/"}}
    assert second == {"data_root": f"{tmp_path / 'coco'}/", "ann_file": "database.json", "scales": (1, 2)}
    assert config.test_evaluator[0].ann_file == str(tmp_path / "coco" / "annotations" / "a.json")


@pytest.mark.parametrize(
    ("wrapper", "amp", "expected"),
    [
        ({}, True, {"type": "AutocastOptimWrapper", "dtype": "bfloat16"}),
        ({"type": "AmpOptimWrapper", "loss_scale": 512.0}, True, {"type": "AutocastOptimWrapper", "dtype": "bfloat16"}),
        ({"type": "AutocastOptimWrapper", "dtype": "bfloat16"}, False, {"type": "OptimWrapper"}),
        ({"type": "AnotherOptimWrapper"}, True, {"type": "AnotherOptimWrapper", "dtype": "bfloat16"}),
    ],
)  # fmt: skip
def test_precision(wrapper, amp, expected):
    config = {"experiment": "a/b/c", "optim_wrapper": wrapper}
    toolboxes.set_precision(config, amp)
    assert config["optim_wrapper"] == expected


def test_a_wrapper_of_its_own_precision_says_so():
    with pytest.raises(UserError, match=r"--no-amp: AdjustableClippingOptimWrapper, the optimizer wrapper of a/b/c"):
        toolboxes.set_precision(
            {"experiment": "a/b/c", "optim_wrapper": {"type": "AdjustableClippingOptimWrapper"}}, False
        )


@pytest.mark.parametrize("name", [name for task in toolboxes.TASKS for name in experiments.list_experiments()
                                  if (CONFIGS / task / name.partition("/")[0]).is_dir()])  # fmt: skip
def test_every_experiment_is_one_of_the_engine(name):
    config = experiments.experiment(name)
    family, _, model = name.rpartition("/")
    assert experiments.model_of(config) == model
    assert f"{config.dataset.name}/{config.protocol.name}" == family
    assert config.train_cfg.type == "EpochBasedTrainLoop"
    assert config.train_dataloader.dataset.type == "SeededItems"
    assert config.default_hooks.checkpoint.type == "AtomicCheckpointHook"
    masks = [hook for hook in config.custom_hooks if hook.type == "VersatileMaskHook"]
    assert bool(masks) == ("_l_versatile_" in model)


def test_paper_protocols_have_the_printed_total_batch():
    batches = {name: experiments.experiment(f"{name}").train_dataloader.batch_size for name in (
        "voc12aug/paper-30k/deeplabv3plus_resnet50", "voc07/paper-7e/faster_rcnn_c4_resnet101_voc",
        "coco2014/paper-6e/faster_rcnn_c4_resnet101_coco",
    )}  # fmt: skip
    assert list(batches.values()) == [16, 1, 24]


class Numbers(list):
    """A data set whose items tell what they are, and what the generators gave for them."""

    def __getitem__(self, index):
        drawn = np.random.rand()  # noqa: NPY002 (what OpenMMLab's transforms draw from)
        return index, drawn, torch.rand(()).item()


def test_items_do_not_depend_on_order_or_on_other_draws():
    items = SeededItems(Numbers(range(5)))
    items.set_epoch(3, 1)
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    first = [items[position] for position in range(7)]
    after = np.random.get_state()[1].tolist()  # noqa: NPY002
    assert after == before, "the run's own generators are left alone"
    torch.rand(3)
    assert [items[position] for position in reversed(range(7))] == first[::-1]
    assert [item[0] for item in first] == [0, 1, 2, 3, 4, 0, 1]
    assert first[0][1:] != first[5][1:], "an image that comes twice is augmented in two ways"
    items.set_epoch(3, 2)
    assert items[0][1:] != first[0][1:]
    assert len(items) == 5


@pytest.mark.parametrize("world", [1, 2])
def test_rounds_are_an_endless_stream_of_passes(world):
    def drawn(rank, rounds, begin=0):
        sampler = RoundSampler(Numbers(range(5)), length=8, seed=7)
        sampler.rank, sampler.world_size = rank, world
        for number in range(rounds):
            sampler.set_epoch(number)
            if number == rounds - 1 and begin:
                sampler.start_at(begin, 2)
            yield list(sampler)

    dealt = [list(drawn(rank, 5)) for rank in range(world)]
    assert {len(part) for one in dealt for part in one} == {8 // world}
    stream = [
        number
        for round_number in range(5)
        for step in zip(*(one[round_number] for one in dealt), strict=True)
        for number in step
    ]
    for number in range(8):
        images = stream[number * 5 : number * 5 + 5]
        assert sorted(images) == [number * 5 + image for image in range(5)], "each pass has each image once"
    assert list(drawn(0, 3, begin=1))[-1] == dealt[0][2][2:], "a step of two images is left out"


def test_rounds_that_cannot_be_dealt_out():
    with pytest.raises(ValueError, match="length must be a multiple of the 1 processes, not 0"):
        RoundSampler(Numbers(range(5)), length=0)
