"""Several runs side by side, each a process of its own.

A network of the papers is too small to fill a GPU or several cores, so N of them are trained at once. Each is the very
command that a user would give (`slimbench train NAME --seed S`), writes its output to a log in its work folder, and has
a work folder, a lock and checkpoints of its own: what holds for one run holds for each of many.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Protocol

LOG = "parallel.log"
COMMAND = (sys.executable, "-m", "benchmarks.planning.child")
POLL_S = 0.2
# A run that has not saved in this time after it was told to stop hangs.
GRACE_S = 300.0
# With less time left than this it is not worth loading the data for another run; and the time that saving takes.
SHORTEST_S = 60.0
SAVING_S = 10.0
STOPPED = {3, 130, 143, -signal.SIGTERM, -signal.SIGINT}


@dataclass(frozen=True)
class Job:
    """A run to do: arguments of `slimbench`, and the folder for its log."""

    label: str
    arguments: tuple[str, ...]
    folder: Path

    @property
    def log(self) -> Path:
        return self.folder / LOG


@dataclass(frozen=True)
class Ended:
    """How a job ended. code: its exit code (see benchmarks.cli), or minus the signal that killed it."""

    job: Job
    code: int
    seconds: float
    lines: tuple[str, ...]

    @property
    def stopped(self) -> bool:
        """It was asked to stop, and the same command goes on."""
        return self.code in STOPPED

    @property
    def failed(self) -> bool:
        return self.code != 0 and not self.stopped


@dataclass(frozen=True)
class Summary:
    """ended: in the order in which they did. left: jobs that did not begin. interrupted: the signal that did, or 0."""

    ended: tuple[Ended, ...]
    left: tuple[Job, ...]
    interrupted: int = 0

    @property
    def exit_code(self) -> int:
        """130 by Ctrl-C, 143 by SIGTERM, 3 work is left, 1 a run failed or diverged, 0 all done."""
        if self.interrupted:
            return 128 + self.interrupted
        if self.left or any(end.stopped for end in self.ended):
            return 3
        return 1 if any(end.failed for end in self.ended) else 0

    def __str__(self) -> str:
        stopped = sum(end.stopped for end in self.ended)
        failed = sum(end.failed for end in self.ended)
        counts = {
            "done": len(self.ended) - stopped - failed,
            "failed or diverged": failed,
            "stopped": stopped,
            "not begun": len(self.left),
        }
        return ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "nothing to do"


class View(Protocol):
    """Who is told what happens."""

    def started(self, job: Job) -> None: ...
    def said(self, job: Job, line: str) -> None: ...
    def ended(self, end: Ended) -> None: ...
    def told(self, message: str) -> None: ...


def run_parallel(
    jobs: Sequence[Job],
    environments: Sequence[Mapping[str, str]],
    view: View,
    *,
    time_budget_s: float | None = None,
    command: Sequence[str] | None = None,
) -> Summary:
    """Run the jobs in their order, as many at a time as there are `environments`, one of which each is given.

    Stops all of them, so that each saves, on Ctrl-C and SIGTERM (a second one kills) and in time before the budget is
    used up. A job that fails is told and the others go on. Nothing is left running, whatever is raised; if this process
    is killed, its children notice by their standard input and stop.
    """
    budget = math.inf if time_budget_s is None else time_budget_s
    deadline = time.monotonic() + budget - min(SAVING_S, 0.1 * budget)
    reserve = min(SHORTEST_S, 0.1 * budget) if time_budget_s else 0.0
    queue, running, ended = list(jobs), dict[int, _Child](), list[Ended]()
    told_to_stop: float | None = None
    with _signals() as caught:
        try:
            while True:
                left = deadline - time.monotonic()
                if (caught.count or left <= 0) and told_to_stop is None:
                    told_to_stop = time.monotonic()
                    if running:
                        view.told(f"{'stopping' if caught.count else 'time is up'}, each run saves ...")
                    for child in running.values():
                        child.process.terminate()
                if told_to_stop is None and left > reserve:
                    for slot in [slot for slot in range(len(environments)) if slot not in running][: len(queue)]:
                        running[slot] = _Child(queue.pop(0), environments[slot], command or COMMAND)
                        view.started(running[slot].job)
                elif told_to_stop is not None and (caught.count > 1 or time.monotonic() - told_to_stop > GRACE_S):
                    for child in running.values():
                        child.process.kill()
                if not running:
                    break
                for slot, child in list(running.items()):
                    code = child.process.poll()  # before reading, so that nothing said before the end is missed
                    for line in child.new_lines():
                        view.said(child.job, line)
                    if code is not None:
                        ended.append(child.close(code))
                        del running[slot]
                        view.ended(ended[-1])
                time.sleep(POLL_S)
        finally:
            for child in running.values():
                child.process.kill()
                child.close(child.process.wait())
    return Summary(tuple(ended), tuple(queue), caught.first)


class _Child:
    """A started job."""

    def __init__(self, job: Job, environment: Mapping[str, str], command: Sequence[str]) -> None:
        self.job = job
        self.began = time.monotonic()
        self.lines: list[str] = []
        job.folder.mkdir(parents=True, exist_ok=True)
        with job.log.open("a", encoding="utf-8") as log:
            now = datetime.now(timezone.utc).isoformat(timespec="seconds")
            log.write(f"--- {now} slimbench {' '.join(job.arguments)}\n")
            log.flush()
            self.log: IO[str] = job.log.open(encoding="utf-8", errors="replace")
            self.log.seek(0, os.SEEK_END)
            self.process = subprocess.Popen(
                [*command, *job.arguments],
                stdin=subprocess.PIPE,  # never written to: its end tells the child that we are gone
                stdout=log,
                stderr=log,
                env=plain_environment() | dict(environment),
                start_new_session=True,  # Ctrl-C reaches us only; we tell the children
            )
        self._rest = ""

    def new_lines(self) -> list[str]:
        """Whole lines that it has written since the last call."""
        text = self._rest + self.log.read()
        *whole, self._rest = text.split("\n")
        lines = [line.rstrip() for line in whole if line.strip()]
        self.lines += lines
        return lines

    def close(self, code: int) -> Ended:
        self.new_lines()
        if self._rest.strip():
            self.lines.append(self._rest.rstrip())
        self.log.close()
        if self.process.stdin is not None:
            self.process.stdin.close()
        return Ended(self.job, code, time.monotonic() - self.began, tuple(self.lines))


def plain_environment() -> dict[str, str]:
    """This process's environment for a child that writes to a file: no colours, every line at once."""
    kept = {name: value for name, value in os.environ.items() if name not in {"FORCE_COLOR", "TTY_COMPATIBLE"}}
    return kept | {"NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}


def environments(parallel: int, device: str | None = None) -> list[dict[str, str]]:
    """One environment a place: its share of the cores, and a GPU of its own in turn where there are several."""
    threads = max(1, cores() // parallel)
    told = os.environ.get("OMP_NUM_THREADS", "")
    if told.isdigit() and int(told) > 0:
        threads = min(threads, int(told))
    shared = {"OMP_NUM_THREADS": str(threads)}
    gpus = [] if device not in {None, "cuda"} else visible_gpus()
    if len(gpus) < 2:
        return [dict(shared) for _ in range(parallel)]
    return [shared | {"CUDA_VISIBLE_DEVICES": gpus[place % len(gpus)]} for place in range(parallel)]


def visible_gpus() -> list[str]:
    """Names of the GPUs as CUDA_VISIBLE_DEVICES takes them; asks the driver without claiming memory on any."""
    import torch

    count = torch.cuda.device_count()
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return named[:count] if named else [str(index) for index in range(count)]


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class _Caught:
    count: int = 0
    first: int = 0


@contextmanager
def _signals() -> Iterator[_Caught]:
    """Count SIGINT and SIGTERM instead of dying of them."""
    caught = _Caught()

    def note(number: int, _: object) -> None:
        caught.count += 1
        caught.first = caught.first or number

    previous = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
