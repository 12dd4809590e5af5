"""The loss, what is measured of enlarged pictures, and the clipping of gradients."""

from __future__ import annotations

import math

import pytest
import torch
from mmengine.optim import OptimWrapper
from torch import nn

import backbones
from backbones.adapters.mmengine import split_mask_groups
from benchmarks.errors import UserError
from benchmarks.training.super_resolver import (
    AdjustableClippingOptimWrapper,
    EnlargementQuality,
    SuperResolver,
    to_8_bit,
)


def drawn(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


class AddOne(nn.Module):
    """Adds a learned number to each pixel."""

    def __init__(self, value=0.25):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def forward(self, x):
        return x + self.value


@pytest.fixture
def model(monkeypatch):
    monkeypatch.setattr(backbones, "create_model", lambda name: {"add": AddOne}[name]())
    return SuperResolver("add")


class TestSuperResolver:
    def test_the_loss_is_half_the_sum_of_squares_a_patch(self, model):
        inputs = drawn(6, 1, 5, 5)
        targets = inputs.clone()
        targets[0] -= 0.5  # an error of 0.75 in one patch, 0.25 in five
        loss = model(inputs, targets, mode="loss")
        assert loss.keys() == {"loss_sr"}
        assert loss["loss_sr"].item() == pytest.approx(25 * (0.75**2 + 5 * 0.25**2) / 2 / 6)
        loss["loss_sr"].backward()
        assert model.network.value.grad.item() == pytest.approx(25 * (0.75 + 5 * 0.25) / 6)

    def test_the_loss_does_not_depend_on_how_a_batch_is_dealt_out(self, model):
        inputs, targets = drawn(6, 1, 5, 5), drawn(6, 1, 5, 5, seed=1)
        halves = [model(inputs[half], targets[half], mode="loss")["loss_sr"] for half in (slice(3), slice(3, 6))]
        assert model(inputs, targets, mode="loss")["loss_sr"].item() == pytest.approx(sum(halves).item() / 2)

    def test_it_is_a_sum_of_float32_under_autocast(self, model):
        inputs = drawn(2, 1, 41, 41)
        targets = inputs + 0.25 + 1e-3
        model.network.forward = lambda x: (x + 0.25).bfloat16()
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(inputs, targets, mode="loss")["loss_sr"]
        assert loss.dtype == torch.float32

    def test_modes(self, model):
        inputs, targets = drawn(1, 1, 4, 7), drawn(1, 1, 4, 7, seed=1)
        assert torch.equal(model(inputs), inputs + 0.25)
        (found,) = model(inputs, targets, mode="predict", scale=3, name="baby")
        assert (found["scale"], found["name"]) == (3, "baby")
        assert torch.equal(found["outputs"], inputs + 0.25)
        assert found["inputs"] is inputs
        assert found["targets"] is targets

    @pytest.mark.parametrize(("mode", "targets"), [("train", torch.zeros(1)), ("loss", None), ("predict", None)])
    def test_no_such_mode(self, model, mode, targets):
        with pytest.raises(ValueError, match=f"no mode '{mode}'"):
            model(torch.zeros(1, 1, 2, 2), targets, mode=mode)


def test_to_8_bit():
    images = torch.tensor([-0.3, 0.0, 0.49 / 255, 0.51 / 255, 254.6 / 255, 1.0, 1.7])
    assert (to_8_bit(images) * 255).tolist() == pytest.approx([0, 0, 0, 1, 255, 255, 255])
    levels = torch.arange(256).float() / 255
    assert torch.equal(to_8_bit(levels), torch.arange(256).double() / 255), "what is 8 bits stays as it is"


def measured(*samples, **options):
    metric = EnlargementQuality(**options)
    for sample in samples:
        metric.process(None, [sample])
    return metric.compute_metrics(metric.results)


def sample(scale=2, name="baby", side=30, **changes):
    """A picture whose bicubic enlargement is off by 8 of 255 everywhere, a network's by 4."""
    truth = (drawn(1, 1, side, side) * 200 + 20).round() / 255
    return {"scale": scale, "name": name, "targets": truth, "inputs": truth + 8 / 255, "outputs": truth - 4 / 255} | {
        key: change(truth) for key, change in changes.items()
    }


def decibels(error):
    """PSNR of an error in 8-bit levels."""
    return pytest.approx(20 * math.log10(255 / error), abs=1e-6)


class TestEnlargementQuality:
    def test_names_and_means(self):
        pictures = [sample(), sample(name="bird", outputs=lambda truth: truth + 2 / 255), sample(scale=4)]
        found = measured(*pictures)
        assert list(found) == [
            *("bicubic_psnr_x2", "bicubic_psnr_x4", "bicubic_ssim_x2", "bicubic_ssim_x4"),
            *("psnr_x2", "psnr_x4", "ssim_x2", "ssim_x4"),
            *("psnr_x2.baby", "bicubic_psnr_x2.baby", "psnr_x2.bird", "bicubic_psnr_x2.bird"),
            *("psnr_x4.baby", "bicubic_psnr_x4.baby"),
        ]
        assert found["psnr_x2.baby"] == found["psnr_x4"] == found["psnr_x4.baby"] == decibels(4)
        assert found["psnr_x2.bird"] == decibels(2)
        assert found["psnr_x2"] == pytest.approx((found["psnr_x2.baby"] + found["psnr_x2.bird"]) / 2)
        assert found["bicubic_psnr_x2"] == found["bicubic_psnr_x2.bird"] == decibels(8)
        assert 0 < found["bicubic_ssim_x2"] < found["ssim_x2"] < 1

    def test_brief(self):
        assert measured(sample(), sample(scale=3), brief=True) == {"psnr_x2": decibels(4), "psnr_x3": decibels(4)}

    @pytest.mark.parametrize(("error", "levels"), [(1.4, 1), (1.6, 2), (-2.3, 2)])
    def test_outputs_are_rounded_to_8_bits(self, error, levels):
        found = measured(sample(outputs=lambda truth: truth + error / 255, inputs=lambda truth: truth + error / 255))
        assert found["psnr_x2"] == found["bicubic_psnr_x2"] == decibels(levels)

    @pytest.mark.parametrize(("background", "output"), [(253, 9.0), (2, -9.0)])
    def test_outputs_are_clipped_to_what_a_picture_can_show(self, background, output):
        beyond = {
            "targets": lambda truth: torch.full_like(truth, background / 255),
            "outputs": lambda truth: torch.full_like(truth, output),
            "inputs": lambda truth: torch.full_like(truth, output),
        }
        found = measured(sample(**beyond))
        assert found["psnr_x2"] == found["bicubic_psnr_x2"] == decibels(2)

    @pytest.mark.parametrize("scale", [2, 3, 4])
    def test_the_border_of_scale_pixels_is_left_out(self, scale):
        def spoilt(place):
            def change(truth):
                images = truth + 1 / 255
                images[..., place, :] = images[..., -1 - place, :] = 0
                images[..., :, place] = images[..., :, -1 - place] = 0
                return images

            return change

        outside, inside = (measured(sample(scale, outputs=spoilt(at))) for at in (scale - 1, scale))
        assert outside[f"psnr_x{scale}"] == decibels(1)
        assert inside[f"psnr_x{scale}"] < 30
        assert inside[f"ssim_x{scale}"] < outside[f"ssim_x{scale}"] - 1e-4

    def test_a_picture_without_any_error_is_refused(self):
        with pytest.raises(UserError, match=r"bird at scale 2 is restored without any error"):
            measured(sample(name="bird", inputs=lambda truth: truth + 0.1 / 255))


def step(parameters, gradients, theta=0.01, **options):
    """One optimizer step with these gradients; returns how far each parameter moved."""
    optimizer = torch.optim.SGD(parameters, lr=0.1, **options)
    before = [p.detach().clone() for group in optimizer.param_groups for p in group["params"]]
    wrapper = AdjustableClippingOptimWrapper(optimizer, theta=theta)
    every = [p for group in optimizer.param_groups for p in group["params"]]
    for parameter, gradient in zip(every, gradients, strict=True):
        parameter.grad = gradient.clone()
    wrapper.step()
    return [p.detach() - old for p, old in zip(every, before, strict=True)]


class TestAdjustableClipping:
    @pytest.mark.parametrize("lr", [10.0, 0.1, 1e-4])
    def test_a_step_moves_no_weight_by_more_than_theta(self, lr):
        gradient = torch.tensor([1e6, -1e6, 0.5 * 0.01 / lr, -0.5 * 0.01 / lr, 0.0])
        weight = nn.Parameter(torch.zeros(5))
        (moved,) = step([{"params": [weight], "lr": lr}], [gradient])
        assert moved.tolist() == pytest.approx([-0.01, 0.01, -0.005, 0.005, 0])

    def test_each_group_by_its_own_learning_rate(self):
        groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (1.0, 0.01, 0.0)]
        moved = step(groups, [torch.tensor([0.5]), torch.tensor([0.5]), torch.tensor([0.5])])
        assert [each.item() for each in moved] == pytest.approx([-0.01, -0.005, 0])

    def test_momentum_adds_up_clipped_gradients(self):
        weight = nn.Parameter(torch.zeros(1))
        wrapper = AdjustableClippingOptimWrapper(torch.optim.SGD([weight], lr=0.1, momentum=0.9), theta=0.01)
        for _ in range(2):
            weight.grad = torch.tensor([1e6])
            wrapper.step()
        assert weight.item() == pytest.approx(-0.01 - 0.019)

    def test_the_learning_rate_is_that_of_the_moment(self):
        weight = nn.Parameter(torch.zeros(1))
        wrapper = AdjustableClippingOptimWrapper(torch.optim.SGD([weight], lr=0.1), theta=0.01)
        wrapper.optimizer.param_groups[0]["lr"] = 1e-3  # a scheduler did it
        weight.grad = torch.tensor([9.0])
        wrapper.step()
        assert weight.item() == pytest.approx(-9e-3), "nothing was cut: 9 is less than theta/lr"

    def test_without_the_wrapper_the_step_is_larger(self):
        weight = nn.Parameter(torch.zeros(1))
        weight.grad = torch.tensor([1e6])
        OptimWrapper(torch.optim.SGD([weight], lr=0.1)).step()
        assert weight.item() == pytest.approx(-1e5)

    @pytest.mark.parametrize("theta", [0, -0.1])
    def test_theta_is_positive(self, theta):
        with pytest.raises(ValueError, match=f"theta must be positive, not {theta}"):
            AdjustableClippingOptimWrapper(torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1), theta=theta)

    def test_masks_move_no_further_either(self):
        """At 30 times the learning rate H has a thirtieth of the bound on its gradients."""
        torch.manual_seed(0)
        network = nn.Sequential(backbones.ops.LearnableVersatileConv2d(3, 4, 3, s=2))
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
        split_mask_groups(optimizer, [], [network[0].agent], 30)
        wrapper = AdjustableClippingOptimWrapper(optimizer, theta=0.01)
        before = {name: value.detach().clone() for name, value in network.named_parameters()}
        for parameter in network.parameters():
            parameter.grad = torch.full_like(parameter, 1e5)
        wrapper.step()
        assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.1, 3])
        for name, value in network.named_parameters():
            assert (before[name] - value).min().item() == pytest.approx(0.01, rel=1e-2), name
            assert (before[name] - value).max().item() == pytest.approx(0.01, rel=1e-2), name
