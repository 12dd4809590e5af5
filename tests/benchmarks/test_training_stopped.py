"""Ctrl-C, SIGTERM and time budgets stop a run between two iterations; the same command then goes on."""

from __future__ import annotations

import os
import signal

import pytest
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from resume_worker import EPOCHS, NAME, Network, configure

from benchmarks import ledger
from benchmarks.cli import main
from benchmarks.errors import UserError
from benchmarks.training import engine, stopping
from benchmarks.training.checkpoint_files import checkpoint_files
from benchmarks.training.safe_loading import load_safely


@HOOKS.register_module(force=True)
class SignalHook(Hook):
    """Sends this process a signal in an epoch's third iteration, as Ctrl-C or `kill` would."""

    def __init__(self, number, epoch=1, place="train", times=1):
        self.number, self.epoch, self.place, self.times = number, epoch, place, times

    def _send(self, runner, batch_idx):
        if runner.epoch == self.epoch and batch_idx == 2:
            for _ in range(self.times):
                os.kill(os.getpid(), self.number)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if self.place == "train":
            self._send(runner, batch_idx)

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        if self.place == "val" and runner.epoch == self.epoch:
            os.kill(os.getpid(), self.number)


@pytest.fixture
def train(cifar10, tmp_path):
    def run(folder="work", **changes):
        options = {"data": cifar10, "work_dir": tmp_path / folder, "results": tmp_path / "ledger", **changes}
        return engine.train(NAME, 1, **options)

    return run


def final(folder):
    content = load_safely(folder / f"epoch_{EPOCHS}.pth")
    return content["state_dict"], content["ema_state_dict"]


def equal(first, second):
    return all(one[key].equal(other[key]) for one, other in zip(first, second, strict=True) for key in one)


@pytest.mark.parametrize(
    ("number", "place", "code", "saved"),
    [
        (signal.SIGINT, "train", 130, "epoch_1_batch_3.pth"),
        (signal.SIGTERM, "train", 143, "epoch_1_batch_3.pth"),
        (signal.SIGTERM, "val", 143, "epoch_1.pth"),
    ],
)
def test_a_signal_saves_and_stops(number, place, code, saved, cifar10, tmp_path, capsys):
    command = ["train", NAME, "--seed", "1", "--data", str(cifar10), "--results", str(tmp_path / "ledger")]
    handlers = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    with pytest.MonkeyPatch.context() as patch:
        configure(patch, interval_s=1000)
        assert main([*command, "--work-dir", str(tmp_path / "whole")]) == 0
    command += ["--work-dir", str(tmp_path / "work")]
    with pytest.MonkeyPatch.context() as patch:
        average = {"type": "EMAHook", "momentum": 0.1}
        sending = {"type": "SignalHook", "number": number, "place": place}
        configure(patch, interval_s=1000, hooks=[average, sending])
        assert main(command) == code
        assert f"stopped by {number.name} after 1 whole epoch (iteration " in (told := capsys.readouterr().out)
        assert "the same command goes on" in told
        assert checkpoint_files(tmp_path / "work")[0].name == saved
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == handlers
    with pytest.MonkeyPatch.context() as patch:
        configure(patch, interval_s=1000)
        assert main(command) == 0
    assert equal(final(tmp_path / "whole"), final(tmp_path / "work"))
    (one, other) = (run for _, run in ledger.runs(tmp_path / "ledger"))
    assert one.metrics == other.metrics


def test_a_second_ctrl_c_does_not_wait(train, tmp_path, monkeypatch):
    configure(monkeypatch, 1000, hooks=[{"type": "SignalHook", "number": signal.SIGINT, "times": 2}])
    with pytest.raises(KeyboardInterrupt):
        train()
    assert [path.name for path in checkpoint_files(tmp_path / "work")] == ["epoch_1.pth"]


def test_any_time_budget_ends_in_a_finished_run(train, tmp_path, monkeypatch):
    """With no time at all, each call still does one iteration, validation or test."""
    configure(monkeypatch, 1000)
    whole = train("whole").result
    stops = []
    for _ in range(100):
        outcome = train("work", time_budget_s=1e-6)
        if outcome.result is not None:
            break
        assert outcome.stopped_by == "time budget"
        stops.append(outcome.stopped_at)
    assert stops == sorted(stops)
    assert stops[0] == (0, 1)
    assert len(stops) >= 5 * EPOCHS
    assert equal(final(tmp_path / "whole"), final(tmp_path / "work"))
    assert outcome.result.metrics == whole.metrics
    assert outcome.result.curves["train_loss"] == whole.curves["train_loss"]
    assert outcome.result.curves["top1_accuracy"] == whole.curves["top1_accuracy"]
    assert outcome.result.notes[-1].startswith(f"resumed {len(stops)} times, last after epoch {EPOCHS}")


def test_a_time_budget_on_the_command_line(cifar10, tmp_path, monkeypatch, capsys):
    configure(monkeypatch, 1000)
    command = ["train", NAME, "--data", str(cifar10), "--work-dir", str(tmp_path), "--time-budget", "0.01s"]
    assert main(command) == 3
    told = " ".join(capsys.readouterr().out.split())
    assert "seed 0 stopped by time budget after 0 whole epochs (iteration 1), about" in told
    assert "of training left; the same command goes on" in told


def test_a_budget_leaves_time_for_saving(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(stopping.time, "monotonic", lambda: clock[0])
    stopper = stopping.Stopper(60)
    stopper.saving_took(7)
    stopper.before_train_iter(None, 0)
    clock[0] += 3
    assert not stopper.wants_to_stop(), "nothing was done yet"
    stopper.after_train_iter(None, 0)
    clock[0] = 160 - 3 - 7 - stopping.MARGIN_S - 0.1
    assert not stopper.wants_to_stop()
    assert stopper.wants_to_stop(needed_s=1)
    clock[0] += 0.2
    assert stopper.wants_to_stop()
    assert stopper.reason() == "time budget"


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("9m", 540), ("1h30m", 5400), ("25m", 1500), ("45", 45), ("1H 5s", 3605)]
)
def test_lengths_of_time(text, seconds):
    assert stopping.parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "9 minutes", "30m1h", "-5m", "0s", "1m1m", "m"])
def test_what_is_no_length_of_time_is_refused(text):
    with pytest.raises(UserError, match="--time-budget"):
        stopping.parse_duration(text)


def test_the_network_of_these_tests_draws_from_all_generators():
    """Else a test of resumption proves less than it seems to."""
    import random

    import numpy as np
    import torch

    network, image = Network().train(), torch.ones(2, 3, 32, 32)
    states = [torch.get_rng_state(), np.random.get_state()[2], random.getstate()]  # noqa: NPY002
    network(image)
    assert not torch.equal(torch.get_rng_state(), states[0])
    assert np.random.get_state()[2] != states[1]  # noqa: NPY002
    assert random.getstate() != states[2]
