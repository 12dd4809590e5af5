"""Measurements for tests, made up and valid: what `slimbench throughput --keep` leaves."""

from __future__ import annotations

from datetime import datetime, timezone

from benchmarks.environment import Environment, GitState
from benchmarks.iteration_cost import Cost, Entrant, Report, Spread
from benchmarks.spread import ratios

MIB = 2**20
BASE = (2.0, 4.0, 4.0, 8.0, 4.0)
SLOW = (3.0, 8.0, 10.0, 12.0, 6.0)  # 1.5, 2, 2.5, 1.5, 1.5 of the baseline's


def cost(seconds, peak_mib, base=BASE, base_mib=200, regions=None):
    return Cost(
        seconds=Spread.of(seconds),
        ratio=Spread.of(ratios(seconds, base)),
        iterations=1,
        peak_bytes=peak_mib * MIB,
        peak_ratio=peak_mib / base_mib if base_mib else None,
        regions=regions,
    )


def entrant(name, seconds, peak_mib, modes=("inference", "training"), mask_hook=None, regions=None):
    costs = {mode: cost(seconds, peak_mib, regions=regions) for mode in modes}
    return Entrant(name=name, parameters=1_234_567, trained=1_000_000, mask_hook=mask_hook, **costs)


def report(entrants=None, **changes):
    """A baseline and a network that takes 1.5 times as long and 1.25 times the memory."""
    content = {
        "batch": 2,
        "input_size": (257, 513),
        "seconds": 1.0,
        "memory": "resident",
        "peaks_exact": True,
        "started_at": datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=timezone.utc),
        "finished_at": datetime(2026, 1, 2, 3, 9, 5, tzinfo=timezone.utc),
        "environment": Environment(
            python="3.12.1", torch="2.11.0", torchvision=None, mmengine="0.10.12", slimbench=None, platform="Linux x86",
            cpu="Some(R) CPU @ 2.0GHz", cpu_threads=1, precision="bfloat16", memory_format="channels_last",
        ),
        "packages": {"mmcv": "2.3.6", "mmdet": None},
        "git": GitState(commit="0123456789abcdef0123", dirty=False),
        "entrants": entrants or (entrant("set/paper/plain", BASE, 200), entrant("set/paper/slow", SLOW, 250)),
    }  # fmt: skip
    return Report(**{**content, **changes})
