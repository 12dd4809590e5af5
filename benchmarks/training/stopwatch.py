"""A hook that times a run in slices, and lets what it is compared with run in between."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import Hook

from benchmarks.throughput_rivals import RIVALS, PlainLoop

WARM_UP = 3  # iterations: compilation, cuDNN's search, recording of CUDA graphs
MIN_SLICES = 5
MAX_SLICES = 12


class Enough(Exception):  # noqa: N818 (no error)
    """Ends the engine's run once everything is measured."""


@dataclass(eq=False)
class Stopwatch(Hook):
    """Rides on the engine's run: times its slices, gives the rivals theirs, and ends it.

    A slice is as many iterations as fit into `seconds` / MAX_SLICES, at least one; there are at least MIN_SLICES.
    """

    config: Config
    device: str
    seconds: float
    names: Sequence[str]
    found: dict[str, list[float]] = field(default_factory=lambda: {"engine": []})
    warm_up_s: float = 0.0
    outside: float | None = None
    waits: float | None = None
    priority = "LOWEST"
    _rivals: dict[str, Any] = field(default_factory=dict)
    _debug: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def before_train(self, runner: Any) -> None:
        self._iterations, self._images, self._inside, self._total = -WARM_UP, 0, 0.0, 0.0
        self._step, self._length, self._wanted = 0.0, 1, MIN_SLICES
        self._heard: list[Any] | None = None
        model = runner.model
        self._train_step: Callable[..., Any] = model.train_step
        model.train_step = self._timed_step
        self._start = self._now()

    def _timed_step(self, *args: Any, **kwargs: Any) -> Any:
        begin = time.perf_counter()
        outputs = self._train_step(*args, **kwargs)
        self._step += time.perf_counter() - begin
        return outputs

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        self._iterations += 1
        self._images += len(data_batch["inputs"])
        if self._iterations == 0:
            self.warm_up_s = self._now() - self._start
            self._enter_rivals()
        elif self._iterations == self._length:
            self._end_slice()
        else:
            return
        self._iterations, self._images, self._step = 0, 0, 0.0
        self._start = self._now()

    def _enter_rivals(self) -> None:
        for name in self.names:
            self._rivals[name] = RIVALS[name](self.config, self.device)
        self._lengths = {}
        for name, rival in self._rivals.items():
            rival(WARM_UP)
            self._lengths[name] = self._fitting(self._time(rival, 1)[0])
            self.found[name] = []
        self._calibrated = False

    def _end_slice(self) -> None:
        elapsed = self._now() - self._start
        if not self._calibrated:  # the first slice is one iteration long, and tells how many a slice should have
            self._calibrated = True
            self._length = self._fitting(elapsed)
            self._wanted = max(MIN_SLICES, min(MAX_SLICES, int(self.seconds / (elapsed * self._length))))
            return
        if self._heard is not None:
            self.waits = sum("synchroniz" in str(warning.message) for warning in self._heard) / self._iterations
            raise Enough
        self.found["engine"].append(self._images / elapsed)
        self._inside, self._total = self._inside + self._step, self._total + elapsed
        for name, rival in self._rivals.items():
            if isinstance(rival, PlainLoop):
                rival.skip_prefetched()
            taken, images = self._time(rival, self._lengths[name])
            self.found[name].append(images / taken)
        if len(self.found["engine"]) < self._wanted:
            return
        if self.device == "cpu":
            self.outside = 1 - self._inside / self._total
            raise Enough
        self._heard = self._debug.enter_context(warnings.catch_warnings(record=True))
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")

    def _time(self, rival: Callable[[int], int], iterations: int) -> tuple[float, int]:
        begin = self._now()
        images = rival(iterations)
        return self._now() - begin, images

    def _fitting(self, seconds_each: float) -> int:
        return max(1, round(self.seconds / MAX_SLICES / seconds_each))

    def _now(self) -> float:
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def close(self) -> None:
        """End the workers of the plain loop and the search for waits."""
        self._debug.close()
        if self.device == "cuda":
            torch.cuda.set_sync_debug_mode("default")
        for rival in self._rivals.values():
            if isinstance(rival, PlainLoop):
                rival.close()
