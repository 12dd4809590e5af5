"""A convolution, packed for inference on the CPU."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from backbones.kernels import library
from backbones.kernels.convolution import Packed, activate, named, out_size, unpack
from backbones.kernels.packing import Depthwise, Products, flattened, pack_dense, pack_products, pack_streams
from backbones.ops.channel import ChannelVersatileConv2d
from backbones.ops.learnable import LearnableVersatileConv2d
from backbones.ops.spatial import SpatialVersatileConv2d
from backbones.ops.spatial_channel import SpatialChannelVersatileConv2d
from backbones.ops.versatile import VersatileConv2d


def sides(padding: str | tuple[int, int], kernel_size: tuple[int, int], dilation: tuple[int, int]) -> list[int]:
    """Padding as :class:`torch.nn.Conv2d` takes it, as (top, left, bottom, right)."""
    if isinstance(padding, str):
        total = [d * (k - 1) if padding == "same" else 0 for k, d in zip(kernel_size, dilation, strict=True)]
        return [total[0] // 2, total[1] // 2, total[0] - total[0] // 2, total[1] - total[1] // 2]
    return [*padding, *padding]


FEW, FEW_OF_TWO = 32, 64  # weights of a primary filter whose 2**s - 1 runs share less than they cost; 64 for s <= 2


def packed(layer: nn.Conv2d | VersatileConv2d) -> Packed:
    """Sort the filters of a layer so that each product of a weight and an input is computed once."""
    weight, masks = layer.weight, None
    if isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels == layer.out_channels > 1:
        return Depthwise(weight.detach().float().cpu().flatten(1).clone())
    if isinstance(layer, LearnableVersatileConv2d):
        masks = layer.masks().view(-1, layer.num_secondary, *weight.shape[1:])
        few = FEW if layer.num_secondary > 2 else FEW_OF_TWO
        if not layer.shared and weight[0].numel() <= few:
            return pack_dense(weight, masks, layer.out_channels, layer.groups)
        if not layer.shared:
            return pack_streams(weight, masks, layer.out_channels, layer.groups)
        masks = masks[0]
    elif isinstance(layer, SpatialVersatileConv2d | SpatialChannelVersatileConv2d) or (
        isinstance(layer, ChannelVersatileConv2d) and layer.reading == "window"
    ):
        masks = _fixed_masks(layer)
    elif isinstance(layer, VersatileConv2d):
        weight = layer.secondary_filters()
    if masks is None:
        masks = torch.ones(1, *weight.shape[1:], dtype=torch.bool)
    return pack_products(weight, masks, layer.groups)


@torch.no_grad()
def _fixed_masks(layer: VersatileConv2d) -> Tensor:
    """The masks of the secondaries, the same for each primary: ``(s, in_channels / groups, kh, kw)``."""
    ones = copy.copy(layer)  # the parameters of the original are not touched
    ones._parameters = {"weight": nn.Parameter(torch.ones_like(layer.weight[:1]))}  # noqa: SLF001
    return ones.unfold()[0] != 0


def suits(conv: nn.Conv2d | VersatileConv2d) -> bool:
    """Whether packing is worth its while: a group needs enough filters to share what is read of the input.

    Without the library a dense convolution stays PyTorch's, with the batch norm in its weights.
    """
    if conv.weight.dtype != torch.float32 or getattr(conv, "padding_mode", "zeros") != "zeros":
        return False
    depthwise = isinstance(conv, nn.Conv2d) and conv.groups == conv.in_channels == conv.out_channels
    enough = depthwise or conv.weight.shape[0] // conv.groups >= 4
    return enough and (library.get() is not None or isinstance(conv, LearnableVersatileConv2d))


class PackedConv2d(nn.Module):
    """What a convolution computes in eval mode, with a batch norm and an activation if asked.

    ``activation(conv(x) * scale + bias + residual)``, of a :class:`torch.nn.Conv2d` or a versatile convolution. Each
    product of a weight and an input is computed once and goes to the secondaries whose mask has it (Eq. 31 of Versatile
    Filters), where the library is compiled (:func:`backbones.kernels.in_use`); else PyTorch convolves with the
    materialised filters.

    Inference only: the packed weights are buffers, float32 on the CPU. Masked weights contribute nothing, and NaN and
    infinities in the input reach exactly the outputs whose mask includes them (with the library; PyTorch's dense
    convolution multiplies by the zeros, too, and so do channel windows in the reading of the released code).
    """

    scale: Tensor | None
    bias: Tensor | None

    def __init__(self, layer: nn.Conv2d | VersatileConv2d) -> None:
        super().__init__()
        filters = packed(layer)
        self.kind = type(filters)
        tensors = filters._asdict()
        if isinstance(filters, Products):
            tensors = dict(zip(("values", "layout"), flattened(filters), strict=True))
        self.names = tuple(tensors)
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor)
        self.register_buffer("scale", None)
        self.register_buffer("bias", None if layer.bias is None else layer.bias.detach().float().cpu().clone())
        self.in_channels = layer.in_channels
        self.out_channels = layer.out_channels
        self.kernel_size: tuple[int, int] = layer.kernel_size  # type: ignore[assignment]
        self.stride = layer.stride
        self.dilation: tuple[int, int] = layer.dilation  # type: ignore[assignment]
        self.padding = sides(layer.padding, self.kernel_size, self.dilation)  # type: ignore[arg-type]
        self.groups = layer.groups
        self.num_secondary = layer.num_secondary if isinstance(layer, VersatileConv2d) else 1
        self.activation = "none"

    def packed(self) -> Packed:
        """The buffers that hold the weights."""
        return named([getattr(self, name) for name in self.names])

    def filters(self) -> Tensor:
        """The secondary filters again, ``(out_channels, in_channels / groups, kh, kw)``, without ``scale``."""
        channels = self.in_channels // self.groups
        flat = unpack(self.packed(), self.out_channels, channels * self.kernel_size[0] * self.kernel_size[1])
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
        out: Tensor = torch.ops.slimbench.packed_conv2d(
            x, [getattr(self, name) for name in self.names], self.scale, self.bias, residual, self.out_channels,
            self.kernel_size, self.stride, self.padding, self.dilation, self.groups, activation,
        )  # fmt: skip
        return out

    def extra_repr(self) -> str:
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={self.padding}, dilation={self.dilation}, groups={self.groups}, s={self.num_secondary}, "
            f"bias={self.bias is not None}, activation={self.activation!r}"
        )
