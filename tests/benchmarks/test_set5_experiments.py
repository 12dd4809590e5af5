"""Each experiment of super-resolution stands, and each network makes two steps of its training."""

from __future__ import annotations

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, HOOKS, METRICS, MODELS
from test_experiments import learning_rates

import backbones
from benchmarks.training import evaluation, experiments
from benchmarks.training.super_resolver import AdjustableClippingOptimWrapper

TABLE11 = ("vdsr20", "vdsr22", "s_versatile_vdsr22", "separate_l_versatile_vdsr22_s4")
OURS = ("c_versatile_vdsr22_8_8", "shared_l_versatile_vdsr22_s4")
PROTOCOLS = sorted(name for name in experiments.list_protocols() if name.startswith(("set5/", "set14/", "pictures/")))
TRAINED = [name for name in PROTOCOLS if not experiments.protocol(name)["evaluate_only"]]


def config_of(protocol, model="vdsr22"):
    return experiments.experiment(f"{protocol}/{model}")


def test_the_papers_protocol_and_a_shorter_one():
    assert "set5/paper" in TRAINED
    assert not experiments.protocol("set5/paper")["proxy"]
    assert [name for name in TRAINED if experiments.protocol(name)["proxy"] and name != "set5/smoke"]
    assert {"set5/paper-x2x4", "set5/paper-all-patches"} <= set(TRAINED)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_network_of_luminance_is_an_experiment(protocol):
    models = {name.rpartition("/")[2] for name in experiments.list_experiments(f"{protocol}/*")}
    if experiments.protocol(protocol)["evaluate_only"]:
        assert "vdsr20" in models
        return
    assert {*TABLE11, *OURS} <= models
    assert all("vdsr" in name for name in models)


@pytest.mark.parametrize("name", [name for p in PROTOCOLS for name in experiments.list_experiments(f"{p}/*")])
def test_every_experiment_stands(name):
    """Its parts have the arguments that their classes take; data are drawn elsewhere."""
    config = experiments.experiment(name)
    assert f"{config.dataset.name}/{config.protocol.name}/{config.model.name}" == config.experiment == name
    assert (config.dataset.num_classes, tuple(config.dataset.input_size)) == (0, (1, 41, 41))
    assert backbones.model_spec(config.model.name).num_classes == 0
    assert METRICS.build(dict(config.test_evaluator)).brief is False
    for loader in (config.val_dataloader, config.test_dataloader):
        assert DATASETS.get(loader.dataset.type).__name__ == "PicturesAtScales"
        assert set(loader.dataset.get("scales", (2, 3, 4))) <= {2, 3, 4}
        assert loader.batch_size == 1
    if config.protocol.get("evaluate_only"):
        with pytest.raises(Exception, match="trains nothing"):
            evaluation.refuse_to_train(config)
        return
    evaluation.refuse_to_train(config)
    assert config.protocol.epochs == config.train_cfg.max_epochs
    assert DATASETS.get(config.train_dataloader.dataset.type).__name__ == "PatchesInMemory"
    assert all(isinstance(HOOKS.build(dict(hook)), Hook) for hook in config.custom_hooks)


@pytest.mark.parametrize("protocol", TRAINED)
def test_what_is_tested_was_trained(protocol):
    config = config_of(protocol)
    tested = set(config.test_dataloader.dataset.scales)
    assert tested <= set(config.train_dataloader.dataset.scales)
    assert set(config.val_dataloader.dataset.scales) <= tested


def test_the_protocol_that_vdsr_prints():
    config = config_of("set5/paper")
    optimizer = config.optim_wrapper.optimizer
    assert optimizer == {"type": "SGD", "lr": 0.1, "momentum": 0.9, "weight_decay": 1e-4}
    assert config.optim_wrapper.type == "AdjustableClippingOptimWrapper"
    train = config.train_dataloader
    assert (train.batch_size, train.dataset.get("size", 41), tuple(train.dataset.scales)) == (64, 41, (2, 3, 4))
    assert train.dataset.per_epoch * config.train_cfg.max_epochs == 9960 * 64  # the printed iterations
    found = learning_rates(config, 2)
    assert len(found) == 160
    expected = {0: 0.1, 19: 0.1, 20: 0.01, 39: 0.01, 40: 1e-3, 59: 1e-3, 60: 1e-4, 79: 1e-4}
    assert {epoch: found[2 * epoch] for epoch in expected} == pytest.approx(expected)


@pytest.mark.parametrize(("variant", "scales"), [("x2x4", (2, 4)), ("x2", (2,)), ("x4", (4,))])
def test_variants_of_the_scales(variant, scales):
    config = config_of(f"set5/paper-{variant}")
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        assert tuple(loader.dataset.scales) == scales


def test_all_patches_are_an_epoch():
    dataset = config_of("set5/paper-all-patches").train_dataloader.dataset
    assert dataset.per_epoch is None
    assert dataset.get("limit") is None


@pytest.mark.parametrize("model", [*TABLE11, *OURS])
def test_makes_two_steps_of_the_papers_training(model):
    config = config_of("set5/paper", model)
    torch.manual_seed(0)
    network = MODELS.build({**config.model, "val_dtype": None}).train()
    wrapper = build_optim_wrapper(network, config.optim_wrapper)
    assert isinstance(wrapper, AdjustableClippingOptimWrapper)
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    for _ in range(2):
        inputs = torch.rand(2, 1, 13, 13)
        losses = network.train_step({"inputs": inputs, "targets": inputs + 0.1}, wrapper)
        assert torch.isfinite(losses["loss"])
    theta, rate = config.optim_wrapper.theta, config.optim_wrapper.optimizer.lr
    for name, value in network.named_parameters():
        moved, decay = (value - before[name]).abs().max(), rate * 1e-4 * before[name].abs().max()
        assert 0 < moved < 1.01 * (1 + 1.9) * (theta + decay), name  # the second step has the momentum of the first
