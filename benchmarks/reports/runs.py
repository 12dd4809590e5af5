"""The runs behind a table, one line each: what a reader needs to find, to trust and to repeat a number."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.reports import costs
from benchmarks.reports.cells import Report, models_of
from benchmarks.reports.claims import claims
from benchmarks.reports.sources import Run, runs_of

if TYPE_CHECKING:
    from benchmarks.ledger import RunResult


@dataclass(frozen=True)
class Line:
    """One run in words; ``path`` is seen from the checkout's root."""

    path: str
    name: str
    protocol: str
    curve: bool
    seed: int
    result: str
    epochs: int
    commit: str
    device: str
    arithmetic: str
    versions: str
    wall_time: str
    finished: str


def lines(report: Report) -> list[Line]:
    """Return the runs behind the table's cells and claims, and those of its networks that never finished.

    The order is that of the files.
    """
    shown = {source for cell in report.cells if cell.n for source in cell.sources}
    shown |= {source for claim in claims(report) for source in claim.sources}
    models = {model for row in report.table.rows for model in models_of(row)}
    files: dict[str, list[Run]] = {}
    for run in report.runs:
        path = f"results/{run.path}"
        if run.model in models and (path in shown or not run.finished):
            files.setdefault(path, []).append(run)
    return [_line(path, runs) for path, runs in sorted(files.items())]


def commit(sha: str, dirty: bool | None) -> str:
    """Return a commit's first ten digits and whether the files were those of the commit."""
    if not sha:
        return "unknown"
    return f"{sha[:10]}{', with changes' if dirty else ''}"


def curves(lines: Iterable[Line]) -> list[str]:
    """Return the protocols of those that have a learning curve."""
    return list(dict.fromkeys(line.protocol for line in lines if line.curve))


def line_of(path: str, result: RunResult) -> Line:
    """Return one result of the ledger as a line; ``path`` is seen from the ledger's folder."""
    return _line(f"results/{path}", runs_of([(path, result)]))


def _leads(metric: str) -> bool:
    """Whether a line names it: no single picture's number, no baseline's, no second measure of the same."""
    return "." not in metric and not metric.startswith(("bicubic_", "ssim_"))


def _line(path: str, runs: list[Run]) -> Line:
    run, known = runs[0], runs[0].provenance
    numbers = ", ".join(f"{one.metric} {one.value:.2f}" for one in runs if one.finished and _leads(one.metric))
    return Line(
        path=path,
        name=f"{run.protocol}/{run.model}",
        protocol=run.protocol,
        curve=run.curve,
        seed=run.seed,
        result=numbers or run.status,
        epochs=run.epochs,
        commit=commit(known.commit, known.dirty) if known else "unknown",
        device=known.device if known else "unknown",
        arithmetic=known.arithmetic if known else "",
        versions=known.versions if known else "unknown",
        wall_time=costs.duration(known.wall_time_s) if known else "",
        finished=known.finished if known else "",
    )
