"""How long a run takes on this device: from a short benchmark, or by a rule of thumb where that is not to be had.

hours a seed = epochs x images / (images a second); validation comes on top, a few percent. A measurement is kept in the
user's cache folder for the same device, number of threads, version of torch, data set, batch and model. The rule of
thumb is that of the reports (`benchmarks.reports.costs`), taken from a protocol that was estimated for such a device.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks import environment
from benchmarks.atomic import replacing
from benchmarks.errors import UserError
from benchmarks.planning.order import Estimate, Experiment
from benchmarks.reports import costs
from benchmarks.reports.sources import ComplexityCounter
from benchmarks.training import experiments

# A benchmark is a few iterations; where one alone takes longer than this, the rule of thumb must do.
LONGEST_ITERATION_S = 4.0
SECONDS = 3.0

Measure = Callable[[str], float]


class Estimator:
    """Estimates the hours a seed of an experiment takes.

    measure: images a second of an experiment by name, or None to ask the cache and the rule of thumb only.
    device: "cpu", "cuda", ...; None is the device that training would take.
    say: told before each measurement, since one takes seconds.
    """

    def __init__(
        self,
        measure: Measure | None,
        device: str | None = None,
        cache: Path | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.measure = measure
        self.device = device
        self.cache = Cache(cache)
        self.say = say
        self.counter = ComplexityCounter()

    def __call__(self, experiment: Experiment) -> Estimate | None:
        """None where nothing is known of the data set's size."""
        rule = self.rule(experiment.family)
        if rule is None:
            return None
        images, (hardware, macs_per_second) = rule
        config = experiments.experiment(experiment.name)
        images = config.train_dataloader.dataset.get("per_epoch") or images  # an epoch may be a part of the data
        batch = int(config.train_dataloader.batch_size)
        key = f"{self._machine} | {config.dataset.name} | batch {batch} | {experiments.model_of(config)}"
        rate, why = self.cache.get(key), ""
        macs = None if rate else self._macs(config)
        if rate is None and self.measure is not None:
            an_iteration = costs.TRAINING_PASSES * (macs or 0) * batch / macs_per_second
            if an_iteration > LONGEST_ITERATION_S and not self._on_gpu:
                why = ", too large to measure here"
            else:
                rate, why = self._measured(self.measure, experiment.name, key)
        if rate:
            return Estimate(images * experiment.epochs / rate / 3600, True, f"{rate:,.0f} images/s on {self._name}")
        if macs is None:
            return None
        seconds = costs.TRAINING_PASSES * macs * images * experiment.epochs / macs_per_second
        return Estimate(seconds / 3600, False, f"rule of thumb for {hardware}{why}")

    def rule(self, family: str) -> tuple[int, tuple[str, float]] | None:
        """Images an epoch of `family`, and (hardware, MACs a second) of the nearest protocol for such a device.

        Nearest is the protocol itself, then one of its data set, then one of a data set of similar size.
        """
        rules = costs.protocols()
        dataset = family.partition("/")[0]
        own = [rule for name, rule in rules.items() if name.partition("/")[0] == dataset and rule.epochs]
        if not own:
            return None
        images = rules[family].images if family in rules else own[0].images

        def distance(item: tuple[str, costs.Protocol]) -> tuple[bool, bool, bool, float]:
            name, rule = item
            fits = ("CPU" in rule.hardware) != self._on_gpu
            return (
                not fits,
                name != family,
                name.partition("/")[0] != dataset,
                abs(rule.images - images),
            )

        _, rule = min(((name, rule) for name, rule in rules.items() if rule.epochs), key=distance)
        return images, (rule.hardware, rule.macs_per_second)

    def _measured(self, measure: Measure, name: str, key: str) -> tuple[float | None, str]:
        """Images a second, which are kept, and a remark for the rule of thumb where they are not to be had."""
        self.say(f"measuring {name} ...")
        try:
            rate = measure(name)
        except UserError:  # mostly the data, of which more is said elsewhere
            return None, ", not measured"
        except (RuntimeError, MemoryError) as error:  # torch's errors, above all a device that is too small
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            return None, f", not measured: {reason[:100]}"
        self.cache.put(key, rate)
        return rate, ""

    def _macs(self, config: Any) -> int | None:
        size = "x".join(str(number) for number in config.dataset.input_size)
        try:
            name, classes = experiments.model_of(config), config.dataset.num_classes or None
            return self.counter(name, size, "conv-linear", classes).macs
        except UserError:
            return None

    @cached_property
    def _on_gpu(self) -> bool:
        import torch

        return torch.cuda.is_available() if self.device is None else not self.device.startswith("cpu")

    @cached_property
    def _name(self) -> str:
        here = environment.collect()
        return here.device if self._on_gpu else f"{here.cpu}, {here.cpu_threads} threads"

    @cached_property
    def _machine(self) -> str:
        return f"{self._name} | torch {environment.version_of('torch')}"


class Cache:
    """A small JSON file from text to number; a broken or unwritable one is as good as none."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or cache_path()

    def get(self, key: str) -> float | None:
        """The number under `key`, or None."""
        value = self._read().get(key)
        return float(value) if isinstance(value, (int, float)) and value > 0 else None

    def put(self, key: str, value: float) -> None:
        """Keep a number; what another process wrote in the meantime stays."""
        content = json.dumps(self._read() | {key: round(value, 2)}, indent=1)
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self.path) as temporary:
                temporary.write_text(content, encoding="utf-8")

    def _read(self) -> dict[str, object]:
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}


def cache_path() -> Path:
    """Where measurements are kept; a file that may be removed at any time."""
    from platformdirs import user_cache_path

    return user_cache_path("slimbench") / "training-throughput.json"


def measurement(device: str | None = None, data: Path | None = None) -> Measure:
    """The engine's own throughput (`slimbench throughput`), briefly: images a second of an experiment by name."""

    def measure(name: str) -> float:
        from benchmarks import throughput

        return throughput.measure_experiment(name, device=device, seconds=SECONDS, data=data, rivals=()).median()

    return measure
