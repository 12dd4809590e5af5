from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import nn

import backbones
from backbones.ops import LearnableVersatileConv2d, SpatialVersatileConv2d


def network(rule: str = "clipped") -> nn.Sequential:
    return nn.Sequential(
        LearnableVersatileConv2d(3, 8, 3, rule=rule),
        nn.BatchNorm2d(8),
        LearnableVersatileConv2d(8, 8, 3, shared=True, rule=rule),
        SpatialVersatileConv2d(8, 4, 3),
        nn.Flatten(),
        nn.LazyLinear(2),
    )


def test_layers_are_found_behind_wrappers() -> None:
    model = nn.DataParallel(network())
    assert [name for name, _ in backbones.learnable_layers(model)] == ["module.0", "module.2"]


def test_penalty_is_the_weighted_sum_over_layers() -> None:
    model = network()
    expected = 0.3 * (model[0].penalty() + model[2].penalty())
    torch.testing.assert_close(backbones.mask_penalty(model, 0.3), expected)
    torch.testing.assert_close(backbones.mask_penalty(model), expected / 3)
    expected = 0.1 * (model[0].penalty("mean") + model[2].penalty("mean"))
    torch.testing.assert_close(backbones.mask_penalty(model, reduction="mean"), expected)
    backbones.mask_penalty(model).backward()
    assert model[0].agent.grad.abs().sum() > 0
    assert model[0].weight.grad is None


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_penalty_of_layers_that_are_alike_is_the_sum_of_theirs(reduction: Literal["sum", "mean"]) -> None:
    layers = [LearnableVersatileConv2d(8, 8, 3), LearnableVersatileConv2d(8, 8, 3, shared=True)]
    model = nn.Sequential(*layers, LearnableVersatileConv2d(8, 8, 3), LearnableVersatileConv2d(8, 8, 3, rule="literal"))
    expected = torch.stack([layer.penalty(reduction) for _, layer in backbones.learnable_layers(model)]).sum()
    gradients = torch.autograd.grad(expected, [layer.agent for _, layer in backbones.learnable_layers(model)])
    found = backbones.mask_penalty(model, 1.0, reduction)
    torch.testing.assert_close(found, expected)
    found.backward()
    for (_, layer), gradient in zip(backbones.learnable_layers(model), gradients, strict=True):
        torch.testing.assert_close(layer.agent.grad, gradient)


@pytest.mark.parametrize("model", [nn.Conv2d(3, 4, 3), nn.Identity(), network("fixed")], ids=["conv", "empty", "fixed"])
def test_penalty_of_masks_that_do_not_learn_is_zero(model: nn.Module) -> None:
    penalty = backbones.mask_penalty(model)
    assert penalty.shape == ()
    assert penalty == 0
    assert not penalty.requires_grad
    backbones.after_step(model)  # nothing to do, no harm


def test_after_step_reaches_every_layer() -> None:
    model = network()
    with torch.no_grad():
        model[0].agent.fill_(1.7)
        model[2].agent.fill_(-0.4)
    backbones.after_step(model)
    assert (model[0].agent == 1).all()
    assert (model[2].agent == 0).all()


def test_parameter_groups_are_ready_for_sgd() -> None:
    model = network()
    model(torch.randn(2, 3, 9, 9))
    model[1].bias.requires_grad_(False)
    groups = backbones.parameter_groups(model, lr=0.2, weight_decay=1e-4, mask_lr_scale=5)
    weights, agents = groups
    assert (weights["lr"], weights["weight_decay"]) == (0.2, 1e-4)
    assert (agents["lr"], agents["weight_decay"], agents["momentum"]) == (1.0, 0, 0)
    assert [id(p) for p in agents["params"]] == [id(model[0].agent), id(model[2].agent)]
    trainable = {id(p) for p in model.parameters() if p.requires_grad}
    listed = [id(p) for group in groups for p in group["params"]]
    assert len(listed) == len(set(listed))
    assert set(listed) == trainable

    optimizer = torch.optim.SGD(groups, lr=123, momentum=0.9, nesterov=True)
    h = model[0].agent.detach().clone()
    for _ in range(2):
        optimizer.zero_grad()
        model[0].agent.grad = torch.full_like(h, 0.01)
        optimizer.step()
    torch.testing.assert_close(model[0].agent.detach(), h - 2 * 0.01)  # no momentum, no decay, lr 0.2 * 5


def test_without_learned_masks_there_is_one_group() -> None:
    for model in (network("fixed")[:2], nn.Conv2d(3, 4, 3)):
        groups = backbones.parameter_groups(model, lr=0.1)
        assert len(groups) == 1
        assert all(p.requires_grad for p in groups[0]["params"])
        assert groups[0]["weight_decay"] == 0


def test_statistics_and_flips() -> None:
    model = network()
    with torch.no_grad():
        model[0].agent.fill_(1)
        model[2].agent.fill_(0)
    before = backbones.snapshot_masks(model)
    assert list(before) == ["0", "2"]
    ones, zeros = model[0].agent.numel(), model[2].agent.numel()
    statistics = backbones.mask_statistics(model)
    assert statistics["share_of_ones"] == pytest.approx(ones / (ones + zeros))
    assert statistics["entries"] == ones + zeros
    with torch.no_grad():
        model[2].agent.flatten()[:5].fill_(0.9)
    after = backbones.snapshot_masks(model)
    assert int(before["2"].sum()) == 0  # a snapshot is a copy
    assert backbones.masks_changed(before, after) == pytest.approx(5 / (ones + zeros))
    assert backbones.masks_changed(before, before) == 0


def test_statistics_without_masks() -> None:
    assert backbones.mask_statistics(nn.Conv2d(3, 4, 3)) == {}
    assert backbones.masks_changed({}, {}) == 0
