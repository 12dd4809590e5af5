"""Claims about time for the findings: the papers' ratios of two networks beside ours, and the targets of `deploy`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from benchmarks.latency import Measurement
from benchmarks.reports import latency_targets, render
from benchmarks.reports.cells import Report
from benchmarks.reports.latencies import Line, base_row, paired, thread_count


def lines(reports: Iterable[Report]) -> list[tuple[str, ...]]:
    """Return claim, setting, the paper's and our "times as fast", and what follows, a line a network and mode.

    Only the papers' own methods, measured in turn with the row that the table starts from, which is compiled: beside an
    eager baseline other programs are compared, not networks. No verdict on the paper's machine follows.
    """
    found: list[tuple[str, ...]] = []
    for report in reports:
        table = report.table
        for group in report.latencies:
            if group.found.baseline.mode == "eager":
                continue
            base = base_row(table, group)
            for row, line, printed in paired(table, group):
                if row.kind == "method" and printed not in {"", "1"}:
                    speed = 1 / Decimal(printed)
                    claim = f"{row.label} against {base.label}"
                    found.append(
                        (
                            f"[{table.title}]({table.name}.md): {render.escape_markdown(claim)}",
                            f"{line.entrant.mode} against {_setting(group.found)}",
                            f"{speed:.2f}",
                            _speed(line),
                            _follows(line, float(speed)),
                        )
                    )
    return found


def targets(found: Sequence[tuple[str, Measurement]]) -> list[tuple[str, ...]]:
    """Return network, baseline, batch, "times as fast" asked and reached, and the verdict, a line a target."""
    return [
        (
            f"`{line.network}`",
            f"`{line.baseline}`, batch {line.batch}",
            f"{1 / float(line.most_ratio):.2f}",
            line.times_as_fast,
            line.verdict,
        )
        for line in latency_targets.lines(found)
    ]


def _setting(found: Measurement) -> str:
    """The baseline's mode, the batch, and whatever differs from fp32 inference on one thread of a CPU."""
    words = [found.baseline.mode, f"batch {found.batch}"]
    if found.device != "cpu":
        words.append(f"on {found.device}")
    elif found.environment.cpu_threads > 1:
        words.append(thread_count(found))
    return ", ".join(words + [found.dtype] * (found.dtype != "fp32") + [found.task] * (found.task != "inference"))


def _speed(line: Line) -> str:
    ratio = line.entrant.ratio
    return f"**{1 / ratio.median:.2f}** ({1 / ratio.high:.2f} to {1 / ratio.low:.2f})"


def _follows(line: Line, printed: float) -> str:
    least, most = 1 / line.entrant.ratio.high, 1 / line.entrant.ratio.low
    if least >= printed:
        return "faster than printed"
    if most >= printed:
        return "as fast as printed"
    if least > 1:
        return "faster, but less than printed"
    return "slower than the baseline" if most < 1 else "no faster than the baseline"
