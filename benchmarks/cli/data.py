"""``slimbench data list|check|prepare NAME``: where the data sets are, whether they are whole, how to get them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from benchmarks.datasets.registry import DatasetInfo

ACTIONS = ("list", "check", "prepare")


def command(
    action: Annotated[str, typer.Argument(help="list, check or prepare.", metavar="list|check|prepare")] = "list",
    names: Annotated[list[str] | None, typer.Argument(help="Data sets, such as cifar10.", metavar="NAME...")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder that holds the data sets (default: SLIMBENCH_DATA).")
    ] = None,
) -> None:
    """Show the data sets, check them or fetch them.

    list shows all data sets and where they were found. check compares one with its official checksums or numbers of
    files; the exit code is 1 if something is missing. prepare downloads and unpacks it into --data; ImageNet's archives
    must be fetched by hand, with a registration, and are then unpacked; imagenet-tiny and shapes-tiny are drawn;
    coco2014 and voc12aug are fetched and get their splits and masks.

    Without --data and SLIMBENCH_DATA, data/ of the checkout, of the current folder and of the user's cache are tried.
    """
    from benchmarks.errors import UserError, did_you_mean

    if action not in ACTIONS:
        hint = did_you_mean(action, ACTIONS) or f"; it is one of {', '.join(ACTIONS)}"
        raise UserError(f"no action {action!r}{hint}")
    if action == "list":
        from benchmarks.cli._tables import print_table

        print_table(_table(names or [], data))
    elif not names:
        raise UserError(f"which data set? slimbench data {action} NAME; 'slimbench data list' shows them")
    else:
        act = _check if action == "check" else _prepare
        good = [act(name, data) for name in names]  # one that is not whole does not keep the others from their turn
        if not all(good):
            raise typer.Exit(1)


def _table(names: list[str], data: Path | None) -> Table:
    from rich.table import Table

    from benchmarks.datasets import registry
    from benchmarks.datasets.locate import candidate_roots

    places = ", ".join(dict.fromkeys(map(str, candidate_roots(data))))
    table = Table(caption=f"found: where the data set is, or – if it is nowhere in {places}", caption_justify="left")
    for title in ("name", "what", "size", "layout", "found"):
        table.add_column(title, no_wrap=title in ("name", "size"), overflow="fold")
    for info in map(registry.get, names or registry.DATASETS):
        table.add_row(info.name, info.description, info.size, info.layout, _found(info, data))
    return table


def _found(info: DatasetInfo, data: Path | None) -> str:
    from benchmarks.errors import UserError

    try:
        return info.locate(data)
    except UserError:
        return "–"


def _check(name: str, data: Path | None) -> bool:
    from benchmarks.datasets import registry

    info = registry.get(name)
    place = Path(info.locate(data))
    findings = info.check(place)
    for finding in findings:
        typer.echo(f"{'ok ' if finding.ok else 'BAD'} {finding.text}")
    bad = sum(not finding.ok for finding in findings)
    verdict = "whole" if not bad else f"not whole, {bad} of {len(findings)} findings are bad"
    typer.echo(f"{info.title} in {place}: {verdict}")
    return not bad


def _prepare(name: str, data: Path | None) -> bool:
    from benchmarks.datasets import registry
    from benchmarks.datasets.locate import candidate_roots

    info = registry.get(name)
    info.prepare(candidate_roots(data)[0])
    return _check(name, data)
