"""``torch.ops.slimbench.packed_conv2d``: a convolution with packed filters, for inference on the CPU."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from backbones.kernels import library
from backbones.kernels.packing import Depthwise, Products, Streams, unflattened, unpack_products, unpack_streams

ACTIVATIONS = ("none", "relu", "relu6")
Packed = Streams | Products | Depthwise

torch.library.define(
    "slimbench::packed_conv2d",
    "(Tensor x, Tensor[] packed, Tensor? scale, Tensor? bias, Tensor? residual, int out_channels, int[] kernel_size, "
    "int[] stride, int[] padding, int[] dilation, int groups, str activation) -> Tensor",
)


def out_size(
    size: Sequence[int], kernel_size: Sequence[int], stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int],
) -> tuple[int, int]:  # fmt: skip
    """Return the output's height and width; ``padding`` is (top, left, bottom, right)."""
    height, width = (
        (size[i] + padding[i] + padding[i + 2] - dilation[i] * (kernel_size[i] - 1) - 1) // stride[i] + 1
        for i in (0, 1)
    )
    return height, width


def activate(x: Tensor, activation: str) -> Tensor:
    """Apply one of ACTIVATIONS, in place."""
    if activation == "none":
        return x
    return F.relu_(x) if activation == "relu" else F.relu6(x, inplace=True)


def named(packed: Sequence[Tensor]) -> Packed:
    """Return the tensors of an operator's argument under their names."""
    if len(packed) == 2:
        return unflattened(*packed)
    return Depthwise(*packed) if len(packed) == 1 else Streams(*packed)


def unpack(packed: Packed, out_channels: int, rows: int) -> Tensor:
    """Return the secondary filters again: ``(out_channels, rows)``, rows = in_channels / groups * kh * kw."""
    if isinstance(packed, Depthwise):
        return packed.weights
    return unpack_streams(packed, rows) if isinstance(packed, Streams) else unpack_products(packed, out_channels, rows)


def _check(x: Tensor, size: tuple[int, int]) -> None:
    if x.dtype != torch.float32:
        raise ValueError(f"input of {x.dtype}: packed filters convolve torch.float32")
    if size[0] < 1 or size[1] < 1:
        raise ValueError(f"input of shape {tuple(x.shape)}: smaller than the kernel")


def check_weights(tensor: Tensor) -> None:
    """Raise ValueError if a tensor of a packed layer was converted to another floating type."""
    if tensor.dtype.is_floating_point and tensor.dtype != torch.float32:
        raise ValueError(f"packed weights of {tensor.dtype}: must stay torch.float32; deploy the network anew")


@torch.library.impl("slimbench::packed_conv2d", "CPU")
def _cpu(
    x: Tensor, packed: list[Tensor], scale: Tensor | None, bias: Tensor | None, residual: Tensor | None,
    out_channels: int, kernel_size: list[int], stride: list[int], padding: list[int], dilation: list[int], groups: int,
    activation: str,
) -> Tensor:  # fmt: skip
    height, width = out_size(x.shape[2:], kernel_size, stride, padding, dilation)
    _check(x, (height, width))
    for tensor in (*packed, scale, bias):
        if tensor is not None:
            check_weights(tensor)
    compiled = library.get()
    if compiled is None:
        return _by_torch(
            x,
            named(packed),
            scale,
            bias,
            residual,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            activation,
        )
    x = x.contiguous()
    y = x.new_empty(x.shape[0], out_channels, height, width)
    if residual is not None:
        residual = residual.contiguous()
    units = 0  # of products the library knows
    pointers = [tensor.data_ptr() for tensor in packed]
    structure: ctypes.Structure | None = None
    if len(packed) == 1:
        run = compiled.slim_conv_depthwise
    elif len(packed) == 2:
        run, structure = compiled.slim_conv_products, library.ProductWeights(*pointers)
    else:
        run, structure, units = compiled.slim_conv_streams, library.StreamWeights(*pointers), len(packed[-1])
    address = pointers[0] if structure is None else ctypes.addressof(structure)
    shape = library.Shape(
        *x.shape, out_channels, height, width, *kernel_size, *stride, *padding[:2], *dilation, groups, units,
        x.shape[1], out_channels, ACTIVATIONS.index(activation), torch.get_num_threads(),
    )  # fmt: skip
    more = (None if t is None else t.data_ptr() for t in (scale, bias, residual))
    if run(ctypes.addressof(shape), address, x.data_ptr(), *more, y.data_ptr()):
        raise MemoryError(f"no memory to convolve {tuple(x.shape)}")
    return y


_dense: Any = WeakTensorKeyDictionary()  # first tensor -> (its version, the filters), where there is no library


def _by_torch(
    x: Tensor, packed: Packed, scale: Tensor | None, bias: Tensor | None, residual: Tensor | None, out_channels: int,
    kernel_size: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], groups: int,
    activation: str,
) -> Tensor:  # fmt: skip
    """The same with PyTorch's dense convolution. Zeros do multiply here: NaN in the input reaches every output."""
    followed = not packed[0].is_inference()  # else nobody counts its changes
    changes = packed[0]._version if followed else -1  # noqa: SLF001  (weights may be loaded later)
    known, filters = _dense.get(packed[0], (-2, x)) if followed else (-2, x)
    if known != changes:
        channels = x.shape[1] // groups
        flat = unpack(packed, out_channels, channels * kernel_size[0] * kernel_size[1])
        filters = flat.view(-1, channels, kernel_size[0], kernel_size[1])
        if followed:
            _dense[packed[0]] = (changes, filters)
    top, left, bottom, right = padding
    if (top, left) != (bottom, right):
        x, top, left = F.pad(x, (left, right, top, bottom)), 0, 0
    y = F.conv2d(x, filters, None, list(stride), [top, left], list(dilation), groups)
    if scale is not None:
        y = y * scale.view(-1, 1, 1)
    if bias is not None:
        y = y + bias.view(-1, 1, 1)
    if residual is not None:
        y = y + residual
    return activate(y, activation)


@torch.library.register_fake("slimbench::packed_conv2d")  # type: ignore[untyped-decorator]
def _fake(x: Tensor, packed: list[Tensor], *arguments: Any) -> Tensor:  # noqa: ARG001
    out_channels, kernel_size, stride, padding, dilation, *_ = arguments[3:]
    height, width = out_size(x.shape[2:], kernel_size, stride, padding, dilation)
    return x.new_empty(x.shape[0], out_channels, height, width)
