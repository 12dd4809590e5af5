"""No checkpoint is ever unpickled: not ours, not a given one, not through any of MMEngine's doors."""

from __future__ import annotations

import builtins
import copy
import os

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModule
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from mmengine.runner.checkpoint import load_checkpoint

from benchmarks import ledger
from benchmarks.cli import main
from benchmarks.errors import UserError
from benchmarks.training import engine, experiments, safe_loading

NAME = "cifar10/smoke/resnet56_cifar"


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, trace):
        self.trace = str(trace)

    def __reduce__(self):
        return os.mkdir, (self.trace,)


class Reaching:
    """Asks the unpickler for a function of a module by `getattr`, which MMEngine's allow-list contains."""

    def __init__(self, owner, name):
        self.owner, self.name = owner, name

    def __reduce__(self):
        return getattr, (self.owner, self.name)


@pytest.fixture
def evil(tmp_path):
    path = tmp_path / "evil.pth"
    torch.save({"state_dict": {"weight": torch.zeros(1)}, "meta": Evil(tmp_path / "trace")}, path)
    return path


def config_for(cifar10, tmp_path, **changes):
    """As docs/training.md tells users of plain MMEngine."""
    config = Config.fromfile(experiments.CONFIGS / "cls" / "cifar10" / "smoke.py")
    config.merge_from_dict({"model.name": "resnet56_cifar", "work_dir": str(tmp_path / "work"), **changes})
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        loader.dataset.root = str(cifar10)
    return config


@pytest.fixture
def runner(cifar10, tmp_path, tiny_network):
    runner = engine.build_runner(config_for(cifar10, tmp_path))
    yield runner
    runner.close()


def test_the_trap_works(evil, tmp_path):
    torch.load(evil, weights_only=False)
    assert (tmp_path / "trace").is_dir()


DOORS = {
    "ours": lambda path, _: safe_loading.load_safely(path),
    "a given one": lambda path, _: safe_loading.load_safely(path, mmengine=True),
    "Runner.load_checkpoint": lambda path, runner: runner.load_checkpoint(str(path)),
    "Runner.resume": lambda path, runner: Runner.resume(runner, str(path)),
    "load_checkpoint": lambda path, _: load_checkpoint(torch.nn.Linear(1, 1), str(path)),
    "init_cfg": lambda path, _: BaseModule({"type": "Pretrained", "checkpoint": str(path)}).init_weights(),
}


@pytest.mark.parametrize("door", DOORS)
def test_nothing_is_executed(door, evil, runner, tmp_path):
    with pytest.raises(UserError, match="cannot read checkpoint"):
        DOORS[door](evil, runner)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("runner_class", [Runner, engine.BenchmarkRunner])
@pytest.mark.parametrize("resume", [False, True])
def test_nothing_is_executed_by_load_from(runner_class, resume, evil, cifar10, tmp_path, tiny_network):
    config = config_for(cifar10, tmp_path, load_from=str(evil), resume=resume)
    with pytest.raises(UserError, match="cannot read checkpoint"):
        runner_class.from_cfg(config).train()
    assert not (tmp_path / "trace").exists()


def test_nothing_is_executed_from_a_download(evil, tmp_path, monkeypatch):
    # what a download would leave; torch finds the file and fetches nothing
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    evil.rename(tmp_path / "checkpoints" / "evil.pth")
    with pytest.raises(Exception, match=r"[Ww]eights only"):
        load_checkpoint(torch.nn.Linear(1, 1), "https://localhost/evil.pth")
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize(("owner", "name"), [(getattr, "__self__"), (HistoryBuffer, "__init__")])
def test_getattr_reaches_nothing_but_statistics(owner, name, tmp_path):
    path = tmp_path / "given.pth"
    torch.save({"meta": Reaching(HistoryBuffer, "min")}, path)
    assert safe_loading.load_safely(path, mmengine=True) == {"meta": HistoryBuffer.min}
    torch.save({"meta": Reaching(owner, name)}, path)
    with pytest.raises(UserError, match="may not look up"):
        safe_loading.load_safely(path, mmengine=True)


def test_the_error_says_what_the_file_holds_and_does_not_advise_to_trust_it(evil):
    with pytest.raises(UserError, match=r"posix\.mkdir|nt\.mkdir") as raised:
        safe_loading.load_safely(evil)
    assert "False" not in str(raised.value)


def test_the_allow_list_is_mmengines_without_getattr():
    allowed = safe_loading.mmengine_classes()
    assert HistoryBuffer in allowed
    assert getattr not in allowed
    assert not {builtins.eval, builtins.exec, os.system} & {one for one in allowed if not isinstance(one, tuple)}


@HOOKS.register_module(force=True)
class StopAfterAnEpoch(Hook):
    def before_train_epoch(self, runner):
        if runner.epoch == 1:
            raise KeyboardInterrupt


@pytest.mark.parametrize("hook", [{"type": "CheckpointHook", "interval": 1}, None])
def test_a_checkpoint_of_plain_mmengine_is_tested(hook, cifar10, tmp_path, tiny_network, capsys):
    config = config_for(cifar10, tmp_path)
    if hook is not None:
        config.default_hooks.checkpoint = hook
    plain = Runner.from_cfg(copy.deepcopy(config))
    plain.train()
    accuracy = plain.test()["top1_accuracy"]
    checkpoint = tmp_path / "work" / "epoch_2.pth"
    with pytest.raises(Exception, match=r"Unsupported|weights_only") if hook else pytest.MonkeyPatch.context():
        torch.load(checkpoint, weights_only=True)  # MMEngine's holds objects: the allow-list is what lets it in
    options = ["--data", str(cifar10), "--results", str(tmp_path / "ledger"), "--work-dir", str(tmp_path / "test")]
    assert main(["test", NAME, "--checkpoint", str(checkpoint), *options]) == 0, capsys.readouterr().err
    ((_, result),) = ledger.runs(tmp_path / "ledger")
    assert result.metrics[0].value == pytest.approx(accuracy, abs=1e-4)
    assert result.epochs_done == 2


def test_mmengines_own_resume_goes_on(cifar10, tmp_path, tiny_network):
    """Runner.from_cfg(config).train() with `resume=True`, interrupted after an epoch, through the closed door."""
    config = config_for(cifar10, tmp_path)
    config.default_hooks.checkpoint = {"type": "CheckpointHook", "interval": 1}
    stopped = copy.deepcopy(config)
    stopped.custom_hooks = [*config.custom_hooks, {"type": "StopAfterAnEpoch"}]
    with pytest.raises(KeyboardInterrupt):
        Runner.from_cfg(stopped).train()
    config.resume = True
    runner = Runner.from_cfg(config)
    runner.train()
    assert [point["epoch"] for point in runner.curve] == [1, 2]


def test_a_work_folder_of_plain_mmengine_is_refused(cifar10, tmp_path, tiny_network):
    config = config_for(cifar10, tmp_path)
    config.default_hooks.checkpoint = {"type": "CheckpointHook", "interval": 1}
    Runner.from_cfg(config).train()
    with pytest.raises(UserError, match=r"epoch_2\.pth.*give another --work-dir|cannot read checkpoint"):
        engine.train(NAME, data=cifar10, work_dir=tmp_path / "work")
    assert (tmp_path / "work" / "epoch_1.pth").is_file()
