"""Where a network's parameters and operations are: the sums over its backbone, neck and heads."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from benchmarks.complexity.records import LayerCost

OTHER = "other"
"""What belongs to no part that the network names."""


@dataclass(frozen=True)
class Part:
    """What one part of a network stores and costs, in the units of ``Complexity``.

    The exact sums may be fractions. They are rounded so that the parts sum to the network's totals, which
    leaves each less than 1 away from its exact value.
    """

    name: str
    params: int
    macs: int
    mul: int
    add: int
    weight_bytes: int

    def to_json_dict(self) -> dict[str, Any]:
        """Return the six values."""
        return dict(vars(self))


def split(layers: Sequence[LayerCost], parts: Mapping[str, Sequence[str]]) -> tuple[Part, ...]:
    """Sum ``layers`` by part; what belongs to none is called ``other``.

    Args:
        layers: of one network.
        parts: name -> the modules that it consists of, each with all that is below it.
    """
    named: dict[str, list[LayerCost]] = {name: [] for name in parts}
    for layer in layers:
        name = next((name for name, modules in parts.items() if _within(layer.name, modules)), OTHER)
        if name != OTHER or not layer.is_free:
            named.setdefault(name, []).append(layer)
    bits = [sum(layer.weight_bits for layer in members) for members in named.values()]
    columns = (
        _whole(Fraction(part, 32) for part in bits),
        [sum(layer.macs for layer in members) for members in named.values()],
        _whole(sum((layer.mul for layer in members), Fraction(0)) for members in named.values()),
        _whole(sum((layer.add for layer in members), Fraction(0)) for members in named.values()),
        _whole(Fraction(part, 8) for part in bits),
    )
    return tuple(Part(name, *numbers) for name, *numbers in zip(named, *columns, strict=True))


def _within(layer: str, modules: Iterable[str]) -> bool:
    return any(layer == module or layer.startswith(f"{module}.") for module in modules)


def _whole(exact: Iterable[Fraction]) -> list[int]:
    """Whole numbers near the exact ones, whose sum is that of the exact ones rounded up."""
    whole, before, total = [], 0, Fraction(0)
    for value in exact:
        total += value
        whole.append(math.ceil(total) - before)
        before = math.ceil(total)
    return whole
