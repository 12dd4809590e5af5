"""Networks of known seconds, and a measurement that is made up and valid."""

from __future__ import annotations

import time
from datetime import datetime, timezone

import pytest
from torch import nn

from backbones.catalogue import registry
from benchmarks.environment import Environment, GitState
from benchmarks.latency import Entrant, MatrixProduct, Measurement, Ratio
from benchmarks.latency.records import PASSES, share_of_peak
from benchmarks.spread import Spread

BASE = (0.2, 0.4, 0.4, 0.8, 0.4, 0.4, 0.4)
HALF = (0.1, 0.2, 0.3, 0.4, 0.2, 0.2, 0.2)  # half of it, once three quarters
PRODUCT = MatrixProduct(size=100, dtype="fp32", calls=3, seconds=Spread.of((0.001,) * 7))


class Sleeper(nn.Module):
    """A 1x1 convolution that also sleeps."""

    def __init__(self, seconds, num_classes=1000):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.norm = nn.BatchNorm2d(4)
        self.seconds = seconds

    def forward(self, x):
        time.sleep(self.seconds)
        return self.norm(self.conv(x))


@pytest.fixture
def sleepers():
    """`sleeper_10` sleeps ten milliseconds, `sleeper_20` twenty; named models for the time of a test."""
    names = []
    for milliseconds in (10, 20):
        name = f"sleeper_{milliseconds}"

        def build(seconds=milliseconds / 1000, **kwargs):
            return Sleeper(seconds, **kwargs)

        registry.add(registry.ModelSpec(name, "both", "sleeps", "slimbench", build, "", (3, 8, 8), 10))
        names.append(name)
    yield names
    for name in names:
        registry._CATALOGUE.pop(name)


def entrant(model, seconds, mode="eager", macs=4_000_000_000, batch=1, base=BASE, task="inference", **changes):
    content = {
        "model": model, "mode": mode, "macs": macs, "mul": macs // 4, "params": 1000, "calls": 1,
        "seconds": Spread.of(seconds), "ratio": Ratio.of(seconds, base),
        "share_of_peak": share_of_peak(macs * batch * PASSES[task], seconds, PRODUCT),
        "weight_bytes": 4000, "peak_bytes": 5 * 2**20, "deviation": None if mode == "eager" else 1e-6,
        "warm_up_s": 1.5,
    }  # fmt: skip
    return Entrant(**{**content, **changes})


def measurement(entrants=None, **changes):
    """A baseline and a network that takes half of its time."""
    content = {
        "task": "inference",
        "device": "cpu",
        "batch": 1,
        "input_size": (3, 224, 224),
        "dtype": "fp32",
        "layout": "nchw",
        "seconds": 2.0,
        "memory": "cpu allocator",
        "started_at": datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=timezone.utc),
        "finished_at": datetime(2026, 1, 2, 3, 9, 5, tzinfo=timezone.utc),
        "environment": Environment(
            python="3.12.1", torch="2.11.0", torchvision=None, mmengine=None, slimbench=None, platform="Linux x86",
            cpu="Some(R) CPU @ 2.0GHz", cpu_threads=1, precision="float32", memory_format="contiguous_format",
        ),
        "cpu_flags": ("avx2", "fma"),
        "capability": "AVX2",
        "load": (0.5, 1.25),
        "git": GitState(commit="0123456789abcdef0123", dirty=False),
        "product": PRODUCT,
        "entrants": entrants or (entrant("resnet50", BASE, "compiled"), entrant("sc_resnet50", HALF, "deployed")),
    }  # fmt: skip
    return Measurement(**{**content, **changes})
