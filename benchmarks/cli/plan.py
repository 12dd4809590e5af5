"""``slimbench plan [TABLE...]``: the experiments that are missing, best first, and the hours they take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from benchmarks.planning.order import Estimate, Experiment
    from benchmarks.planning.plan import Plan


def command(
    tables: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TABLE...]", help="slimconv/table5, table1, versatile; by default all."),
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="Plan this protocol, such as proxy-10e, for the tables' models in place of their own.")
    ] = "",
    seeds: Annotated[str, typer.Option(help="Seeds that each experiment should have: 0,1,2 or 0-2.")] = "0-2",
    device: Annotated[str, typer.Option(help="Estimate for this device.", show_default="that of training")] = "",
    measure: Annotated[
        bool,
        typer.Option(
            help="Measure each network for some seconds, once; or go by earlier measurements and a rule of thumb."
        ),
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    data: Annotated[
        Path | None, typer.Option(help="Folder that holds the data sets (default: SLIMBENCH_DATA).")
    ] = None,
    results: Annotated[Path | None, typer.Option(help="The ledger (default: SLIMBENCH_RESULTS or results/).")] = None,
    papers: Annotated[
        Path | None, typer.Option(help="Folder of table files, if not those that come with slimbench.")
    ] = None,
) -> None:
    """List the experiments that published tables still lack, best first.

    One line is one experiment, which may fill cells of several tables. Begun runs come first; then each data set and
    protocol is worked through in rounds, so that every row has its first seed before any has its second, the protocol
    first that fills more cells an hour; a baseline stands before the rows that are compared with it. `slimbench train
    --missing` works through the same list.
    """
    from benchmarks.planning.estimate import Estimator, measurement
    from benchmarks.planning.plan import parse_seeds, plan

    estimator = Estimator(measurement(device or None, data) if measure else None, device or None, say=_say)
    found = plan(
        tables or ["all"],
        protocol=protocol or None,
        seeds=parse_seeds(seeds),
        estimate=estimator,
        data=data,
        results=results,
        papers=papers,
        warn=lambda message: typer.echo(f"warning: {message}", err=True),
    )
    _say("")
    if as_json:
        import json

        typer.echo(json.dumps(as_data(found), indent=2))
    else:
        _show(found)


def as_data(found: Plan) -> dict[str, Any]:
    """The plan as plain values: experiments in the order of their first run, the runs, and what is not possible."""
    return {
        "experiments": [_experiment(item) for item in found.experiments],
        "runs": [{"experiment": run.name, "seed": run.seed, "hours": _rounded(run.hours)} for run in found.runs],
        "hours": _rounded(sum(run.hours or 0.0 for run in found.runs)),
        "without_data": [_experiment(item) for item in found.without_data],
        "data": dict(found.data),
        "test_only": [item.name for item in found.test_only],
        "not_configured": dict(found.not_configured),
    }


def _experiment(item: Experiment) -> dict[str, Any]:
    estimate = item.estimate
    return {
        "experiment": item.name,
        "baseline": item.baseline,
        "uses": [
            {"table": use.table, "row": use.row, "kind": use.kind, "cells": use.cells, "released": use.released}
            for use in item.uses
        ],
        "seeds": {"wanted": list(item.wanted), "done": sorted(item.done), "missing": list(item.missing)},
        "unfinished": [{"seed": seed, "epochs_done": epochs, "epochs": item.epochs} for seed, epochs in item.begun],
        "running": list(item.running),
        "failed": [{"seed": seed, "error": error} for seed, error in item.failed],
        "hours_a_seed": _rounded(estimate.hours if estimate else None),
        "estimate": {"measured": estimate.measured, "basis": estimate.basis} if estimate else None,
    }


def _show(found: Plan) -> None:
    from benchmarks.cli._tables import plain_console, print_table

    say = plain_console().print
    if found.experiments:
        print_table(_grid(found.experiments))
        say(_total(found), soft_wrap=True)
    elif not (found.without_data or found.test_only or found.not_configured):
        say("nothing is missing")
    for line in _remarks(found):
        say(line, soft_wrap=True)


def _grid(items: Sequence[Experiment]) -> Table:
    from rich.table import Table

    from benchmarks.cli._tables import plain_console

    wide = plain_console().width >= 100
    unfinished = any(_unfinished(item) for item in items)
    grid = Table(padding=(0, 1) if wide else (0, 1, 0, 0))
    grid.add_column("", justify="right", no_wrap=True)
    grid.add_column("experiment", overflow="fold", min_width=34)  # to be copied: nothing of a name is cut
    if wide:
        grid.add_column("serves", no_wrap=True)
    grid.add_column("seeds", no_wrap=True)
    if unfinished:
        grid.add_column("unfinished")
    grid.add_column("a seed", justify="right", no_wrap=True)
    grid.add_column("all", justify="right", no_wrap=True)
    family = ""
    for number, item in enumerate(items, 1):
        if item.family != family:
            family = item.family
            grid.add_row("", f"[bold]{family}/")
        hours = [item.hours_left(seed) for seed in item.missing]
        total = None if None in hours else sum(hour or 0.0 for hour in hours)
        grid.add_row(
            str(number),
            f"  {item.name.removeprefix(f'{family}/')}",
            *([_serves(item)] if wide else []),
            f"{len(item.wanted) - len(item.missing)}/{len(item.wanted)}",
            *([_unfinished(item)] if unfinished else []),
            _mark(item.estimate) + _span(item.estimate.hours if item.estimate else None),
            _span(total),
        )
    return grid


def _total(found: Plan) -> str:
    from benchmarks.planning.estimate import cache_path

    hours = sum(run.hours or 0.0 for run in found.runs)
    lines = [
        f"{len(found.runs)} runs of {len(found.experiments)} experiments: {hours:,.1f} hours, {hours / 24:,.1f} days"
    ]
    rules = {item.estimate.basis for item in found.experiments if item.estimate and not item.estimate.measured}
    measured = {item.estimate.basis.partition(" on ")[2] for item in found.experiments if item.estimate} - {""}
    if any(item.estimate and item.estimate.measured for item in found.experiments):
        lines.append(f"hours: measured on {', '.join(sorted(measured))}, and kept in {cache_path()}")
    lines += [f"~ {rule}" for rule in sorted(rules)]
    unknown = sum(item.estimate is None for item in found.experiments)
    if unknown:
        lines.append(f"? {unknown} experiments of unknown length, not in the sum")
    return "\n".join(lines)


def _remarks(found: Plan) -> list[str]:
    lines = []
    for dataset, message in found.data:
        waiting = [item for item in found.without_data if item.name.startswith(f"{dataset}/")]
        if not waiting:
            continue
        runs = sum(len(item.missing) for item in waiting)
        lines.append(f"\nwithout data: {runs} runs of {len(waiting)} experiments; {message}")
        lines += [f"  {item.name} ({_serves(item)})" for item in waiting]
    weights = {use.released: None for item in (*found.experiments, *found.without_data) for use in item.uses}
    if names := [name for name in weights if name]:
        lines.append(
            "\nminutes instead of training, with the authors' weights (slimbench test NAME --checkpoint FILE):"
        )
        lines += [f"  {name}" for name in names]
    if found.test_only:
        lines.append("\nnothing to train, slimbench test fills them:")
        lines += [f"  {item.name} ({_serves(item)})" for item in found.test_only]
    if found.not_configured:
        waiting_cells = ", ".join(f"{name} ({cells} cells)" for name, cells in found.not_configured)
        lines.append(f"\nno experiment yet: {waiting_cells}")
    return lines


def _serves(item: Experiment) -> str:
    tables = list(dict.fromkeys(use.table for use in item.uses))
    return tables[0] if len(tables) == 1 else f"{tables[0]} +{len(tables) - 1}"


def _unfinished(item: Experiment) -> str:
    running = dict.fromkeys(item.running, ", running")
    begun = dict.fromkeys(item.running, 0) | dict(item.begun)
    told = [
        f"seed {seed} at {epochs}/{item.epochs}{running.get(seed, '')}"
        for seed, epochs in begun.items()
        if seed in item.missing
    ]
    told += [f"seed {seed} failed: {error[:60]}" for seed, error in item.failed if seed in item.missing]
    return ", ".join(told)


def _mark(estimate: Estimate | None) -> str:
    return "" if estimate is None or estimate.measured else "~"


def _span(hours: float | None) -> str:
    from benchmarks.reports.costs import duration

    return "?" if hours is None else duration(hours * 3600)


def _rounded(hours: float | None) -> float | None:
    return None if hours is None else round(hours, 3)


def _say(message: str) -> None:
    """A line on stderr; in a terminal the next one overwrites it."""
    import sys

    if sys.stderr.isatty():
        typer.echo(f"\r\x1b[2K{message}", err=True, nl=False)
    elif message:
        typer.echo(message, err=True)
