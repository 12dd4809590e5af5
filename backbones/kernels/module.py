"""A learnable versatile convolution, packed for inference on the CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from backbones.kernels.packing import Packed, pack, unpack
from backbones.kernels.pattern_conv import activate, out_size
from backbones.ops.learnable import LearnableVersatileConv2d


def sides(padding: str | tuple[int, int], kernel_size: tuple[int, int], dilation: tuple[int, int]) -> list[int]:
    """Padding as :class:`torch.nn.Conv2d` takes it, as (top, left, bottom, right)."""
    if isinstance(padding, str):
        total = [d * (k - 1) if padding == "same" else 0 for k, d in zip(kernel_size, dilation, strict=True)]
        return [total[0] // 2, total[1] // 2, total[0] - total[0] // 2, total[1] - total[1] // 2]
    return [*padding, *padding]


class PackedLearnableConv2d(nn.Module):
    """What a :class:`LearnableVersatileConv2d` computes in eval mode, with a batch norm and an activation if asked.

    ``activation(conv(x) * scale + bias + residual)``. Each product of a weight and an input is computed once and goes
    to the secondaries whose mask has it (Eq. 31 of Versatile Filters), where the library is compiled
    (:func:`backbones.kernels.in_use`); else PyTorch convolves with the materialised filters.

    Inference only: the packed weights are buffers, float32 on the CPU. Masked weights contribute nothing, and NaN and
    infinities in the input reach exactly the outputs whose mask includes them (with the library; PyTorch's dense
    convolution multiplies by the zeros, too).
    """

    scale: Tensor | None
    bias: Tensor | None

    def __init__(self, layer: LearnableVersatileConv2d) -> None:
        super().__init__()
        masks = layer.masks().view(-1, layer.num_secondary, *layer.weight.shape[1:])
        for name, tensor in pack(layer.weight, masks, layer.out_channels, layer.groups)._asdict().items():
            self.register_buffer(name, tensor)
        self.register_buffer("scale", None)
        self.register_buffer("bias", None if layer.bias is None else layer.bias.detach().float().cpu().clone())
        self.in_channels = layer.in_channels
        self.out_channels = layer.out_channels
        self.kernel_size = layer.kernel_size
        self.stride = layer.stride
        self.padding = sides(layer.padding, layer.kernel_size, layer.dilation)
        self.dilation = layer.dilation
        self.groups = layer.groups
        self.num_secondary = layer.num_secondary
        self.activation = "none"

    def packed(self) -> Packed:
        """The buffers that hold the weights."""
        return Packed(*(getattr(self, name) for name in Packed._fields))

    def filters(self) -> Tensor:
        """The secondary filters again, ``(out_channels, in_channels / groups, kh, kw)``, without ``scale``."""
        channels = self.in_channels // self.groups
        flat = unpack(self.packed(), channels * self.kernel_size[0] * self.kernel_size[1])
        return flat.view(-1, channels, *self.kernel_size)

    @torch.no_grad()
    def fold(self, norm: nn.BatchNorm2d) -> None:
        """Take in the batch norm that follows; its running statistics are final.

        The secondaries of a primary have scales of their own, so the scale is applied to outputs, not to weights.
        """
        if norm.running_mean is None or norm.running_var is None:
            raise ValueError("a batch norm without running statistics depends on the batch: it cannot be folded")
        scale = (norm.running_var.double() + norm.eps).rsqrt()
        if norm.affine:
            scale = scale * norm.weight.double()
        bias = -norm.running_mean.double() if self.bias is None else self.bias.double() - norm.running_mean.double()
        bias = bias * scale + norm.bias.double() if norm.affine else bias * scale
        self.scale = (scale if self.scale is None else scale * self.scale.double()).float()
        self.bias = bias.float()

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """``(N, in_channels, H, W) -> (N, out_channels, H', W')``; ``residual`` is added before the activation."""
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"input of shape {tuple(x.shape)}: must be (N, {self.in_channels}, H, W)")
        if residual is not None and not self._fits(x, residual):  # one that is broadcast
            return activate(self._convolve(x, None, "none") + residual, self.activation)
        return self._convolve(x, residual, self.activation)

    def _fits(self, x: Tensor, residual: Tensor) -> bool:
        size = out_size(x.shape[2:], self.kernel_size, self.stride, self.padding, self.dilation)
        return residual.dtype == x.dtype and tuple(residual.shape) == (x.shape[0], self.out_channels, *size)

    def _convolve(self, x: Tensor, residual: Tensor | None, activation: str) -> Tensor:
        out: Tensor = torch.ops.slimbench.pattern_conv2d(
            x, self.values, self.offsets, self.counts, self.starts, self.secondaries, self.outputs, self.scale,
            self.bias, residual, self.out_channels, self.kernel_size, self.stride, self.padding, self.dilation,
            self.groups, activation,
        )  # fmt: skip
        return out

    def extra_repr(self) -> str:
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={self.padding}, dilation={self.dilation}, groups={self.groups}, s={self.num_secondary}, "
            f"bias={self.bias is not None}, activation={self.activation!r}"
        )
