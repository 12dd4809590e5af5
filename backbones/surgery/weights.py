"""What becomes of weights when a layer changes shape: the scale is kept, the device and precision too."""

from __future__ import annotations

import math
from typing import Any, TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


def peculiarity(conv: nn.Conv2d) -> str | None:
    """Say why ``conv`` is not just a convolution of its own weights, so that nothing else may take its place."""
    if isinstance(conv.weight, nn.UninitializedParameter):
        return "has no weights yet (lazy): run the network once"
    if "weight" not in dict(conv.named_parameters(recurse=False)):
        return "computes its weights (weight_norm and the like)"
    kind = type(conv)
    between = kind.__mro__[: kind.__mro__.index(nn.Conv2d)]
    changed = any({"forward", "_conv_forward"} & vars(each).keys() for each in between)
    # mmcv's wrapper only lets empty tensors through on versions of PyTorch that could not.
    if changed and kind.__module__ != "mmcv.cnn.bricks.wrappers":
        return f"{kind.__name__} does more than convolve"
    return None


def moved(module: M, like: nn.Conv2d) -> M:
    """Put a new module where the old convolution is: its device, its dtype, its mode."""
    return module.to(device=like.weight.device, dtype=like.weight.dtype).train(like.training)


@torch.no_grad()
def gain(conv: nn.Conv2d) -> float | None:
    """Return the standard deviation of the weights times sqrt(fan-in), what an initialisation sets; None on meta."""
    if conv.weight.is_meta:
        return None
    value = float(conv.weight.float().std(correction=0)) * math.sqrt(conv.weight[0].numel())
    return value if value > 0 else None


@torch.no_grad()
def match_scale(module: nn.Module, like: nn.Conv2d) -> None:
    """Draw every k x k convolution inside ``module`` from a normal distribution of the gain that ``like`` has."""
    scale = gain(like)
    for conv in module.modules():
        if scale is not None and isinstance(conv, nn.Conv2d) and conv.kernel_size == like.kernel_size:
            nn.init.normal_(conv.weight, std=scale / math.sqrt(conv.weight[0].numel()))


def narrowed(conv: nn.Conv2d, in_channels: int) -> nn.Conv2d:
    """Return ``conv`` for another number of input channels: same outputs and bias, weights drawn anew at its gain.

    Raises:
        ValueError: if the convolution has groups that do not divide ``in_channels``.
    """
    if in_channels % conv.groups:
        raise ValueError(f"{in_channels} input channels do not divide into the {conv.groups} groups of the next layer")
    make: Any = type(conv)
    new: nn.Conv2d = make(
        in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups,
        conv.bias is not None, conv.padding_mode,
    )  # fmt: skip
    new = moved(new, conv)
    match_scale(new, conv)
    if conv.bias is not None and new.bias is not None and not conv.bias.is_meta:
        with torch.no_grad():
            new.bias.copy_(conv.bias)
    return new
