"""The parent of the workers: starts one a network, lets them compute in turn, and does the arithmetic."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

from benchmarks import environment
from benchmarks.environment import Environment
from benchmarks.errors import UserError
from benchmarks.iteration_cost import configs
from benchmarks.iteration_cost.records import MODES, Cost, Entrant, Mode, Precision, Report
from benchmarks.iteration_cost.worker import Job
from benchmarks.spread import Spread, ratios

MIN_SLICES = 5
MAX_SLICES = 12
WARM_UP = {"cpu": 2, "cuda": 6}  # iterations; on a GPU cuDNN's search and the allocator need more
PROGRAM = "benchmarks.iteration_cost.worker"
DEBUG = "SLIMBENCH_DEBUG"  # with it, the workers' own output is shown


class Computing(Protocol):
    """What can take a slice: a `Worker`."""

    name: str

    def compute(self, mode: Mode, iterations: int, warm_up: bool = False) -> dict[str, Any]:
        """Iterate and return the seconds of one; with warm_up also peak_bytes, exact and regions."""


class Worker:
    """A process with one network in it."""

    def __init__(self, job: Job) -> None:
        self.name = job.name
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 (closed in `end`)
        root = str(Path(environment.__file__).resolve().parents[1])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [sys.executable, "-m", PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get(DEBUG) else self._log,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            text=True,
            start_new_session=True,  # Ctrl-C reaches the parent, which ends its workers
        )
        self._send(job.line())

    def described(self) -> dict[str, Any]:
        """Wait until the network is built; parameters, trained, mask_hook and environment."""
        return self._receive()

    def compute(self, mode: Mode, iterations: int, warm_up: bool = False) -> dict[str, Any]:
        """Iterate and return what `worker` says. Raises UserError if the process fails or dies."""
        self._send(json.dumps({"mode": mode, "iterations": iterations, "warm_up": warm_up}))
        return self._receive()

    def end(self) -> None:
        """Stop the process, whatever it does, and wait for it."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the missing answer tells it
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise UserError(f"{self.name}: its process {self._death()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise UserError(f"{self.name}: {answer['error']}")
        return answer

    def _death(self) -> str:
        code = self._process.wait()
        if code < 0:
            hint = ", which is what happens when memory runs out" if -code == signal.SIGKILL else ""
            return f"was killed by {signal.Signals(-code).name}{hint}; a smaller --batch or --input needs less"
        self._log.seek(0)
        said = [line.strip() for line in self._log if line.strip()]
        return f"ended with exit code {code}" + (f": {said[-1]}" if said else "")


def measure(
    baseline: str,
    others: Sequence[str] = (),
    *,
    device: str | None = None,
    threads: int | None = None,
    precision: Precision | None = None,
    batch: int | None = None,
    input_size: tuple[int, int] | None = None,
    seconds: float = 10.0,
    modes: Sequence[Mode] = MODES,
    tell: Callable[[str], None] = lambda _: None,
) -> Report:
    """Measure networks side by side. Names are experiments' or config files'; `baseline` may be among `others` again.

    precision: of training steps, None as each config has it; experiments are trained in bfloat16, inference is float32.
    batch, input_size: None as the baseline's config has them; they hold for all. seconds: for each network and mode,
    without warm-up; a network gets `MIN_SLICES` iterations at least. tell: is called with lines about the progress.

    Raises:
        UserError: an unknown name, a config that cannot be measured, a worker that fails or dies.
    """
    from benchmarks.training import device as devices

    names = (baseline, *others)
    loaded = {name: configs.load(name, precision) for name in names}
    size = input_size or configs.input_size(loaded[baseline], baseline)
    images = batch or configs.batch_size(loaded[baseline])
    place = devices.check(device)
    started = datetime.now(timezone.utc)
    with _started([Job(name, images, size, place, threads, precision) for name in names]) as workers:
        tell(f"building {len(workers)} networks ...")
        described = [worker.described() for worker in workers]
        warm_up = WARM_UP[place.partition(":")[0]]
        costs = {mode: take_turns(workers, mode, seconds, warm_up, tell) for mode in MODES if mode in modes}
    found = [Environment(**one.pop("environment")) for one in described]
    return Report(
        batch=images,
        input_size=size,
        seconds=seconds,
        memory="cuda" if place.startswith("cuda") else "resident",
        peaks_exact=all(exact for _, exact in costs.values()),
        started_at=started,
        finished_at=datetime.now(timezone.utc),
        environment=found[0],
        packages={
            "mmcv": environment.version_of("onedl-mmcv", "mmcv", "mmcv-lite"),
            "mmdet": environment.version_of("onedl-mmdetection", "mmdet"),
            "mmseg": environment.version_of("onedl-mmsegmentation", "mmsegmentation"),
        },
        git=environment.git_state(),
        entrants=tuple(
            Entrant.model_validate({"name": name, **one, **{mode: cost[0][index] for mode, cost in costs.items()}})
            for index, (name, one) in enumerate(zip(names, described, strict=True))
        ),
    )


def take_turns(
    workers: Sequence[Computing], mode: Mode, seconds: float, warm_up: int, tell: Callable[[str], None]
) -> tuple[list[Cost], bool]:
    """Slices A B C A B C ... of all workers in one mode: their costs, the first one's the baseline; are peaks exact?

    A slice is as many iterations as fit into `seconds` / MAX_SLICES, one at least; all have equally many slices.
    """
    warm = [worker.compute(mode, warm_up, warm_up=True) for worker in workers]
    lengths = [max(1, round(seconds / MAX_SLICES / one["seconds"])) for one in warm]
    expected = sum(length * one["seconds"] for length, one in zip(lengths, warm, strict=True))
    rounds = max(MIN_SLICES, min(MAX_SLICES, int(seconds * len(workers) / expected)))
    tell(f"{mode}: {rounds} rounds of about {expected:.1f} s ...")
    slices: list[list[float]] = [[] for _ in workers]
    for _ in range(rounds):
        for own, worker, length in zip(slices, workers, lengths, strict=True):
            own.append(worker.compute(mode, length)["seconds"])
    base = warm[0]["peak_bytes"]
    costs = [
        Cost(
            seconds=Spread.of(own),
            ratio=Spread.of(ratios(own, slices[0])),
            iterations=length,
            peak_bytes=one["peak_bytes"],
            peak_ratio=one["peak_bytes"] / base if base else None,
            regions=one["regions"],
        )
        for own, length, one in zip(slices, lengths, warm, strict=True)
    ]
    return costs, all(one["exact"] for one in warm)


@contextlib.contextmanager
def _started(jobs: Sequence[Job]) -> Iterator[list[Worker]]:
    """The workers of these jobs, started at once; all have ended after the block."""
    workers: list[Worker] = []
    try:
        for job in jobs:
            workers.append(Worker(job))  # noqa: PERF401 (those that were started must end if the next cannot start)
        yield workers
    finally:
        for worker in workers:
            worker.end()
