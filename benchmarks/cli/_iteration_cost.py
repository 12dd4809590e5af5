"""`slimbench throughput` for experiments of detection and segmentation: a table for training, one for inference."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from benchmarks.iteration_cost import Report
    from benchmarks.iteration_cost.records import Mode, Precision

MIB = 2**20


def run(
    names: Sequence[str],
    baseline: str | None,
    *,
    device: str | None,
    threads: int | None,
    precision: Precision | None,
    batch: int | None,
    input_text: str | None,
    seconds: float,
    only: Mode | None,
    json_file: Path | None,
    keep: bool,
) -> None:
    """Measure, write the file, put it into the ledger and print. Raises UserError."""
    from rich.console import Console

    from benchmarks import iteration_cost
    from benchmarks.errors import UserError

    if json_file is not None and not json_file.absolute().parent.is_dir():
        raise UserError(f"--json {json_file}: there is no folder {json_file.parent}")
    size = parse_size(input_text)
    if keep:
        iteration_cost.prepare()
    first, others = (names[0], names[1:]) if baseline is None else (baseline, names)
    progress = Console(stderr=True)
    report = iteration_cost.measure(
        first,
        others,
        device=device,
        threads=threads,
        precision=precision,
        batch=batch,
        input_size=size,
        seconds=seconds,
        modes=iteration_cost.MODES if only is None else (only,),
        tell=lambda line: progress.print(line, highlight=False),
    )
    if json_file is not None:
        try:
            iteration_cost.write(report, json_file)
        except OSError as error:
            raise UserError(f"--json {json_file}: {error.strerror}") from error
    show(report)
    if keep:
        kept = iteration_cost.keep(report)
        progress.print(f"kept as {kept}; slimbench reproduce iteration-costs shows it", highlight=False, soft_wrap=True)


def parse_size(text: str | None) -> tuple[int, int] | None:
    """Height and width of "600x850". Raises UserError."""
    from benchmarks.errors import UserError

    if text is None:
        return None
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if match is None:
        raise UserError(f"--input {text!r}: give HEIGHTxWIDTH, as 600x850")
    return int(match[1]), int(match[2])


def show(report: Report) -> None:
    """Print the tables and what they were measured on."""
    from benchmarks.cli._tables import plain_console, print_table

    console = plain_console()
    for mode in reversed(report.modes):
        print_table(_table(report, mode))
    where, git = report.environment, report.git
    commit = "no commit" if git.commit is None else f"commit {git.commit[:12]}{' with changes' if git.dirty else ''}"
    height, width = report.input_size
    console.print(
        f"{where.device}, {where.cpu_threads} threads, torch {where.torch}, {commit}. Training {report.batch} x 3 x "
        f"{height} x {width} in {where.precision}, {where.memory_format}; inference one image in fp32. Generated "
        "images and truth, random weights. Median and quartiles over the slices that the networks took in turn."
    )
    console.print(
        "Peak memory is PyTorch's on the GPU."
        if report.memory == "cuda"
        else "Peak memory is resident memory above "
        "that before the network was built" + ("." if report.peaks_exact else "; here it is known to some 10 % only.")
    )
    for entrant in report.entrants:
        if entrant.mask_hook is False:
            console.print(f"{entrant.name} has learned masks and no VersatileMaskHook: no penalty, no rule for masks.")


def _table(report: Report, mode: Mode) -> Table:
    from rich.table import Table

    table = Table(title=mode, title_justify="left")
    table.add_column("network", no_wrap=True)
    measured = [(entrant, cost) for entrant in report.entrants if (cost := entrant.cost(mode)) is not None]
    regions = any(cost.regions is not None for _, cost in measured)
    for title in ("parameters", "s/iteration", "/ baseline", "peak memory", "/ baseline", *(["regions"] * regions)):
        table.add_column(title, justify="right", no_wrap=True)
    for entrant, cost in measured:
        time, ratio = cost.seconds, cost.ratio
        table.add_row(
            report.label(entrant),
            f"{entrant.parameters / 1e6:.2f} M",
            f"{time.median:.3g} ({time.low:.3g}-{time.high:.3g})",
            f"{ratio.median:.2f} ({ratio.low:.2f}-{ratio.high:.2f})",
            f"{cost.peak_bytes / MIB:,.0f} MiB",
            "-" if cost.peak_ratio is None else f"{cost.peak_ratio:.2f}",
            *([str(cost.regions)] * regions),
        )
    return table
