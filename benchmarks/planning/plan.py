"""What is missing: from the published tables, the ledger and the work folder to the experiments that lack seeds.

A table's cell that only a run can fill names an experiment, and one experiment may serve many cells. An experiment is
missing while the ledger lacks a wanted seed of it; a diverged run is a result and counts as there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import ledger
from benchmarks.errors import UserError, did_you_mean
from benchmarks.metrics import METRICS
from benchmarks.planning.order import Estimate, Experiment, Run, Use, best_first
from benchmarks.published import Row, Table, load_table, select_tables
from benchmarks.reports import cells, costs, sources
from benchmarks.reports.claims import baseline_of
from benchmarks.reports.sources import ComplexityCounter, ledger_results, runs_of
from benchmarks.training import experiments
from benchmarks.training.checkpoint_files import progress_of
from benchmarks.training.lock import in_use
from benchmarks.training.records import FAILURE

DEFAULT_SEEDS = (0, 1, 2)
# Measured by other verbs; no training fills them.
_NOT_TRAINED = {"latency", "gpu_memory"}
# "evaluated" cells have the authors' weights behind them, "quoted" and "blocked" ones cannot be filled at all.
_FILLABLE = {"open", "proxy", "measured"}

Estimator = Callable[[Experiment], Estimate | None]


@dataclass(frozen=True)
class Plan:
    """What to do and what cannot be done here.

    experiments: those that lack seeds and whose data are here. runs: their missing runs that nobody trains just now,
        best first.
    without_data: those whose data set is not here. data: for each such data set, how it is fetched.
    not_configured: "<data set>/<protocol>" without a config -> published cells that wait for it.
    test_only: experiments that train nothing (`protocol.evaluate_only`); `slimbench test` fills them, where they name
        another's weights (`protocol.weights_of`) after that has been trained.
    """

    experiments: tuple[Experiment, ...]
    runs: tuple[Run, ...]
    without_data: tuple[Experiment, ...] = ()
    data: tuple[tuple[str, str], ...] = ()
    not_configured: tuple[tuple[str, int], ...] = ()
    test_only: tuple[Experiment, ...] = ()


def plan(
    tables: Sequence[str] = ("all",),
    *,
    protocol: str | None = None,
    seeds: Sequence[int] = DEFAULT_SEEDS,
    estimate: Estimator = lambda _: None,
    data: Path | None = None,
    results: Path | None = None,
    papers: Path | None = None,
    work_root: Path = Path("work_dirs"),
    warn: Callable[[str], None] = lambda _: None,
) -> Plan:
    """List what the tables (patterns of `select_tables`) lack, best first.

    protocol: plan this protocol, usually a shortened one, for the tables' models in place of the tables' own.
    Raises UserError: an unknown table, a broken table file, a protocol that no data set of the tables has.
    """
    loaded = [load_table(name, papers) for name in select_tables(tables, papers)]
    if protocol is not None:
        _check_protocol(protocol, loaded)
    recorded = ledger_results(results, warn)
    named = list(_named(loaded, protocol, runs_of(recorded)))
    known = set(experiments.list_experiments())
    not_configured: dict[str, int] = {}
    for name, use, _ in named:
        if name not in known:
            family = name.rpartition("/")[0]
            not_configured[family] = not_configured.get(family, 0) + use.cells
    there = done_seeds(result for _, result in recorded)
    wanted = tuple(dict.fromkeys(seeds))

    def lacking(entries: Iterable[tuple[str, Use, str]], origin: str) -> list[Experiment]:
        found = []
        for name, uses, baseline in _by_experiment(entries):
            epochs = int(experiments.protocol(name.rpartition("/")[0])["epochs"])
            done, here = there.get((name, origin), frozenset()), work_in_progress(work_root, name, wanted)
            found.append(Experiment(name, uses, baseline, epochs, wanted, done, here.begun, here.failed, here.running))
        return [item for item in found if item.missing]

    configured = [entry for entry in named if entry[0] in known]
    tested = lacking((entry for entry in configured if _tests_only(entry[0])), "test")
    trained = lacking((entry for entry in map(_trained_for, configured) if entry[0] in known), "train")
    reads = {_dataset(item): experiments.data_of(item.name) for item in trained}
    messages = {
        name: "; ".join(filter(None, (missing_data(read, data) for read in reads[name]))) for name in sorted(reads)
    }
    ready = [replace(item, estimate=estimate(item)) for item in trained if not messages[_dataset(item)]]
    without = [item for item in trained if messages[_dataset(item)]]  # no estimates, which take time
    runs = best_first(ready)
    return Plan(
        experiments=tuple(
            dict.fromkeys([*(item for item in ready if item.running), *(run.experiment for run in runs)])
        ),
        runs=tuple(runs),
        without_data=tuple(dict.fromkeys(run.experiment for run in best_first(without))),
        data=tuple((name, message) for name, message in messages.items() if message),
        not_configured=tuple(sorted(not_configured.items())),
        test_only=tuple(tested),
    )


def parse_seeds(text: str) -> tuple[int, ...]:
    """Seeds from "0,1,2", "0-2" or both. Raises UserError."""
    seeds: list[int] = []
    for part in text.replace(" ", "").split(","):
        first, dash, last = part.partition("-")
        if not first.isdigit() or (dash and not last.isdigit()) or (dash and int(last) < int(first)):
            raise UserError(f"--seeds {text!r}: seeds are numbers from 0 and ranges, such as 0,1,2 or 0-4")
        seeds += range(int(first), int(last or first) + 1)
    return tuple(dict.fromkeys(seeds))


@dataclass(frozen=True)
class Progress:
    """What the work folder tells of an experiment: `begun`, `failed` and `running` of `Experiment`."""

    begun: tuple[tuple[int, int], ...] = ()
    failed: tuple[tuple[int, str], ...] = ()
    running: tuple[int, ...] = ()


def work_in_progress(work_root: Path, name: str, seeds: Iterable[int]) -> Progress:
    """Look for checkpoints, notes of failures and locks of the experiment's runs."""
    begun, failed, running = [], [], []
    for seed in seeds:
        folder = work_root / name / f"seed{seed}"
        done = [progress for path in folder.glob("epoch_*.pth") if (progress := progress_of(path)) is not None]
        if done:
            begun.append((seed, max(done)[0]))
        if in_use(folder):
            running.append(seed)
        elif (folder / FAILURE).is_file():
            failed.append((seed, (folder / FAILURE).read_text(encoding="utf-8").strip()))
    return Progress(tuple(begun), tuple(failed), tuple(running))


def done_seeds(recorded: Iterable[ledger.RunResult]) -> dict[tuple[str, str], frozenset[int]]:
    """From (experiment, "train" or "test") to the seeds of its runs in the ledger that finished or diverged."""
    seeds: dict[tuple[str, str], set[int]] = {}
    for run in recorded:
        if run.status in {"finished", "diverged"}:
            seeds.setdefault((run.identity, run.origin), set()).add(run.seed)
    return {key: frozenset(there) for key, there in seeds.items()}


def missing_data(dataset: str, data: Path | None) -> str:
    """Why a data set cannot be used and what fetches it; empty if it is here."""
    from benchmarks.datasets import registry

    try:
        registry.get(dataset).locate(data)
    except UserError as error:
        return str(error)
    return ""


class _NoCounts:
    """Stands in for the counts of any model: which cells need a run does not depend on them."""

    params = macs = mul = add = weight_bytes = 1


class _NoCounter:
    """A counter that counts nothing, so that the join of the reports tells the cells' statuses at once."""

    def __init__(self) -> None:
        self._models = ComplexityCounter().models()

    def __call__(self, model: str, input_size: str, convention: str, classes: int | None) -> Any:
        return _NoCounts()

    def models(self) -> Sequence[str]:
        return self._models


def _named(
    tables: Iterable[Table], protocol: str | None, recorded: Sequence[sources.Run]
) -> Iterable[tuple[str, Use, str]]:
    """Experiment, the row it fills and the experiment of that row's baseline, for all rows that a run can fill."""
    counter = _NoCounter()
    for table in tables:
        report = cells.build(table, counter, recorded)
        for row in table.rows:
            # As in the reports: a row with a protocol of its own is there for what that protocol changes.
            if row.model not in counter.models() or (protocol and row.protocol):
                continue
            trained = [
                cell
                for cell in report.row(row)
                if METRICS[cell.metric].run not in {"", *_NOT_TRAINED} and not _only_tested(row, cell.column)
            ]
            fillable = _FILLABLE | ({"evaluated"} if protocol else set())
            count = sum(cell.status in fillable for cell in trained)
            if count:
                chosen = protocol or row.protocol or table.protocol
                base = row if row.kind == "baseline" else baseline_of(table, row)
                yield (
                    ledger.identity(table.dataset, chosen, row.model),
                    Use(table.name, row.name, row.kind, count, _released(table, row)),
                    ledger.identity(table.dataset, chosen, base.model) if base else "",
                )


def _only_tested(row: Row, column: str) -> bool:
    """Whether only a test of released weights fills the cell."""
    return column in row.cells and bool(row.cells[column].tested)


def _released(table: Table, row: Row) -> str:
    if not row.released:
        return ""
    protocol = row.released if isinstance(row.released, str) else costs.RELEASED
    return ledger.identity(table.dataset, protocol, row.model)


def _by_experiment(named: Iterable[tuple[str, Use, str]]) -> list[tuple[str, tuple[Use, ...], str]]:
    """One entry an experiment; where its tables name several baselines, itself, then the first of them counts."""
    uses: dict[str, list[Use]] = {}
    baselines: dict[str, list[str]] = {}
    for name, use, baseline in named:
        uses.setdefault(name, []).append(use)
        baselines.setdefault(name, []).append(baseline)
    return [
        (name, tuple(found), name if name in baselines[name] else next(filter(None, baselines[name]), ""))
        for name, found in uses.items()
    ]


def _check_protocol(protocol: str, tables: Iterable[Table]) -> None:
    datasets = {table.dataset for table in tables}
    known = [name for name in experiments.list_protocols() if name.partition("/")[0] in datasets]
    if f"/{protocol}" not in {f"/{name.partition('/')[2]}" for name in known}:
        names = sorted({name.partition("/")[2] for name in known})
        hint = did_you_mean(protocol, names) or f"; there are {', '.join(names)}"
        raise UserError(f"no protocol {protocol!r} for the data sets of these tables{hint}")


def _dataset(experiment: Experiment) -> str:
    return experiment.name.partition("/")[0]


def _tests_only(name: str) -> bool:
    return bool(experiments.protocol(name.rpartition("/")[0])["evaluate_only"])


def _trained_for(entry: tuple[str, Use, str]) -> tuple[str, Use, str]:
    """The same row with the experiments that train what its own only test; "" where nobody here trains it."""
    name, use, baseline = entry
    return _trainer(name), use, _trainer(baseline)


def _trainer(name: str) -> str:
    family, _, model = name.rpartition("/")
    if family not in experiments.list_protocols() or not _tests_only(name):
        return name
    source: str = experiments.protocol(family)["weights_of"]
    return f"{source}/{model}" if source else ""
