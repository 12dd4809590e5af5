"""How long networks take: `latency.md` and `.csv`, and a section of each table that prints latencies.

A group is everything measured on one machine in one setting against one baseline; only numbers of one group stand
beside each other. Ratios come first and times second. The paper's times are those of other machines and other programs,
so no time of ours stands in a column of the paper. Pure functions: equal input gives equal bytes.
"""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from benchmarks import digits
from benchmarks.complexity.records import format_input
from benchmarks.latency import Entrant, Measurement
from benchmarks.metrics import METRICS
from benchmarks.published import Row, Table, natural
from benchmarks.reports import runs

if TYPE_CHECKING:
    import pandas as pd

Kept = tuple[str, Measurement]
CSV_COLUMNS = (
    "file", "baseline", "model", "mode", "task", "macs", "mul", "params", "ratio", "ratio_low", "ratio_high", "ms",
    "ms_low", "ms_high", "rounds", "gmacs", "share_of_peak", "peak_mib", "weight_mib", "deviation", "batch", "input",
    "dtype", "layout", "device", "threads", "product_gmacs", "torch", "commit", "dirty", "finished_at",
)  # fmt: skip
#: As many different networks make a figure and a rank correlation.
ENOUGH = 5
_MIB = 2**20


@dataclass(frozen=True)
class Line:
    """One entrant of a group, with the file that has it."""

    path: str
    found: Measurement
    entrant: Entrant

    @property
    def macs_ratio(self) -> float:
        """Counted MACs over the baseline's."""
        return self.entrant.macs / self.found.baseline.macs

    @property
    def per_mac(self) -> float:
        """The ratio of times over that of MACs: 1 where counting predicts the time."""
        return self.entrant.ratio.median / self.macs_ratio


@dataclass(frozen=True)
class Group:
    """Measurements of one machine, setting and baseline; of an entrant that several have, the last one's numbers."""

    lines: tuple[Line, ...]

    @property
    def found(self) -> Measurement:
        """The last measurement, which speaks for all about machine and setting."""
        return max((line.found for line in self.lines), key=lambda one: one.started_at)

    @property
    def title(self) -> str:
        found = self.found
        threads = f", {thread_count(found)}" if found.device == "cpu" else ""
        return f"{found.task.capitalize()}, batch {found.batch}, {found.dtype}, {_device(found)}{threads}"

    @property
    def stem(self) -> str:
        """The name of its figure."""
        found = self.found
        words = (found.task, f"b{found.batch}", format_input(found.input_size), found.dtype, found.layout,
                 found.baseline.label, _device(found), *([thread_count(found)] * (found.device == "cpu")))  # fmt: skip
        return "-".join("".join(one if one.isalnum() or one in "._" else "-" for one in word) for word in words).lower()

    def models(self) -> set[str]:
        """Different networks."""
        return {line.entrant.model for line in self.lines}


def groups(found: Sequence[Kept]) -> list[Group]:
    """Split the records, given with their paths, by machine, setting and baseline."""
    lines: dict[tuple[object, ...], dict[str, Line]] = {}
    for path, one in sorted(found, key=lambda kept: (kept[1].started_at, natural(kept[0]))):
        key = (one.task, one.device, _device(one), one.environment.cpu_threads * (one.device == "cpu"), one.batch,
               one.input_size, one.dtype, one.layout, one.baseline.label)  # fmt: skip
        for entrant in (one.baseline, *(other for other in one.entrants if other.label != one.baseline.label)):
            lines.setdefault(key, {})[entrant.label] = Line(path, one, entrant)
    return [
        Group(tuple(sorted(lines[key].values(), key=lambda line: (line.entrant.macs, line.entrant.label))))
        for key in sorted(lines, key=lambda key: natural("|".join(map(str, key))))
    ]


def correlations(group: Group) -> list[tuple[str, int, float, float]]:
    """For each mode with ENOUGH networks: mode, how many, Spearman's rank correlation of time with MACs and with #MUL.

    A network's time is its ratio to the baseline. NaN where all counts are equal.
    """
    from scipy.stats import spearmanr

    found: list[tuple[str, int, float, float]] = []
    for mode in dict.fromkeys(line.entrant.mode for line in group.lines):
        mine = [line.entrant for line in group.lines if line.entrant.mode == mode]
        if len(mine) >= ENOUGH:
            times = [one.ratio.median for one in mine]
            macs, mul = (float(spearmanr([getattr(one, cost) for one in mine], times)[0]) for cost in ("macs", "mul"))
            found.append((mode, len(mine), macs, mul))
    return found


def frame(group: Group) -> pd.DataFrame:
    """The group's points for the figure: model, mode, macs (of an image), ratio, low, high."""
    import pandas as pd

    rows = [
        {
            "model": line.entrant.model, "mode": line.entrant.mode, "macs": line.entrant.macs,
            "ratio": line.entrant.ratio.median, "low": line.entrant.ratio.low, "high": line.entrant.ratio.high,
            "baseline": line.entrant.label == line.found.baseline.label,
        }
        for line in group.lines
    ]  # fmt: skip
    points: pd.DataFrame = pd.DataFrame(rows)
    return points


def markdown(found: Sequence[Kept]) -> str:
    """Return the page; `found` are records with their paths, as `latency.SHELF.kept` gives them."""
    from benchmarks.reports import latency_targets, render

    sections = [_section(group) for group in groups(found)]
    targets = latency_targets.lines(found)
    return render.environment().get_template("latency.md.j2").render(sections=sections, targets=targets)


def of_table(table: Table, found: Sequence[Kept]) -> tuple[Group, ...]:
    """Groups that have something to say beside a table's latencies: its own networks against one of them."""
    if not any(METRICS[column.metric].run == "latency" for column in table.columns):
        return ()
    models = {row.model for row in table.rows if row.model}
    return tuple(
        group for group in groups(found) if group.found.baseline.model in models and len(group.models() & models) > 1
    )


def beside(table: Table, group: Group) -> dict[str, Any]:
    """The section of a table's page: its rows in the table's order, each in every mode that was measured."""
    base = base_row(table, group)
    lines = paired(table, group)
    return {
        "title": group.title,
        "baseline": f"{base.label}, {group.found.baseline.mode}",
        "base": base.label,
        "lines": [(row.label, line.entrant.mode, printed, *_fields(line)) for row, line, printed in lines],
        "remarks": _remarks(group, [line for _, line, _ in lines], "../../"),
    }


def base_row(table: Table, group: Group) -> Row:
    """Return the table's row of the network that the group was measured against."""
    return next(row for row in table.rows if row.model == group.found.baseline.model)


def paired(table: Table, group: Group) -> list[tuple[Row, Line, str]]:
    """Return the table's rows beside what was measured of them, with the paper's ratio ("" where it prints none)."""
    column = next(column for column in table.columns if METRICS[column.metric].run == "latency")
    base = base_row(table, group)
    return [
        (row, line, _printed_ratio(row, base, column.id))
        for row in table.rows
        for line in group.lines
        if row.model == line.entrant.model
    ]


def tidy_csv(found: Sequence[Kept]) -> str:
    """Return every entrant of every record as CSV, with `CSV_COLUMNS`."""
    out = io.StringIO()
    writer = csv.DictWriter(out, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for path, one in sorted(found, key=lambda kept: natural(kept[0])):
        for entrant in one.entrants:
            writer.writerow(_csv_row(path, one, entrant))
    return out.getvalue()


def _section(group: Group) -> dict[str, Any]:
    return {
        "title": group.title,
        "baseline": group.found.baseline.label,
        "lines": [
            (
                line.entrant.model,
                line.entrant.mode,
                f"{line.entrant.macs / 1e9:.3g}",
                f"{line.macs_ratio:.3f}",
                *_fields(line),
                f"{line.per_mac:.2f}",
            )
            for line in group.lines
        ],
        "correlations": [
            f"{mode}: {macs:.2f} with MACs, {mul:.2f} with #MUL ({number} networks)"
            for mode, number, macs, mul in correlations(group)
        ],
        "figure": f"latency/{group.stem}" if len(group.models()) >= ENOUGH else "",
        "remarks": _remarks(group, group.lines, "../"),
    }


def _fields(line: Line) -> tuple[str, ...]:
    """Ratio with its interval, milliseconds with quartiles, rate, share of the peak, memory."""
    one, found = line.entrant, line.found
    ratio = "1"
    if one is not found.baseline:
        ratio = _interval(one)
    low, middle, high = (_milliseconds(value) for value in (one.seconds.low, one.seconds.median, one.seconds.high))
    return (
        ratio,
        f"{middle} ({low} to {high})",
        f"{found.gmacs(one):.1f}",
        f"{100 * one.share_of_peak:.0f} %",
        f"{one.peak_bytes / _MIB:,.0f}",
    )


def _interval(one: Entrant) -> str:
    return f"**{one.ratio.median:.3f}** ({one.ratio.low:.3f} to {one.ratio.high:.3f})"


def _milliseconds(seconds: float) -> str:
    value = 1e3 * seconds
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}"


def _printed_ratio(row: Row, base: Row, column: str) -> str:
    """The paper's time over its time of the baseline's row, to three digits; nothing where it prints none."""
    own, other = (one.values.get(column, "") for one in (row, base))  # noqa: PD011 (a row of a paper)
    if not (digits.is_number(own) and digits.is_number(other)):
        return ""
    return "1" if row is base else f"{Decimal(own) / Decimal(other):.3f}"


def _remarks(group: Group, lines: Iterable[Line], root: str) -> list[str]:
    """Input, place, versions, the state of the machine and the files, one sentence each."""
    found = group.found
    where = found.environment
    files = {line.path: line.found for line in lines}
    rounds = sorted({one.rounds for one in files.values()})
    peaks = [one.product.gmacs for one in files.values()]
    loads = [value for one in files.values() if one.load for value in one.load]
    threads = f", {thread_count(found)}, {found.capability} of {' '.join(found.cpu_flags)}"
    remarks = [
        f"Batches of {found.batch} × {format_input(found.input_size)}, {found.dtype}, {found.layout}.",
        f"{_span(rounds)} rounds.",
        f"{_device(found)}{threads if found.device == 'cpu' else ''}; Python {where.python}, torch {where.torch}.",
        f"Product of matrices, the peak: {_span([round(peak, 1) for peak in peaks])} GMAC/s.",
    ]
    controls = [
        _interval(entrant)
        for one in files.values()
        for entrant in one.entrants[1:]
        if entrant.label == one.baseline.label
    ]
    if controls:
        remarks.append(f"The baseline against itself: {', '.join(controls)}.")
    kernels = sorted({one.kernel for one in files.values() if one.kernel})
    if kernels:
        remarks.append(f"Code of the deployed convolutions: {', '.join(kernels)}.")
    packages = sorted({" ".join(item) for one in files.values() for item in one.environment.packages.items()})
    if packages:
        remarks.append(f"Packages of the networks in ncnn: {', '.join(packages)}.")
    if loads:
        remarks.append(f"Load of the machine: {_span([round(load, 1) for load in loads])}.")
    names = ", ".join(
        f"[{one.started_at:%Y-%m-%d %H:%M}]({root}results/{path}) (commit "
        f"{runs.commit(one.git.commit or '', one.git.dirty)})"
        for path, one in sorted(files.items(), key=lambda item: item[1].started_at)
    )
    return [*remarks, f"Every run is in the file: {names}."]


def _span(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _device(found: Measurement) -> str:
    return found.environment.device if found.device == "cuda" else found.environment.cpu


def thread_count(found: Measurement) -> str:
    """Return "1 thread", "2 threads", ..."""
    number = found.environment.cpu_threads
    return f"{number} thread{'s' * (number > 1)}"


def _csv_row(path: str, found: Measurement, one: Entrant) -> dict[str, object]:
    numbers = {
        "ratio": one.ratio.median, "ratio_low": one.ratio.low, "ratio_high": one.ratio.high,
        "ms": 1e3 * statistics.median(one.seconds.slices), "ms_low": 1e3 * one.seconds.low,
        "ms_high": 1e3 * one.seconds.high, "gmacs": found.gmacs(one), "share_of_peak": one.share_of_peak,
        "peak_mib": one.peak_bytes / _MIB, "weight_mib": one.weight_bytes / _MIB,
        "product_gmacs": found.product.gmacs,
    }  # fmt: skip
    return {
        "file": path, "baseline": found.baseline.label, "model": one.model, "mode": one.mode, "task": found.task,
        "macs": one.macs, "mul": one.mul, "params": one.params, "rounds": found.rounds,
        "deviation": "" if one.deviation is None else f"{one.deviation:.3g}", "batch": found.batch,
        "input": format_input(found.input_size), "dtype": found.dtype, "layout": found.layout,
        "device": _device(found), "threads": found.environment.cpu_threads if found.device == "cpu" else "",
        "torch": found.environment.torch, "commit": found.git.commit,
        "dirty": "" if found.git.dirty is None else str(found.git.dirty).lower(),
        "finished_at": found.finished_at.isoformat(timespec="seconds"),
        **{name: f"{number:.6g}" for name, number in numbers.items()},
    }  # fmt: skip
