"""What a count returns, and how an input size is written: ``3x224x224``."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from benchmarks.errors import UserError

if TYPE_CHECKING:
    from benchmarks.complexity.parts import Part

Shape = tuple[int, ...]
InputSize = tuple[int, int, int]


@dataclass(frozen=True)
class LayerCost:
    """One module of the network, with one image as input.

    Shapes are those of its first call, batch included, or None for a module that was never called (its
    parameters are stored all the same). The costs are summed over all calls. ``mul`` and ``add`` may be
    fractions: a mask operation is 1/32 of a multiplication (Versatile Filters, Eq. 32), and half of the
    additions of a masked filter fall away (Eq. 34).
    """

    name: str
    kind: str
    input_shape: Shape | None
    output_shape: Shape | None
    calls: int
    macs: int
    mul: Fraction
    add: Fraction
    weight_bits: int

    @property
    def params(self) -> Fraction:
        """Stored values in units of 32 bits; one entry of a binary mask is 1/32."""
        return Fraction(self.weight_bits, 32)

    @property
    def is_free(self) -> bool:
        """True for a module that stores nothing and costs nothing (an activation, a reshape)."""
        return not (self.macs or self.mul or self.add or self.weight_bits)

    def to_json_dict(self) -> dict[str, Any]:
        """Return plain values; a fraction stays one (exactly: they are multiples of 1/32)."""
        return {
            "name": self.name,
            "kind": self.kind,
            "input": None if self.input_shape is None else list(self.input_shape),
            "output": None if self.output_shape is None else list(self.output_shape),
            "calls": self.calls,
            "params": _plain(self.params),
            "macs": self.macs,
            "mul": _plain(self.mul),
            "add": _plain(self.add),
            "weight_bits": self.weight_bits,
        }


@dataclass(frozen=True)
class Complexity:
    """The cost of one network for one image; docs/counting.md defines each number.

    ``params`` (32-bit values), ``mul`` and ``add`` are rounded up to whole numbers once, for the whole
    network; ``weight_bytes`` is the number of bits rounded up to bytes. A whole detector or segmentor has ``parts``
    (backbone, neck, heads), which sum to the totals, a two-stage detector also ``proposals``, the regions of an image
    that its second stage was counted for. ``remarks`` are lines for a reader of these numbers.
    """

    model: str
    input: str
    convention: str
    params: int
    macs: int
    mul: int
    add: int
    weight_bytes: int
    layers: tuple[LayerCost, ...] = field(repr=False, compare=False, default=())
    parts: tuple[Part, ...] = field(repr=False, compare=False, default=())
    proposals: int | None = None
    remarks: tuple[str, ...] = ()

    @classmethod
    def of_layers(cls, model: str, input_size: InputSize, convention: str, layers: tuple[LayerCost, ...]) -> Complexity:
        """Sum the layers."""
        bits = sum(layer.weight_bits for layer in layers)
        return cls(
            model=model,
            input=format_input(input_size),
            convention=convention,
            params=-(-bits // 32),
            macs=sum(layer.macs for layer in layers),
            mul=math.ceil(sum((layer.mul for layer in layers), Fraction(0))),
            add=math.ceil(sum((layer.add for layer in layers), Fraction(0))),
            weight_bytes=-(-bits // 8),
            layers=layers,
        )

    def to_json_dict(self, *, layers: bool = False) -> dict[str, Any]:
        """Return the eight totals, and with ``layers=True`` also the list of layers.

        A network in parts has these, too, with ``proposals`` (null without a second stage) and ``remarks``.
        """
        totals: dict[str, Any] = {
            "model": self.model,
            "input": self.input,
            "convention": self.convention,
            "params": self.params,
            "macs": self.macs,
            "mul": self.mul,
            "add": self.add,
            "weight_bytes": self.weight_bytes,
        }
        if self.parts:
            totals["parts"] = [part.to_json_dict() for part in self.parts]
            totals["proposals"] = self.proposals
            totals["remarks"] = list(self.remarks)
        if layers:
            totals["layers"] = [layer.to_json_dict() for layer in self.layers]
        return totals


def parse_input(text: str) -> InputSize:
    """Read ``"3x224x224"`` as (channels, height, width).

    Raises:
        UserError: the text has another form, or a size is zero.
    """
    match = re.fullmatch(r"\s*(\d+)[xX](\d+)[xX](\d+)\s*", text)
    if match is None:
        raise UserError(f"input {text!r} is not CHANNELSxHEIGHTxWIDTH in whole numbers, such as 3x224x224")
    channels, height, width = (int(part) for part in match.groups())
    return check_input((channels, height, width))


def check_input(size: Sequence[object]) -> InputSize:
    """Return ``size`` as a tuple if it is three whole numbers above zero.

    Raises:
        UserError: it is not.
    """
    whole = [part for part in size if isinstance(part, int) and part > 0]
    if len(size) == len(whole) == 3:
        return whole[0], whole[1], whole[2]
    raise UserError(
        f"input size {tuple(size)} is not (channels, height, width) with three whole numbers above zero, "
        "such as (3, 224, 224)"
    )


def format_input(size: InputSize) -> str:
    """Write (3, 224, 224) as ``3x224x224``."""
    return "x".join(str(part) for part in size)


def _plain(value: Fraction) -> int | float:
    return value.numerator if value.denominator == 1 else float(value)
