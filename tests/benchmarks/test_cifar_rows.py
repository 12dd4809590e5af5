"""Each network of the CIFAR tables makes two steps of its protocol's own training."""

from __future__ import annotations

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS

from benchmarks.metrics import METRICS
from benchmarks.published import list_tables, load_table
from benchmarks.training import experiments

QUICK = {
    "cifar10/paper-400e/naive_versatile_resnet56_cifar",
    "cifar100/paper-200e/sc_resnet56_cifar",
    "cifar100/paper-200e/sc_shufflenetv2_cifar",
}


def names():
    """All experiments of accuracies in tables of CIFAR-10 and CIFAR-100 that the papers do not cite."""
    found = set()
    for table in map(load_table, list_tables()):
        measured = any(METRICS[column.metric].run for column in table.columns)
        for row in table.rows if measured and table.dataset.startswith("cifar") else ():
            if not row.quoted_from:
                found.add(f"{table.dataset}/{row.protocol or table.protocol}/{row.model}")
    return sorted(found)


def test_the_quick_ones_are_among_them():
    assert set(names()) >= QUICK
    assert len([name for name in names() if name.startswith("cifar100/")]) >= 30


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in names()]
)
def test_makes_two_steps(name):
    config = experiments.experiment(name)
    torch.manual_seed(0)
    model = MODELS.build({**config.model, "val_dtype": None}).train()
    wrapper = build_optim_wrapper(model, config.optim_wrapper)
    classes = config.dataset.num_classes
    before = [parameter.detach().clone() for parameter in model.parameters()]
    for _ in range(2):
        batch = {"inputs": torch.randn(4, *config.dataset.input_size), "labels": torch.randint(0, classes, (4,))}
        losses = model.train_step(batch, wrapper)
        assert torch.isfinite(losses["loss"])
    learned = [parameter.requires_grad for parameter in model.parameters()]
    moved = [not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)]
    assert moved == learned
    assert model.eval()(batch["inputs"]).shape == (4, classes)
