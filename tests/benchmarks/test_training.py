"""The engine on a tiny data set, through the command line where a user would be."""

from __future__ import annotations

import hashlib
import io
import pickle

import pytest
import torch
from rich.console import Console

from benchmarks import ledger
from benchmarks.cli import main
from benchmarks.errors import UserError
from benchmarks.training import checkpoint_files, engine, hooks, progress, safe_loading

NAME = "cifar10/smoke/resnet56_cifar"
pytestmark = pytest.mark.usefixtures("tiny_network")


@pytest.fixture
def train(cifar10, tmp_path):
    def run(folder="work", seed=0, **changes):
        return engine.train(
            NAME, seed, data=cifar10, work_dir=tmp_path / folder, results=tmp_path / "ledger", **changes
        )

    return run


def weights(folder, epoch=2):
    return safe_loading.load_safely(folder / f"epoch_{epoch}.pth")["state_dict"]


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def test_a_run_from_the_command_to_the_ledger(cifar10, tmp_path, capsys):
    options = ["--data", str(cifar10), "--work-dir", str(tmp_path / "w"), "--results", str(tmp_path / "ledger")]
    assert main(["train", NAME, "--seed", "7", *options]) == 0
    printed = capsys.readouterr().out
    assert "epoch 1/2, loss " in printed
    assert "epoch 2/2, loss " in printed
    ((path, result),) = ledger.runs(tmp_path / "ledger")
    assert f"recorded in {tmp_path / 'ledger' / path}" in printed
    assert result.identity == NAME
    assert (result.seed, result.status, result.epochs_done, result.origin) == (7, "finished", 2, "train")
    assert result.dataset.splits == {"train": 80, "test": 24}
    assert set(result.curves) == {"epoch", "train_loss", "top1_accuracy", "lr", "seconds"}
    assert result.curves["epoch"] == (1, 2)
    assert result.environment.precision == "bfloat16 autocast"
    ((log),) = (tmp_path / "w").glob("*/*.log")
    assert "Epoch(val)" in log.read_text()
    # the same command again does nothing but say so
    assert main(["train", NAME, "--seed", "7", *options]) == 0
    assert "already finished" in capsys.readouterr().out
    assert len(ledger.runs(tmp_path / "ledger")) == 1
    # the checkpoint, tested on its own, gives the recorded accuracy
    checkpoint = tmp_path / "w" / "epoch_2.pth"
    assert main(["test", NAME, "--checkpoint", str(checkpoint), *options]) == 0
    (tested,) = (run for _, run in ledger.runs(tmp_path / "ledger") if run.origin == "test")
    assert tested.metrics == result.metrics
    assert tested.checkpoint == f"sha256:{hashlib.sha256(checkpoint.read_bytes()).hexdigest()}"
    assert tested.epochs_done == 2


def test_smoke_runs_stay_out_of_the_ledger(cifar10, tmp_path, monkeypatch):
    monkeypatch.setenv(ledger.ENVIRONMENT_VARIABLE, str(tmp_path / "ledger"))
    outcome = engine.train(NAME, data=cifar10, work_dir=tmp_path / "work")
    assert outcome.path.is_relative_to(tmp_path / "work")
    assert not (tmp_path / "ledger").exists()


def test_it_learns(train, monkeypatch):
    longer = engine.prepare

    def prepare(*arguments):
        config = longer(*arguments)
        config.train_cfg.max_epochs = 15
        config.param_scheduler = []
        return config

    monkeypatch.setattr(engine, "prepare", prepare)
    result = train().result
    assert result.curves["train_loss"][-1] < 0.7 * result.curves["train_loss"][0]
    assert result.metrics[0].value > 50, "colours tell the ten classes apart; chance is 10"


def test_the_same_seed_gives_the_same_weights_and_another_does_not(train, tmp_path):
    for folder, seed in [("a", 1), ("b", 1), ("c", 2)]:
        train(folder, seed)
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


class Interrupt(hooks.StopOnDivergenceHook):
    """Ctrl-C in the second epoch."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.epoch == 1:
            raise KeyboardInterrupt


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(train, tmp_path, monkeypatch):
    whole = train("whole").result
    with monkeypatch.context() as patch:
        patch.setattr(hooks.StopOnDivergenceHook, "after_train_iter", Interrupt.after_train_iter)
        with pytest.raises(KeyboardInterrupt):
            train("broken")
    assert not (tmp_path / "broken" / "epoch_2.pth").exists()
    resumed = train("broken").result
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "broken"))
    assert resumed.metrics == whole.metrics
    for name in ("epoch", "train_loss", "top1_accuracy", "lr"):
        assert resumed.curves[name] == whole.curves[name]
    assert "resumed after epoch 1" in resumed.notes


def test_ctrl_c_on_the_command_line_says_how_to_go_on(cifar10, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(hooks.StopOnDivergenceHook, "after_train_iter", Interrupt.after_train_iter)
    code = main(["train", NAME, "--data", str(cifar10), "--work-dir", str(tmp_path / "work")])
    assert code == 130
    assert "the same command goes on" in capsys.readouterr().out
    assert (tmp_path / "work" / "epoch_1.pth").is_file()


def test_a_run_stopped_before_its_validation_makes_up_for_it(train, tmp_path, monkeypatch):
    whole = train("whole").result

    def killed(self, runner, metrics=None):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(hooks.CurveHook, "after_val_epoch", killed)
        with pytest.raises(KeyboardInterrupt):
            train("broken")
    resumed = train("broken").result
    assert resumed.curves["top1_accuracy"] == whole.curves["top1_accuracy"]
    assert resumed.curves["epoch"] == (1, 2)


def test_a_truncated_checkpoint_falls_back_to_the_one_before(train, tmp_path):
    train("work")
    good = weights(tmp_path / "work")
    newest = tmp_path / "work" / "epoch_2.pth"
    newest.write_bytes(newest.read_bytes()[:1000])
    (tmp_path / "work" / "result.json").unlink()  # as if the run had been cut off before its end
    with pytest.warns(UserWarning, match=r"cannot read checkpoint .*epoch_2\.pth .*going on from epoch_1\.pth"):
        train("work")
    assert same(weights(tmp_path / "work"), good)


def test_without_resume_an_earlier_run_is_not_overwritten(train):
    train("work")
    with pytest.raises(UserError, match="holds 2 checkpoints of an earlier run"):
        train("work", resume=False)


def test_another_experiment_in_the_work_folder_is_refused(train, cifar10, tmp_path):
    train("work")
    with pytest.raises(UserError, match=r"belongs to cifar10/smoke/resnet56_cifar seed 0, not to .* seed 1"):
        train("work", seed=1)


def test_a_loss_that_is_no_number_stops_the_run(cifar10, tmp_path, monkeypatch, tiny_network, capsys):
    forward = tiny_network.forward
    calls = []

    def sick(self, x):
        calls.append(None)
        return forward(self, x) * (float("nan") if len(calls) > 4 else 1.0)

    monkeypatch.setattr(tiny_network, "forward", sick)
    options = ["--data", str(cifar10), "--work-dir", str(tmp_path / "w"), "--results", str(tmp_path / "ledger")]
    assert main(["train", NAME, *options]) == 1
    assert "diverged: the loss became nan in epoch 2, batch" in capsys.readouterr().out
    ((_, result),) = ledger.runs(tmp_path / "ledger")
    assert (result.status, result.metrics, result.epochs_done) == ("diverged", (), 1)
    assert torch.isfinite(weights(tmp_path / "w", epoch=1)["network.fc.weight"]).all(), "the last good one is kept"


@pytest.fixture
def test_checkpoint(cifar10, tmp_path, capsys):
    def run(content):
        path = tmp_path / "given.pth"
        torch.save(content, path)
        options = ["--data", str(cifar10), "--work-dir", str(tmp_path / "w"), "--results", str(tmp_path / "ledger")]
        code = main(["test", NAME, "--checkpoint", str(path), *options])
        return code, capsys.readouterr()

    return run


@pytest.mark.parametrize("wrap", [lambda w: w, lambda w: {"state_dict": {f"module.{k}": v for k, v in w.items()}}])
def test_a_bare_state_dict_can_be_tested(test_checkpoint, tiny_network, wrap):
    code, printed = test_checkpoint(wrap(tiny_network().state_dict()))
    assert code == 0, printed.err
    assert "top1_accuracy" in printed.out


def test_a_wrong_architecture_names_the_keys(test_checkpoint, tiny_network):
    content = tiny_network().state_dict()
    content["conv.weights"] = content.pop("conv.weight")
    content["fc.weight"] = torch.zeros(5, 8)
    code, printed = test_checkpoint(content)
    assert code == 2
    assert "does not fit resnet56_cifar: 1 missing (conv.weight); 1 unexpected (conv.weights)" in printed.err
    assert "1 of another shape (fc.weight (5, 8) instead of (10, 8))" in printed.err


class Evil:
    def __reduce__(self):
        return print, ("unpickled",)


def test_objects_in_a_checkpoint_are_never_unpickled(test_checkpoint):
    code, printed = test_checkpoint({"state_dict": {}, "meta": Evil()})
    assert code == 2
    assert "cannot read checkpoint" in printed.err
    assert "unpickled" not in printed.out
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize("content", [None, b"no checkpoint", pickle.dumps([1, 2])])
def test_a_missing_or_foreign_file_is_one_line(cifar10, tmp_path, capsys, content):
    path = tmp_path / "given.pth"
    if content is not None:
        path.write_bytes(content)
    assert main(["test", NAME, "--checkpoint", str(path), "--data", str(cifar10)]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ")
    assert str(path) in printed.err
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "cifar10/smoke/resnet65_cifar"], "did you mean cifar10/smoke/resnet56_cifar"),
        (["train", "cifar10/proxy-10e/resnet56_cifar", "--data", "no/such/folder"], "CIFAR-10 not found"),
        (["train", "imagnet/*"], "no experiment matches 'imagnet/*'"),
    ],
)
def test_mistakes_of_the_user_are_one_line(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_a_wildcard_lists(capsys):
    assert main(["train", "cifar10/paper-400e/s_*"]) == 0
    assert "cifar10/paper-400e/s_versatile_resnet56_cifar" in capsys.readouterr().out.splitlines()


def test_saving_leaves_the_old_file_if_it_fails(tmp_path):
    path = tmp_path / "epoch_1.pth"
    checkpoint_files.save_atomically({"a": 1}, path)
    with pytest.raises((AttributeError, pickle.PicklingError)):
        checkpoint_files.save_atomically({"a": lambda: 1}, path)
    assert safe_loading.load_safely(path) == {"a": 1}
    assert [item.name for item in tmp_path.iterdir()] == ["epoch_1.pth"]


def test_a_terminal_gets_a_bar_with_loss_accuracy_and_time_left(train, monkeypatch):
    monkeypatch.setattr(progress, "REFRESH_S", 0.0)
    screen = io.StringIO()
    train(console=Console(file=screen, force_terminal=True, width=80, color_system=None))
    drawn = screen.getvalue()
    for part in (NAME, "epoch 2/2", "loss ", "accuracy ", "left"):
        assert part in drawn, part
