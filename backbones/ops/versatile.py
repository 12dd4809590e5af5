"""What all versatile filters share: few primary filters are stored, many secondary filters convolve."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Size = int | tuple[int, int]


def _pair(value: Size) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


class VersatileConv2d(nn.Module):
    """Base of the versatile convolutions: takes the arguments of :class:`torch.nn.Conv2d` and its place.

    ``weight`` holds the primary filters, ``(num_primary, in_channels / groups, kh, kw)``. Each yields
    ``num_secondary`` (s) secondary filters, which lie side by side in the output, primary by primary (the order of
    Eq. 8 and 10 of Versatile Filters). A group of n output channels has ``ceil(n / s)`` primaries; what they yield
    beyond n is dropped, from the last primary. Each secondary filter has a bias of its own (Eq. 3).

    Masked weights contribute nothing, not even where they are NaN or infinite: the mask selects and does not
    multiply. (Masked positions of the *input* are multiplied by zero, as in any dense convolution.)

    Args:
        num_secondary: s.
        strict: raise where s does not divide the output channels of a group, instead of dropping secondaries.
        stored_channels: input channels of a stored primary filter; all of a group's unless a subclass says so.

    Raises:
        ValueError: if ``groups`` does not divide the channels; under ``strict``, if s does not divide them.
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
        num_secondary: int,
        strict: bool = False,
        stored_channels: int | None = None,
    ) -> None:
        super().__init__()
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(f"groups={groups} must divide in_channels={in_channels} and out_channels={out_channels}")
        if num_secondary < 1:
            raise ValueError(f"num_secondary={num_secondary}: a primary filter yields at least one secondary")
        a_group = out_channels // groups
        if strict and a_group % num_secondary:
            raise ValueError(_misfit(out_channels, groups, num_secondary))
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = _pair(kernel_size)
        self.stride = _pair(stride)
        self.padding = padding if isinstance(padding, str) else _pair(padding)
        self.dilation = _pair(dilation)
        self.groups = groups
        self.num_secondary = num_secondary
        self.num_primary = groups * math.ceil(a_group / num_secondary)
        channels = in_channels // groups if stored_channels is None else stored_channels
        self.weight = nn.Parameter(torch.empty(self.num_primary, channels, *self.kernel_size))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None

    def unfold(self) -> Tensor:
        """Return every secondary filter, surplus included: ``(num_primary, s, in_channels / groups, kh, kw)``."""
        raise NotImplementedError

    def share_of_ones(self) -> float:
        """The mean share of a filter's positions that a secondary filter's mask keeps, in (0, 1]."""
        raise NotImplementedError

    def secondary_filters(self) -> Tensor:
        """Return the filters that convolve: ``(out_channels, in_channels / groups, kh, kw)``."""
        every = self.unfold().flatten(0, 1)
        if every.shape[0] == self.out_channels:
            return every
        by_group = every.view(self.groups, -1, *every.shape[1:])
        return by_group[:, : self.out_channels // self.groups].flatten(0, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, in_channels, H, W) -> (N, out_channels, H', W')``."""
        filters = self.secondary_filters()
        if self.weight.stride(1) < self.weight.stride(2):  # channels last: `is_contiguous` cannot tell a single channel
            # The filters, cut and joined, come out in the usual order, and a convolution of an image with a single
            # channel, whose own order says nothing, takes its output's order from them. `contiguous` would not move it.
            filters = filters.clone(memory_format=torch.channels_last)
        return F.conv2d(x, filters, self.bias, self.stride, self.padding, self.dilation, self.groups)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Initialise as :class:`torch.nn.Conv2d` does, with the fan-in that the masks leave."""
        fan_in = self.in_channels // self.groups * math.prod(self.kernel_size) * self.share_of_ones()
        bound = 1 / math.sqrt(fan_in)
        self.weight.uniform_(-bound, bound)
        if self.bias is not None:
            self.bias.uniform_(-bound, bound)

    def extra_repr(self) -> str:
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={self.padding}, dilation={self.dilation}, groups={self.groups}, bias={self.bias is not None}, "
            f"primary={self.num_primary}, secondary={self.num_secondary}"
        )


def _misfit(out_channels: int, groups: int, s: int) -> str:
    step = groups * s
    low = out_channels // step * step
    fits = ", ".join(str(width) for width in (low, low + step) if width > 0)
    return (
        f"out_channels={out_channels} in {groups} group(s) is no multiple of s={s} secondaries a primary; "
        f"the nearest widths that fit: {fits} (or strict=False, which drops the surplus)"
    )
