"""Post-training quantization to few bits, simulated in floating point (Versatile Filters, Table 6)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from backbones.ops.versatile import VersatileConv2d
from backbones.surgery.report import SurgeryError

_LAYERS = (nn.Conv2d, nn.Linear, VersatileConv2d)


def quantize(model: nn.Module, bits: int) -> nn.Module:
    """Let every convolution and linear layer compute with weights and inputs of ``bits`` bits, in place; return it.

    The paper takes "the widely-used post-training quantization in TensorFlow" and prints bit operations of weights
    and activations of equal width; it says no more. Taken here is that tool's rule, which needs no images to calibrate:
    weights on a symmetric grid with a scale for each filter, :func:`quantized_weight`; inputs of layers on an affine
    grid over the range that they have in each image, :func:`quantized_input`. All layers are quantized, first and last
    included, as the printed bit operations have them. Biases, batch norm and the masks of versatile filters (one bit
    in any case) stay. The values are those of the grid, the arithmetic is floating point.

    Gradients do not pass: the network is for testing.

    Raises:
        ValueError: for ``bits`` outside 2..16.
        SurgeryError: if the network has no such layer, or is quantized already.
    """
    if not 2 <= bits <= 16:
        raise ValueError(f"bits={bits}: a grid has 2 to 16 bits")
    layers = [module for module in model.modules() if isinstance(module, _LAYERS)]
    if not layers:
        raise SurgeryError(f"{type(model).__name__} has no convolution or linear layer to quantize")
    if any(hasattr(layer, "quantized_bits") for layer in layers):
        raise SurgeryError(f"{type(model).__name__} is quantized already")
    for layer in layers:
        with torch.no_grad():
            layer.weight.copy_(quantized_weight(layer.weight, bits))
        layer.quantized_bits = bits  # type: ignore[assignment]
        layer.register_forward_pre_hook(_quantize_inputs)
    return model


@torch.no_grad()
def quantized_weight(weight: Tensor, bits: int) -> Tensor:
    """Round ``(n, ...)`` to n symmetric grids: 2^bits - 1 multiples of max|w| / (2^(bits - 1) - 1), zero among them."""
    steps = 2 ** (bits - 1) - 1
    scale = weight.abs().flatten(1).amax(1) / steps
    scale = torch.where(scale > 0, scale, 1.0).view(-1, *[1] * (weight.ndim - 1))
    return (weight / scale).round_().mul_(scale)


@torch.no_grad()
def quantized_input(x: Tensor, bits: int) -> Tensor:
    """Round ``(N, ...)`` to N affine grids of 2^bits values over [min(x, 0), max(x, 0)], zero being on the grid."""
    shape = (-1, *[1] * (x.ndim - 1))
    flat = x.flatten(1)
    low, high = flat.amin(1).clamp_(max=0), flat.amax(1).clamp_(min=0)
    steps = 2**bits - 1
    scale = (high - low) / steps
    scale = torch.where(scale > 0, scale, 1.0).view(shape)
    zero = (-low.view(shape) / scale).round_()
    return ((x / scale).round_() + zero).clamp_(0, steps).sub_(zero).mul_(scale)


def _quantize_inputs(layer: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    return (quantized_input(args[0], int(layer.quantized_bits)), *args[1:])  # type: ignore[arg-type]
