"""From what a user asks for to the runs to do, and from a run to its command."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.errors import UserError
from benchmarks.training import experiments
from benchmarks.training.engine import work_folder
from benchmarks.training.estimate import Estimator
from benchmarks.training.parallel import Job
from benchmarks.training.plan import DEFAULT_SEEDS, Plan, parse_seeds, plan

Names = Sequence[tuple[str, int]]


def chosen(names: Sequence[str], seeds: str) -> list[tuple[str, int]]:
    """The runs of experiments that are named, or matched by a pattern, each with all seeds. Raises UserError."""
    if not names:
        raise UserError("name an experiment, such as cifar10/proxy-10e/resnet56_cifar, or give --missing")
    found: dict[str, None] = {}
    for name in names:
        found |= dict.fromkeys(experiments.matching(name))
    return [(name, seed) for name in found for seed in parse_seeds(seeds)]


def missing_plan(
    tables: Sequence[str] | None,
    protocol: str,
    seeds: str,
    data: Path | None,
    results: Path | None,
    device: str | None = None,
    warn: Callable[[str], None] = lambda _: None,
) -> Plan:
    """The plan that `--missing` works through: as `slimbench plan`, which also fills the cache of measurements.

    Nothing is measured here, so that work begins at once: what is not in the cache is estimated by the rule of thumb.
    """
    return plan(
        tables or ["all"],
        protocol=protocol or None,
        seeds=parse_seeds(seeds) if seeds else DEFAULT_SEEDS,
        estimate=Estimator(None, device),
        data=data,
        results=results,
        warn=warn,
    )


def missing_runs(
    tables: Sequence[str] | None, protocol: str, seeds: str, data: Path | None, results: Path | None
) -> list[tuple[str, int]]:
    """The missing runs of `missing_plan`, best first."""
    return [(run.name, run.seed) for run in missing_plan(tables, protocol, seeds, data, results).runs]


def training_arguments(
    name: str, seed: int, *, data: Path | None = None, results: Path | None = None, more: Sequence[str] = ()
) -> tuple[str, ...]:
    """Arguments of `slimbench` that train one run from this folder."""
    paths = {"--data": data, "--results": results}
    given = [word for option, path in paths.items() if path for word in (option, os.fspath(path.absolute()))]
    return ("train", name, "--seed", str(seed), *given, *more)


def training_jobs(
    runs: Names, *, data: Path | None = None, results: Path | None = None, more: Sequence[str] = ()
) -> list[Job]:
    """The runs as jobs of `run_parallel`."""
    return [
        Job(
            f"{name} seed {seed}",
            training_arguments(name, seed, data=data, results=results, more=more),
            work_folder(name, seed),
        )
        for name, seed in runs
    ]
