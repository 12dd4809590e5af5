"""``torch.ops.slimbench.chain``: many layers in one call, their intermediate results in one arena that is reused."""

from __future__ import annotations

import ctypes
from collections import OrderedDict
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from backbones.kernels import library
from backbones.kernels.convolution import ACTIVATIONS, activate, check_weights
from backbones.kernels.slim import fold, gate
from backbones.kernels.steps import (
    Link,
    Shape4,
    Step,
    Writer,
    after,
    cut,
    input_channels,
    places_of,
    shapes_of,
    steps_of,
    tensors_of,
)

torch.library.define("slimbench::chain", "(Tensor x, Tensor[] tensors, str text) -> Tensor")


class _Plan:
    """What the library is told of a chain for one shape of input."""

    def __init__(self, x: Tensor, steps: Sequence[Step], tensors: Sequence[Tensor]) -> None:
        self.tensors = tensors
        self.shapes = shapes_of(x.shape, steps)
        self.shape = self.shapes[steps[-1].y]
        self.pointers = tuple([tensor.data_ptr() for tensor in tensors])
        self.fits = all(min(shape) > 0 for shape in self.shapes.values()) and all(map(self._fits, steps))
        self.places, self.arena = places_of(self.shapes, steps)
        self.layers = (library.Layer * len(steps))()
        at = 0
        for step, layer in zip(steps, self.layers, strict=True):
            self._tell(step, layer, at)
            at += step.tensors + step.scale + step.bias
        del self.tensors

    def run(self, compiled: ctypes.CDLL, xs: Iterable[Tensor], ys: Iterable[Tensor]) -> None:
        """One input after the other, each of this shape, to the outputs."""
        arena = _borrowed(compiled, self.arena)
        for x, y in zip(xs, ys, strict=True):
            if compiled.slim_chain(self.layers, len(self.layers), x.data_ptr(), y.data_ptr(), arena.data_ptr()):
                raise MemoryError(f"no memory for the layers of {tuple(x.shape)}")
        _give_back(arena)

    def _fits(self, step: Step) -> bool:
        """Whether it reads what it expects: a residual that is broadcast, for one, is not for the library."""
        enough = step.x_first + step.in_channels <= self.shapes[step.x][1]
        whole = step.residual < 0 or step.kind == library.FOLD or self.shapes[step.residual] == self.shapes[step.y]
        return enough and whole

    def _place(self, value: int, first: int) -> library.Place:
        if value < 0:
            return library.Place(library.NOWHERE, 0)
        _, _, height, width = self.shapes[value]
        of, at = self.places[value]
        return library.Place(of, at + first * height * width)

    def _tell(self, step: Step, layer: library.Layer, at: int) -> None:
        threads = torch.get_num_threads()
        n, channels, height, width = self.shapes[step.x]
        _, out_channels, *out = self.shapes[step.y]
        kernel, stride, padding, dilation = step.geometry
        layer.kind = step.kind
        layer.x, layer.residual = self._place(step.x, step.x_first), self._place(step.residual, 0)
        layer.y = self._place(step.y, step.y_first)
        if step.kind == library.POOL:
            sizes = (*kernel, *stride, *padding[:2])
            layer.pooling = library.Pooling(n * channels, height, width, *out, *sizes, threads)
        elif step.kind == library.MEAN:
            layer.gate = library.Gate(n, channels, height * width, 0, 0, threads)
        elif step.kind == library.GATE:
            hidden = self.tensors[at].shape[0]
            pointers = self.pointers[at : at + 4]
            layer.gate = library.Gate(n, channels, height * width, hidden, step.out_channels, threads, *pointers)
        elif step.kind == library.FOLD:
            chunk = step.in_channels // step.groups
            paths = step.out_channels // chunk
            size = height * width
            layer.folding = library.Folding(
                n, channels, size, paths, step.groups, chunk, paths * chunk * size, threads=threads
            )
        else:
            weights, units = self.pointers[at : at + step.tensors], 0
            if step.kind == library.DEPTHWISE:
                layer.depthwise = weights[0]
            elif step.kind == library.STREAMS:
                layer.streams, units = library.StreamWeights(*weights), len(self.tensors[at + step.tensors - 1])
            else:
                layer.products = library.ProductWeights(*weights)
            at += step.tensors
            layer.scale = self.pointers[at] if step.scale else None
            layer.bias = self.pointers[at + step.scale] if step.bias else None
            layer.shape = library.Shape(
                n, step.in_channels, height, width, step.out_channels, *out, *kernel, *stride, *padding[:2], *dilation,
                step.groups, units, channels, out_channels, step.activation, threads,
            )  # fmt: skip


class _Batch:
    """The first steps image by image, the others for the whole batch."""

    def __init__(self, x: Tensor, steps: Sequence[Step], tensors: Sequence[Tensor]) -> None:
        shapes = shapes_of(x.shape, steps)
        at = cut(shapes, steps) if x.shape[0] > 1 else 0
        used = sum(step.tensors + step.scale + step.bias for step in steps[:at])
        self.single = _Plan(x[:1], steps[:at], tensors[:used]) if at else None
        self.rest: _Plan | None = None
        if at == 0:
            self.rest = _Plan(x, steps, tensors)
        elif at < len(steps):
            between = x.new_empty(shapes[steps[at - 1].y], device="meta")
            self.rest = _Plan(between, after(steps, at), tensors[used:])
        self.fits = all(plan.fits for plan in (self.single, self.rest) if plan is not None)

    def run(self, compiled: ctypes.CDLL, x: Tensor) -> Tensor:
        if self.single is not None:
            y = x.new_empty(x.shape[0], *self.single.shape[1:])
            self.single.run(compiled, x, y)
            x = y
        if self.rest is not None:
            y = x.new_empty(self.rest.shape)
            self.rest.run(compiled, [x], [y])
            x = y
        return x


KEPT = 1 << 24  # floats of an arena that stays for the next call: 64 MB
_arenas: list[Tensor] = []


def _borrowed(compiled: ctypes.CDLL, floats: int) -> Tensor:
    """Room for what lies between layers: that of the call before, since fresh pages take 1 % of a ResNet's time."""
    arena = _arenas.pop() if _arenas else None  # whoever finds none, as a second thread, has its own
    if arena is None or arena.numel() < floats:
        arena = torch.zeros(floats, dtype=torch.float32, device="cpu")
        compiled.slim_large_pages(arena.data_ptr(), 4 * floats)
    return arena


def _give_back(arena: Tensor) -> None:
    if not _arenas and arena.numel() <= KEPT:
        _arenas.append(arena)


def release() -> None:
    """Forget what deployed networks keep between calls: plans, and memory for what lies between layers."""
    _plans.clear()
    _arenas.clear()


_plans: OrderedDict[tuple[object, ...], _Batch] = OrderedDict()


@torch.library.impl("slimbench::chain", "CPU")
def _cpu(x: Tensor, tensors: list[Tensor], text: str) -> Tensor:
    steps, compiled = steps_of(text), library.get()
    _check(x, input_channels(steps))
    if compiled is None or x.dtype != torch.float32:
        return _one_by_one(x, tensors, steps)
    pointers = tuple([tensor.data_ptr() for tensor in tensors])  # other weights are another plan
    sizes = tuple([tensor.numel() for tensor in tensors])
    key = (text, tuple(x.shape), torch.get_num_threads(), pointers, sizes)
    plan = _plans.pop(key, None)
    if plan is None:
        for tensor in tensors:
            check_weights(tensor)
        _to_large_pages(compiled, tensors)
        plan = _Batch(x, steps, tensors)
        while len(_plans) >= 32:
            _plans.popitem(last=False)
    _plans[key] = plan
    if not plan.fits:
        return _one_by_one(x, tensors, steps)
    return plan.run(compiled, x.contiguous())


def _to_large_pages(compiled: ctypes.CDLL, tensors: Sequence[Tensor]) -> None:
    """Weights are read once a call, megabytes in a row; neighbours in memory move together."""
    begin = end = 0
    for first, size in sorted((tensor.data_ptr(), tensor.nbytes) for tensor in tensors):
        if first - end > 1 << 16:
            compiled.slim_large_pages(begin, end - begin)
            begin = first
        end = first + size
    compiled.slim_large_pages(begin, end - begin)


def _check(x: Tensor, channels: int | None) -> None:
    if x.ndim != 4 or channels not in (None, x.shape[1]):
        raise ValueError(f"input of shape {tuple(x.shape)}: must be (N, {channels or 'C'}, H, W)")


def _one_by_one(x: Tensor, tensors: Sequence[Tensor], steps: Sequence[Step]) -> Tensor:
    """The same step by step, as the layers themselves would."""
    values, at = {0: x}, 0
    for step in steps:
        mine = list(tensors[at : at + step.tensors + step.scale + step.bias])
        at += len(mine)
        y = _step(values, step, mine)
        if step.y_channels in (0, step.out_channels):
            values[step.y] = y
        else:
            joined = values.get(step.y)
            if joined is None:
                joined = values[step.y] = y.new_empty(y.shape[0], step.y_channels, *y.shape[2:])
            joined[:, step.y_first : step.y_first + step.out_channels] = y
    return values[steps[-1].y]


def _step(values: dict[int, Tensor], step: Step, mine: list[Tensor]) -> Tensor:
    x = values[step.x]
    kernel, stride, padding, dilation = step.geometry
    if step.kind == library.POOL:
        return torch.ops.slimbench.max_pool2d(x, kernel, stride, padding[:2])  # type: ignore[no-any-return]
    if step.kind == library.MEAN:
        return x.mean((2, 3), keepdim=True)
    if step.kind == library.GATE:
        return gate(x, *mine)
    if step.kind == library.FOLD:
        width = step.in_channels // step.groups
        w, chunks = torch.split(values[step.residual], width, 1), torch.split(x, width, 1)[: step.groups]
        return torch.cat([fold(chunks, w[i : i + step.groups]) for i in range(0, len(w), step.groups)], 1)
    if step.x_first or step.in_channels != x.shape[1]:
        x = x[:, step.x_first : step.x_first + step.in_channels]
    packed, rest = mine[: step.tensors], mine[step.tensors :]
    scale, bias = rest[0] if step.scale else None, rest[-1] if step.bias else None
    of_conv = (step.out_channels, kernel, stride, padding, dilation, step.groups)
    y: Tensor = torch.ops.slimbench.packed_conv2d(x, packed, scale, bias, None, *of_conv, "none")
    if step.residual >= 0:
        y = y + values[step.residual]
    return activate(y, ACTIVATIONS[step.activation])


@torch.library.register_fake("slimbench::chain")  # type: ignore[untyped-decorator]
def _fake(x: Tensor, tensors: list[Tensor], text: str) -> Tensor:  # noqa: ARG001
    steps = steps_of(text)
    shape: Shape4 = shapes_of(x.shape, steps)[steps[-1].y]
    return x.new_empty(shape)


class Chain(nn.Module):
    """Layers of this package in one call: ``(N, C, H, W) -> (N, C', H', W')``.

    Args:
        layers: each with what it reads and what it adds before its activation: 0 is the input of the chain, i + 1 the
            output of layer i, -1 nothing. The last layer's output is the chain's.
    """

    def __init__(self, layers: Sequence[tuple[Link, int, int]]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layer for layer, _, _ in layers)
        writer, values = Writer(), [0]
        for layer, x, residual in layers:
            values.append(writer.add(layer, values[x], -1 if residual < 0 else values[residual]))
        self._sources = writer.sources
        self._channels = input_channels(writer.steps)
        self._text = " ".join(str(int(number)) for step in writer.steps for number in step)  # thousands of numbers

    def forward(self, x: Tensor) -> Tensor:
        _check(x, self._channels)
        out: Tensor = torch.ops.slimbench.chain(x, list(tensors_of(self._sources)), self._text)
        return out
