"""slimbench throughput MODEL: training images a second of the engine, of a plain loop and of the device's ceiling."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from benchmarks.throughput import Throughput


def command(
    model: Annotated[list[str], typer.Argument(help="Names from the catalogue, as resnet56_cifar.")],
    dataset: Annotated[str, typer.Option(help="Data set; random pixels stand in for CIFAR where it is absent.")] = (
        "cifar10"
    ),
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:1, ...", show_default="cuda where there is a GPU, else cpu")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Threads of the CPU.", min=1, show_default="as torch takes them")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(help="Images an iteration.", min=1, show_default="as the protocol has it")
    ] = None,
    precision: Annotated[
        Literal["bf16", "fp32"] | None, typer.Option(help="The engine's.", show_default="as the protocol has it")
    ] = None,
    compile: Annotated[  # noqa: A002 (the option's name)
        bool | None, typer.Option(help="torch.compile on or off.", show_default="off, as in short runs")
    ] = None,
    modes: Annotated[
        str | None,
        typer.Option(help="Several ways to compile, one after the other: no,default,reduce-overhead (CUDA graphs)."),
    ] = None,
    seconds: Annotated[float, typer.Option(help="Time for each entrant, without its warm-up.", min=0.0)] = 10.0,
    data: Annotated[Path | None, typer.Option(help="Folder that holds the data set (default: SLIMBENCH_DATA).")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write everything measured there.")] = None,
) -> None:
    """Measure how fast this machine trains.

    The engine trains as `slimbench train` does. In turn with it run a plain loop (torchvision's transforms image by
    image, two workers, float32) and the ceiling (the same network, precision and optimizer on one batch that is there
    already). The ratios hold on a busy machine too; images a second only on an idle one.
    """
    import torch
    from rich.console import Console

    from benchmarks import throughput
    from benchmarks.errors import UserError

    if modes is not None and compile is not None:
        raise UserError("--modes and --compile/--no-compile: give one of them")
    ways = [compile] if modes is None else [False if mode == "no" else mode for mode in modes.split(",")]
    for name in model:
        throughput.experiment_of(name, dataset)  # a mistyped name is told before minutes of work on another one
    before = torch.get_num_threads()
    found = []
    try:
        torch.set_num_threads(threads or before)
        for name in model:
            for way in ways:
                Console(stderr=True).print(f"measuring {name} ...", highlight=False)
                found.append(
                    throughput.measure(
                        name,
                        dataset,
                        device=device,
                        batch=batch,
                        precision=precision,
                        compile=way,
                        seconds=seconds,
                        data=data,
                    )
                )
    finally:
        torch.set_num_threads(before)
    if json_file is not None:
        _write(found, json_file)
    _print(found)


def _write(found: list[Throughput], path: Path) -> None:
    import dataclasses
    import json

    from benchmarks.errors import UserError

    try:
        path.write_text(json.dumps([dataclasses.asdict(one) for one in found], indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"--json {path}: {error.strerror}") from error


def _print(found: list[Throughput]) -> None:
    from benchmarks.cli._tables import plain_console, print_table

    first = found[0]
    print_table(_table(found))
    console = plain_console()
    console.print(
        f"{first.device}, {first.threads} threads, batch {first.batch}, {first.precision}, torch {first.torch}, "
        f"{first.data} images. Median and quartiles over {len(first.images_per_second['engine'])} slices or more."
    )
    for one in found:
        if one.waits:
            console.print(f"{one.experiment} ({one.compile}): {one.waits:.1f} waits for the GPU an iteration, not 0.")


def _table(found: list[Throughput]) -> Table:
    from rich.table import Table

    table = Table()
    table.add_column("model", no_wrap=True)
    for title in ("compile", "/ plain", "/ ceiling", "images/s", "plain", "ceiling", "data, hooks", "warm-up"):
        table.add_column(title, justify="right", no_wrap=True)
    for one in found:
        low, high = one.quartiles()
        table.add_row(
            one.experiment.rpartition("/")[2],
            one.compile,
            *("{:.2f} ({:.2f}-{:.2f})".format(*one.ratio(rival)) for rival in ("plain", "ceiling")),
            f"{one.median():,.0f} ({low:,.0f}-{high:,.0f})",
            *(f"{one.median(rival):,.0f}" for rival in ("plain", "ceiling")),
            "-" if one.outside is None else f"{100 * one.outside:.1f} %",
            f"{one.warm_up_s:.0f} s",
        )
    return table
