"""What a chain of layers is told to the operator as: numbers, the shapes that follow, the places of what lies between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, cast

from torch import Tensor, nn

from backbones.kernels import library
from backbones.kernels.convolution import ACTIVATIONS, out_size
from backbones.kernels.module import PackedConv2d
from backbones.kernels.packing import Depthwise, Products, Streams
from backbones.kernels.pooling import DeployedMaxPool2d
from backbones.kernels.slim import DeployedSlimConv2d

Shape4 = tuple[int, int, int, int]
KINDS = {Streams: library.STREAMS, Products: library.PRODUCTS, Depthwise: library.DEPTHWISE}


class Step(NamedTuple):
    """One step of a chain. *Values* are numbered; 0 is the chain's input, the last step's is its output.

    A step reads ``in_channels`` channels of value x from ``x_first`` on (all of them where it is 0), and writes
    ``out_channels`` of value y's ``y_channels`` from ``y_first`` on (a pooling writes as many as it reads).
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


def steps_of(numbers: Sequence[int]) -> list[Step]:
    """Read the steps in an operator's argument."""
    size = len(Step._fields)
    return [Step(*numbers[i : i + size]) for i in range(0, len(numbers), size)]


def shapes_of(shape: Sequence[int], steps: Sequence[Step]) -> dict[int, Shape4]:
    """Shape of each value."""
    found = {0: cast("Shape4", tuple(shape))}
    for step in steps:
        n, channels, *size = found[step.x]
        height, width = (1, 1) if step.kind == library.GATE else out_size(size, *step.geometry)
        found[step.y] = (n, step.y_channels or channels, height, width)
    return found


def places_of(shapes: Mapping[int, Shape4], steps: Sequence[Step]) -> tuple[dict[int, tuple[int, int]], int]:
    """A place (what it is in, floats) for each value, the lowest that no living one has; the floats that all need."""
    last: dict[int, int] = {}
    for i, step in enumerate(steps):
        last |= {value: i for value in (step.x, step.residual, step.y)}
    places, total = {0: (library.INPUT, 0), steps[-1].y: (library.OUTPUT, 0)}, 0
    living: list[tuple[int, int, int]] = []  # begin, end, last step that needs it
    for i, step in enumerate(steps):
        if step.y in places:
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


Link = PackedConv2d | DeployedMaxPool2d | DeployedSlimConv2d


def is_link(module: nn.Module | None) -> bool:
    """Whether a chain can take in a module."""
    if isinstance(module, DeployedSlimConv2d):
        return all(isinstance(conv, PackedConv2d) and conv.kind is not Depthwise for conv in module.convolutions())
    return isinstance(module, PackedConv2d | DeployedMaxPool2d)


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
            sizes = (*layer.kernel_size, *layer.stride, *layer.padding, *layer.padding)
            self.steps.append(Step(library.POOL, x, 0, 0, -1, y, 0, 0, 0, 0, 0, 0, *sizes))
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
        self.steps.append(
            Step(
                KINDS[layer.kind], x, x_first, layer.in_channels, residual, y, y_first, y_channels,
                len(layer.kind._fields), layer.scale is not None, layer.bias is not None, layer.out_channels,
                *layer.kernel_size, *layer.stride, *layer.padding, *layer.dilation, layer.groups,
                ACTIVATIONS.index(activation),
            )  # fmt: skip
        )

    def _slim(self, layer: DeployedSlimConv2d, x: int, y: int) -> None:
        weights, folded = self.value(), self.value()
        paths, gates = 1 + len(layer.narrow), layer.excite.out_channels
        self.sources += [layer.squeeze, layer.excite]
        self.steps.append(Step(library.GATE, x, 0, layer.in_channels, -1, weights, 0, gates, 4, 0, 0, gates))
        width = layer.width
        maps = Step(library.FOLD, x, 0, width * layer.r, weights, folded, 0, paths * width, 0, 0, 0, paths * width)
        self.steps.append(maps._replace(groups=layer.r))
        top, *others = layer.convolutions()
        self._conv(top, folded, 0, -1, y, 0, layer.out_channels, layer.activation)
        first = top.out_channels
        for path in range(1, paths):
            narrow, lower = others[2 * path - 2 : 2 * path]
            between = self.value()
            self._conv(narrow, folded, path * width, -1, between, 0, narrow.out_channels, "relu")
            self._conv(lower, between, 0, -1, y, first, layer.out_channels, layer.activation)
            first += lower.out_channels


def tensors_of(sources: Sequence[nn.Module]) -> Iterator[Tensor]:
    """The tensors of the modules, as they are now, in order. (Read from their dictionaries: there are hundreds.)"""
    for module in sources:
        for tensors in (module._parameters, module._buffers):  # noqa: SLF001
            for tensor in tensors.values():
                if tensor is not None:
                    yield tensor
