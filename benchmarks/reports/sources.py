"""Where our numbers come from: a counter for what is counted, the ledger's runs for what is trained and tested."""

from __future__ import annotations

import math
import statistics
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from benchmarks.errors import UserError
from benchmarks.sample_files import Sample

if TYPE_CHECKING:
    from benchmarks.iteration_cost import Report as IterationCost
    from benchmarks.latency import Measurement
    from benchmarks.ledger import RunResult

Record = TypeVar("Record")
_TEST_SPLITS = ("test", "val")


class Counts(Protocol):
    """What a counter returns: the numbers of ``benchmarks.complexity.Complexity``."""

    @property
    def params(self) -> int: ...
    @property
    def macs(self) -> int: ...
    @property
    def mul(self) -> int: ...
    @property
    def add(self) -> int: ...
    @property
    def weight_bytes(self) -> int: ...


class Counter(Protocol):
    """Counts a named model.

    ``counter(model, input, convention, classes)``; a model that fails raises :class:`UserError`.
    """

    def __call__(self, model: str, input_size: str, convention: str, classes: int | None) -> Counts: ...

    def models(self) -> Sequence[str]:
        """Return the names of all models that there are."""
        ...


class ComplexityCounter:
    """The real counter: ``benchmarks.complexity``, imported when first asked, each answer kept."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, str, int | None], Counts | UserError] = {}

    def __call__(self, model: str, input_size: str, convention: str, classes: int | None) -> Counts:
        """Count ``model`` for an input such as ``3x224x224``."""
        asked = (model, input_size, convention, classes)
        if asked not in self._kept:
            self._kept[asked] = self._count(*asked)
        answer = self._kept[asked]
        if isinstance(answer, UserError):
            raise answer
        return answer

    def models(self) -> Sequence[str]:
        """Return the names of all models of ``backbones``."""
        import backbones

        return list(backbones.list_models())

    @staticmethod
    def _count(model: str, input_size: str, convention: str, classes: int | None) -> Counts | UserError:
        from benchmarks.complexity import count, parse_input

        try:
            return count(model, parse_input(input_size), convention, num_classes=classes)
        except UserError as error:
            return error
        except Exception as error:  # noqa: BLE001 (one model's failure must not stop the other tables)
            return UserError(f"counting {model} failed: {type(error).__name__}: {error}")


@dataclass(frozen=True)
class Provenance:
    """What a reader needs to trust a run or to repeat it.

    ``arithmetic``: precision, memory format, compilation. ``dirty``: whether tracked files differed from ``commit``;
    None where that is not known. ``finished`` is a date.
    """

    commit: str
    dirty: bool | None
    device: str
    versions: str
    arithmetic: str
    wall_time_s: float
    finished: str


@dataclass(frozen=True)
class Run:
    """One metric of one run in the ledger.

    A run that did not finish is one ``Run`` without a metric, whose ``value`` is no number: reports name it.
    ``curve``: whether its file has a learning curve. ``checkpoint``: the SHA-256 of what was tested, where nothing was
    trained. ``samples``: the pictures beside its file.
    """

    dataset: str
    protocol: str
    proxy: bool
    trained: bool
    model: str
    seed: int
    metric: str
    value: float
    epochs: int
    path: str
    status: str = "finished"
    curve: bool = False
    checkpoint: str = ""
    samples: tuple[Sample, ...] = ()
    provenance: Provenance | None = None

    @property
    def finished(self) -> bool:
        """Whether it came to its end with a number."""
        return self.status == "finished"


def runs_of(results: Iterable[tuple[str, RunResult]]) -> list[Run]:
    """Return the runs of a ledger, given as (path, result), in a fixed order.

    A finished run gives one for each metric of a test split, another one without a metric.
    """
    runs = []
    for path, result in results:
        common = Run(
            dataset=result.dataset.name,
            protocol=result.protocol.name,
            proxy=result.protocol.proxy,
            trained=result.origin == "train" or bool(result.trained_as),
            model=result.model,
            seed=result.seed,
            metric="",
            value=math.nan,
            epochs=result.epochs_done,
            path=path,
            status=result.status,
            curve=result.origin == "train" and bool(result.curves),
            checkpoint=result.checkpoint or "",
            samples=result.samples,
            provenance=_provenance(result),
        )
        if result.status != "finished":
            runs.append(common)
            continue
        tested = (metric for metric in result.metrics if metric.split in _TEST_SPLITS)
        runs += [replace(common, metric=metric.name, value=metric.value) for metric in tested]
    return sorted(runs, key=lambda run: (run.path, run.metric))


def ledger_runs(results: Path | None, warn: Callable[[str], None]) -> list[Run]:
    """Read the runs under ``results``; see :func:`ledger_results`."""
    return runs_of(ledger_results(results, warn))


def ledger_results(results: Path | None, warn: Callable[[str], None]) -> list[tuple[str, RunResult]]:
    """Read the ledger under ``results`` (its usual place if None); broken files go to ``warn`` as one line each.

    Raises:
        UserError: ``results`` is given and no folder.
    """
    from benchmarks import ledger

    return _read(ledger.runs, results, warn)


def kept_costs(results: Path | None, warn: Callable[[str], None]) -> list[tuple[str, IterationCost]]:
    """Read the costs of iterations that the ledger keeps; see :func:`ledger_results`."""
    from benchmarks import iteration_cost

    return _read(iteration_cost.kept, results, warn)


def kept_latencies(results: Path | None, warn: Callable[[str], None]) -> list[tuple[str, Measurement]]:
    """Read the latencies that the ledger keeps; see :func:`ledger_results`."""
    from benchmarks.latency import SHELF

    return _read(SHELF.kept, results, warn)


def _read(
    reader: Callable[[Path | None], list[Record]], results: Path | None, warn: Callable[[str], None]
) -> list[Record]:
    if results is not None and not results.is_dir():
        raise UserError(f"no folder {results} with results")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = reader(results)
    for warning in caught:
        warn(str(warning.message))
    return found


def by_seed(runs: Iterable[Run]) -> list[float]:
    """Return one value a seed, in the seeds' order: the mean where a seed was run more than once.

    A second run of a seed is hardly another sample, and no run may be chosen from several.
    """
    values: dict[int, list[float]] = {}
    for run in runs:
        values.setdefault(run.seed, []).append(run.value)
    return [statistics.fmean(values[seed]) for seed in sorted(values)]


def _provenance(result: RunResult) -> Provenance:
    environment = result.environment
    device = (
        environment.gpu or f"{environment.cpu}, {environment.cpu_threads} thread{'s' * (environment.cpu_threads > 1)}"
    )
    compiled = environment.compile if environment.compile not in {None, "no"} else ""
    arithmetic = (environment.precision, environment.memory_format, compiled and f"torch.compile {compiled}")
    return Provenance(
        commit=result.git.commit or "",
        dirty=result.git.dirty,
        device=f"{device}, {environment.processes} processes" if environment.processes > 1 else device,
        versions=", ".join(
            [
                f"Python {environment.python}, torch {environment.torch}, mmengine {environment.mmengine}",
                *(f"{name} {version}" for name, version in environment.packages.items()),
            ]
        ),
        arithmetic=", ".join(filter(None, arithmetic)),
        wall_time_s=result.wall_time_s,
        finished=result.finished_at.date().isoformat(),
    )
