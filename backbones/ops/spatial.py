"""Spatial versatile filters: concentric secondary filters (Versatile Filters, section 3.1)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from backbones.ops._gradient import scale_gradient
from backbones.ops.versatile import Size, VersatileConv2d


def concentric(filters: Tensor) -> list[Tensor]:
    """Eq. (2): the filters, then without their outermost ring, then without two rings, down to the centre.

    Takes ``(P, c, d, d)``; returns ``ceil(d / 2)`` tensors of that shape, zero where the mask is zero.
    """
    d = filters.shape[-1]
    rings = [F.pad(filters[..., i : d - i, i : d - i], (i, i, i, i)) for i in range(1, math.ceil(d / 2))]
    return [filters, *rings]


def concentric_share(d: int) -> float:
    """Mean share of ones in the masks of Eq. (2)."""
    s = math.ceil(d / 2)
    return sum((d - 2 * i) ** 2 for i in range(s)) / (s * d * d)


class SpatialVersatileConv2d(VersatileConv2d):
    """s = ceil(d / 2) concentric secondary filters a primary, outputs concatenated (Eq. 2 and 3).

    A 3x3 primary yields a 3x3 and a 1x1 filter, a 7x7 one four. Stride and padding are shared, so all secondaries
    are centred on the same pixel.

    Args:
        scale_grad: divide the gradient of the primary filters by s, as section 3.1 does "to avoid the gradient
            explosion". The input's gradient is left alone: divided as well it would shrink by s a layer.

    Raises:
        ValueError: if the kernel is not square.
    """

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
        d = square(kernel_size, "spatial versatile filters")
        super().__init__(
            in_channels, out_channels, d, stride, padding, dilation, groups, bias,
            num_secondary=math.ceil(d / 2), strict=strict,
        )  # fmt: skip
        self.scale_grad = scale_grad
        self.reset_parameters()

    def unfold(self) -> Tensor:
        primary = scale_gradient(self.weight, 1 / self.num_secondary) if self.scale_grad else self.weight
        return torch.stack(concentric(primary), 1)

    def share_of_ones(self) -> float:
        return concentric_share(self.kernel_size[0])


def square(kernel_size: Size, what: str) -> int:
    """Return the side of a square kernel."""
    if isinstance(kernel_size, int):
        return kernel_size
    if kernel_size[0] != kernel_size[1]:
        raise ValueError(f"kernel_size={kernel_size}: {what} are defined for square kernels")
    return kernel_size[0]
