"""``slimbench reproduce TABLE...``: published tables, recomputed, as files and in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.latency import Measurement
    from benchmarks.ledger import RunResult
    from benchmarks.reports.sources import Counter
    from benchmarks.reports.write import Joined

# A pipe or a log has no width; this one holds most tables without cutting a line.
_PIPE_WIDTH = 120


def command(
    tables: Annotated[
        list[str],
        typer.Argument(
            metavar="TABLE...",
            help="slimconv/table1, table1 (every paper's), slimconv, findings, latency, iteration-costs, or all.",
        ),
    ],
    output: Annotated[Path | None, typer.Option(help="Folder to write to; by default the checkout's reports/.")] = None,
    results: Annotated[
        Path | None, typer.Option(help="The ledger's folder, if not SLIMBENCH_RESULTS or the checkout's results/.")
    ] = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Exit with 1 where a counted cell does not agree, is more than 1 % away and is not explained.",
        ),
    ] = False,
    papers: Annotated[
        Path | None, typer.Option(help="Folder of table files, if not those that come with slimbench.")
    ] = None,
) -> None:
    """Recompute published tables: Markdown, LaTeX, CSV and a figure each.

    Beneath a table stand the verdicts on its claimed gains (also as .claims.csv) and the runs behind its numbers, whose
    learning curves are drawn in curves/. index.md lists the tables that stand in the folder, and all-tables.tex sets
    them in one document; `all` also draws the combined view of both papers and writes latency and iteration-costs, what
    slimbench latency --keep and slimbench throughput --keep left in the ledger, and findings, what all runs say of the
    papers' claims. A table that cannot be made is named on stderr, the others are written all the same, and the exit
    code is 1.
    """
    import sys

    from benchmarks.cli._tables import plain_console
    from benchmarks.errors import UserError
    from benchmarks.ledger import ITERATION_COSTS, LATENCY, OTHER_RECORDS
    from benchmarks.published import select_tables
    from benchmarks.reports.index import COMBINED, FINDINGS
    from benchmarks.reports.render import CURVES
    from benchmarks.reports.runs import curves, lines
    from benchmarks.reports.sources import ComplexityCounter, kept_costs, kept_latencies, ledger_results, runs_of
    from benchmarks.reports.terminal import view
    from benchmarks.reports.write import (
        default_output,
        join,
        write,
        write_combined,
        write_curves,
        write_iteration_costs,
        write_latencies,
        write_overview,
    )

    names = select_tables([name for name in tables if name not in {*OTHER_RECORDS, FINDINGS}], papers)
    shows_findings = bool({FINDINGS, "all"} & set(tables))
    console = plain_console(_PIPE_WIDTH)
    folder = output or default_output()
    failures: list[UserError] = []
    done: list[Joined] = []
    if sys.stderr.isatty() and names:
        typer.secho(f"recomputing {', '.join(names)} ...", err=True, dim=True)
    counter, ledger = ComplexityCounter(), ledger_results(results, _warn)
    costs = kept_costs(results, _warn) if {ITERATION_COSTS, "all"} & set(tables) else []
    if ITERATION_COSTS in tables and not costs:
        raise UserError(
            "the ledger keeps no costs of iterations; slimbench throughput EXPERIMENT... --keep measures them"
        )
    timed = kept_latencies(results, _warn)
    if LATENCY in tables and not timed:
        raise UserError("the ledger keeps no latencies; slimbench latency MODEL... --keep measures them")
    for joined in join(names, counter, runs_of(ledger), failures.append, papers, timed):
        try:
            written = write(joined, folder, results)
        except UserError as error:
            failures.append(error)
            continue
        console.print(view(joined.report, joined.paper, console), soft_wrap=False)
        typer.echo(f"wrote {_shown(written)}")
        done.append(joined)
    shows_latencies = bool(timed) and bool({LATENCY, "all"} & set(tables))
    if done or costs or shows_latencies or shows_findings:
        try:
            # One table says nothing about the networks of the others, so the combined view needs all of them.
            if done and "all" in tables and write_combined((joined.report for joined in done), counter, folder):
                typer.echo(f"wrote {_relative(folder / COMBINED)}")
            shown = {(joined.report.table.dataset, name) for joined in done for name in curves(lines(joined.report))}
            if write_curves(ledger, folder, None if shows_findings else shown):
                typer.echo(f"wrote {_relative(folder / CURVES)}")
            if shows_latencies:
                typer.echo(f"wrote {_shown(write_latencies(timed, folder))}")
            if shows_findings:
                others = [name for name in select_tables(["all"], papers) if name not in names]  # only to be read
                read = [*done, *join(others, counter, runs_of(ledger), failures.append, papers, timed)]
                typer.echo(f"wrote {_findings(read, counter, ledger, timed, folder)}")
            if costs:
                typer.echo(f"wrote {_shown(write_iteration_costs(costs, folder))}")
            typer.echo(f"wrote {', '.join(map(_relative, write_overview(folder, papers)))}")
        except UserError as error:
            failures.append(error)
    problems = [f"error: {error}" for error in failures]
    if strict:
        problems += [f"strict: {line}" for joined in done for line in _unexplained(joined)]
    for problem in problems:
        typer.echo(problem, err=True)
    if problems:
        raise typer.Exit(1)


def _findings(
    read: Sequence[Joined],
    counter: Counter,
    ledger: Sequence[tuple[str, RunResult]],
    timed: Sequence[tuple[str, Measurement]],
    folder: Path,
) -> str:
    from benchmarks.reports.write import write_findings

    return _shown(write_findings((joined.report for joined in read), counter, ledger, timed, folder))


def _unexplained(joined: Joined) -> list[str]:
    from benchmarks import digits

    return [
        f"{cell.table}, row {cell.row!r}, {cell.metric}: ours {digits.show_exact(cell.ours)}, printed {cell.paper}"
        f" ({digits.show_percent(cell.rel_diff, 2)}), and no explanation is recorded"
        for cell in joined.report.cells
        if cell.unexplained and cell.ours is not None and cell.rel_diff is not None
    ]


def _shown(paths: list[Path]) -> str:
    """Write files of one stem as ``reports/slimconv/table1.{md,tex}``, seen from here where they lie below.

    Files of another stem, a proxy's figure beside the paper's, follow by their names.
    """
    stem = paths[0].with_suffix("")
    own = [path.name.removeprefix(f"{stem.name}.") for path in paths if path.name.startswith(f"{stem.name}.")]
    others = [path.name for path in paths if not path.name.startswith(f"{stem.name}.")]
    suffixes = f"{{{','.join(own)}}}" if len(own) > 1 else own[0]
    return ", ".join([f"{_relative(stem)}.{suffixes}", *others])


def _relative(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _warn(message: str) -> None:
    typer.echo(f"warning: {message}", err=True)
