"""From what a user asks for to the runs to do, and from a run to its command."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rich.console import Console

from benchmarks.errors import UserError
from benchmarks.planning.estimate import Estimator
from benchmarks.planning.parallel import Job, environments, run_parallel
from benchmarks.planning.parallel_view import ParallelView
from benchmarks.planning.plan import DEFAULT_SEEDS, parse_seeds, plan
from benchmarks.training import engine, experiments, records


def chosen(names: Sequence[str], seeds: Sequence[int]) -> list[tuple[str, int]]:
    """The runs of named experiments, each with all seeds. Raises UserError for a bad name, before anything begins."""
    if not names:
        raise UserError("name an experiment, such as cifar10/proxy-10e/resnet56_cifar, or give --missing")
    for name in names:
        experiments.experiment(name)
    return [(name, seed) for name in dict.fromkeys(names) for seed in seeds]


def missing_runs(
    tables: Sequence[str] | None,
    *,
    protocol: str | None = None,
    seeds: str | None = None,
    data: Path | None = None,
    results: Path | None = None,
    work_dir: Path | None = None,
    device: str | None = None,
    warn: Callable[[str], None] = lambda _: None,
) -> list[tuple[str, int]]:
    """What `--missing` works through: the runs of `slimbench plan`, best first.

    Nothing is measured here, so that work begins at once: what `slimbench plan` has not measured before is estimated by
    the rule of thumb.
    """
    found = plan(
        tables or ["all"],
        protocol=protocol or None,
        seeds=parse_seeds(seeds) if seeds else DEFAULT_SEEDS,
        estimate=Estimator(None, device),
        data=data,
        results=results,
        work_root=work_dir or Path("work_dirs"),
        warn=warn,
    )
    return [(run.name, run.seed) for run in found.runs]


def training_arguments(
    name: str, seed: int, *, data: Path | None = None, results: Path | None = None, more: Sequence[str] = ()
) -> tuple[str, ...]:
    """Arguments of `slimbench` that train one run, whatever the folder it is started in."""
    paths = {"--data": data, "--results": results}
    given = [word for option, path in paths.items() if path for word in (option, os.fspath(path.absolute()))]
    return ("train", name, "--seed", str(seed), *given, *more)


def run_side_by_side(
    runs: Sequence[tuple[str, int]],
    parallel: int,
    console: Console,
    *,
    time_budget_s: float | None = None,
    data: Path | None = None,
    results: Path | None = None,
    work_dir: Path | None = None,
    device: str | None = None,
    options: Mapping[str, Any] = MappingProxyType({}),
) -> int:
    """Train the runs, `parallel` at a time, each as `slimbench train` of its own; returns the exit code.

    options: further options of `slimbench train` by name; None is not passed on.
    """
    more = option_words({"device": device, **options})
    jobs = {}
    for name, seed in runs:
        folder = engine.work_folder(name, seed, work_dir and work_dir / name / f"seed{seed}")
        place = () if work_dir is None else ("--work-dir", os.fspath(folder.absolute()))
        arguments = training_arguments(name, seed, data=data, results=results, more=(*place, *more))
        jobs[name, seed] = Job(f"{name} seed {seed}", arguments, folder)
    view = ParallelView(console, len(jobs))
    with view.shown():
        places = environments(min(parallel, len(jobs)), device)
        summary = run_parallel(list(jobs.values()), places, view, time_budget_s=time_budget_s)
    for end in summary.ended:
        if end.code < 0 and not end.stopped:  # it could not note that itself
            records.remember_failure(end.job.folder, RuntimeError(f"killed by signal {-end.code}"))
    view.told(str(summary))
    return summary.exit_code


def option_words(options: Mapping[str, Any]) -> list[str]:
    """Options as words of the command line: {"compile": False, "device": "cpu"} -> --no-compile --device cpu."""
    words: list[str] = []
    for name, value in options.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        elif value is not None:
            words += [f"--{option}", str(value)]
    return words
