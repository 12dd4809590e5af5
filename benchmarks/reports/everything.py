"""All that was measured of a table's models, by protocol: more measures and more readings than the paper prints."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.published import natural
from benchmarks.reports.cells import Report, models_of
from benchmarks.reports.sources import Run, by_seed

_ORDER = ("evaluated", "measured", "proxy")


@dataclass(frozen=True)
class Line:
    """One model under one protocol; ``values`` are in the order of the metrics, empty where it has none."""

    model: str
    protocol: str
    status: str
    n: int
    values: tuple[str, ...]


def table(report: Report) -> tuple[list[str], list[Line]]:
    """Return the headings of the metrics, and the lines: what was measured under the paper's protocols comes first.

    Tests of weights that nobody has pinned as the authors' are left out. Empty unless the table asks for it.
    """
    if not report.table.everything:
        return [], []
    groups: dict[tuple[str, str, str], list[Run]] = {}
    models = list(dict.fromkeys(model for row in report.table.rows for model in models_of(row)))
    for run in report.runs:
        status = _status(report, run)
        if run.finished and run.model in models and status and _shown(run.metric):
            groups.setdefault((status, run.protocol, run.model), []).append(run)
    metrics = sorted({run.metric for runs in groups.values() for run in runs}, key=_measure)
    order = sorted(groups, key=lambda key: (_ORDER.index(key[0]), natural(key[1]), models.index(key[2])))
    lines = [_line(key, groups[key], metrics) for key in order]
    return [_heading(metric) for metric in metrics], _bicubic(report, metrics) + lines


def _line(key: tuple[str, str, str], runs: list[Run], metrics: list[str]) -> Line:
    values = [_value(metric, [run for run in runs if run.metric == metric]) for metric in metrics]
    return Line(key[2], key[1], key[0], len({run.seed for run in runs}), tuple(values))


def _bicubic(report: Report, metrics: list[str]) -> list[Line]:
    """What needs no network, from the first run that recorded it."""
    lines = []
    for row in report.table.rows:
        if row.recorded_as and metrics:
            found = {run.metric: run for run in reversed(report.runs) if run.finished}
            own = [found.get(f"{row.recorded_as}_{metric}") for metric in metrics]
            values = tuple(_value(metric, [run] if run else []) for metric, run in zip(metrics, own, strict=True))
            lines.append(Line(row.label, "", "evaluated", 0, values))
    return lines


def _status(report: Report, run: Run) -> str:
    if run.trained:
        return "proxy" if run.proxy else "measured"
    pinned = {cell.checkpoint for row in report.table.rows for cell in row.cells.values() if cell.checkpoint}
    return "evaluated" if run.checkpoint in pinned else ""


def _shown(metric: str) -> bool:
    return bool(re.fullmatch(r"(psnr|ssim)_x\d+", metric))


def _value(metric: str, runs: Iterable[Run]) -> str:
    values = by_seed(runs)
    if not values:
        return ""
    places = 4 if metric.startswith("ssim") else 2
    spread = f" ± {statistics.stdev(values):.{places}f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.{places}f}{spread}"


def _measure(metric: str) -> tuple[str, list[str | int]]:
    kind, _, scale = metric.partition("_")
    return kind, natural(scale)


def _heading(metric: str) -> str:
    kind, _, scale = metric.partition("_x")
    return f"{kind.upper()} (×{scale}{', dB' if kind == 'psnr' else ''})"
