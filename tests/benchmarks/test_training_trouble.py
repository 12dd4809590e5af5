"""What can go wrong beside a kill: disks, a second process, losses that are no numbers, one bad run of many."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
import time
import warnings

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from resume_worker import EPOCHS, NAME, Network, configure

from benchmarks import ledger
from benchmarks.cli import main
from benchmarks.errors import UserError
from benchmarks.training import checkpoint_files, device, engine, journal, lock, records, series, stopping, testing
from benchmarks.training.checkpoint_files import checkpoint_files as files_of
from benchmarks.training.checkpoint_files import checkpoint_name, save_atomically
from benchmarks.training.safe_loading import load_safely


@pytest.fixture
def train(cifar10, tmp_path, monkeypatch):
    configure(monkeypatch)

    def run(folder="work", name=NAME, seed=0, **changes):
        options = {"data": cifar10, "work_dir": tmp_path / folder, "results": tmp_path / "ledger", **changes}
        return engine.train(name, seed, **options)

    return run


@HOOKS.register_module(force=True)
class BreakHook(Hook):
    """Calls `what` before an iteration."""

    def __init__(self, what, at):
        self.what, self.at = what, at

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.at:
            self.what(runner)


class TestCheckpointFiles:
    def test_newest_first(self, tmp_path):
        done = [(0, 5), (1, 0), (1, 2), (1, 10), (10, 0), (9, 3)]
        for epoch, batch in done:
            (tmp_path / checkpoint_name(epoch, batch)).touch()
        for other in ("epoch_x.pth", "epoch_1_batch_2.pth.unreadable", ".epoch_1.pth.7.tmp", "epoch_3.pth.bak"):
            (tmp_path / other).touch()
        assert [checkpoint_files.progress_of(path) for path in files_of(tmp_path)] == sorted(done, reverse=True)

    def test_unreadable_ones_are_set_aside_and_do_not_count(self, tmp_path):
        good = {"slimbench_checkpoint": checkpoint_files.FORMAT}
        for epoch, batch in [(1, 0), (1, 7), (1, 9)]:
            save_atomically(good, tmp_path / checkpoint_name(epoch, batch))
        newest = tmp_path / "epoch_1_batch_9.pth"
        newest.write_bytes(newest.read_bytes()[:-100])
        path, content, complaints = checkpoint_files.newest_readable(tmp_path)
        assert (path.name, content, len(complaints)) == ("epoch_1_batch_7.pth", good, 1)
        assert newest.with_name(f"{newest.name}.unreadable").is_file()
        save_atomically(good, tmp_path / "epoch_2.pth")
        checkpoint_files.prune(tmp_path, keep=2)
        assert [path.name for path in files_of(tmp_path)] == ["epoch_2.pth", "epoch_1_batch_7.pth"]

    def test_none_that_can_be_read(self, tmp_path):
        (tmp_path / "epoch_1.pth").write_bytes(b"")
        with pytest.raises(UserError, match=r"nor is there another to go on from: remove"):
            checkpoint_files.newest_readable(tmp_path)
        assert (tmp_path / "epoch_1.pth").is_file()

    def test_leftovers_of_a_killed_process(self, tmp_path):
        (tmp_path / ".epoch_1.pth.123.tmp").touch()
        (tmp_path / ".other.tmp").touch()
        checkpoint_files.remove_leftovers(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [".other.tmp"]


def test_a_full_disk_is_one_line_and_the_older_checkpoints_stay(cifar10, tmp_path, monkeypatch, capsys):
    configure(monkeypatch)
    calls = []

    def fsync(handle):
        calls.append(handle)
        if len(calls) > 20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    command = ["train", NAME, "--data", str(cifar10), "--work-dir", str(tmp_path / "work")]
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_files.os, "fsync", fsync)
        assert main(command) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1, told
    assert "No space left on device; the checkpoints before it are kept" in told
    kept = files_of(tmp_path / "work")
    assert len(kept) == 2
    assert not list((tmp_path / "work").glob(".epoch*"))
    assert "No space left" in (tmp_path / "work" / records.FAILURE).read_text()
    assert main(command) == 0
    assert not (tmp_path / "work" / records.FAILURE).exists()


def hold(folder, ready, done):
    with lock.locked(folder):
        ready.set()
        done.wait(60)


def test_two_processes_do_not_share_a_work_folder(train, tmp_path):
    context = multiprocessing.get_context("fork")
    ready, done = context.Event(), context.Event()
    holder = context.Process(target=hold, args=(tmp_path / "work", ready, done), daemon=True)
    holder.start()
    assert ready.wait(60)
    with pytest.raises(UserError, match=rf"work is in use by process {holder.pid} on .*give another --work-dir"):
        train("work", time_budget_s=1e-6)
    holder.kill()  # the lock dies with its process
    holder.join(60)
    assert train("work", time_budget_s=1e-6).stopped_at == (0, 1)


def test_a_nan_that_nobody_looked_at_is_never_saved(train, tmp_path, monkeypatch):
    """As on a GPU, where the loss is read every 50 iterations only."""
    from benchmarks.training import hooks

    def poison(runner):
        with torch.no_grad():
            runner.model.network.fc.bias[0] = float("nan")

    configure(monkeypatch, hooks=[{"type": "BreakHook", "what": poison, "at": 7}])
    monkeypatch.setattr(hooks.StopOnDivergenceHook, "after_train_iter", lambda *_, **__: None)
    outcome = train()
    assert (outcome.result.status, outcome.result.epochs_done) == ("diverged", 1)
    assert "the loss or a weight became NaN or infinite in epoch 2" in outcome.result.notes[0]
    assert outcome.result.curves["epoch"] == (1,)
    assert [path.name for path in files_of(tmp_path / "work")] == ["epoch_1_batch_2.pth", "epoch_1_batch_1.pth"]
    assert all(value.isfinite().all() for value in load_safely(files_of(tmp_path / "work")[0])["state_dict"].values())


def test_a_diverged_run_is_not_trained_again(cifar10, tmp_path, monkeypatch, capsys):
    def poison(runner):
        runner.model.network.fc.bias.data[0] = float("inf")

    configure(monkeypatch, hooks=[{"type": "BreakHook", "what": poison, "at": 2}])
    command = ["train", NAME, "--data", str(cifar10), "--work-dir", str(tmp_path / "work")]
    assert main(command) == 1
    capsys.readouterr()
    monkeypatch.setattr(engine, "prepare", lambda *_: pytest.fail("begins again"))
    assert main(command) == 1
    told = capsys.readouterr().out
    assert "diverged: the loss became nan in epoch 1, batch 3" in told
    assert "not trained again unless its work folder is removed" in told
    with pytest.raises(UserError, match="remove it to start anew"):
        engine.train(NAME, data=cifar10, work_dir=tmp_path / "work", resume=False)


def test_a_finished_run_is_recorded_in_another_ledger_without_data(train, tmp_path):
    result = train().result
    again = train(data=tmp_path / "nowhere", results=tmp_path / "other")
    assert again.already
    assert again.result == result
    assert [run for _, run in ledger.runs(tmp_path / "other")] == [result]
    with pytest.raises(UserError, match=r"result\.json belongs to .* seed 0, not to .* seed 1"):
        train(seed=1)


def test_the_average_of_the_weights_is_what_is_tested(train, cifar10, tmp_path):
    outcome = train()
    content = load_safely(tmp_path / "work" / f"epoch_{EPOCHS}.pth")
    raw = {key.removeprefix("module."): value for key, value in content["ema_state_dict"].items() if key != "steps"}
    assert not raw["network.fc.weight"].equal(content["state_dict"]["network.fc.weight"])
    assert "exponential moving average" in outcome.result.notes[0]
    scores = {}
    for name, weights in (("average", content["state_dict"]), ("last", raw)):
        torch.save({"state_dict": weights}, tmp_path / f"{name}.pth")
        tested = testing.test(
            NAME, tmp_path / f"{name}.pth", data=cifar10, work_dir=tmp_path / "test", results=tmp_path / "tests"
        )
        scores[name] = tested.result.metrics
    assert scores["average"] == outcome.result.metrics


def test_one_bad_run_does_not_stop_the_others(cifar10, tmp_path, monkeypatch):
    def trouble(runner):
        if runner.seed == 1:
            raise MemoryError("too large\nfor this machine")
        if runner.seed == 2:
            runner.model.network.fc.bias.data[0] = float("nan")

    configure(monkeypatch, 1000, hooks=[{"type": "BreakHook", "what": trouble, "at": 3}])
    said = []
    runs = [(NAME, seed) for seed in (0, 1, 2, 3)]
    options = {"data": cifar10, "results": tmp_path / "ledger", "work_root": tmp_path / "work", "say": said.append}
    done = series.run_many(runs, **options)
    assert [entry.status for entry in done.entries] == ["finished", "failed", "diverged", "finished"]
    assert (done.exit_code, done.summary()) == (1, "2 finished, 1 failed, 1 diverged")
    assert f"{NAME} seed 1 failed: MemoryError: too large" in said
    folder = tmp_path / "work" / NAME / "seed1"
    assert (folder / records.FAILURE).read_text() == "MemoryError: too large\n"
    assert json.loads((folder / journal.LOG).read_text().splitlines()[-1])["status"] == "failed"
    # a second call skips what has come to its end, at once, and tries the failed one again
    monkeypatch.undo()
    configure(monkeypatch, 1000)
    begun = time.monotonic()
    done = series.run_many([runs[0], runs[2], runs[3]], **options)
    assert time.monotonic() - begun < 3
    assert all(entry.outcome.already for entry in done.entries)
    assert series.run_many([runs[1]], **options).exit_code == 0
    assert not (folder / records.FAILURE).exists()


def test_a_series_shares_one_time_budget(cifar10, tmp_path, monkeypatch):
    configure(monkeypatch, 1000)
    runs = [(NAME, seed) for seed in (0, 1)]
    options = {"data": cifar10, "results": tmp_path / "ledger", "work_root": tmp_path / "work"}
    done = series.run_many(runs, time_budget_s=1e-6, **options)
    assert [entry.status for entry in done.entries] == ["stopped", "not begun"]
    assert (done.stopped_by, done.exit_code) == ("time budget", 3)


def test_a_signal_stops_a_series(cifar10, tmp_path, monkeypatch):
    kill = {"type": "BreakHook", "what": lambda _: os.kill(os.getpid(), signal.SIGTERM), "at": 1}
    configure(monkeypatch, 1000, hooks=[kill])
    done = series.run_many([(NAME, 0), (NAME, 1)], data=cifar10, work_root=tmp_path / "work")
    assert [entry.status for entry in done.entries] == ["stopped", "not begun"]
    assert done.exit_code == 143


def test_seeds_on_the_command_line(cifar10, tmp_path, monkeypatch, capsys):
    configure(monkeypatch, 1000)
    options = ["--data", str(cifar10), "--work-dir", str(tmp_path / "w"), "--results", str(tmp_path / "ledger")]
    assert main(["train", NAME, "--seeds", "0,2", *options]) == 0
    told = capsys.readouterr().out
    assert f"[2/2] {NAME} seed 2" in told
    assert told.splitlines()[-1] == "2 finished"
    assert [run.seed for _, run in ledger.runs(tmp_path / "ledger")] == [0, 2]
    for wrong, message in [
        (["--seeds", "0,x"], "--seeds '0,x'"),
        (["--seed", "1", "--seeds", "1"], "give one of them"),
        (["--time-budget", "soon"], "--time-budget 'soon'"),
        (["--device", "gpu"], "--device 'gpu': give cpu, cuda"),
    ]:
        assert main(["train", NAME, *options, *wrong]) == 2
        assert message in capsys.readouterr().err


def test_the_json_log_tells_the_run(train, tmp_path, monkeypatch):
    import pandas as pd

    monkeypatch.setattr(journal.JsonLogHook.__init__, "__defaults__", (2,))
    assert train(time_budget_s=1e-6).result is None
    outcome = train()
    frame = pd.read_json(tmp_path / "work" / journal.LOG, lines=True)
    assert frame["event"].iloc[0] == "start"
    end = frame.iloc[-1]
    assert (end["event"], end["status"]) == ("end", "finished")
    assert end["top1_accuracy"] == outcome.result.metrics[0].value
    epochs = frame[frame["event"] == "epoch"]
    assert tuple(epochs["train_loss"]) == outcome.result.curves["train_loss"]
    assert tuple(epochs["top1_accuracy"]) == outcome.result.curves["top1_accuracy"]
    progress = frame[frame["event"] == "progress"]
    assert {"epoch", "iteration", "loss", "lr", "iterations_per_s"} <= set(progress.dropna(axis=1).columns)
    assert list(progress["iteration"]) == [2, 4, 7, 9, 12, 14]
    assert list(frame[frame["event"] == "start"]["iterations_done"]) == [0, 1]


def test_the_curve_is_drawn_and_a_failure_to_draw_is_no_failure(cifar10, tmp_path, monkeypatch):
    draw = journal.draw_curve
    configure(monkeypatch, 1000)
    result = engine.train(NAME, data=cifar10, work_dir=tmp_path / "work").result
    assert draw(result, tmp_path).read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr("benchmarks.reports.curves.learning_curves", lambda _: 1 / 0)
    with pytest.warns(UserWarning, match="cannot draw"):
        assert draw(result, tmp_path) is None


def test_tensorboard_asks_for_its_package(train, monkeypatch):
    monkeypatch.setattr(journal.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"pip install 'slimbench\[tensorboard\]'"):
        train(tensorboard=True)


def test_tensorboard_gets_losses_and_accuracy(train, tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    result = train(tensorboard=True).result
    events = accumulator.EventAccumulator(str(tmp_path / "work" / "tensorboard")).Reload()
    measured = tuple(round(event.value, 3) for event in events.Scalars("top1_accuracy"))
    assert measured == tuple(round(value, 3) for value in result.curves["top1_accuracy"])
    assert events.Scalars("loss")


class TestDevice:
    def test_the_default_is_a_gpu_where_there_is_one(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        assert device.check(None) == "cuda"
        assert device.check("cuda:1") == "cuda:1"
        with pytest.raises(UserError, match="--device cuda:2: this machine has 2 usable GPUs"):
            device.check("cuda:2")

    def test_without_a_gpu(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        assert device.check(None) == "cpu"
        with pytest.raises(UserError, match="no GPU is usable here"):
            device.check("cuda")

    def test_mmengine_is_told_and_left_as_it_was(self, monkeypatch):
        from mmengine.device import get_device, utils

        monkeypatch.setattr(utils, "DEVICE", "cuda")
        with device.used("cpu"):
            assert get_device() == "cpu"
        assert get_device() == "cuda"


def test_a_data_loading_worker_outlives_the_signals_of_its_main_process():
    context = multiprocessing.get_context("fork")
    ready, done = context.Event(), context.Event()
    worker = context.Process(target=be_a_worker, args=(ready, done), daemon=True)
    worker.start()
    assert ready.wait(60)
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(worker.pid, number)
    time.sleep(0.1)
    assert worker.is_alive()
    done.set()
    worker.join(60)
    assert worker.exitcode == 0


def be_a_worker(ready, done):
    stopping.outlive_signals(lambda worker: ready.set() if worker == 3 else None, 3)
    done.wait(60)


def test_no_warning_in_a_plain_run(train):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert isinstance(train().result, ledger.RunResult)


def test_the_runner_loads_what_load_from_names(train, tmp_path, monkeypatch, cifar10):
    """Fine-tuning: weights from elsewhere, neither epoch nor curve."""
    torch.save({"state_dict": {f"network.{k}": v + 1 for k, v in Network().state_dict().items()}}, tmp_path / "w.pth")
    config = engine.prepare(NAME, 0, cifar10, tmp_path / "work")
    config.load_from, config.resume = str(tmp_path / "w.pth"), True
    runner = engine.build_runner(config)
    seen = []
    runner.register_hook(BreakHook(lambda one: seen.append((one.epoch, one.model.network.bn.weight.mean().item())), 0))
    runner.train()
    runner.close()
    assert seen == [(0, 2.0)]
