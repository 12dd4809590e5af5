"""Parameters, MACs, MUL, ADD and storage of a network, by named conventions (docs/counting.md).

>>> from benchmarks.complexity import count
>>> count("resnet50").macs
4089184256
"""

from __future__ import annotations

from benchmarks.complexity.configs import count_config, is_config
from benchmarks.complexity.conventions import CONVENTIONS, DEFAULT_CONVENTION
from benchmarks.complexity.counting import count
from benchmarks.complexity.parts import Part
from benchmarks.complexity.records import Complexity, LayerCost, format_input, parse_input

__all__ = [
    "CONVENTIONS",
    "DEFAULT_CONVENTION",
    "Complexity",
    "LayerCost",
    "Part",
    "count",
    "count_config",
    "format_input",
    "is_config",
    "parse_input",
]
