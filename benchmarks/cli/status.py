"""``slimbench status``: how many published cells are counted, measured, open, ..., and how many agree."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from benchmarks.reports.cells import Cell, Report
    from benchmarks.reports.summary import Summary


def command(
    tables: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TABLE...]", help="slimconv/table1, table1, slimconv; by default all."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    results: Annotated[
        Path | None, typer.Option(help="The ledger's folder, if not SLIMBENCH_RESULTS or the checkout's results/.")
    ] = None,
    papers: Annotated[
        Path | None, typer.Option(help="Folder of table files, if not those that come with slimbench.")
    ] = None,
) -> None:
    """Count cells by status: a table, a paper and in all.

    Of the counted cells, those that agree round or truncate to the printed digits. A table that cannot be read is
    named on stderr, the others are counted all the same, and the exit code is 1.
    """
    from benchmarks.errors import UserError
    from benchmarks.published import select_tables
    from benchmarks.reports.sources import ComplexityCounter, ledger_runs
    from benchmarks.reports.write import join

    failures: list[UserError] = []
    names = select_tables(tables or ["all"], papers)
    runs = ledger_runs(results, lambda message: typer.echo(f"warning: {message}", err=True))
    reports = [joined.report for joined in join(names, ComplexityCounter(), runs, failures.append, papers)]
    summaries = _summaries(reports)
    if as_json:
        import json

        typer.echo(json.dumps({name: summary.to_json_dict() for name, summary in summaries.items()}, indent=2))
    else:
        from benchmarks.cli._tables import print_table

        print_table(_grid(summaries))
    for error in failures:
        typer.echo(f"error: {error}", err=True)
    if failures:
        raise typer.Exit(1)


def _summaries(reports: Iterable[Report]) -> dict[str, Summary]:
    """Return table, paper and ``all`` -> summary; a paper comes after its tables."""
    from benchmarks.reports.summary import summarize

    summaries: dict[str, Summary] = {}
    papers: dict[str, list[Cell]] = {}
    for report in reports:
        summaries[report.table.name] = summarize(report.cells)
        papers.setdefault(report.table.paper, []).extend(report.cells)
    summaries |= {paper: summarize(cells) for paper, cells in papers.items()}
    return summaries | {"all": summarize(cell for cells in papers.values() for cell in cells)}


def _grid(summaries: dict[str, Summary]) -> Table:
    from rich.table import Table

    from benchmarks.reports.cells import STATUSES

    grid = Table(
        caption="agree, within 1 %, explained: of the counted cells with a printed number", caption_justify="left"
    )
    grid.add_column("table", no_wrap=True)
    for title in ("cells", *STATUSES, "agree", "within 1 %", "explained", "unexplained"):
        grid.add_column(title, justify="right")
    last_table = next((name for name in reversed(summaries) if "/" in name), "")
    for name, summary in summaries.items():
        numbers = [summary.cells, *summary.by_status.values()]
        compared = [f"{value}/{summary.compared}" for value in (summary.agree, summary.within)]
        grid.add_row(
            name,
            *(str(number) if number else "·" for number in numbers),
            *compared,
            *(str(number) if number else "·" for number in (summary.explained, summary.unexplained)),
            end_section=name == last_table,
            style="" if "/" in name else "bold",
        )
    return grid
