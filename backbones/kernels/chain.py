"""``torch.ops.slimbench.chain``: many layers in one call, their intermediate results in one arena that is reused."""

from __future__ import annotations

import ctypes
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones.kernels import library
from backbones.kernels.convolution import ACTIVATIONS, activate, named, out_size, weights_of
from backbones.kernels.module import PackedConv2d
from backbones.kernels.packing import Depthwise, Products, Streams
from backbones.kernels.pooling import DeployedMaxPool2d

torch.library.define("slimbench::chain", "(Tensor x, Tensor[] tensors, int[] layers) -> Tensor")


class Step(NamedTuple):
    """One layer of a chain in numbers, as the operator takes it. Value 0 is the chain's input, i + 1 layer i's output."""

    kind: int
    x: int
    residual: int  # or -1
    tensors: int  # of the packed filters; scale and bias follow
    scale: int
    bias: int
    out_channels: int
    kernel_h: int
    kernel_w: int
    stride_h: int
    stride_w: int
    top: int
    left: int
    bottom: int
    right: int
    dilation_h: int
    dilation_w: int
    groups: int
    activation: int

    @property
    def geometry(self) -> tuple[Sequence[int], Sequence[int], Sequence[int], Sequence[int]]:
        """Kernel size, stride, padding (top, left, bottom, right) and dilation."""
        return self[7:9], self[9:11], self[11:15], self[15:17]


_SIZE = len(Step._fields)


def _steps(layers: Sequence[int]) -> list[Step]:
    return [Step(*layers[i : i + _SIZE]) for i in range(0, len(layers), _SIZE)]


def _shapes(shape: Sequence[int], steps: Sequence[Step]) -> list[tuple[int, int, int, int]]:
    """Shape of the input and of each layer's output."""
    found = [cast("tuple[int, int, int, int]", tuple(shape))]
    for step in steps:
        n, channels, *size = found[step.x]
        height, width = out_size(size, *step.geometry)
        found.append((n, channels if step.kind == library.POOL else step.out_channels, height, width))
    return found


class _Plan:
    """What the library is told of a chain for one shape of input."""

    def __init__(self, x: Tensor, steps: Sequence[Step], tensors: Sequence[Tensor]) -> None:
        shapes = _shapes(x.shape, steps)
        self.shape = shapes[-1]
        self.pointers = pointers = tuple([tensor.data_ptr() for tensor in tensors])
        self.fits = all(
            shapes[step.residual] == shapes[i + 1] for i, step in enumerate(steps) if step.residual >= 0
        ) and all(min(shape) > 0 for shape in shapes)
        places, self.arena = _places(shapes, steps)
        self.layers = (library.Layer * len(steps))()
        threads, at = torch.get_num_threads(), 0
        for i, (step, layer) in enumerate(zip(steps, self.layers, strict=True)):
            layer.kind, layer.x, layer.y = step.kind, places[step.x], places[i + 1]
            layer.residual = library.NOWHERE if step.residual < 0 else places[step.residual]
            (n, channels, height, width), (_, out_channels, *out) = shapes[step.x], shapes[i + 1]
            kernel, stride, padding, dilation = step.geometry
            if step.kind == library.POOL:
                layer.pooling = library.Pooling(
                    n * channels, height, width, *out, *kernel, *stride, *padding[:2], threads
                )
                continue
            packed = named(tensors[at : at + step.tensors])
            at += step.tensors
            units = 1
            if isinstance(packed, Depthwise):
                layer.depthwise = packed.weights.data_ptr()
            elif isinstance(packed, Streams):
                layer.streams, units = weights_of(packed)
            else:
                layer.products, secondaries = weights_of(packed)
                units = -(-(out_channels // step.groups) // secondaries)
            layer.scale = pointers[at] if step.scale else None
            at += step.scale
            layer.bias = pointers[at] if step.bias else None
            at += step.bias
            layer.shape = library.Shape(
                n, channels, height, width, out_channels, *out, *kernel, *stride, *padding[:2], *dilation, step.groups,
                units, channels, out_channels, step.activation, threads,
            )  # fmt: skip


def _places(shapes: Sequence[tuple[int, ...]], steps: Sequence[Step]) -> tuple[list[int], int]:
    """A place for each value, the lowest that no living one has, and the floats that all need."""
    last = [0] * len(shapes)
    for i, step in enumerate(steps):
        last[step.x] = i
        if step.residual >= 0:
            last[step.residual] = i
    places, total = [library.INPUT], 0
    living: list[tuple[int, int, int]] = []  # begin, end, last reader
    for i, shape in enumerate(shapes[1:]):
        if i == len(steps) - 1:
            places.append(library.OUTPUT)
            break
        size = (shape[0] * shape[1] * shape[2] * shape[3] + 15) // 16 * 16
        living = sorted(value for value in living if value[2] >= i)
        begin = 0
        for other, end, _ in living:
            if begin + size <= other:
                break
            begin = max(begin, end)
        living.append((begin, begin + size, last[i + 1]))
        places.append(begin)
        total = max(total, begin + size)
    return places, total


_plans: OrderedDict[tuple[object, ...], tuple[list[Step], _Plan]] = OrderedDict()


@torch.library.impl("slimbench::chain", "CPU")
def _cpu(x: Tensor, tensors: list[Tensor], layers: list[int]) -> Tensor:
    compiled = library.get()
    if compiled is None or x.dtype != torch.float32 or x.ndim != 4:
        return _one_by_one(x, tensors, _steps(layers))
    key = (tuple(layers), tuple(x.shape), torch.get_num_threads())
    known = _plans.pop(key, None)
    if known is None or known[1].pointers != tuple([tensor.data_ptr() for tensor in tensors]):
        steps = _steps(layers)
        known = (steps, _Plan(x, steps, tensors))
        while len(_plans) >= 32:
            _plans.popitem(last=False)
    _plans[key] = known
    steps, plan = known
    if not plan.fits:
        return _one_by_one(x, tensors, steps)
    x = x.contiguous()
    y = x.new_empty(plan.shape)
    arena = x.new_empty(plan.arena)
    if compiled.slim_chain(plan.layers, len(steps), x.data_ptr(), y.data_ptr(), arena.data_ptr()):
        raise MemoryError(f"no memory for the layers of {tuple(x.shape)}")
    return y


def _one_by_one(x: Tensor, tensors: Sequence[Tensor], steps: Sequence[Step]) -> Tensor:
    values, at = [x], 0
    for step in steps:
        kernel, stride, padding, dilation = step.geometry
        if step.kind == library.POOL:
            values.append(torch.ops.slimbench.max_pool2d(values[step.x], kernel, stride, padding[:2]))
            continue
        packed = list(tensors[at : at + step.tensors])
        at += step.tensors
        scale = tensors[at] if step.scale else None
        at += step.scale
        bias = tensors[at] if step.bias else None
        at += step.bias
        residual = values[step.residual] if step.residual >= 0 else None
        activation = ACTIVATIONS[step.activation]
        of_conv = (step.out_channels, kernel, stride, padding, dilation, step.groups)
        y = torch.ops.slimbench.packed_conv2d(values[step.x], packed, scale, bias, None, *of_conv, "none")
        values.append(activate(y if residual is None else y + residual, activation))
    return values[-1]


@torch.library.register_fake("slimbench::chain")  # type: ignore[untyped-decorator]
def _fake(x: Tensor, tensors: list[Tensor], layers: list[int]) -> Tensor:
    return x.new_empty(_shapes(x.shape, _steps(layers))[-1])


class Chain(nn.Module):
    """Packed convolutions and max poolings in one call: ``(N, C, H, W) -> (N, C', H', W')``.

    Args:
        layers: each with the value it reads and the one it adds before its activation, or -1; value 0 is the input of
            the chain, i + 1 the output of layer i. The last layer's output is the chain's.
    """

    def __init__(self, layers: Sequence[tuple[PackedConv2d | DeployedMaxPool2d, int, int]]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layer for layer, _, _ in layers)
        self._numbers: list[int] = []
        for layer, value, residual in layers:
            self._numbers += _numbers(layer, value, residual)

    def forward(self, x: Tensor) -> Tensor:
        first = self.layers[0]
        if isinstance(first, PackedConv2d) and (x.ndim != 4 or x.shape[1] != first.in_channels):
            raise ValueError(f"input of shape {tuple(x.shape)}: must be (N, {first.in_channels}, H, W)")
        tensors = [tensor for layer in self.layers for tensor in layer._buffers.values() if tensor is not None]  # noqa: SLF001
        out: Tensor = torch.ops.slimbench.chain(x, tensors, self._numbers)
        return out


def _numbers(layer: PackedConv2d | DeployedMaxPool2d, value: int, residual: int) -> Step:
    """A layer as the operator takes it; its buffers, in their order, are the operator's tensors."""
    if isinstance(layer, DeployedMaxPool2d):
        sizes = (*layer.kernel_size, *layer.stride, *layer.padding, *layer.padding, 1, 1)
        return Step(library.POOL, value, residual, 0, 0, 0, 0, *sizes, 1, 0)
    filters = layer.packed()
    assert [*filters._fields, "scale", "bias"] == list(layer._buffers)  # noqa: SLF001
    kind = {Streams: library.STREAMS, Products: library.PRODUCTS, Depthwise: library.DEPTHWISE}[type(filters)]
    return Step(
        kind, value, residual, len(filters), layer.scale is not None, layer.bias is not None, layer.out_channels,
        *layer.kernel_size, *layer.stride, *layer.padding, *layer.dilation, layer.groups,
        ACTIVATIONS.index(layer.activation),
    )  # fmt: skip
