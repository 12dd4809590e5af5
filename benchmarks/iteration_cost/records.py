"""What a measurement leaves: a file from which every printed number can be traced, validated on writing and reading."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from benchmarks import kept_records
from benchmarks.environment import Environment, GitState
from benchmarks.spread import Spread, Strict, ratios

Mode = Literal["inference", "training"]
Precision = Literal["bf16", "fp32"]
MODES: tuple[Mode, ...] = ("inference", "training")


class Cost(Strict):
    """What one mode costs one network.

    seconds: an iteration. ratio: to the baseline's seconds, slice by slice. iterations: in a slice.
    peak_bytes: above what the process held before the network was built. peak_ratio: to the baseline's; None if that
    is 0. regions: how many the second stage of a two-stage detector was given in an iteration; None elsewhere.
    """

    seconds: Spread
    ratio: Spread
    iterations: int = Field(ge=1)
    peak_bytes: int = Field(ge=0)
    peak_ratio: float | None = Field(ge=0)
    regions: int | None = None


class Entrant(Strict):
    """One network; name: the experiment or the file as it was given.

    parameters: all, frozen ones included. trained: those that get a gradient.
    mask_hook: whether the training step has the learned masks' penalty and rule; None without learned masks.
    """

    name: str
    parameters: int = Field(ge=0)
    trained: int = Field(ge=0)
    mask_hook: bool | None = None
    inference: Cost | None = None
    training: Cost | None = None

    def cost(self, mode: Mode) -> Cost | None:
        """Of training or of inference; None if it was not measured."""
        return self.inference if mode == "inference" else self.training


class Report(Strict):
    """Networks measured side by side, the baseline first.

    batch: images of a training step; inference has one. input_size: (height, width). seconds: asked for an entrant and
    mode. memory: what `peak_bytes` counts. peaks_exact: False where this system's allocator blurs them (`memory.Peak`).
    """

    schema_version: Literal[1] = 1
    batch: int = Field(ge=1)
    input_size: tuple[int, int]
    data: Literal["generated"] = "generated"
    weights: Literal["random"] = "random"
    seconds: float = Field(ge=0)
    memory: Literal["resident", "cuda"]
    peaks_exact: bool
    started_at: datetime
    finished_at: datetime
    environment: Environment
    packages: dict[str, str | None]
    git: GitState
    entrants: tuple[Entrant, ...] = Field(min_length=1)

    @property
    def baseline(self) -> Entrant:
        return self.entrants[0]

    def label(self, entrant: Entrant) -> str:
        """The model's name if no other network is called so, else the whole name."""
        short = short_name(entrant.name)
        others = {other.name for other in self.entrants} - {entrant.name}
        return entrant.name if short in map(short_name, others) else short

    @property
    def modes(self) -> tuple[Mode, ...]:
        """What was measured."""
        return tuple(mode for mode in MODES if self.baseline.cost(mode) is not None)

    @model_validator(mode="after")
    def _ratios(self) -> Report:
        for mode in MODES:
            base = self.baseline.cost(mode)
            for entrant in self.entrants:
                own = entrant.cost(mode)
                if (own is None) != (base is None):
                    raise ValueError(f"{mode} was measured for some networks only, not for {entrant.name}")
                if own and base:
                    _check_ratios(entrant.name, own, base)
        return self


def short_name(name: str) -> str:
    """The model of an experiment's name or of a config file: "resnet50" of "coco/x/resnet50" and "x/resnet50.py"."""
    return Path(name).stem if name.endswith(".py") else name.rpartition("/")[2]


def _check_ratios(name: str, own: Cost, base: Cost) -> None:
    if len(own.seconds.slices) != len(base.seconds.slices):
        raise ValueError(f"{name} has {len(own.seconds.slices)} slices, the baseline {len(base.seconds.slices)}")
    expected = ratios(own.seconds.slices, base.seconds.slices)
    if len(expected) != len(own.ratio.slices) or any(
        abs(a - b) > 1e-9 * b for a, b in zip(own.ratio.slices, expected, strict=True)
    ):
        raise ValueError(f"{name}: its ratios are not its seconds over the baseline's")
    peak = own.peak_bytes / base.peak_bytes if base.peak_bytes else None
    if own.peak_ratio is None or peak is None:
        right = own.peak_ratio is peak
    else:
        right = abs(own.peak_ratio - peak) <= 1e-9 * peak
    if not right:
        raise ValueError(f"{name}: peak_ratio {own.peak_ratio} is not its memory over the baseline's, {peak}")


def write(report: Report, path: str | os.PathLike[str]) -> Path:
    """Write the file whole or not at all. Raises pydantic.ValidationError, OSError."""
    return kept_records.write(report, path)


def read(path: str | os.PathLike[str]) -> Report:
    """Read and validate a file. Raises OSError, pydantic.ValidationError."""
    return Report.model_validate_json(Path(path).read_text(encoding="utf-8"))
