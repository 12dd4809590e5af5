"""What a measurement of latencies leaves: every time of every network, and what follows from them, checked on reading.

`results/latency/<name>.json` (`SHELF`), one file a measurement. Files hold seconds to the nanosecond, run by run.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from datetime import datetime
from typing import Literal, get_args

from pydantic import Field, model_validator

from benchmarks import kept_records, ledger
from benchmarks.complexity.records import InputSize, format_input
from benchmarks.environment import Environment, GitState
from benchmarks.spread import Spread, Strict, ratios
from benchmarks.statistics import LEVEL, median_interval

Mode = Literal["eager", "compiled", "deployed", "deployed+compiled", "ncnn"]
MODES: tuple[Mode, ...] = get_args(Mode)
Task = Literal["inference", "training"]
Dtype = Literal["fp32", "bf16"]
Layout = Literal["nchw", "nhwc"]
#: A backward pass multiplies twice as often as the forward pass: once for the input's gradient, once for the weights'.
PASSES: dict[Task, int] = {"inference": 1, "training": 3}


class Ratio(Strict):
    """A median of run-by-run ratios, and an interval that holds the true one with a probability of 95 % at least."""

    median: float = Field(gt=0)
    low: float = Field(gt=0)
    high: float = Field(gt=0)

    @classmethod
    def of(cls, own: Sequence[float], base: Sequence[float]) -> Ratio:
        """Of seconds, run by run: the order-statistics interval of the median (`statistics.median_interval`)."""
        found = ratios(own, base)
        low, high = median_interval(found, LEVEL)
        return cls(median=statistics.median(found), low=low, high=high)


class Entrant(Strict):
    """One network in one mode.

    macs, mul, params: counted by `conv-linear`, of one image. calls: forward passes (or training steps) of a run.
    seconds: of one call, run by run. ratio: to the baseline's seconds. share_of_peak: of the rate of the matrix product
    in the same round, the MACs being those counted, so that a network which is deployed with fewer can have more than
    1. weight_bytes: parameters and buffers; in ncnn those of the file. peak_bytes: these and the most that a call
    allocates beside them.
    deviation: of the output from the eager network's, the largest difference over the largest value; None for that
    itself and in training. warm_up_s: everything before the first round, compilation included.
    """

    model: str
    mode: Mode
    macs: int = Field(ge=0)
    mul: int = Field(ge=0)
    params: int = Field(ge=0)
    calls: int = Field(ge=1)
    seconds: Spread
    ratio: Ratio
    share_of_peak: float = Field(ge=0)
    weight_bytes: int = Field(ge=0)
    peak_bytes: int = Field(ge=0)
    deviation: float | None = Field(default=None, ge=0)
    warm_up_s: float = Field(ge=0)

    @property
    def label(self) -> str:
        """As it is asked for: "resnet50:compiled"."""
        return f"{self.model}:{self.mode}"


class MatrixProduct(Strict):
    """The product of two square matrices, one of the entrants of every round. size: rows; seconds: of one product."""

    size: int = Field(ge=1)
    dtype: Dtype
    calls: int = Field(ge=1)
    seconds: Spread

    @property
    def macs(self) -> int:
        return self.size**3

    @property
    def gmacs(self) -> float:
        """10^9 MACs a second, at the median."""
        return self.macs / self.seconds.median / 1e9


class Measurement(Strict):
    """Networks measured in turn in one process, the baseline first.

    memory: what `peak_bytes` counts: PyTorch's own allocations, on the device that computed; in ncnn that package's.
    environment: its `packages` are those of the mode ncnn, if a network was run in it. cpu_flags, capability: the
    vector extensions that the processor has, and what PyTorch makes of them. load: the machine's average number of
    processes that wanted to run in the last minute, before and after; None where the system does not tell. kernel:
    which code convolves in deployed networks, as `slimbench env` says; None if none is among the entrants.
    """

    schema_version: Literal[1] = 1
    task: Task
    device: Literal["cpu", "cuda"]
    batch: int = Field(ge=1)
    input_size: InputSize
    dtype: Dtype
    layout: Layout
    data: Literal["generated"] = "generated"
    weights: Literal["random"] = "random"
    seconds: float = Field(ge=0)
    memory: Literal["cpu allocator", "cuda allocator"]
    started_at: datetime
    finished_at: datetime
    environment: Environment
    cpu_flags: tuple[str, ...]
    capability: str
    load: tuple[float, float] | None
    kernel: str | None = None
    git: GitState
    product: MatrixProduct
    entrants: tuple[Entrant, ...] = Field(min_length=1)

    @property
    def baseline(self) -> Entrant:
        return self.entrants[0]

    @property
    def rounds(self) -> int:
        return len(self.baseline.seconds.slices)

    def gmacs(self, entrant: Entrant) -> float:
        """10^9 counted MACs a second, at the median."""
        return entrant.macs * self.batch * PASSES[self.task] / entrant.seconds.median / 1e9

    @model_validator(mode="after")
    def _true(self) -> Measurement:
        base, product = self.baseline.seconds.slices, self.product.seconds.slices
        for entrant in self.entrants:
            own = entrant.seconds.slices
            if not len(own) == len(base) == len(product):
                raise ValueError(f"{entrant.label} has {len(own)} runs, the baseline {len(base)}")
            expected = Ratio.of(own, base)
            pairs = zip(*(one.model_dump().values() for one in (entrant.ratio, expected)), strict=True)
            if not all(math.isclose(mine, true, rel_tol=1e-9) for mine, true in pairs):
                raise ValueError(f"{entrant.label}: its ratio {entrant.ratio} is not that of its runs, {expected}")
            share = share_of_peak(entrant.macs * self.batch * PASSES[self.task], own, self.product)
            if not math.isclose(entrant.share_of_peak, share, rel_tol=1e-9):
                raise ValueError(f"{entrant.label}: its share of the peak is {share}, not {entrant.share_of_peak}")
        return self


def share_of_peak(macs: int, seconds: Sequence[float], product: MatrixProduct) -> float:
    """The median over the rounds of the rate of `macs` in `seconds` over that of the matrix product."""
    return macs / product.macs / statistics.median(ratios(seconds, product.seconds.slices))


def file_name(found: Measurement) -> str:
    """As `resnet50-3x224x224-b1-fp32-nchw-inference-1-thread-intel-xeon-processor-20261122T081131-060421Z.json`."""
    threads = f"{found.environment.cpu_threads}-thread{'s' * (found.environment.cpu_threads > 1)}"
    return kept_records.file_name(
        found.baseline.model,
        format_input(found.input_size),
        f"b{found.batch}",
        found.dtype,
        found.layout,
        found.task,
        *([threads] * (found.device == "cpu")),
        device=found.environment.device if found.device == "cuda" else found.environment.cpu,
        started_at=found.started_at,
    )


SHELF = kept_records.Shelf(ledger.LATENCY, Measurement, file_name)
