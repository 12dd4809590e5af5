"""What an iteration costs detectors and segmentors: `iteration-costs.md` and `.csv`, a table for each kept measurement.

Ratios stand first and seconds second, and all of a table are from one file, that is from one machine and one run.
Pure functions of the records, so that equal input gives equal bytes.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from benchmarks.iteration_cost import Cost, Entrant, Mode, Report, Spread
from benchmarks.published import natural
from benchmarks.reports import render, runs

CSV_COLUMNS = (
    "file", "baseline", "network", "mode", "parameters", "trained", "ratio", "ratio_low", "ratio_high", "seconds",
    "seconds_low", "seconds_high", "slices", "iterations", "peak_ratio", "peak_mib", "memory", "regions", "images",
    "height", "width", "precision", "device", "threads", "torch", "commit", "dirty", "finished_at",
)  # fmt: skip
_MODES: tuple[Mode, ...] = ("training", "inference")
_MIB = 2**20
_MEMORY = {
    "resident": "resident memory above that before the network was built",
    "cuda": "PyTorch's allocations on the GPU",
}


def markdown(found: Sequence[tuple[str, Report]]) -> str:
    """Return the page; `found` are records with their paths, as `iteration_cost.kept` gives them."""
    sections = [_section(path, report) for path, report in _sorted(found)]
    return render.environment().get_template("iteration-costs.md.j2").render(sections=sections)


def tidy_csv(found: Sequence[tuple[str, Report]]) -> str:
    """Return everything in the page's tables as CSV, one mode of one network a line, with `CSV_COLUMNS`."""
    out = io.StringIO()
    writer = csv.DictWriter(out, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for path, report in _sorted(found):
        for entrant in report.entrants:
            for mode in _modes(report):
                writer.writerow(_csv_row(path, report, entrant, mode))
    return out.getvalue()


def _sorted(found: Sequence[tuple[str, Report]]) -> list[tuple[str, Report]]:
    return sorted(found, key=lambda one: natural(one[0]))


def _modes(report: Report) -> list[Mode]:
    return [mode for mode in _MODES if mode in report.modes]


def _costs(report: Report, mode: Mode) -> Iterator[Cost]:
    return (cost for entrant in report.entrants if (cost := entrant.cost(mode)) is not None)


def _section(path: str, report: Report) -> dict[str, Any]:
    height, width = report.input_size
    modes = _modes(report)
    return {
        "title": f"{report.label(report.baseline)}, {height} × {width}: {' and '.join(modes)}",
        "modes": modes,
        "unit": {"training": "s an iteration", "inference": "s an image"},
        "lines": [
            (report.label(entrant), f"{entrant.parameters / 1e6:.2f} M", _fields(report, entrant, modes))
            for entrant in report.entrants
        ],
        "remarks": _remarks(report, modes),
        "path": f"results/{path}",
        "finished": f"{report.finished_at:%Y-%m-%d}",
        "commit": runs.commit(report.git.commit or "", report.git.dirty),
    }


def _fields(report: Report, entrant: Entrant, modes: Sequence[Mode]) -> list[str]:
    fields: list[str] = []
    for mode in modes:
        cost = entrant.cost(mode)
        assert cost is not None  # a report has a mode of all networks or of none
        first = entrant is report.baseline
        fields += [
            "1" if first else _spread(cost.ratio, _two_places),
            _spread(cost.seconds, _three_digits),
            "1" if first else "" if cost.peak_ratio is None else _two_places(cost.peak_ratio),
            f"{cost.peak_bytes / _MIB:,.0f}",
        ]
    return fields


def _spread(spread: Spread, show: Callable[[float], str]) -> str:
    return f"{show(spread.median)} ({show(spread.low)} to {show(spread.high)})"


def _two_places(value: float) -> str:
    return f"{value:.2f}"


def _three_digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}"


def _remarks(report: Report, modes: Sequence[Mode]) -> list[str]:
    """Input, place, precision, versions and what else must be known, one sentence each."""
    where = report.environment
    height, width = report.input_size
    threads = f"{where.cpu_threads} thread{'s' if where.cpu_threads > 1 else ''}"
    size = f"3 × {height} × {width}"
    what = {
        "training": f"Training: batches of {report.batch} × {size}, {where.precision}",
        "inference": f"Inference: one image of {size}, fp32",
    }
    slices = ", ".join(f"{len(next(_costs(report, mode)).seconds.slices)} slices in {mode}" for mode in modes)
    versions = {"Python": where.python, "torch": where.torch, "mmengine": where.mmengine, **report.packages}
    remarks = [
        f"Baseline: {report.baseline.name}.",
        f"{'. '.join(what[mode] for mode in modes)}. Memory format: {where.memory_format}.",
        f"{where.device}, {threads}, {where.platform}. {slices[0].upper()}{slices[1:]}.",
        f"Peak memory: {_MEMORY[report.memory]}"
        + ("." if report.peaks_exact else "; known to some 10 % only on this system."),
        f"Versions: {', '.join(f'{name} {version}' for name, version in versions.items() if version)}.",
    ]
    for mode in modes:
        regions = sorted({cost.regions for cost in _costs(report, mode) if cost.regions is not None})
        if regions:
            numbers = " to ".join(str(number) for number in dict.fromkeys((regions[0], regions[-1])))
            remarks.append(f"Regions of the second stage in {mode}: {numbers}.")
    remarks += [
        f"{report.label(entrant)} has learned masks and was trained without their penalty and rule."
        for entrant in report.entrants
        if entrant.mask_hook is False and "training" in modes
    ]
    return remarks


def _csv_row(path: str, report: Report, entrant: Entrant, mode: Mode) -> dict[str, object]:
    cost, where = entrant.cost(mode), report.environment
    assert cost is not None
    height, width = report.input_size
    numbers: dict[str, float | None] = {
        "ratio": cost.ratio.median, "ratio_low": cost.ratio.low, "ratio_high": cost.ratio.high,
        "seconds": cost.seconds.median, "seconds_low": cost.seconds.low, "seconds_high": cost.seconds.high,
        "peak_ratio": cost.peak_ratio, "peak_mib": cost.peak_bytes / _MIB,
    }  # fmt: skip
    return {
        "file": path, "baseline": report.baseline.name, "network": entrant.name, "mode": mode,
        "parameters": entrant.parameters, "trained": entrant.trained, "slices": len(cost.seconds.slices),
        "iterations": cost.iterations, "memory": report.memory, "regions": cost.regions,
        "images": report.batch if mode == "training" else 1, "height": height, "width": width,
        "precision": where.precision if mode == "training" else "fp32", "device": where.device,
        "threads": where.cpu_threads, "torch": where.torch, "commit": report.git.commit,
        "dirty": "" if report.git.dirty is None else str(report.git.dirty).lower(),
        "finished_at": report.finished_at.isoformat(timespec="seconds"),
        **{name: "" if number is None else f"{number:.6g}" for name, number in numbers.items()},
    }  # fmt: skip
