"""``slimbench complexity MODEL``: parameters, MACs, MUL, ADD and storage of one model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from benchmarks.complexity import Complexity, LayerCost


def command(
    model: Annotated[str, typer.Argument(help="A name from 'slimbench models', or an OpenMMLab config.")],
    input_size: Annotated[
        str | None,
        typer.Option("--input", help="Channels, height and width, such as 3x224x224; default: the model's own."),
    ] = None,
    convention: Annotated[
        str,
        typer.Option(help="conv-linear, ptflops-2018, spconv-2020 or conv-linear-primary-masks (docs/counting.md)."),
    ] = "conv-linear",
    proposals: Annotated[
        int | None,
        typer.Option(help="Regions in the second stage of a two-stage detector; default: the detector's own.", min=1),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    layers: Annotated[bool, typer.Option("--layers", help="Show every layer that stores or costs.")] = False,
) -> None:
    """Count parameters, MACs, MUL, ADD and storage of MODEL for one image.

    The network exists on the meta device only. Detectors and segmentors are shown in parts: backbone, neck, heads.
    With --layers, --json prints one more key, "layers".
    """
    from benchmarks.complexity import count, count_config, is_config, parse_input

    size = None if input_size is None else parse_input(input_size)
    counting = count_config if is_config(model) else count
    cost = counting(model, size, convention, proposals=proposals)
    if as_json:
        import json

        typer.echo(json.dumps(cost.to_json_dict(layers=layers), indent=2))
        return
    from benchmarks.cli._tables import print_table

    if layers:
        print_table(_layer_table(cost))
    if cost.parts:
        print_table(_part_table(cost))
    print_table(_totals(cost))


def _totals(cost: Complexity) -> Table:
    from rich.table import Table

    from benchmarks.complexity import CONVENTIONS

    title = f"{cost.model}, one image of {cost.input}"
    table = Table(
        title=title,
        caption=f"{cost.convention}: {CONVENTIONS[cost.convention]}",
        show_header=False,
        min_width=max(60, len(title)),
    )
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    for title, value in (
        ("parameters (32-bit values)", cost.params),
        ("MACs", cost.macs),
        ("MUL", cost.mul),
        ("ADD", cost.add),
        ("storage (bytes)", cost.weight_bytes),
    ):
        table.add_row(title, f"{value:,}")
    return table


def _part_table(cost: Complexity) -> Table:
    from rich.table import Table

    table = Table(caption="\n".join(cost.remarks), caption_justify="left")
    table.add_column("part", no_wrap=True)
    for title in ("parameters", "MACs", "of all", "MUL", "ADD"):
        table.add_column(title, justify="right", no_wrap=True)
    for part in cost.parts:
        share = f"{100 * part.macs / cost.macs:.1f} %"
        table.add_row(part.name, f"{part.params:,}", f"{part.macs:,}", share, f"{part.mul:,}", f"{part.add:,}")
    return table


def _layer_table(cost: Complexity) -> Table:
    from rich.table import Table

    shown = [layer for layer in cost.layers if not layer.is_free]
    table = Table(caption=f"{len(cost.layers) - len(shown)} modules without cost are left out", caption_justify="left")
    for title in ("layer", "kind"):
        table.add_column(title, overflow="fold")
    for title in ("input", "output", "parameters", "MACs", "MUL", "ADD"):
        table.add_column(title, justify="right", no_wrap=True)
    for layer in shown:
        table.add_row(*_cells(layer))
    return table


def _cells(layer: LayerCost) -> list[str]:
    shapes = ("never run" if s is None else "x".join(map(str, s[1:])) for s in (layer.input_shape, layer.output_shape))
    numbers = (float(value) for value in (layer.params, layer.macs, layer.mul, layer.add))
    return [
        layer.name,
        layer.kind,
        *shapes,
        *(f"{number:,.5f}".rstrip("0").rstrip(".") for number in numbers),
    ]
