"""``slimbench models [PATTERN]``: the named models, what they are made of and what they cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table


def command(
    pattern: Annotated[
        str, typer.Argument(help="Name with the wildcards of timm, such as 'sc_*' or '*resnet56*'.")
    ] = "*",
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list instead of a table.")] = False,
) -> None:
    """List the named models with paper, baseline, method, parameters and MACs.

    MUL is shown where it is less than the MACs: products are shared, or replaced by mask operations.

    Counted by the convention conv-linear (docs/counting.md) for one image of the input size shown.
    """
    rows = [_row(name) for name in _matches(pattern)]
    if as_json:
        import json

        typer.echo(json.dumps(rows, indent=2))
        return
    from benchmarks.cli._tables import print_table

    print_table(_table(rows))


def _matches(pattern: str) -> list[str]:
    import backbones
    from benchmarks.errors import UserError, did_you_mean

    names = backbones.list_models(pattern)
    if not names:
        hint = did_you_mean(pattern.strip("*?"), backbones.list_models()) or "; 'slimbench models' lists them all"
        raise UserError(f"no model matches {pattern!r}{hint}")
    return names


def _row(name: str) -> dict[str, Any]:
    import backbones
    from benchmarks.complexity import count

    spec = backbones.model_spec(name)
    cost = count(name)
    return {
        "name": name,
        "paper": spec.paper,
        "baseline": spec.baseline,
        "method": spec.method,
        "params": cost.params,
        "macs": cost.macs,
        "mul": cost.mul,
        "add": cost.add,
        "input": cost.input,
        "num_classes": spec.num_classes,
        "source": spec.source,
    }


def _table(rows: list[dict[str, Any]]) -> Table:
    from rich.table import Table

    table = Table(caption=f"{len(rows)} models", caption_justify="left")
    for title in ("name", "paper", "baseline", "method"):
        table.add_column(title, no_wrap=title == "name", overflow="fold")
    for title in ("params (M)", "MACs (M)", "MUL (M)", "input"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row["name"],
            row["paper"],
            row["baseline"] or "–",
            row["method"],
            f"{row['params'] / 1e6:,.3f}",
            f"{row['macs'] / 1e6:,.1f}",
            f"{row['mul'] / 1e6:,.1f}" if row["mul"] != row["macs"] else "",
            row["input"],
        )
    return table
