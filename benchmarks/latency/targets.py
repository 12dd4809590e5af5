"""How fast deployed networks are to be: each target of the kernels as data, and what a measurement says of it.

A target is about inference of 3 x 224 x 224 images in fp32 on one thread of a CPU, one with AVX-512.
`slimbench latency --targets` measures all of them, `reports/latency.md` shows the newest records.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from benchmarks.latency.records import Entrant, Measurement, Ratio

INPUT = (3, 224, 224)
Verdict = Literal["met", "met, uncertain", "missed", "missed, uncertain", "not measured"]


@dataclass(frozen=True)
class Target:
    """How long a network may take, beside a baseline. Both are written `MODEL:MODE`.

    most_ratio: of its time to the baseline's, at most; 1 means less than the baseline's. asks: the same in the words of
    the source.
    """

    network: str
    baseline: str
    most_ratio: float
    asks: str
    source: str
    batch: int = 1

    def met(self, ratio: float) -> bool:
        """Whether a ratio is small enough."""
        return ratio <= self.most_ratio and ratio < 1

    def verdict(self, ratio: Ratio | None) -> Verdict:
        """By the median; uncertain where the ends of the interval are on different sides of the limit."""
        if ratio is None:
            return "not measured"
        same = self.met(ratio.low) == self.met(ratio.high)
        if self.met(ratio.median):
            return "met" if same else "met, uncertain"
        return "missed" if same else "missed, uncertain"

    def measured_in(self, found: Measurement) -> Entrant | None:
        """The network as a measurement of the target's setting has it; None where it is another's."""
        setting = (found.task, found.device, found.batch, found.input_size, found.dtype, found.environment.cpu_threads)
        if setting != ("inference", "cpu", self.batch, INPUT, "fp32", 1) or found.baseline.label != self.baseline:
            return None
        return next((one for one in found.entrants[1:] if one.label == self.network), None)


def _times_as_fast(network: str, least: float, source: str) -> Target:
    return Target(f"{network}:deployed", "resnet50:compiled", 1 / least, f"at least {least:g} times as fast", source)


def _slim(baseline: str, most: float, batch: int = 1) -> Target:
    return Target(
        "sc_resnet50:deployed", baseline, most, f"at most {most:.2f} of the time", "SlimConv, k = 4/3; Table IV", batch
    )


def _faster(baseline: str) -> Target:
    network = "separate_l_versatile_mobilenet_v2_s4:deployed"
    return Target(network, baseline, 1.0, "faster", "separate masks, s = 4; Versatile Filters, Table 8")


TARGETS = (
    _times_as_fast("separate_l_versatile_resnet50_s4", 2.5, "separate masks, s = 4; Versatile Filters, Table 5"),
    _times_as_fast("shared_l_versatile_resnet50_s4", 2.5, "shared masks, s = 4; as fast as separate ones"),
    _times_as_fast("separate_l_versatile_resnet50_s2", 1.5, "separate masks, s = 2; half of the multiplications"),
    _times_as_fast("s_versatile_resnet50", 1.25, "spatial filters; limit by MACs 1.33"),
    _times_as_fast("s_c_versatile_resnet50", 1.8, "spatial and channel filters; limit by MACs 2.63"),
    _slim("resnet50:compiled", 0.70),
    _slim("resnet50:compiled", 0.70, batch=8),
    _slim("resnet50:eager", 0.75),
    _faster("mobilenet_v2_x0_75:compiled"),
    _faster("mobilenet_v2:compiled"),
)


@dataclass(frozen=True)
class Run:
    """Networks that take turns with one baseline."""

    baseline: str
    batch: int
    networks: tuple[str, ...]


def runs(targets: Iterable[Target] = TARGETS) -> list[Run]:
    """As few measurements as the targets allow: one for each baseline and batch."""
    found: dict[tuple[str, int], dict[str, None]] = {}
    for one in targets:
        found.setdefault((one.baseline, one.batch), {})[one.network] = None
    return [Run(baseline, batch, tuple(networks)) for (baseline, batch), networks in found.items()]
