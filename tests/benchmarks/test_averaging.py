"""The average of the weights is what is tested."""

from __future__ import annotations

import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.runner import Runner
from torch import nn

import benchmarks.training.averaging  # noqa: F401  registers the hook


class Line(nn.Module):
    """As little of an MMEngine model as a Runner takes: one weight, whose value is its loss."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(1.0))
        self.seen = []

    def train_step(self, data, optim_wrapper):
        loss = self.weight.sum()
        optim_wrapper.update_params(loss)
        return {"loss": loss.detach()}

    def test_step(self, data):
        self.seen.append(self.weight.item())
        return [{}]


class Nothing(Evaluator):
    """An evaluator that measures nothing."""

    def __init__(self):
        self.metrics = []

    def process(self, data_samples, data_batch=None):
        pass

    def evaluate(self, size):
        return {}


def test_a_test_after_training_sees_the_average(tmp_path):
    model = Line()
    loader = torch.utils.data.DataLoader([0, 1, 2], batch_size=1)
    runner = Runner(
        model=model,
        work_dir=str(tmp_path),
        train_dataloader=loader,
        train_cfg={"by_epoch": True, "max_epochs": 1},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
        test_dataloader=loader,
        test_cfg={},
        test_evaluator=Nothing(),
        custom_hooks=[{"type": "WeightAverageHook", "momentum": 0.25, "update_buffers": True}],
        default_hooks={"checkpoint": None},
        cfg=Config({}),
        experiment_name=tmp_path.name,
    )
    runner.train()
    last = model.weight.item()
    runner.test()
    # SGD walks 0.9, 0.8, 0.7. The average takes the first as it is and then a quarter of each.
    average = 0.9
    for weight in (0.8, 0.7):
        average = 0.75 * average + 0.25 * weight
    assert last == pytest.approx(0.7)
    assert model.seen == pytest.approx([average] * 3)
    assert model.weight.item() == pytest.approx(last), "after the test the last weights are back"
