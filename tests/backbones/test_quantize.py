from __future__ import annotations

import pytest
import torch
from torch import nn

import backbones
from backbones.ops import LearnableVersatileConv2d
from backbones.surgery.quantize import quantized_input, quantized_weight


@pytest.mark.parametrize("bits", [2, 5, 6, 8])
def test_weights_are_rounded_as_torch_rounds_them(bits: int) -> None:
    weight = torch.randn(5, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    weight[3] = 0
    top = 2 ** (bits - 1) - 1
    scales = torch.stack([f.abs().max() / top if f.any() else torch.tensor(1.0) for f in weight])
    expected = torch.fake_quantize_per_channel_affine(weight, scales, torch.zeros(5), 0, -top, top)
    torch.testing.assert_close(quantized_weight(weight, bits), expected, rtol=1e-6, atol=1e-7)
    for f in quantized_weight(weight, bits):
        assert len(f.unique()) <= 2**bits - 1


@pytest.mark.parametrize("bits", [2, 5, 8])
def test_inputs_are_rounded_as_torch_rounds_them(bits: int) -> None:
    x = torch.randn(4, 2, 6, 6, generator=torch.Generator().manual_seed(0))
    x[1] = x[1].relu()
    x[2] = x[2].abs() + 1
    x[3] = 0
    ours = quantized_input(x, bits)
    top = 2**bits - 1
    for image, rounded in zip(x[:3], ours, strict=False):
        low, high = min(float(image.min()), 0.0), max(float(image.max()), 0.0)
        scale = (high - low) / top
        expected = torch.fake_quantize_per_tensor_affine(image, scale, round(-low / scale), 0, top)
        torch.testing.assert_close(rounded, expected, rtol=1e-5, atol=1e-6)
        assert len(rounded.unique()) <= 2**bits
    assert (ours[3] == 0).all()
    assert (ours[1][x[1] == 0] == 0).all(), "zero stays zero, or padding would change"


def network() -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Linear(8 * 36, 4)
    )
    return backbones.versatile(net, "separate", s=2, skip_first=True, quiet=True).eval()


def test_all_layers_take_part_and_fewer_bits_hurt_more() -> None:
    x = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    exact = network()(x)
    errors = []
    for bits in (12, 8, 5, 3):
        net = backbones.quantize(network(), bits)
        errors.append(float((net(x) - exact).detach().norm() / exact.detach().norm()))
        assert len(net[0].weight[0].unique()) <= 2**bits - 1
        assert isinstance(net[2], LearnableVersatileConv2d)
        assert torch.equal(net[2].masks(), network()[2].masks())
    assert errors == sorted(errors)
    assert errors[0] < 0.01 < errors[-1]


def test_a_layer_computes_with_rounded_weights_and_rounded_inputs() -> None:
    x = torch.randn(2, 6, generator=torch.Generator().manual_seed(1))
    layer = nn.Linear(6, 3)
    expected = nn.functional.linear(quantized_input(x, 4), quantized_weight(layer.weight, 4), layer.bias)
    torch.testing.assert_close(backbones.quantize(layer, 4)(x), expected)


def test_an_image_does_not_depend_on_its_batch() -> None:
    net = backbones.quantize(network(), 5)
    x = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(net(x)[2:3], net(x[2:3]))


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="bits=1: a grid has 2 to 16 bits"):
        backbones.quantize(network(), 1)
    with pytest.raises(backbones.SurgeryError, match="Flatten has no convolution"):
        backbones.quantize(nn.Flatten(), 8)
    with pytest.raises(backbones.SurgeryError, match="quantized already"):
        backbones.quantize(backbones.quantize(network(), 8), 8)
