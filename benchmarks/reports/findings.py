"""`findings.md`: what was claimed, what was measured, what that decides, and what would decide the rest.

It joins what the other reports hold: the claims of all tables, the latencies, the questions of ours, and the runs that
came to no number. Nothing is judged here by a rule that they do not have. A figure of a paper repeats a table's numbers
and is left out. Pure functions: equal input gives equal bytes.
"""

from __future__ import annotations

from collections import Counter as Counted
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.latency import Measurement
from benchmarks.ledger import RunResult
from benchmarks.metrics import METRICS
from benchmarks.reports import findings_claims, findings_figure, findings_times, questions, questions_text, render
from benchmarks.reports.cells import Report
from benchmarks.reports.effort import Effort
from benchmarks.reports.findings_claims import Judged
from benchmarks.reports.index import FINDINGS
from benchmarks.reports.sources import Counter, Run, runs_of
from benchmarks.reports.summary import summarize

if TYPE_CHECKING:
    import pandas as pd

_VERDICTS = {"holds": ("holds", "hold"), "does not hold": ("does not hold", "do not hold"),
             "undecided": ("is undecided", "are undecided")}  # fmt: skip


def page(
    reports: Sequence[Report],
    counter: Counter,
    results: Sequence[tuple[str, RunResult]],
    latencies: Sequence[tuple[str, Measurement]] = (),
) -> tuple[str, pd.DataFrame]:
    """Return the page as Markdown, and the points of its figure.

    ``reports`` are those of all tables; ``results`` and ``latencies`` what the ledger keeps, with paths.
    """
    runs = runs_of(results)
    tables = [report for report in reports if not report.table.title.startswith("Figure")]
    datasets = {report.table.dataset for report in tables}
    effort = Effort(runs, counter, [report.table for report in reports])
    found = findings_claims.judged(tables)
    asked = [questions_text.section(question, runs, results, effort, tables) for question in questions.QUESTIONS]
    points = findings_figure.points(runs, effort, datasets)
    curves = {f"{run.dataset}-{run.protocol}" for run in runs if run.curve}
    context: dict[str, Any] = {
        "claims": _claims_line(found, proxy=False),
        "proxies": _claims_line(found, proxy=True),
        "counts": summarize(cell for report in tables for cell in report.cells),
        "answers": _answers(asked),
        "runs": _runs_line(runs, datasets),
        "lost": _lost(results),
        "sections": findings_claims.sections(found, effort, curves),
        "waiting": findings_claims.waiting(tables, found, runs, effort),
        "times": findings_times.lines(tables),
        "targets": findings_times.targets(latencies),
        "tested": _tested(tables),
        "questions": asked,
        "figure": FINDINGS if findings_figure.panels(points) else "",
    }
    return render.environment().get_template("findings.md.j2").render(context), points


def _claims_line(found: Iterable[Judged], *, proxy: bool) -> dict[str, Any]:
    mine = [one.claim for one in found if one.claim.proxy == proxy]
    outcomes: Counted[str] = Counted(claim.outcome for claim in mine)
    with_runs = sum(outcomes[verdict] for verdict in _VERDICTS)
    verdicts = [f"{outcomes[verdict]} {words[outcomes[verdict] != 1]}" for verdict, words in _VERDICTS.items()]
    return {
        "all": len(mine),
        "runs": with_runs,
        "verdicts": ", ".join(verdicts),
        "spreadless": sum(claim.measured is not None and claim.measured.spread is None for claim in mine),
    }


def _answers(asked: Iterable[dict[str, Any]]) -> str:
    outcomes = Counted(outcome for question in asked for outcome in question["outcomes"])
    order = ("better", "worse", "undecided", "not measured")
    return ", ".join(f"{outcomes[outcome]} {outcome}" for outcome in order if outcomes[outcome])


def _runs_line(runs: Iterable[Run], datasets: Collection[str]) -> dict[str, int]:
    trained = {run.path: run for run in runs if run.trained}.values()
    return {
        "trained": len(trained),
        "proxy": sum(run.proxy for run in trained),
        "elsewhere": sum(run.dataset not in datasets for run in trained),
        "lost": sum(not run.finished for run in trained),
    }


def _lost(results: Iterable[tuple[str, RunResult]]) -> list[tuple[str, ...]]:
    """The runs that came to no number."""
    return [
        (
            f"[{result.dataset.name}/{result.protocol.name}/{result.model}](../results/{path})",
            str(result.seed),
            result.status,
            f"{result.epochs_done} of {result.protocol.epochs}",
        )
        for path, result in sorted(results, key=lambda item: item[0])
        if result.status != "finished"
    ]


def _tested(tables: Iterable[Report]) -> list[tuple[str, ...]]:
    """Weights that were tested and not trained, beside what the paper prints."""
    return [
        (
            f"{findings_claims.link(report.table)}: {render.escape_markdown(cell.row)}",
            METRICS[cell.metric].label,
            cell.paper,
            f"{cell.ours:.2f}",
            "agrees" if cell.agrees else "within 1 %" if cell.within else "differs",
        )
        for report in tables
        for cell in report.cells
        if cell.status == "evaluated" and cell.ours is not None and cell.agrees is not None
    ]
