"""slimbench throughput: training speed of the engine (MODEL), cost of detectors and segmentors (EXPERIMENT)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from benchmarks.throughput import Throughput


def command(
    model: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL|EXPERIMENT...",
            help="Names from the catalogue, as resnet56_cifar; or experiments and config files of detection and "
            "segmentation, which have a / in them.",
        ),
    ],
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="EXPERIMENT",
            help="What experiments are compared with; may be one of them.",
            show_default="the first experiment",
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Data set of models; random pixels stand in for CIFAR where it is absent.", show_default="cifar10"
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:1, ...", show_default="cuda where there is a GPU, else cpu")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Threads of the CPU.", min=1, show_default="as torch takes them")
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(help="Images an iteration.", min=1, show_default="as the protocol has it, or the baseline's"),
    ] = None,
    input_size: Annotated[
        str | None,
        typer.Option(
            "--input",
            metavar="HEIGHTxWIDTH",
            help="Size of an experiment's images.",
            show_default="the baseline's training size",
        ),
    ] = None,
    only: Annotated[
        Literal["training", "inference"] | None,
        typer.Option(help="Of experiments: one of the two.", show_default="both"),
    ] = None,
    precision: Annotated[
        Literal["bf16", "fp32"] | None, typer.Option(help="Of training.", show_default="as the protocol has it")
    ] = None,
    compile: Annotated[  # noqa: A002 (the option's name)
        bool | None, typer.Option(help="torch.compile on or off.", show_default="off, as in short runs")
    ] = None,
    modes: Annotated[
        str | None,
        typer.Option(help="Several ways to compile, one after the other: no,default,reduce-overhead (CUDA graphs)."),
    ] = None,
    seconds: Annotated[
        float, typer.Option(help="Time for each entrant (and mode), without its warm-up.", min=0.0)
    ] = 10.0,
    data: Annotated[Path | None, typer.Option(help="Folder that holds the data set (default: SLIMBENCH_DATA).")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write everything measured there.")] = None,
    keep: Annotated[
        bool,
        typer.Option("--keep", help="Also put what experiments cost into the ledger, for reports/iteration-costs.md."),
    ] = False,
) -> None:
    """Measure how fast this machine trains.

    MODEL: the engine trains as `slimbench train` does. In turn with it run a plain loop (torchvision's transforms
    image by image, two workers, float32) and the ceiling (the same network, precision and optimizer on one batch that
    is there already). The ratios hold on a busy machine too; images a second only on an idle one.

    EXPERIMENT: seconds an iteration and peak memory of training steps and of inference, against a baseline. Each
    network has a process of its own; they compute in turn, on generated images and with random weights.
    """
    from benchmarks.errors import UserError

    if baseline is not None or any("/" in name or name.endswith(".py") for name in model):
        of_models = {"dataset": dataset, "compile": compile, "modes": modes, "data": data}
        for name, value in of_models.items():
            if value is not None:
                raise UserError(
                    f"--{name} is for models of classification; {model[0]} is measured as its config has it"
                )
        from benchmarks.cli import _iteration_cost

        _iteration_cost.run(
            model,
            baseline,
            device=device,
            threads=threads,
            precision=precision,
            batch=batch,
            input_text=input_size,
            seconds=seconds,
            only=only,
            json_file=json_file,
            keep=keep,
        )
        return
    of_experiments = {"--input": input_size is not None, "--only": only is not None, "--keep": keep}
    for name, given in of_experiments.items():
        if given:
            raise UserError(
                f"{name} is for experiments of detection and segmentation, which have a / in their names; "
                f"{model[0]} has none"
            )
    dataset = dataset or "cifar10"

    import torch
    from rich.console import Console

    from benchmarks import throughput

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
