"""A report in the terminal: for each metric the paper's value, ours and the difference.

A narrow terminal gets the metrics in several blocks, as many in each as fit.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table as Grid
from rich.text import Text

from benchmarks import digits
from benchmarks.published import Column, Paper, Row
from benchmarks.reports import claims_text, text
from benchmarks.reports.cells import Cell, Report
from benchmarks.reports.claims import claims
from benchmarks.reports.summary import summarize

_STYLES = {"measured": "cyan", "evaluated": "cyan", "proxy": "magenta", "blocked": "red"}


def view(report: Report, paper: Paper, console: Console) -> RenderableType:
    """Return everything that the terminal shows of a report, laid out for the width of ``console``."""
    table = report.table
    title = Text.assemble((f"{paper.short}, {table.title}", "bold"), f"  {table.caption}")
    blocks = [_grid(report, columns) for columns in _blocks(report, console)]
    return Group("", title, *blocks, Text(summarize(report.cells).sentence()), *_legend(report))


def _blocks(report: Report, console: Console) -> Iterator[list[Column]]:
    """Yield the columns in as few blocks as fit the width; a block has at least one column."""
    block: list[Column] = []
    for column in report.table.columns:
        wider = [*block, column]
        if block and _width(_grid(report, wider), console) > console.width:
            yield block
            wider = [column]
        block = wider
    yield block


def _width(grid: Grid, console: Console) -> int:
    """The width that ``grid`` would like, whatever the console has."""
    return Measurement.get(console, console.options.update(width=10_000), grid).maximum


def _grid(report: Report, columns: list[Column]) -> Grid:
    table = report.table
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    grid.add_column("\nModel", no_wrap=True, overflow="ellipsis")
    for name in table.attributes:
        grid.add_column(f"\n{name}", justify="right", no_wrap=True)
    for column in columns:
        # The heading's words stand above the three columns that it spans.
        words = [*text.heading(report, column).split(maxsplit=2), "", ""]
        for word, name in zip(words, ("paper", "ours", "diff"), strict=False):
            grid.add_column(f"{word}\n{name}", justify="right", no_wrap=True)
    rows = _in_groups(report)
    for index, row in enumerate(rows):
        cells = [part for column in columns for part in _cell(report, report.cell(row, column.id))]
        attributes = [row.attributes.get(name, "") for name in table.attributes]
        last = index + 1 < len(rows) and rows[index + 1].group != row.group
        grid.add_row(Text(text.label(row), _row_style(row)), *attributes, *cells, end_section=last)
    return grid


def _in_groups(report: Report) -> list[Row]:
    order = [group.id for group in report.table.groups] or [""]
    return sorted(report.table.rows, key=lambda row: order.index(row.group))


def _row_style(row: Row) -> str:
    return {"method": "bold", "quoted": "dim"}.get(row.kind, "")


def _cell(report: Report, cell: Cell) -> tuple[Text, Text, Text]:
    return Text(cell.paper), _ours(report, cell), _verdict(cell)


def _ours(report: Report, cell: Cell) -> Text:
    if cell.ours is None:
        return Text(cell.status, _STYLES.get(cell.status, "dim"))
    value = digits.show(cell.ours, text.places(report, cell))
    if cell.sd is not None:
        value += f"±{digits.show(cell.sd, text.places(report, cell))}"
    if cell.status == "counted":
        return Text(value)
    return Text(f"{cell.status} {value}", _STYLES[cell.status])


def _verdict(cell: Cell) -> Text:
    words = text.verdict(cell)
    if cell.agrees or not words:
        return Text(words, "green")
    return Text(words, "red" if cell.unexplained else "yellow")


def _legend(report: Report) -> Iterator[Text]:
    """Yield a line for each kind of run that is shown, each measured gain, each explained difference, and the marks."""
    for line in text.shown_runs(report):
        yield Text(line, "magenta" if line.startswith("proxy") else "cyan")
    for claim in claims(report):
        if claim.measured is not None:
            yield Text(claims_text.line(claim), "magenta" if claim.proxy else "cyan")
    for cell in report.cells:
        if cell.explanation and not cell.agrees:
            yield Text(f"✗ {cell.row}, {cell.column}: {cell.explanation}", "yellow")
    yield Text("✓ ours rounds or truncates to the printed digits, ✗ it does not", "dim")
