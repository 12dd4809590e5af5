"""The learning-rate rule, on configs."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from mmengine.config import Config

from benchmarks import ledger
from benchmarks.errors import UserError
from benchmarks.training import distributed, engine, total_batch
from benchmarks.training.experiments import experiment, list_protocols

NAME = "cifar10/paper-400e/resnet56_cifar"


@pytest.fixture
def config():
    return experiment(NAME)


@pytest.mark.parametrize("processes", [1, 2, 16, 128])
def test_processes_share_the_batch_and_the_learning_rate_stays(config, processes):
    total_batch.share(config, processes)
    assert config.train_dataloader.batch_size * processes == 128
    assert config.optim_wrapper.optimizer.lr == 0.1
    assert total_batch.total_batch(config) == 128
    assert config.protocol.proxy is False
    total_batch.check(config.train_dataloader.batch_size, processes, config.auto_scale_lr)


def test_processes_that_cannot_share_are_told_how_many_can(config):
    with pytest.raises(
        UserError, match=r"^3 processes cannot share the total batch 128 .*start 1, 2, 4, 8, 16, 32, 64"
    ):
        total_batch.share(config, 3)


def test_another_total_batch_is_refused_with_the_reason(config):
    with pytest.raises(UserError, match=r"--batch-size 512 .* total batch 128 .*16 points .*4 times .*paper-400e-b512"):
        total_batch.change(config, 512)


@pytest.mark.parametrize("batch_size", [None, 128])
def test_the_protocols_own_batch_changes_nothing(config, batch_size):
    before = config.to_dict()
    total_batch.change(config, batch_size, scale_lr=True)
    assert config.to_dict() == before


def test_the_linear_rule_makes_another_protocol_that_is_no_papers(config):
    config.param_scheduler = [{"type": "CosineAnnealingLR", "eta_min": 0.01}, {"type": "LinearLR", "end_factor": 0.5}]
    total_batch.change(config, 512, scale_lr=True)
    assert config.optim_wrapper.optimizer.lr == pytest.approx(0.4)
    assert [dict(scheduler) for scheduler in config.param_scheduler] == [
        {"type": "CosineAnnealingLR", "eta_min": 0.04},
        {"type": "LinearLR", "end_factor": 0.5},
    ]
    assert config.train_dataloader.batch_size == 512
    assert config.protocol.name == "paper-400e-b512"
    assert config.protocol.proxy is True
    assert "learning rate times 4" in config.protocol.description
    assert config.experiment == "cifar10/paper-400e-b512/resnet56_cifar"
    total_batch.share(config, 4)
    assert config.train_dataloader.batch_size == 128


@pytest.mark.parametrize("batch_size", [0, -8])
def test_a_batch_has_an_image(config, batch_size):
    with pytest.raises(UserError, match="at least 1 image"):
        total_batch.change(config, batch_size, scale_lr=True)


@pytest.mark.parametrize(
    ("batch_size", "processes", "settings", "fine"),
    [
        (128, 1, None, True),
        (128, 2, None, False),
        (64, 2, {"base_batch_size": 128}, True),
        (128, 2, {"base_batch_size": 128}, False),
        (128, 2, {"base_batch_size": 128, "enable": True}, True),
    ],
)
def test_a_runner_of_mmengines_own_is_checked(batch_size, processes, settings, fine):
    if fine:
        total_batch.check(batch_size, processes, settings)
        return
    with pytest.raises(UserError, match=r"take 256 images a step.*batch_size=64 auto_scale_lr\.base_batch_size=128"):
        total_batch.check(batch_size, processes, settings)


def test_the_hook_refuses_before_the_first_step(monkeypatch):
    monkeypatch.setattr(distributed, "alone", lambda: False)
    monkeypatch.setattr(distributed, "get_world_size", lambda: 2)
    runner = SimpleNamespace(train_dataloader=SimpleNamespace(batch_size=128, sampler=None), cfg={})
    with pytest.raises(UserError, match="2 processes with batch_size=128 take 256 images a step"):
        distributed.DistributedHook().before_train(runner)
    runner.cfg["auto_scale_lr"] = {"base_batch_size": 256}
    distributed.DistributedHook().before_train(runner)


def test_a_scaled_run_is_recorded_as_another_protocol(cifar10, tiny_network, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(ledger.ENVIRONMENT_VARIABLE, str(tmp_path / "ledger"))
    outcome = engine.train("cifar10/smoke/resnet56_cifar", data=cifar10, batch_size=16, scale_lr=True)
    assert outcome.result.identity == "cifar10/smoke-b16/resnet56_cifar"
    assert outcome.result.protocol.proxy
    assert outcome.result.total_batch == 16
    assert (tmp_path / "work_dirs" / outcome.result.identity / "seed0" / "epoch_2.pth").is_file()
    assert not (tmp_path / "ledger").exists(), "a smoke run measures nothing, with any batch"
    again = engine.train("cifar10/smoke/resnet56_cifar", data=cifar10, batch_size=16, scale_lr=True)
    assert again.already


def test_every_protocol_that_trains_refuses_a_wrong_total_batch_under_mmengine():
    for name, path in list_protocols().items():
        if path.is_dir():
            continue  # configs of MMDetection and MMSegmentation, whose users scale by its own auto_scale_lr
        config = Config.fromfile(path)
        if config.get("train_dataloader") is not None:
            assert {"type": "DistributedHook"} in config.custom_hooks, name
