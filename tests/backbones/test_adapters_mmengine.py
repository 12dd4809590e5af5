"""The hook against the same training written out by hand."""

from __future__ import annotations

import copy

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

import backbones
from backbones.adapters.mmengine import VersatileMaskHook, split_mask_groups
from backbones.ops import LearnableVersatileConv2d

LR, DECAY, MOMENTUM, SCALE, WEIGHT = 0.05, 0.1, 0.9, 30.0, 0.5


class Net(BaseModel):
    def __init__(self, rule="clipped", learnable=True):
        super().__init__()
        conv = LearnableVersatileConv2d(3, 4, 3, s=2, rule=rule) if learnable else nn.Conv2d(3, 4, 3)
        self.net = nn.Sequential(conv, nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 2))

    def forward(self, inputs, labels, mode="tensor"):
        scores = self.net(inputs)
        return {"loss": nn.functional.cross_entropy(scores, labels)} if mode == "loss" else scores


class Batches(torch.utils.data.Dataset):
    metainfo: dict = {}  # noqa: RUF012

    def __init__(self):
        generator = torch.Generator().manual_seed(5)
        self.inputs = torch.randn(6, 4, 3, 8, 8, generator=generator)
        self.labels = torch.randint(0, 2, (6, 4), generator=generator)

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return {"inputs": self.inputs[index], "labels": self.labels[index]}


class Watch(Hook):
    priority = "LOWEST"

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.outputs = outputs


def by_hook(model, work_dir, accumulate=1, epochs=2, schedule=None, hook=None):
    watch = Watch()
    runner = Runner(
        model,
        str(work_dir),
        train_dataloader=DataLoader(Batches(), batch_size=1, collate_fn=lambda items: items[0]),
        train_cfg={"by_epoch": True, "max_epochs": epochs},
        optim_wrapper={
            "type": "OptimWrapper",
            "optimizer": {"type": "SGD", "lr": LR, "momentum": MOMENTUM, "weight_decay": DECAY},
            "accumulative_counts": accumulate,
        },
        param_scheduler=schedule,
        custom_hooks=[hook or {"type": "VersatileMaskHook", "weight": WEIGHT, "mask_lr_scale": SCALE}, watch],
        default_hooks={"checkpoint": None, "logger": None},
        randomness={"seed": 0},
        experiment_name=str(work_dir),
        log_level="ERROR",
    )
    runner.train()
    return runner, watch


def by_hand(model, accumulate=1, epochs=2, factors=(1.0, 1.0)):
    groups = backbones.parameter_groups(model, LR, DECAY, SCALE)
    optimizer = torch.optim.SGD(groups, lr=LR, momentum=MOMENTUM)
    rates = [group["lr"] for group in optimizer.param_groups]
    data = Batches()
    for epoch in range(epochs):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * factors[epoch]
        for index in range(len(data)):
            loss = model(**data[index], mode="loss")["loss"] + backbones.mask_penalty(model, WEIGHT)
            (loss / accumulate).backward()
            if (index + 1) % accumulate == 0:
                optimizer.step()
                optimizer.zero_grad()
                backbones.after_step(model)
    return model


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("rule", ["clipped", "literal"])
def test_the_hook_does_what_a_loop_by_hand_does(tmp_path, rule, accumulate):
    torch.manual_seed(1)
    model = Net(rule)
    start = copy.deepcopy(model.state_dict())
    expected = by_hand(copy.deepcopy(model), accumulate)
    by_hook(model, tmp_path, accumulate)
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, msg=name)
    assert not torch.equal(model.state_dict()["net.0.agent"], start["net.0.agent"])


def test_schedulers_steer_the_masks_group_too(tmp_path):
    torch.manual_seed(1)
    model = Net()
    expected = by_hand(copy.deepcopy(model), factors=(1.0, 0.1))
    runner, _ = by_hook(model, tmp_path, schedule={"type": "MultiStepLR", "milestones": [1], "gamma": 0.1})
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, msg=name)
    assert [group["lr"] for group in runner.optim_wrapper.param_groups] == pytest.approx([LR * 0.1, LR * SCALE * 0.1])
    assert all(len(scheduler.base_values) == 2 for scheduler in runner.param_schedulers)


def test_the_groups_are_those_of_parameter_groups(tmp_path):
    model = Net()
    runner, watch = by_hook(model, tmp_path)
    for ours, theirs in zip(
        runner.optim_wrapper.param_groups, backbones.parameter_groups(model, LR, DECAY, SCALE), strict=True
    ):
        assert [id(p) for p in ours["params"]] == [id(p) for p in theirs["params"]]
        for key, value in theirs.items():
            if key != "params":
                assert ours[key] == pytest.approx(value), key
    assert "loss_masks" in watch.outputs
    assert "parse_losses" not in vars(model), "the model is left as it was found"
    before = [len(group["params"]) for group in runner.optim_wrapper.param_groups]
    runner.call_hook("before_run")  # as Runner.test does after training
    assert [len(group["params"]) for group in runner.optim_wrapper.param_groups] == before


def test_it_logs_the_share_of_ones_and_the_changes(tmp_path):
    torch.manual_seed(2)
    model = Net()
    before = model.net[0].masks().clone()
    hook = {"type": "VersatileMaskHook", "weight": WEIGHT, "mask_lr_scale": 1000.0}  # so that some do change
    runner, _ = by_hook(model, tmp_path, epochs=1, hook=hook)
    scalars = runner.message_hub.log_scalars
    after = model.net[0].masks()
    assert scalars["train/share_of_ones"].current() == pytest.approx(after.float().mean().item())
    assert scalars["train/masks_changed"].current() == pytest.approx((before != after).float().mean().item())
    assert (before != after).any()


def test_a_model_without_masks_is_left_alone(tmp_path):
    torch.manual_seed(3)
    with_hook, without = Net(learnable=False), None
    without = copy.deepcopy(with_hook)
    runner, watch = by_hook(with_hook, tmp_path / "a")
    by_hook(without, tmp_path / "b", hook=Watch())
    assert "loss_masks" not in watch.outputs
    assert len(runner.optim_wrapper.param_groups) == 1
    assert "train/share_of_ones" not in runner.message_hub.log_scalars
    for first, second in zip(with_hook.parameters(), without.parameters(), strict=True):
        assert torch.equal(first, second)


def test_adam_gets_no_momentum_key():
    layer = LearnableVersatileConv2d(3, 4, 3)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.01, weight_decay=0.3)
    split_mask_groups(optimizer, [], [layer.agent], 2.0)
    weights, masks = optimizer.param_groups
    assert masks["params"] == [layer.agent]
    assert (masks["lr"], masks["weight_decay"]) == (0.02, 0.0)
    assert weights["weight_decay"] == 0.3
    assert "momentum" not in masks


@pytest.mark.parametrize("arguments", [{"weight": -0.1}, {"mask_lr_scale": 0.0}])
def test_impossible_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match="must be >= 0"):
        VersatileMaskHook(**arguments)
    assert HOOKS.get("VersatileMaskHook") is VersatileMaskHook
