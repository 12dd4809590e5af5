"""Super-resolution through the engine, on drawn pictures and a network of three layers."""

from __future__ import annotations

import contextlib
import io
import os
import signal

import pytest
import torch
from mmengine.config import Config
from resume_worker import CONTEXT

import backbones
from backbones.nets.vdsr import VDSR
from benchmarks import ledger
from benchmarks.cli import main
from benchmarks.datasets import registry
from benchmarks.errors import UserError
from benchmarks.training import engine, journal, testing
from benchmarks.training.checkpoint_files import checkpoint_files
from benchmarks.training.safe_loading import load_safely

NAME = "set5/smoke/vdsr22"
MASKED = "set5/smoke/separate_l_versatile_vdsr22_s4"
METRICS = {f"{kind}_x{scale}" for kind in ("psnr", "ssim", "bicubic_psnr", "bicubic_ssim") for scale in (2, 3, 4)}
TRAINING = {"one": (90, 84), "two": (41, 60), "three": (130, 45)}
TEST = {"baby": (44, 37), "bird": (40, 53)}


def small_network(name):
    """Of three layers and eight channels, or of its learned masks."""
    network = VDSR(3, 8)
    if "_l_versatile_" in name:
        return backbones.versatile(network, kind="separate", s=4, quiet=True)
    return network


def configure(patch, learning=None, interval_s=1000.0):
    """Let the engine train `small_network`, as quickly as it can. learning: changes to the optimizer's wrapper."""
    # What takes longer than the training: a picture, MMEngine's layout of the config and its look at the compilers.
    patch.setattr(journal, "draw_curve", lambda *_: None)
    patch.setattr(Config, "pretty_text", "")
    patch.setattr(engine.BenchmarkRunner, "_log_env", lambda *_: None)
    patch.setattr(backbones, "create_model", small_network)
    plain = engine.prepare

    def prepare(*arguments, **options):
        config = plain(*arguments, **options)
        config.default_hooks.checkpoint.interval_s = interval_s
        if learning is not None:
            config.optim_wrapper = learning
        return config

    patch.setattr(engine, "prepare", prepare)


def clipped(theta=1e-3, lr=0.1):
    """As in the paper's protocol."""
    optimizer = {"type": "SGD", "lr": lr, "momentum": 0.9, "weight_decay": 1e-4}
    return {"type": "AdjustableClippingOptimWrapper", "theta": theta, "optimizer": optimizer}


@pytest.fixture(scope="module")
def data(make_pictures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    make_pictures(folder / "291", TRAINING)
    make_pictures(folder / "Set5", TEST, seed=1)
    return folder


# The sets are not the real ones, and the engine says so.
pytestmark = pytest.mark.filterwarnings("ignore:.*pictures, not:UserWarning")


def train(folder, data, name=NAME, seed=3, **options):
    return engine.train(name, seed, data=data, work_dir=folder, results=folder / "ledger", **options)


def final(folder, epoch=2):
    return load_safely(folder / f"epoch_{epoch}.pth")


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def test_from_the_command_to_the_ledger(data, tmp_path, monkeypatch, capsys):
    configure(monkeypatch)
    options = ["--data", str(data), "--work-dir", str(tmp_path / "w"), "--results", str(tmp_path / "ledger")]
    assert main(["train", NAME, "--seed", "3", *options]) == 0
    assert "epoch 2/2, loss " in capsys.readouterr().out
    ((_, result),) = ledger.runs(tmp_path / "ledger")
    assert (result.identity, result.status, result.num_classes) == (NAME, "finished", 0)
    assert (result.input_size, result.total_batch) == ((1, 41, 41), 16)
    found = {metric.name: metric for metric in result.metrics}
    pictures = {f"{kind}_x{n}.{name}" for kind in ("psnr", "bicubic_psnr") for n in (2, 3, 4) for name in TEST}
    assert found.keys() == METRICS | pictures
    for name, metric in found.items():
        assert metric.unit == ("dB" if "psnr" in name else "1")
        assert 0 < metric.value < (1 if "ssim" in name else 60)
    assert found["bicubic_psnr_x2"].value > found["bicubic_psnr_x3"].value > found["bicubic_psnr_x4"].value
    assert set(result.curves) == {"epoch", "train_loss", "psnr_x2", "lr", "seconds"}
    checkpoint = tmp_path / "w" / "epoch_2.pth"
    assert main(["test", NAME, "--checkpoint", str(checkpoint), *options]) == 0
    (tested,) = (run for _, run in ledger.runs(tmp_path / "ledger") if run.origin == "test")
    assert tested.metrics == result.metrics
    checksum = registry.get("train291").checksum(str(data / "291"), True)
    assert f"trained on train291, {checksum}" in result.notes


def test_it_learns_more_than_bicubic_enlargement(data, tmp_path, monkeypatch):
    configure(monkeypatch, clipped())
    plain = engine.prepare

    def longer(*arguments):
        config = plain(*arguments)
        config.train_cfg.max_epochs = 20
        config.val_evaluator.brief = False
        return config

    monkeypatch.setattr(engine, "prepare", longer)
    result = train(tmp_path, data).result
    assert result.curves["psnr_x2"][-1] > result.curves["bicubic_psnr_x2"][-1] + 0.1
    assert result.curves["train_loss"][-1] < result.curves["train_loss"][0]


def test_masks_are_learned(data, tmp_path, monkeypatch):
    configure(monkeypatch, clipped(theta=1e-2))
    result = train(tmp_path, data, MASKED).result
    assert result.status == "finished"
    assert result.curves["masks_changed"][0] > 0
    assert 0 < result.curves["share_of_ones"][0] < 1
    assert result.curves["mask_penalty"][0] > 0
    agent = final(tmp_path)["state_dict"]["network.convs.1.agent"]
    assert agent.min() >= 0
    assert agent.max() <= 1


def die_in_the_second_epoch(folder, data):
    """Train the masked network, killing this process in the sixth iteration of eight."""
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
        configure(patch, clipped(), interval_s=0.0)
        calls, forward = iter(range(5)), VDSR.forward

        def deadly(network, x):
            if network.training and next(calls, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            return forward(network, x)

        patch.setattr(VDSR, "forward", deadly)
        train(folder, data, MASKED)


def test_killed_and_resumed_it_ends_the_same(data, tmp_path, monkeypatch):
    process = CONTEXT.Process(target=die_in_the_second_epoch, args=(tmp_path / "killed", data), daemon=True)
    process.start()
    configure(monkeypatch, clipped(), interval_s=0.0)
    whole = train(tmp_path / "whole", data, MASKED).result
    process.join(300)
    assert process.exitcode == -signal.SIGKILL
    assert checkpoint_files(tmp_path / "killed")[0].name == "epoch_1_batch_1.pth"
    killed = train(tmp_path / "killed", data, MASKED).result
    assert "resumed after epoch 1, batch 1" in killed.notes
    assert same(final(tmp_path / "whole")["state_dict"], final(tmp_path / "killed")["state_dict"])
    assert killed.metrics == whole.metrics
    for name in ("train_loss", "psnr_x2", "masks_changed"):
        assert killed.curves[name] == whole.curves[name]


def test_a_time_budget_stops_and_the_same_command_goes_on(data, tmp_path, monkeypatch):
    configure(monkeypatch, clipped())
    whole = train(tmp_path / "whole", data).result
    stops = 0
    while (outcome := train(tmp_path / "work", data, time_budget_s=1e-6)).result is None:
        stops += 1
        assert stops < 30
    assert stops >= 8, "each call did one iteration"
    assert same(final(tmp_path / "whole")["state_dict"], final(tmp_path / "work")["state_dict"])
    assert outcome.result.metrics == whole.metrics


@pytest.mark.parametrize(("theta", "lr"), [(1e12, 1e6), (1e30, 1.0)])
def test_divergence_is_recorded(data, tmp_path, monkeypatch, theta, lr):
    configure(monkeypatch, clipped(theta, lr))
    outcome = train(tmp_path, data)
    assert outcome.result.status == "diverged"
    assert outcome.result.metrics == ()
    assert "NaN or infinite" in outcome.result.notes[0] or "the loss became" in outcome.result.notes[0]
    assert train(tmp_path, data).already


def test_pictures_of_no_numbers_are_divergence_too(data, tmp_path, monkeypatch):
    """The last step may spoil the weights so that they are finite and what they make of a picture is not."""
    configure(monkeypatch)

    class Sick(VDSR):
        def forward(self, x):
            return super().forward(x) * (1.0 if self.training else float("nan"))

    monkeypatch.setattr(backbones, "create_model", lambda name: Sick(3, 8))
    outcome = train(tmp_path, data)
    assert outcome.result.status == "diverged"
    assert outcome.result.notes[0] == "psnr_x2 became nan in the validation after epoch 1"
    assert outcome.result.curves["epoch"] == (1,)
    with pytest.raises(UserError, match=r"psnr_x2 is nan: the network's weights make no numbers"):
        testing.test(NAME, tmp_path / "epoch_1.pth", data=data, work_dir=tmp_path / "test")


def test_no_data_is_one_line(tmp_path, capsys):
    assert main(["train", NAME, "--data", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert "not found (looked for " in told
    assert told.count("\n") == 1
