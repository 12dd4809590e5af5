"""A run that is to stop early, by Ctrl-C, SIGTERM or a time budget, does so between two iterations and after saving."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, cast

from mmengine.hooks import Hook

from benchmarks.errors import UserError
from benchmarks.training import processes

TIME_BUDGET = "time budget"
MARGIN_S = 0.5
WORKER_GRACE_S = 30
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}


class StoppedError(Exception):
    """The run stopped as it was asked to; `why` is "time budget", "SIGINT" or "SIGTERM". All work is saved."""

    def __init__(self, epoch: int, iteration: int, why: str) -> None:
        super().__init__(f"stopped by {why} after {epoch} epochs, iteration {iteration}")
        self.epoch, self.iteration, self.why = epoch, iteration, why


class Stopper(Hook):
    """Knows whether the run is to stop, and stops validation and test; AtomicCheckpointHook saves and stops training.

    time_budget_s: seconds from the making of this object until the run must have stopped, saving included; None: no
    limit. A budget never stops a process that has done nothing yet (an iteration, a validation, a test), so that any
    budget, however short, ends in a finished run if the command is repeated often enough.
    """

    priority = "LOW"  # before AtomicCheckpointHook, which asks whether to stop

    def __init__(self, time_budget_s: float | None = None) -> None:
        self._deadline = None if time_budget_s is None else time.monotonic() + time_budget_s
        self._signal: signal.Signals | None = None
        self._has_worked = False
        self._iteration_at, self._iteration_s, self._saving_s, self._validation_s = 0.0, 0.0, 0.0, 0.0

    def wants_to_stop(self, needed_s: float = 0.0) -> bool:
        """Whether this process wants to stop now, the time budget leaving less than `needed_s` and time to save."""
        return self.reason(needed_s) is not None

    def reason(self, needed_s: float = 0.0) -> str | None:
        """What asks to stop: "SIGINT", "SIGTERM", "time budget" or None."""
        if self._signal is not None:
            return self.signal_name
        if self._deadline is None or not self._has_worked:
            return None
        needed = needed_s + self._iteration_s * processes.steps_between_talks() + self._saving_s + MARGIN_S
        return TIME_BUDGET if time.monotonic() + needed >= self._deadline else None

    def stop_if_wanted(self, epoch: int, iteration: int, needed_s: float = 0.0) -> None:
        """Raise StoppedError in all processes if one of them wants to stop. What is to be kept has been saved."""
        if processes.anyone(self.wants_to_stop(needed_s))[0]:
            self.stop(epoch, iteration)

    def stop(self, epoch: int, iteration: int) -> None:
        """Raise StoppedError; all processes call it together."""
        reasons = [why for why in processes.every_ones(self.reason()) if why is not None]
        raise StoppedError(epoch, iteration, reasons[0] if reasons else TIME_BUDGET)

    def request(self, number: signal.Signals) -> bool:
        """A signal asks to stop; returns whether it is the first that does."""
        first = self._signal is None
        self._signal = self._signal or number
        return first

    @property
    def signal_name(self) -> str | None:
        """The signal that asked to stop, as "SIGINT"; None if none did."""
        return None if self._signal is None else self._signal.name

    def saving_took(self, seconds: float) -> None:
        """Tell how long writing a checkpoint took, to leave time for the last one."""
        self._saving_s = max(self._saving_s, seconds)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        self._iteration_at = time.monotonic()

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        self._has_worked = True
        self._iteration_s = time.monotonic() - self._iteration_at

    def before_val_epoch(self, runner: Any) -> None:
        self._before_tests(runner)

    def before_test_epoch(self, runner: Any) -> None:
        self._before_tests(runner)

    def after_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self._between_tests(runner)

    def after_test_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self._between_tests(runner)

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        self._has_worked = True
        self._validation_s = time.monotonic() - self._validation_at

    def _before_tests(self, runner: Any) -> None:
        self._validation_at = time.monotonic()
        self.stop_if_wanted(runner.epoch, runner.iter, self._validation_s)

    def _between_tests(self, runner: Any) -> None:
        # Processes may have different numbers of test batches, so several of them cannot agree here.
        if processes.alone() and self.wants_to_stop():
            self.stop(runner.epoch, runner.iter)


_NEVER = Stopper()


def stopper_of(runner: Any) -> Stopper:
    """The runner's Stopper; for MMEngine's own Runner, which has none, one that never stops."""
    return cast("Stopper", getattr(runner, "stopper", _NEVER))


@contextlib.contextmanager
def signals_stop(stopper: Stopper) -> Iterator[None]:
    """Within the block, the first Ctrl-C or SIGTERM lets the run save and stop; a second Ctrl-C ends it at once."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python lets only the main thread handle signals
        return

    def handle(number: int, _: FrameType | None) -> None:
        first = stopper.request(signal.Signals(number))
        if number != signal.SIGINT:
            return
        if not first:
            raise KeyboardInterrupt
        # Not through `print`: the signal may have come in the middle of one.
        os.write(2, b"\nsaving and stopping after this iteration; Ctrl-C again stops at once\n")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def outlive_signals(then: Callable[[int], None] | None, worker: int) -> None:
    """What a data loading worker does first, before `then`: let the main process alone answer to signals.

    Ctrl-C reaches all processes of a terminal, and a scheduler's SIGTERM all of a job; a worker that obeyed would leave
    the main process without the data it needs to come to the end of an iteration. It ends with the main process.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # If nobody lets it go: SIGALRM ends it, so that a worker is never what a machine waits for.
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(WORKER_GRACE_S))
    if then is not None:
        then(worker)


def parse_duration(text: str) -> float:
    """Seconds of "90s", "9m", "1h30m" or "540". Raises UserError."""
    compact = text.replace(" ", "").lower()
    if re.fullmatch(r"\d+(\.\d+)?", compact):
        seconds = float(compact)
    else:
        parts = re.findall(r"(\d+(?:\.\d+)?)([hms])", compact)
        in_order = [unit for _, unit in parts] == [unit for unit in _UNITS if unit in compact]
        if not parts or not in_order or "".join(number + unit for number, unit in parts) != compact:
            raise UserError(f"--time-budget {text!r}: give hours, minutes and seconds, such as 90s, 9m or 1h30m")
        seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if seconds <= 0:
        raise UserError(f"--time-budget {text!r}: must be more than nothing, such as 9m")
    return seconds


def duration(seconds: float) -> str:
    """A length of time for a reader: "45 s", "12 min" or "3.2 h"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
