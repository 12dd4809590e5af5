"""Spatial and channel versatile filters together (Versatile Filters, sections 3.1 and 3.2; rows "S+C")."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from backbones.ops._gradient import scale_gradient
from backbones.ops.channel import channel_windows
from backbones.ops.spatial import concentric, concentric_share, square
from backbones.ops.versatile import Size, VersatileConv2d


class SpatialChannelVersatileConv2d(VersatileConv2d):
    """ceil(d / 2) concentric filters, each through (c - c_hat) / g + 1 channel windows (Eq. 2, 3 and 6).

    Secondaries of a primary are ordered window by window within each concentric filter. Arguments as in
    :class:`SpatialVersatileConv2d` and :class:`ChannelVersatileConv2d` (the paper's reading of the window);
    ``scale_grad`` divides by the number of concentric filters.

    Raises:
        ValueError: as the two do.
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
        gap: int = 8,
        channel_stride: int = 8,
        scale_grad: bool = True,
        strict: bool = False,
    ) -> None:
        d = square(kernel_size, "spatial versatile filters")
        channels = in_channels // max(groups, 1)
        windows = channel_windows(channels, gap, channel_stride)
        super().__init__(
            in_channels, out_channels, d, stride, padding, dilation, groups, bias,
            num_secondary=math.ceil(d / 2) * windows, strict=strict,
        )  # fmt: skip
        self.gap = gap
        self.channel_stride = channel_stride
        self.window = channels - gap
        self.scale_grad = scale_grad
        self.reset_parameters()

    def unfold(self) -> Tensor:
        scales = math.ceil(self.kernel_size[0] / 2)
        primary = scale_gradient(self.weight, 1 / scales) if self.scale_grad else self.weight
        offsets = range(0, self.gap + 1, self.channel_stride)
        return torch.stack([self._at(ring, low) for ring in concentric(primary) for low in offsets], 1)

    def _at(self, filters: Tensor, low: int) -> Tensor:
        return F.pad(filters[:, low : low + self.window], (0, 0, 0, 0, low, self.gap - low))

    def share_of_ones(self) -> float:
        return concentric_share(self.kernel_size[0]) * self.window / (self.window + self.gap)
