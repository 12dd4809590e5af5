"""Words shared by all outputs: what stands in a cell, in its verdict and in the line on top."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks import digits
from benchmarks.metrics import METRICS
from benchmarks.published import Column, Row
from benchmarks.reports.cells import STATUSES, UNTRAINED, Cell, Report

_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def command(table: str) -> str:
    """Return the command that makes the reports of ``table``."""
    return f"slimbench reproduce {table}"


def places(report: Report, cell: Cell) -> int:
    """Return how many digits after the point our value gets, enough to judge rounding.

    Two more than the paper prints where it is counted, and so exact; else one more, or two where it prints none.
    """
    printed = [cell.paper] if digits.is_number(cell.paper) else _printed_in(report, cell.column)
    counted = cell.status == "counted"
    return max(map(digits.decimals, printed), default=0 if counted else 1) + (2 if counted else 1)


def ours(report: Report, cell: Cell) -> str:
    """Return our value with what qualifies it, or the status where we have none."""
    if cell.ours is None:
        return f"{cell.status} ({diverged(cell)})" if cell.diverged else cell.status
    text = digits.show(cell.ours, places(report, cell))
    if cell.sd is not None:
        text += f" ± {digits.show(cell.sd, places(report, cell))}"
    if cell.status == "counted" or cell.protocol == UNTRAINED:
        return text
    runs = "; ".join(filter(None, (f"n={cell.n}", diverged(cell))))
    what = {"measured": "", "evaluated": "evaluated, "}.get(cell.status, f"{cell.protocol}, ")
    return f"{text} ({what}{runs})"


def diverged(cell: Cell) -> str:
    """Return ``1 of 3 diverged``; empty where every training came to its end."""
    return f"{cell.diverged} of {cell.diverged + (cell.n or 0)} diverged" if cell.diverged else ""


def verdict(cell: Cell) -> str:
    """Return ✓ or ✗ with the relative difference; empty where nothing may be compared."""
    if cell.agrees is None or cell.rel_diff is None:
        return ""
    return f"{'✓' if cell.agrees else '✗'} {digits.show_percent(cell.rel_diff, 2)}"


def heading(report: Report, column: Column) -> str:
    """Return a column's label with its unit: ``FLOPs (10⁹)``, ``Acc (%)``."""
    scales = {report.table.scale(row, column) for row in report.table.rows}
    if column.unit:
        return f"{column.label} ({column.unit})"
    if len(scales) > 1 or column.scale == 1:
        return column.label
    noun = " bytes" if METRICS[column.metric].noun == "bytes" else ""
    return f"{column.label} ({power_of_ten(column.scale)}{noun})"


def power_of_ten(scale: float) -> str:
    """Return ``10⁹`` for 1e9, ``2²⁰`` for 1048576, the plain number for what is no such power."""
    text = f"{scale:.0f}"
    if scale >= 1024 and math.log2(scale).is_integer():
        return "2" + str(int(math.log2(scale))).translate(_SUPERSCRIPT)
    if text[0] == "1" and set(text[1:]) == {"0"}:
        return "10" + str(len(text) - 1).translate(_SUPERSCRIPT)
    return f"{scale:g}"


def conventions(report: Report) -> dict[str, list[str]]:
    """Return convention -> the rows counted by it, in the table's order."""
    used: dict[str, list[str]] = {}
    for cell in report.cells:
        if cell.status == "counted" and cell.row not in used.setdefault(cell.convention, []):
            used[cell.convention].append(cell.row)
    return used


@dataclass(frozen=True, order=True)
class Footnote:
    """A numbered note and how it is cited."""

    number: int
    text: str


def footnotes(report: Report, references: dict[str, str]) -> dict[str, tuple[Footnote, ...]]:
    """Return ``row/column`` -> footnotes, numbered in the order of the cells; equal texts share a number."""
    numbers: dict[str, int] = {}
    cited: dict[str, tuple[Footnote, ...]] = {}
    for cell in report.cells:
        texts = [text for text in (_difference(cell), cell.note, *_quoted(cell, references)) if text]
        notes = [Footnote(numbers.setdefault(text, len(numbers) + 1), text) for text in texts]
        cited[f"{cell.row}/{cell.column}"] = tuple(sorted(notes))
    return cited


def listed(cited: dict[str, tuple[Footnote, ...]]) -> list[Footnote]:
    """Return every footnote once, by number."""
    return sorted({note for notes in cited.values() for note in notes})


def parts(report: Report) -> tuple[list[str], list[tuple[str, list[str]]], str]:
    """Return the parts that the table's whole networks have, each row's operations in them, and remarks in words.

    All is empty for tables without such networks.
    """
    cells = [cell for cell in report.cells if cell.parts]
    if not cells:
        return [], [], ""
    names = list(dict.fromkeys(name for cell in cells for name, _ in cell.parts))
    rows = []
    for cell in cells:
        mine = dict(cell.parts)
        whole = sum(mine.values())
        shown = [f"{mine[name]:.2f} ({100 * mine[name] / whole:.0f} %)" if name in mine else "" for name in names]
        rows.append((cell.row, shown))
    units = dict.fromkeys(
        heading(report, column) for column in report.table.columns if column.id in {cell.column for cell in cells}
    )
    numbers = {cell.proposals for cell in cells if cell.proposals is not None}
    regions = "".join(f" The second stage (roi_head) was counted for {number:,} regions." for number in sorted(numbers))
    return names, rows, f"{', '.join(units)}, and the share of the row's own.{regions}"


def fills(report: Report) -> list[tuple[str, str, str]]:
    """Return (row, metrics, how) for the open and blocked cells; cells filled by the same command share a line."""
    found: dict[tuple[str, str], list[str]] = {}
    for cell in report.cells:
        if cell.status in {"open", "blocked"}:
            how = "; ".join(filter(None, (cell.reason, cell.fill)))
            found.setdefault((cell.row, how), []).append(METRICS[cell.metric].label)
    return [(row, ", ".join(labels), how) for (row, how), labels in found.items()]


def label(row: Row) -> str:
    """Return the row's label as printed; rows of ours say so."""
    return f"{row.label} [ours, not in the paper]" if row.ours else row.label


def shown_runs(report: Report) -> list[str]:
    """Return a line for each protocol whose runs are shown: its status, epochs and number of runs a cell."""
    found: dict[tuple[str, str, int | None], set[int]] = {}
    for cell in report.cells:
        if cell.n and cell.protocol != UNTRAINED:
            found.setdefault((cell.status, cell.protocol, cell.epochs), set()).add(cell.n)
    return [
        f"{status}: {protocol}, {epochs} epochs, n = {', '.join(map(str, sorted(numbers)))}"
        + ("; a shortened protocol, not compared with the paper" if status == "proxy" else "")
        for (status, protocol, epochs), numbers in found.items()
    ]


def used_statuses(cells: Iterable[Cell]) -> dict[str, str]:
    """Return status -> meaning for the statuses that occur, in their fixed order."""
    occurring = {cell.status for cell in cells}
    return {status: meaning for status, meaning in STATUSES.items() if status in occurring}


def note(cell: Cell) -> str:
    """Return everything that the CSV's last column says about a cell."""
    proxy = f"{cell.epochs} epochs" if cell.epochs is not None else ""
    spread = f"standard deviation {digits.show_exact(cell.sd)}" if cell.sd is not None else ""
    return "; ".join(
        part.rstrip(".")
        for part in (cell.explanation, cell.note, cell.reason, cell.fill, proxy, spread, diverged(cell))
        if part
    )


def source(cell: Cell) -> str:
    """Return where the number comes from: a command, result files, a reference."""
    return " ".join(cell.sources) or cell.reference


def _difference(cell: Cell) -> str:
    return f"Differs: {cell.explanation}" if cell.explanation else ""


def _quoted(cell: Cell, references: dict[str, str]) -> list[str]:
    if not cell.reference:
        return []
    return [f"{cell.reference} {references[cell.reference]}." if cell.reference in references else cell.reference]


def _printed_in(report: Report, column: str) -> list[str]:
    return [cell.paper for cell in report.cells if cell.column == column and digits.is_number(cell.paper)]
