"""Batch norms that take the statistics of what they get."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from benchmarks.settling import settling


def test_each_norm_gets_the_statistics_of_its_own_input():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 5, 1), nn.BatchNorm2d(5)).eval()
    images = 7 + 3 * torch.randn(2, 3, 9, 8)
    with torch.no_grad(), settling(network):
        network(images)
    with torch.no_grad():
        first = network[0](images)
        second = network[2](network[1](first))
    for norm, features in ((network[1], first), (network[3], second)):
        torch.testing.assert_close(norm.running_mean, features.mean((0, 2, 3)))
        torch.testing.assert_close(norm.running_var, features.var((0, 2, 3), correction=0))
        assert norm._forward_pre_hooks == {}


def test_one_value_a_channel_has_no_variance_and_changes_nothing():
    norm = nn.BatchNorm2d(2).eval()
    with torch.no_grad(), settling(norm):
        norm(torch.full((1, 2, 1, 1), 7.0))
    assert torch.equal(norm.running_mean, torch.zeros(2))
    assert torch.equal(norm.running_var, torch.ones(2))


def test_the_hooks_are_gone_after_an_error():
    norm = nn.BatchNorm2d(2).eval()
    with pytest.raises(ZeroDivisionError), settling(norm):
        raise ZeroDivisionError
    assert norm._forward_pre_hooks == {}
