"""From table names to files: join, render, draw and write; one broken table does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.atomic import replacing
from benchmarks.errors import UserError
from benchmarks.ledger import ITERATION_COSTS, LATENCY
from benchmarks.published import Paper, load_paper, load_table, natural
from benchmarks.reports.cells import Report, build
from benchmarks.reports.sources import Counter, Run

if TYPE_CHECKING:
    from benchmarks.iteration_cost import Report as IterationCost
    from benchmarks.latency import Measurement
    from benchmarks.ledger import RunResult


@dataclass(frozen=True)
class Joined:
    """A report with its paper."""

    report: Report
    paper: Paper


def default_output() -> Path:
    """Return the checkout's ``reports/``; outside a checkout, ``reports/`` in the current folder."""
    checkout = Path(__file__).resolve().parents[2]
    here = checkout if (checkout / "pyproject.toml").is_file() and (checkout / "mmconfigs").is_dir() else Path.cwd()
    return here / "reports"


def join(
    names: Iterable[str],
    counter: Counter,
    runs: Sequence[Run],
    failed: Callable[[UserError], None],
    root: Path | None = None,
    latencies: Sequence[tuple[str, Measurement]] = (),
) -> Iterable[Joined]:
    """Yield the tables called ``names``, joined; a table that fails goes to ``failed`` and is left out."""
    for name in names:
        try:
            table = load_table(name, root)
            report = build(table, counter, runs)
            if latencies:
                from benchmarks.reports.latencies import of_table

                report = replace(report, latencies=of_table(table, latencies))
            joined = Joined(report, load_paper(table.paper, root))
        except UserError as error:
            failed(error)
        else:
            yield joined


def texts(joined: Joined) -> dict[str, str]:
    """Return suffix -> text of the generated files that are compared byte by byte; without claims no file of them."""
    from benchmarks.reports import render

    found = {
        ".md": render.markdown(joined.report, joined.paper),
        ".tex": render.latex(joined.report, joined.paper),
        ".csv": render.tidy_csv(joined.report),
        ".claims.csv": render.claims_csv(joined.report),
    }
    return {suffix: text for suffix, text in found.items() if text}


def write(joined: Joined, output: Path, results: Path | None = None) -> list[Path]:
    """Write ``<output>/<paper>/<table>.{md,tex,csv,png,pdf}`` and return the paths.

    ``results``: the ledger's folder, its usual place if None; a figure of crops takes its pictures from there.

    Raises:
        UserError: The folder cannot be written.
    """
    stem = output / joined.report.table.name
    try:
        stem.parent.mkdir(parents=True, exist_ok=True)
        written = [_replace(stem.with_suffix(suffix), text) for suffix, text in texts(joined).items()]
        if joined.report.table.figure:
            from benchmarks.reports import figures, style

            written += style.save(figures.draw(joined.report, joined.paper.short), stem)
        if joined.report.table.crops:
            from benchmarks.ledger import results_dir
            from benchmarks.reports import crops, style

            pictures, short = results_dir(results), joined.paper.short
            figure = crops.draw(joined.report, crops.heading(joined.report, short), pictures)
            written += style.save(figure, stem)
            for other in joined.report.stand_ins:
                figure = crops.draw(other, crops.stand_in_heading(other, short), pictures)
                written += style.save(figure, stem.with_name(crops.stand_in_stem(other)))
    except OSError as error:
        raise UserError(f"cannot write {stem.parent}: {error.strerror or error}") from error
    return written


def write_combined(reports: Iterable[Report], counter: Counter, output: Path) -> list[Path]:
    """Write ``<output>/combined/<dataset>.csv`` and its figures against MACs and parameters; return the paths.

    Raises:
        UserError: The folder cannot be written, or a model cannot be counted.
    """
    from benchmarks.reports import combined, combined_figure, style
    from benchmarks.reports.index import COMBINED

    written: list[Path] = []
    folder = output / COMBINED
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for dataset, points in combined.points(reports, counter).groupby("dataset", sort=True):
            written.append(_replace(folder / f"{dataset}.csv", combined.tidy_csv(points)))
            for cost, (column, _) in combined_figure.COSTS.items():
                if points[column].notna().any():
                    figure = combined_figure.draw(points, str(dataset), cost)
                    written += style.save(figure, folder / f"{dataset}_{cost}")
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror or error}") from error
    return written


def write_findings(
    reports: Iterable[Report],
    counter: Counter,
    results: Sequence[tuple[str, RunResult]],
    latencies: Sequence[tuple[str, Measurement]],
    output: Path,
) -> list[Path]:
    """Write ``<output>/findings.{md,csv,png,pdf}`` of all tables; no figure where nothing can be compared.

    Raises:
        UserError: The folder cannot be written, or a model cannot be counted.
    """
    from benchmarks.reports import findings, findings_figure, style
    from benchmarks.reports.index import FINDINGS

    in_order = sorted(reports, key=lambda report: natural(report.table.name))
    page, points = findings.page(in_order, counter, results, latencies)
    stem = output / FINDINGS
    try:
        output.mkdir(parents=True, exist_ok=True)
        written = [_replace(stem.with_suffix(".md"), page)]
        if findings_figure.panels(points):
            written.append(_replace(stem.with_suffix(".csv"), findings_figure.tidy_csv(points)))
            written += style.save(findings_figure.draw(points), stem)
    except OSError as error:
        raise UserError(f"cannot write {output}: {error.strerror or error}") from error
    return written


def curve_groups(results: Iterable[tuple[str, RunResult]]) -> dict[tuple[str, str], list[tuple[str, RunResult]]]:
    """Return (data set, protocol) -> the trainings that have a curve, in the order of their files."""
    groups: dict[tuple[str, str], list[tuple[str, RunResult]]] = {}
    for path, result in sorted(results, key=lambda one: one[0]):
        if result.origin == "train" and result.curves:
            groups.setdefault((result.dataset.name, result.protocol.name), []).append((path, result))
    return dict(sorted(groups.items()))


def write_curves(
    results: Iterable[tuple[str, RunResult]], output: Path, only: Collection[tuple[str, str]] | None = None
) -> list[Path]:
    """Write ``<output>/curves/<dataset>-<protocol>.{md,csv,png,pdf}`` of the trainings that have a curve.

    ``only`` names pairs of data set and protocol; None means all.

    Raises:
        UserError: The folder cannot be written.
    """
    from benchmarks.reports import curves, render, style

    written: list[Path] = []
    folder = output / render.CURVES
    try:
        for key, group in curve_groups(results).items():
            stem, data = folder / "-".join(key), curves.frame(group)
            if (only is not None and key not in only) or not curves.panels_of(data):
                continue
            folder.mkdir(parents=True, exist_ok=True)
            written.append(_replace(stem.with_name(f"{stem.name}.md"), render.curves_markdown(group)))
            written.append(_replace(stem.with_name(f"{stem.name}.csv"), curves.tidy_csv(data)))
            written += style.save(curves.learning_curves(data), stem)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror or error}") from error
    return written


def write_iteration_costs(found: Sequence[tuple[str, IterationCost]], output: Path) -> list[Path]:
    """Write ``<output>/iteration-costs.{md,csv}`` of the kept records and return the paths; nothing if there is none.

    Raises:
        UserError: The folder cannot be written.
    """
    from benchmarks.reports import iteration_costs

    if not found:
        return []
    texts = {".md": iteration_costs.markdown(found), ".csv": iteration_costs.tidy_csv(found)}
    try:
        output.mkdir(parents=True, exist_ok=True)
        return [_replace(output / f"{ITERATION_COSTS}{suffix}", text) for suffix, text in texts.items()]
    except OSError as error:
        raise UserError(f"cannot write {output}: {error.strerror or error}") from error


def write_latencies(found: Sequence[tuple[str, Measurement]], output: Path) -> list[Path]:
    """Write ``<output>/latency.{md,csv}`` and ``latency/*.{png,pdf}`` of the kept records; nothing if there is none.

    Raises:
        UserError: The folder cannot be written.
    """
    from benchmarks.reports import latencies, latency_figure, style

    if not found:
        return []
    texts = {".md": latencies.markdown(found), ".csv": latencies.tidy_csv(found)}
    folder = output / LATENCY
    try:
        output.mkdir(parents=True, exist_ok=True)
        written = [_replace(output / f"{LATENCY}{suffix}", text) for suffix, text in texts.items()]
        for group in latencies.groups(found):
            if len(group.models()) >= latencies.ENOUGH:
                folder.mkdir(exist_ok=True)
                figure = latency_figure.draw(latencies.frame(group), group.title, group.found.baseline.label)
                written += style.save(figure, folder / group.stem)
    except OSError as error:
        raise UserError(f"cannot write {output}: {error.strerror or error}") from error
    return written


def write_overview(output: Path, root: Path | None = None) -> list[Path]:
    """Write ``<output>/index.md`` and ``all-tables.tex`` for the reports that stand there, and return the paths.

    Raises:
        UserError: The folder cannot be written, or holds a CSV that is none of ours.
    """
    from benchmarks.reports import index

    documents = {"index.md": index.markdown(output, root), "all-tables.tex": index.latex(output, root)}
    try:
        return [_replace(output / name, text) for name, text in documents.items()]
    except OSError as error:
        raise UserError(f"cannot write {output}: {error.strerror or error}") from error


def _replace(path: Path, text: str) -> Path:
    """Write all of ``text`` or nothing: an interrupted run leaves the old file."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return path
