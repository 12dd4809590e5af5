"""Cost of an iteration: whose turn it is, what memory is seen, what is trained, and what a failure tells."""

from __future__ import annotations

import copy
import json
import sys

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from pydantic import ValidationError

from benchmarks import iteration_cost
from benchmarks.cli import main
from benchmarks.errors import UserError
from benchmarks.iteration_cost import configs, measuring, network
from benchmarks.iteration_cost.batches import Batch
from benchmarks.iteration_cost.worker import Job

MIB = 2**20
MODULE = """
import sys
import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from backbones.ops import LearnableVersatileConv2d

if sys.argv[0].endswith("worker.py"):  # no network of MMSegmentation is needed: saves seconds a process
    from mmseg import registry
    for one in vars(registry).values():
        if hasattr(one, "_imported"):
            one._imported = True

@MODELS.register_module()
class TinySegmentor(BaseModel):
    def __init__(self, num_classes=5, kept_mib=0, learned=False, broken="", init_cfg=None):
        super().__init__()
        make = LearnableVersatileConv2d if learned else torch.nn.Conv2d
        self.conv = make(3, 8, 3, padding=1)
        self.bn = torch.nn.BatchNorm2d(8)
        self.head = torch.nn.Conv2d(8, num_classes, 1)
        self.register_buffer("kept", torch.ones(kept_mib, 2**18))
        self.broken, self.seen = broken, []

    def forward(self, inputs, data_samples, mode):
        if self.broken:
            raise ValueError(self.broken)
        scores = self.head(self.bn(self.conv(torch.stack(inputs).float())))
        if mode == "predict":
            return scores.argmax(1)
        truth = torch.cat([sample.gt_sem_seg.data for sample in data_samples])
        self.seen.append(tuple(scores.shape))
        return {"loss_seg": torch.nn.functional.cross_entropy(scores, truth, ignore_index=255)}
"""


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Writes config files of a network of three layers, which the workers find through their path."""
    (tmp_path / "tiny_networks.py").write_text(MODULE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def write(name, hooks=(), **model):
        path = tmp_path / f"{name}.py"
        content = {
            "default_scope": "mmseg",
            "custom_imports": {"imports": ["tiny_networks", "backbones.adapters.mmengine"]},
            "model": {"type": "mmengine.TinySegmentor", **model},
            "optim_wrapper": {"type": "OptimWrapper", "optimizer": {"type": "SGD", "lr": 7.0, "momentum": 0.9}},
            "custom_hooks": list(hooks),
            "dataset": {"input_size": (3, 24, 40)},
            "train_dataloader": {"batch_size": 3},
        }
        path.write_text("".join(f"{key} = {value!r}\n" for key, value in content.items()))
        return str(path)

    yield write
    MODELS.module_dict.pop("TinySegmentor", None)
    sys.modules.pop("tiny_networks", None)


class Scripted:
    """A worker that needs the seconds it is told to, and notes that it was its turn."""

    def __init__(self, name, seconds, peak, turns):
        self.name, self.seconds, self.peak, self.turns = name, iter(seconds), peak, turns

    def compute(self, mode, iterations, warm_up=False):
        self.turns.append((self.name, iterations, warm_up))
        answer = {"seconds": next(self.seconds)}
        return answer | {"peak_bytes": self.peak, "exact": True, "regions": None} if warm_up else answer


def test_networks_compute_in_turn_and_ratios_are_taken_slice_by_slice():
    turns = []
    a = Scripted("a", [2.0, 1.0, 2.0, 4.0, 8.0, 16.0], 100, turns)
    b = Scripted("b", [0.25, 3.0, 3.0, 6.0, 4.0, 80.0], 150, turns)
    costs, exact = measuring.take_turns([a, b], "training", 6.0, 2, lambda _: None)
    assert exact
    assert turns == [("a", 2, True), ("b", 2, True)] + 5 * [("a", 1, False), ("b", 2, False)]
    assert costs[0].ratio.slices == (1.0,) * 5
    assert costs[1].ratio.slices == (3.0, 1.5, 1.5, 0.5, 5.0)
    assert (costs[1].ratio.median, costs[1].ratio.low, costs[1].ratio.high) == (1.5, 1.5, 3.0)
    assert (costs[0].seconds.median, costs[1].seconds.median) == (4.0, 4.0)
    assert (costs[0].peak_ratio, costs[1].peak_ratio) == (1.0, 1.5)


def test_time_left_makes_more_slices_but_not_too_many():
    turns = []
    fast = Scripted("a", [0.125] * 99, 0, turns)
    costs, _ = measuring.take_turns([fast], "inference", 12.0, 1, lambda _: None)
    assert len(costs[0].seconds.slices) == measuring.MAX_SLICES
    assert costs[0].iterations == 8
    assert costs[0].peak_ratio is None


@pytest.fixture
def report(tiny, tmp_path, capsys):
    """Of a network, and of one that does the same and keeps 200 MiB, measured by the command."""
    written = tmp_path / "cost.json"
    options = ["--seconds", "0.2", "--device", "cpu", "--threads", "1", "--json", str(written)]
    assert main(["throughput", tiny("keeps", kept_mib=200), "--baseline", tiny("plain"), *options]) == 0
    return iteration_cost.read(written), capsys.readouterr().out, written


def test_a_network_against_one_that_does_the_same_and_keeps_200_mib(report):
    found, printed, written = report
    assert [entrant.name.rpartition("/")[2] for entrant in found.entrants] == ["plain.py", "keeps.py"]
    assert found.modes == ("inference", "training")
    assert (found.batch, found.input_size) == (3, (24, 40))
    for mode in found.modes:
        base, large = (entrant.cost(mode) for entrant in found.entrants)
        assert 0.3 < large.ratio.median < 3
        assert 195 * MIB < large.peak_bytes - base.peak_bytes < 205 * MIB
        assert large.seconds.slices != base.seconds.slices
    own = 8 * 27 + 8 + 16 + 5 * 8 + 5
    assert {entrant.parameters for entrant in found.entrants} == {own}
    assert found.environment.cpu_threads == 1
    assert found.environment.gpu is None
    assert printed.count("keeps ") == 2
    assert "3 x 3 x 24 x 40" in printed
    content = json.loads(written.read_text())
    assert iteration_cost.Report.model_validate(content) == found
    content["entrants"][1]["training"]["ratio"] = content["entrants"][0]["training"]["ratio"]
    with pytest.raises(ValidationError, match="its ratios are not its seconds over the baseline's"):
        iteration_cost.Report.model_validate(content)
    content = json.loads(written.read_text())
    content["entrants"][1]["inference"]["seconds"]["median"] *= 0.9
    with pytest.raises(ValidationError, match="median and quartiles"):
        iteration_cost.Report.model_validate(content)


def test_a_network_that_fails_is_one_line(tiny, capsys):
    assert main(["throughput", tiny("fails", broken="no such\nlayer"), "--seconds", "0"]) == 2
    printed = capsys.readouterr().err
    assert printed.endswith("fails.py: ValueError: no such layer\n")
    assert printed.count("\n") == 2, "and one that says what it is doing"


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            "was killed by SIGKILL, which is what happens when",
        ),
        ("import sys; sys.exit('no memory\\nfor that')", "ended with exit code 1: for that"),
    ],
)
def test_a_worker_that_dies_says_why(tmp_path, monkeypatch, program, message):
    (tmp_path / "dying.py").write_text(program)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(measuring, "PROGRAM", "dying")
    worker = measuring.Worker(Job("a/b/c", 1, (8, 8), "cpu"))
    try:
        with pytest.raises(UserError) as caught:
            worker.described()
    finally:
        worker.end()
    assert str(caught.value).startswith("a/b/c: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_workers_end_even_if_one_fails(tiny, monkeypatch):
    ended = []
    monkeypatch.setattr(measuring.Worker, "__init__", lambda self, job: setattr(self, "name", job.name))
    monkeypatch.setattr(measuring.Worker, "end", lambda self: ended.append(self.name))

    def fail(self):
        raise UserError("it fails")

    monkeypatch.setattr(measuring.Worker, "described", fail)
    with pytest.raises(UserError, match="it fails"):
        iteration_cost.measure(tiny("a"), [tiny("b")], device="cpu")
    assert [name.rpartition("/")[2] for name in ended] == ["a.py", "b.py"]


def built(path, batch=3, size=(24, 40)):
    config = configs.load(path)
    network.prepare(config)
    return network.Network(config, configs.task_of(config, path), batch, size, "cpu")


def test_learned_masks_are_trained_with_penalty_and_rule(tiny):
    hook = {"type": "VersatileMaskHook", "weight": 50.0, "mask_lr_scale": 1e9}
    trained, left = built(tiny("hook", hooks=[hook], learned=True)), built(tiny("none", learned=True))
    assert trained.mask_hook is True
    assert left.mask_hook is False
    assert built(tiny("plain")).mask_hook is None
    trained.iterate("inference", 1)
    assert trained._wrapper is None, "an optimizer would count as memory of inference"
    before = trained.model.conv.agent.detach().clone()
    trained.iterate("training", 2)
    agent = trained.model.conv.agent.detach()
    assert not torch.equal(agent, before)
    assert agent.min() == 0.0, "steps of this size end at the bounds, where the rule clips them"
    assert agent.max() == 1.0
    losses = trained.model.train_step(trained.batches["training"].fresh(), trained._wrapper)
    assert losses["loss"] == losses["loss_seg"] + losses["loss_masks"]
    assert losses["loss_masks"] > 0
    assert trained.model.seen[0] == (3, 5, 24, 40)
    assert all(
        group["lr"] == configs.LEARNING_RATE for group in trained._wrapper.param_groups if not group.get("masks")
    )


def test_a_loss_that_is_not_finite_is_no_measurement(tiny):
    one = built(tiny("plain"))
    with torch.no_grad():
        one.model.head.bias.fill_(torch.inf)
    with pytest.raises(ValueError, match="the loss is nan"):
        one.iterate("training", 1)


def test_batch_norms_get_the_statistics_of_a_batch(tiny):
    one = built(tiny("plain"))
    with torch.no_grad():
        features = one.model.conv(one.batches["inference"].images[0][None].float())
    torch.testing.assert_close(one.model.bn.running_mean, features.mean((0, 2, 3)))
    torch.testing.assert_close(one.model.bn.running_var, features.var((0, 2, 3), correction=0))
    assert one.model.bn._forward_pre_hooks == {}


def test_generated_truth_fits_the_images():
    batch = Batch("det", 2, (60, 100), 3)
    fresh = batch.fresh()
    assert [image.shape for image in fresh["inputs"]] == [(3, 60, 100)] * 2
    boxes = fresh["data_samples"][1].gt_instances.bboxes.tensor
    left, top, right, bottom = boxes.unbind(1)
    assert left.min() >= 0
    assert top.min() >= 0
    assert right.max() <= 100
    assert bottom.max() <= 60
    assert 12.5 <= (right - left).min() <= (right - left).max() <= 50
    assert 7.5 <= (bottom - top).min() <= (bottom - top).max() <= 30
    assert set(fresh["data_samples"][0].gt_instances.labels.tolist()) <= {0, 1, 2}
    fresh["data_samples"][1].gt_instances.bboxes.tensor.zero_()
    assert torch.equal(batch.fresh()["data_samples"][1].gt_instances.bboxes.tensor[0, 2:] > 0, torch.tensor([True] * 2))
    mask = Batch("seg", 1, (33, 50), 4).fresh()["data_samples"][0].gt_sem_seg.data
    assert mask.shape == (1, 33, 50)
    assert set(mask.unique().tolist()) == {0, 1, 2, 3, 255}


def test_a_two_stage_detector_trains_and_its_regions_are_counted():
    pytest.importorskip("mmdet")
    from benchmarks.training.experiments import CONFIGS

    path = CONFIGS / "det/coco/frcnn_12e/faster_rcnn_c4_s_versatile_resnet50_coco.py"
    config = Config.fromfile(path, import_custom_modules=False)
    config.model.backbone.depth = config.model.roi_head.shared_head.depth = 18
    config.model.rpn_head.update(in_channels=256, feat_channels=8)
    config.model.roi_head.bbox_roi_extractor.out_channels = 256
    config.model.roi_head.bbox_head.in_channels = 512
    config.model.train_cfg.rcnn.sampler.num = 8
    config.model.test_cfg.rpn.max_per_img = 20
    network.prepare(config)
    detector = network.Network(config, "det", 2, (96, 128), "cpu")
    detector.iterate("training", 1)
    assert detector.regions == 2 * 8
    detector.iterate("inference", 1)
    assert detector.regions == 20
    assert detector.mask_hook is None
    assert config.model.backbone.init_cfg.type == "Pretrained", "the caller's config is left alone"
    DefaultScope._instance_dict.clear()


def config_of(**content):
    base = {"model": {"data_preprocessor": {"size": (33, 65)}}, "optim_wrapper": {"optimizer": {"lr": 1.0}}}
    return Config(copy.deepcopy(base) | content)


def test_the_training_size_is_found_wherever_configs_tell_it():
    crop = {"type": "Pipeline", "pipeline": [{"type": "Resize", "scale": (9, 8)}, {"type": "RandomCrop"}]}
    crop["pipeline"][1]["crop_size"] = (7, 5)
    resize = {"dataset": {"pipeline": [{"type": "Resize", "scale": (1333, 800)}]}, "batch_size": 4}
    assert configs.input_size(config_of(dataset={"input_size": (3, 600, 850)}), "a") == (600, 850)
    assert configs.input_size(config_of(), "a") == (33, 65)
    assert configs.input_size(config_of(model={}, train_dataloader={"dataset": crop}), "a") == (7, 5)
    assert configs.input_size(config_of(model={}, train_dataloader=resize), "a") == (800, 1333)
    assert configs.batch_size(config_of(train_dataloader=resize)) == 4
    with pytest.raises(UserError, match="a does not tell the size of its training images; give --input"):
        configs.input_size(config_of(model={}), "a")


def test_no_weights_are_loaded_and_labels_fit_all_heads():
    pretrained = {"type": "Pretrained", "checkpoint": "torchvision://resnet50"}
    heads = [{"num_classes": 21, "init_cfg": {"type": "Normal"}}, {"num_classes": 19, "init_cfg": pretrained}]
    model = {"pretrained": "somewhere", "backbone": {"init_cfg": pretrained}, "auxiliary_head": heads}
    config = config_of(model=model)
    changed = configs.without_weights(config)
    assert changed.model.pretrained is None
    assert changed.model.backbone.init_cfg is None
    assert [head.init_cfg for head in changed.model.auxiliary_head] == [{"type": "Normal"}, None]
    assert changed.optim_wrapper.optimizer.lr == configs.LEARNING_RATE
    assert config.model.backbone.init_cfg.checkpoint == "torchvision://resnet50"
    assert configs.num_classes(config) == 19
    assert configs.num_classes(config_of()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["coco/frcnn-12e/faster_rcnn_c4_resnet50"], "no experiment 'coco/frcnn-12e/faster_rcnn_c4_resnet50'"),
        (["no/such/file.py"], "no config file no/such/file.py"),
        (["cifar10/proxy-10e/resnet56_cifar"], "images are generated for mmdet and mmseg. Classification: slimbench"),
        (["a/b/c", "--input", "600"], "--input '600': give HEIGHTxWIDTH, as 600x850"),
        (["a/b/c", "--dataset", "cifar10"], "--dataset is for models of classification; a/b/c is measured as its"),
        (["a/b/c", "--modes", "no"], "--modes is for models of classification"),
        (["resnet56_cifar", "--input", "32x32"], "--input is for experiments of detection and segmentation"),
        (["resnet56_cifar", "--only", "training"], "--only is for experiments of detection and segmentation"),
        (["resnet56_cifar", "--baseline", "resnet20_cifar"], "no experiment 'resnet20_cifar'"),
        (["a/b/c", "--json", "no/such/folder/file.json"], "there is no folder no/such/folder"),
    ],
)
def test_mistakes_are_one_line(capsys, arguments, message):
    assert main(["throughput", *arguments]) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1


def test_a_config_that_is_none_is_one_line(tmp_path, capsys):
    broken, modelless = tmp_path / "broken.py", tmp_path / "modelless.py"
    broken.write_text("model = dict(\n")
    modelless.write_text("default_scope = 'mmdet'\n")
    assert main(["throughput", str(broken)]) == 2
    assert "broken.py is no config that MMEngine reads: SyntaxError" in capsys.readouterr().err
    assert main(["throughput", str(modelless)]) == 2
    assert "modelless.py has no model, so it cannot be trained" in capsys.readouterr().err


def test_training_is_as_asked_and_in_the_engine_s_memory_format(tiny):
    pytest.importorskip("mmseg")
    path = tiny("formatted")
    assert configs.load(path, "bf16").optim_wrapper == {
        "type": "AutocastOptimWrapper", "dtype": "bfloat16", "optimizer": configs.load(path).optim_wrapper.optimizer,
    }  # fmt: skip
    assert configs.load(path, "fp32").optim_wrapper.type == "OptimWrapper"
    config = configs.load(path)
    config.toolbox = configs.load("voc-mini/overfit/deeplabv3plus_resnet50").toolbox
    network.prepare(config)
    formatted = network.Network(config, "seg", 3, (24, 40), "cpu")
    assert formatted.channels_last
    assert formatted.model.head.weight.is_contiguous(memory_format=torch.channels_last)
    assert not built(tiny("plain")).channels_last
