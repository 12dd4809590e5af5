"""The naive summation of the secondary filters' responses (Versatile Filters, Eq. 4 and 5), a control."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from backbones.ops._gradient import scale_gradient
from backbones.ops.spatial import concentric, square
from backbones.ops.versatile import Size, VersatileConv2d


def ring_counts(d: int) -> Tensor:
    """Sum of the masks of Eq. (2), ``(d, d)``: how many of the concentric filters keep a position."""
    return torch.stack(concentric(torch.ones(1, 1, d, d))).sum((0, 1, 2))


class NaiveVersatileConv2d(VersatileConv2d):
    """``y = [(M_1 + ... + M_s) o f] * x + b`` (Eq. 5): the concentric responses of Eq. (3) summed, not concatenated.

    A filter yields one map, so nothing is saved: parameters and multiplications are those of an ordinary convolution
    whose inner weights count several times (those of a 3x3 filter's centre twice).

    Args:
        scale_grad: divide the gradient of the filters by s = ceil(d / 2), as the spatial filters do (section 3.1), so
            that the two differ in the summation only.

    Raises:
        ValueError: if the kernel is not square.
    """

    rings: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        scale_grad: bool = True,
        strict: bool = False,
    ) -> None:
        d = square(kernel_size, "naive versatile filters")
        super().__init__(
            in_channels, out_channels, d, stride, padding, dilation, groups, bias, num_secondary=1, strict=strict
        )
        self.scale_grad = scale_grad
        self.register_buffer("rings", ring_counts(d), persistent=False)
        self.reset_parameters()

    def unfold(self) -> Tensor:
        scale = 1 / math.ceil(self.kernel_size[0] / 2)
        primary = scale_gradient(self.weight, scale) if self.scale_grad else self.weight
        return (primary * self.rings).unsqueeze(1)

    def share_of_ones(self) -> float:
        """Mean square of the summed masks, at least 1: what they do to the variance of the output."""
        d = self.kernel_size[0]
        return sum((min(p, q, d - 1 - p, d - 1 - q) + 1) ** 2 for p in range(d) for q in range(d)) / d**2
