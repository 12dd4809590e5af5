"""Several runs, one after the other, within one time budget; one that fails does not stop the others."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.errors import UserError
from benchmarks.training import engine, processes
from benchmarks.training.lines import of_metrics
from benchmarks.training.stopping import TIME_BUDGET, duration

EXIT_CODES = {TIME_BUDGET: 3, "SIGINT": 130, "SIGTERM": 143}
_WORTH_BEGINNING_S = 10.0


@dataclass(frozen=True)
class Entry:
    """What came of one run: an outcome of the engine, an error's first line, or neither if it was not begun."""

    name: str
    seed: int
    outcome: engine.Outcome | None = None
    error: str | None = None

    @property
    def status(self) -> str:
        """finished, diverged, failed, stopped or "not begun"."""
        if self.error is not None:
            return "failed"
        if self.outcome is None:
            return "not begun"
        return "stopped" if self.outcome.result is None else self.outcome.result.status

    def __str__(self) -> str:
        return f"{self.name} seed {self.seed}"


@dataclass(frozen=True)
class Series:
    """The entries in the order in which they were asked for; stopped_by: "time budget", "SIGINT", "SIGTERM" or None."""

    entries: tuple[Entry, ...]
    stopped_by: str | None = None

    @property
    def exit_code(self) -> int:
        """0 all finished, 1 some diverged or failed, 3 work left at the time budget, 130 Ctrl-C, 143 SIGTERM."""
        if self.stopped_by is not None:
            return EXIT_CODES[self.stopped_by]
        return int(any(entry.status != "finished" for entry in self.entries))

    def summary(self) -> str:
        """How many runs came to which end: "3 finished, 1 diverged, 2 not begun"."""
        statuses = [entry.status for entry in self.entries]
        return ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses))


def run_many(
    runs: Iterable[tuple[str, int]],
    *,
    time_budget_s: float | None = None,
    work_root: str | os.PathLike[str] | None = None,
    say: Callable[[str], None] = lambda _: None,
    **options: Any,
) -> Series:
    """Train (experiment, seed) after (experiment, seed); those that have come to their end are skipped at once.

    time_budget_s: seconds for all of them together. work_root: each run works in `<work_root>/<name>/seed<seed>`.
    say: gets a line before and after each run. options: those of `engine.train` otherwise.

    An exception ends its run only: it is told, kept as the entry's error and in the work folder's `failed.txt`. With
    several processes it ends all, since the others wait for the one that failed. A second Ctrl-C is a KeyboardInterrupt
    and ends all, too.
    """
    deadline = None if time_budget_s is None else time.monotonic() + time_budget_s
    todo = list(dict.fromkeys(runs))
    entries: list[Entry] = []
    stopped_by, has_worked = None, False
    for number, (name, seed) in enumerate(todo, 1):
        left = None if deadline is None else deadline - time.monotonic()
        late = stopped_by is None and has_worked and left is not None and left < _WORTH_BEGINNING_S
        if processes.anyone(late)[0]:  # their clocks differ
            stopped_by = TIME_BUDGET
        if stopped_by is not None:
            entries.append(Entry(name, seed))
            continue
        if len(todo) > 1:
            say(f"[{number}/{len(todo)}] {name} seed {seed}")
        folder = None if work_root is None else engine.work_folder(name, seed, Path(work_root) / name / f"seed{seed}")
        entry = _run(name, seed, time_budget_s=left, work_dir=folder, **options)
        entries.append(entry)
        for line in told(entry):
            say(line)
        if entry.outcome is not None:
            stopped_by = entry.outcome.stopped_by
        has_worked = has_worked or entry.outcome is None or not entry.outcome.already
    return Series(tuple(entries), stopped_by)


def run_alone(name: str, seed: int, *, say: Callable[[str], None] = lambda _: None, **options: Any) -> Series:
    """Train one experiment with the options of `engine.train`, whose exceptions it lets through."""
    entry = Entry(name, seed, engine.train(name, seed, **options))
    for line in told(entry):
        say(line)
    return Series((entry,), None if entry.outcome is None else entry.outcome.stopped_by)


def told(entry: Entry) -> list[str]:
    """What a user wants to read of a run that is over, in a few lines."""
    if entry.error is not None:
        return [f"{entry} failed: {entry.error}"]
    outcome = entry.outcome
    if outcome is None:
        return []
    if outcome.result is None:
        return [stopped(entry.name, entry.seed, outcome)]
    lines = of_metrics(str(entry), outcome.result.metrics)
    if outcome.result.status == "diverged":
        lines.append(f"{entry} diverged: {outcome.result.notes[0]}")
        if outcome.already:
            lines.append("it is not trained again unless its work folder is removed")
    lines.append(f"{'already finished, recorded' if outcome.already else 'recorded'} in {outcome.path}")
    return lines


def stopped(name: str, seed: int, outcome: engine.Outcome) -> str:
    """Where a run stopped, what is left, and that nothing is lost."""
    epochs, iterations = outcome.stopped_at or (0, 0)
    left = "" if outcome.left_s is None else f", about {duration(outcome.left_s)} of training left"
    done = f"{epochs} whole epoch{'s' if epochs != 1 else ''} (iteration {iterations})"
    return f"{name} seed {seed} stopped by {outcome.stopped_by} after {done}{left}; the same command goes on"


def _run(name: str, seed: int, **options: Any) -> Entry:
    try:
        return Entry(name, seed, engine.train(name, seed, **options))
    except Exception as error:
        if not processes.alone():
            raise
        message = str(error) if isinstance(error, UserError) else _first_line(error)
    gc.collect()  # what the failed run held, now that the traceback is gone
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return Entry(name, seed, error=message)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"
