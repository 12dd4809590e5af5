"""A chain of layers as its operator is told of it: numbers, the shapes that follow, places of what lies between."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, cast

from torch import Tensor, nn

from backbones.kernels import library
from backbones.kernels.convolution import ACTIVATIONS, out_size
from backbones.kernels.module import PackedConv2d
from backbones.kernels.packing import Depthwise, Products, Streams
from backbones.kernels.pooling import DeployedMaxPool2d, DeployedMean2d
from backbones.kernels.slim import DeployedSlimConv2d

Shape4 = tuple[int, int, int, int]
KINDS = {Streams: library.STREAMS, Products: library.PRODUCTS, Depthwise: library.DEPTHWISE}


class Step(NamedTuple):
    """One step of a chain. *Values* are numbered; 0 is the chain's input, the last step's is its output.

    A step reads ``in_channels`` channels of value x from ``x_first`` on (all of them where it is 0), and writes
    ``out_channels`` of value y's ``y_channels`` from ``y_first`` on (a pooling and a mean write as many as they read).
    """

    kind: int
    x: int
    x_first: int
    in_channels: int
    residual: int  # a value, or -1; of a fold the gate's weights
    y: int
    y_first: int
    y_channels: int
    tensors: int  # of the filters or the gate; scale and bias follow
    scale: int
    bias: int
    out_channels: int
    kernel_h: int = 1
    kernel_w: int = 1
    stride_h: int = 1
    stride_w: int = 1
    top: int = 0
    left: int = 0
    bottom: int = 0
    right: int = 0
    dilation_h: int = 1
    dilation_w: int = 1
    groups: int = 1  # of a fold the chunks
    activation: int = 0

    @property
    def geometry(self) -> tuple[list[int], list[int], list[int], list[int]]:
        """Kernel size, stride, padding (top, left, bottom, right) and dilation."""
        return list(self[12:14]), list(self[14:16]), list(self[16:20]), list(self[20:22])


@functools.lru_cache(maxsize=64)
def steps_of(text: str) -> tuple[Step, ...]:
    """Read the steps in an operator's argument."""
    size, numbers = len(Step._fields), [int(number) for number in text.split()]
    return tuple(Step(*numbers[i : i + size]) for i in range(0, len(numbers), size))


def shapes_of(shape: Sequence[int], steps: Sequence[Step]) -> dict[int, Shape4]:
    """Shape of each value."""
    found = {0: cast("Shape4", tuple(shape))}
    for step in steps:
        n, channels, *size = found[step.x]
        height, width = (1, 1) if step.kind in (library.GATE, library.MEAN) else out_size(size, *step.geometry)
        found[step.y] = (n, step.y_channels or channels, height, width)
    return found


def places_of(shapes: Mapping[int, Shape4], steps: Sequence[Step]) -> tuple[dict[int, tuple[int, int]], int]:
    """A place (what it is in, floats) for each value; the floats that all need.

    The lowest place that no living value has. An output takes the place of the map that is added to it, if nobody
    reads that one later: a layer reads each of its numbers just before it writes there, and one map less goes through
    the cache.
    """
    last: dict[int, int] = {}
    for i, step in enumerate(steps):
        last |= dict.fromkeys((step.x, step.residual, step.y), i)
    places, total = {0: (library.INPUT, 0), steps[-1].y: (library.OUTPUT, 0)}, 0
    living: list[tuple[int, int, int]] = []  # begin, end, last step that needs it
    for i, step in enumerate(steps):
        if step.y in places:
            continue
        own = step.kind != library.FOLD and step.residual != step.x and shapes.get(step.residual) == shapes[step.y]
        if own and last[step.residual] == i and places[step.residual][0] == library.ARENA:
            places[step.y] = places[step.residual]
            living = [(b, e, last[step.y] if b == places[step.y][1] else end) for b, e, end in living]
            continue
        n, channels, height, width = shapes[step.y]
        size = (n * channels * height * width + 15) // 16 * 16
        living = sorted(value for value in living if value[2] >= i)
        begin = 0
        for other, end, _ in living:
            if begin + size <= other:
                break
            begin = max(begin, end)
        living.append((begin, begin + size, last[step.y]))
        places[step.y] = (library.ARENA, begin)
        total = max(total, begin + size)
    return places, total


def input_channels(steps: Sequence[Step]) -> int | None:
    """The channels that the input must have; None where any number will do."""
    same = {0}
    for step in steps:
        if step.x not in same:
            continue
        if step.kind not in (library.POOL, library.MEAN):
            return step.in_channels
        same.add(step.y)
    return None


LARGE = 210_000  # floats of a value of one image that is worked on alone, while it is in the second cache


def cut(shapes: Mapping[int, Shape4], steps: Sequence[Step]) -> int:
    """How many of the first steps are taken image by image: until all that follows is small, and one value leads there.

    Later layers have small maps and large weights, which are better read once for the batch.
    """
    large = [math.prod(shapes[step.y][1:]) > LARGE for step in steps]
    first = max((i + 1 for i, is_large in enumerate(large) if is_large), default=0)
    for at in range(first, len(steps)):
        crossing = {value for step in steps[at:] for value in (step.x, step.residual)} & {0, *(s.y for s in steps[:at])}
        if len(crossing) == 1 and (at == 0 or crossing == {steps[at - 1].y}) and steps[at].y not in crossing:
            return at
    return len(steps)


def after(steps: Sequence[Step], at: int) -> list[Step]:
    """The steps from ``at`` on as a chain of their own, whose input is what the step before wrote."""
    value = {-1: -1, steps[at - 1].y: 0} | {step.y: step.y for step in steps[at:]}
    return [step._replace(x=value[step.x], residual=value[step.residual]) for step in steps[at:]]


Link = PackedConv2d | DeployedMaxPool2d | DeployedMean2d | DeployedSlimConv2d


def is_link(module: nn.Module | None) -> bool:
    """Whether a chain can take in a module."""
    if isinstance(module, DeployedSlimConv2d):
        return all(isinstance(conv, PackedConv2d) and conv.kind is not Depthwise for conv in module.convolutions())
    return isinstance(module, PackedConv2d | DeployedMaxPool2d | DeployedMean2d)


class Writer:
    """Collects the steps of a chain, and the modules whose tensors they take, in order."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.sources: list[nn.Module] = []
        self._values = 0

    def value(self) -> int:
        """A new value."""
        self._values += 1
        return self._values

    def add(self, layer: Link, x: int, residual: int) -> int:
        """Add the steps of a layer that reads values x and residual (or -1); return the value that it writes."""
        y = self.value()
        if isinstance(layer, DeployedMaxPool2d):
            sizes = [*layer.kernel_size, *layer.stride, *layer.padding, *layer.padding]
            self.steps.append(Step(library.POOL, x, 0, 0, -1, y, *[0] * 6, *sizes))
        elif isinstance(layer, DeployedMean2d):
            self.steps.append(Step(library.MEAN, x, 0, 0, -1, y, *[0] * 6))
        elif isinstance(layer, DeployedSlimConv2d):
            self._slim(layer, x, y)
        else:
            self._conv(layer, x, 0, residual, y, 0, layer.out_channels, layer.activation)
        return y

    def _conv(
        self, layer: PackedConv2d, x: int, x_first: int, residual: int, y: int, y_first: int, y_channels: int,
        activation: str,
    ) -> None:  # fmt: skip
        self.sources.append(layer)
        sizes = (*layer.kernel_size, *layer.stride, *layer.padding, *layer.dilation)
        step = Step(
            KINDS[layer.kind], x, x_first, layer.in_channels, residual, y, y_first, y_channels, len(layer.names),
            layer.scale is not None, layer.bias is not None, layer.out_channels, *sizes,
        )  # fmt: skip
        self.steps.append(step._replace(groups=layer.groups, activation=ACTIVATIONS.index(activation)))

    def _slim(self, layer: DeployedSlimConv2d, x: int, y: int) -> None:
        weights, folded = self.value(), self.value()
        paths, gates = 1 + len(layer.narrow), layer.excite.out_channels
        self.sources += [layer.squeeze, layer.excite]
        self.steps.append(Step(library.GATE, x, 0, layer.in_channels, -1, weights, 0, gates, 4, 0, 0, gates))
        width = layer.width
        maps = Step(library.FOLD, x, 0, width * layer.r, weights, folded, 0, paths * width, 0, 0, 0, paths * width)
        self.steps.append(maps._replace(groups=layer.r))
        top, *others = cast("list[PackedConv2d]", layer.convolutions())
        self._conv(top, folded, 0, -1, y, 0, layer.out_channels, layer.activation)
        first = top.out_channels
        for path in range(1, paths):
            narrow, lower = others[2 * path - 2 : 2 * path]
            between = self.value()
            self._conv(narrow, folded, path * width, -1, between, 0, narrow.out_channels, "relu")
            self._conv(lower, between, 0, -1, y, first, layer.out_channels, layer.activation)
            first += lower.out_channels


def tensors_of(sources: Sequence[nn.Module]) -> Iterator[Tensor]:
    """The tensors of the modules, as they are now, in order; from their dictionaries, as there are hundreds."""
    for module in sources:
        for tensors in (module._parameters, module._buffers):  # noqa: SLF001
            for tensor in tensors.values():
                if tensor is not None:
                    yield tensor
