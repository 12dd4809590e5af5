"""Channel versatile filters: a window slides along the channels (Versatile Filters, section 3.2)."""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from backbones.ops.versatile import Size, VersatileConv2d

Reading = Literal["window", "released"]


def channel_windows(channels: int, gap: int, channel_stride: int) -> int:
    """Return n = (c - c_hat) / g + 1, the windows of c_hat = c - gap channels (Eq. 6).

    Raises:
        ValueError: if no channel is left in a window, or g does not divide the gap.
    """
    if not 0 <= gap < channels:
        raise ValueError(f"gap={gap} (c - c_hat) must be at least 0 and less than the {channels} input channels")
    if channel_stride < 1 or gap % channel_stride:
        raise ValueError(f"channel_stride={channel_stride} (g) must divide gap={gap} (c - c_hat)")
    return gap // channel_stride + 1


class ChannelVersatileConv2d(VersatileConv2d):
    """n = (c - c_hat) / g + 1 secondary filters a primary, each seeing c_hat neighbouring channels (Eq. 6).

    Args:
        gap: c - c_hat, channels of the input that a secondary filter does not see (Table 2's first column).
        channel_stride: g, from one window to the next.
        reading: ``window`` (the paper's: the window slides over filter and input together, so all c channels of a
            primary are used and products are shared between overlapping windows) or ``released`` (the authors'
            code: the same first c_hat weights are applied at every offset of the input; only those are stored).
            Same windows, different functions and costs.

    With groups, c is the number of channels of a group.

    Raises:
        ValueError: if a window has no channel, g does not divide the gap, or the reading is unknown.
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
        reading: Reading = "window",
        strict: bool = False,
    ) -> None:
        if reading not in get_args(Reading):
            raise ValueError(f"reading={reading!r}: must be 'window' (the paper) or 'released' (the authors' code)")
        channels = in_channels // max(groups, 1)
        windows = channel_windows(channels, gap, channel_stride)
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias,
            num_secondary=windows, strict=strict,
            stored_channels=channels - gap if reading == "released" else None,
        )  # fmt: skip
        self.gap = gap
        self.channel_stride = channel_stride
        self.window = channels - gap
        self.reading = reading
        self.reset_parameters()

    def unfold(self) -> Tensor:
        return torch.stack([self._at(i * self.channel_stride) for i in range(self.num_secondary)], 1)

    def _at(self, low: int) -> Tensor:
        alive = self.weight if self.reading == "released" else self.weight[:, low : low + self.window]
        return F.pad(alive, (0, 0, 0, 0, low, self.gap - low))

    def share_of_ones(self) -> float:
        return self.window / (self.window + self.gap)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, window={self.window}, g={self.channel_stride}, reading={self.reading!r}"
