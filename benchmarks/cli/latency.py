"""``slimbench latency MODEL...``: seconds and memory of networks against a baseline, in turn in one process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from benchmarks.latency import Entrant, Measurement

_MIB = 2**20


#: What a target says itself.
_GIVEN = ("baseline", "device", "batch", "input_size", "dtype", "layout", "mode", "training", "json_file")


def command(
    context: typer.Context,
    model: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL[:MODE]...",
            help="Names from the catalogue, each with a mode of its own if it has one: sc_resnet50, "
            "separate_l_versatile_resnet50_s4:deployed; or patterns, as 'sc_*:compiled', of the baseline's input.",
            show_default=False,
        ),
    ] = None,
    baseline: Annotated[
        str, typer.Option(metavar="MODEL[:MODE]", help="What the others are compared with.")
    ] = "resnet50",
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...")] = "cpu",
    threads: Annotated[int, typer.Option(help="Threads of the CPU.", min=1)] = 1,
    batch: Annotated[int, typer.Option(help="Images a call.", min=1)] = 1,
    input_size: Annotated[
        str | None,
        typer.Option(
            "--input", metavar="CxHxW", help="Size of an image, as 3x224x224.", show_default="as the baseline has it"
        ),
    ] = None,
    dtype: Annotated[Literal["fp32", "bf16"], typer.Option(help="Of weights and images.")] = "fp32",
    layout: Annotated[
        Literal["nchw", "nhwc"], typer.Option(help="Of images and weights in memory; nhwc is channels_last.")
    ] = "nchw",
    mode: Annotated[
        Literal["eager", "compiled", "deployed", "deployed+compiled", "ncnn"],
        typer.Option(
            help="Of networks without one of their own; compiled: inductor with frozen weights; ncnn: in that package."
        ),
    ] = "eager",
    training: Annotated[bool, typer.Option("--training", help="Time forward and backward pass.")] = False,
    seconds: Annotated[float, typer.Option(help="Time for each network, without its warm-up.", min=0.0)] = 10.0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write everything measured there.")] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Also put the measurement into the ledger, for reports/latency.md.")
    ] = False,
    targets: Annotated[
        bool,
        typer.Option(
            "--targets",
            help="Measure what the deployed networks were meant to reach, instead of MODEL...; with --threads, "
            "--seconds and --keep only.",
        ),
    ] = False,
) -> None:
    """Measure how long networks take, and what memory, against a baseline.

    All are built in one process and take turns, run by run. The ratio to the baseline, with its 95 % interval, holds on
    a busy machine too; milliseconds only on an idle one. Weights are random and images are noise; what a compiled or
    deployed network computes is compared with the eager one before it is timed.

    --targets measures the deployed networks that are to reach a certain ratio, and says whether they do.
    """
    from rich.console import Console

    from benchmarks import kept_records, latency
    from benchmarks.complexity import parse_input
    from benchmarks.errors import UserError

    if targets:
        _check_alone(context, model)
        _targets(threads, seconds, keep=keep)
        return
    if not model:
        raise UserError("no MODEL to measure; slimbench models lists them, and --targets measures what is aimed at")
    if json_file is not None and not json_file.absolute().parent.is_dir():
        raise UserError(f"--json {json_file}: there is no folder {json_file.parent}")
    size = None if input_size is None else parse_input(input_size)
    if keep:
        latency.SHELF.prepare()
    progress = Console(stderr=True)
    found = latency.measure(
        model,
        baseline,
        mode=mode,
        task="training" if training else "inference",
        device=device,
        threads=threads,
        batch=batch,
        input_size=size,
        dtype=dtype,
        layout=layout,
        seconds=seconds,
        tell=lambda line: progress.print(line, highlight=False),
    )
    if json_file is not None:
        try:
            kept_records.write(found, json_file)
        except OSError as error:
            raise UserError(f"--json {json_file}: {error.strerror}") from error
    _show(found)
    if keep:
        kept = latency.SHELF.keep(found)
        progress.print(f"kept as {kept}; slimbench reproduce latency shows it", highlight=False, soft_wrap=True)


def _check_alone(context: typer.Context, model: list[str] | None) -> None:
    """Raise UserError if --targets came with what a target says itself."""
    from benchmarks.errors import UserError

    given = [one for one in context.command.params if one.name in _GIVEN]
    named = [one.opts[0] for one in given if _is_given(context, str(one.name))] + list(model or [])
    if named:
        raise UserError(f"--targets: each target has its own networks and setting; leave out {', '.join(named)}")


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _targets(threads: int, seconds: float, *, keep: bool) -> None:
    """Measure all targets, a run for each baseline and batch, and say which are met."""
    from rich.console import Console
    from rich.table import Table

    from benchmarks import latency
    from benchmarks.cli._tables import print_table
    from benchmarks.latency.targets import TARGETS, runs

    if keep:
        latency.SHELF.prepare()
    progress = Console(stderr=True)
    entrants: dict[tuple[str, int, str], Entrant] = {}
    for run in runs():
        found = latency.measure(
            run.networks, run.baseline, batch=run.batch, threads=threads, seconds=seconds,
            tell=lambda line: progress.print(line, highlight=False),
        )  # fmt: skip
        _show(found)
        if keep:
            progress.print(f"kept as {latency.SHELF.keep(found)}", highlight=False, soft_wrap=True)
        entrants |= {(run.baseline, run.batch, one.label): one for one in found.entrants[1:]}
    table = Table()
    for title in ("network", "baseline", "batch", "asked", "/ baseline", "target"):
        table.add_column(title, no_wrap=True)
    for target in TARGETS:
        ratio = entrants[target.baseline, target.batch, target.network].ratio
        shown = f"{ratio.median:.3f} ({ratio.low:.3f}-{ratio.high:.3f})"
        names = (target.network.removesuffix(":deployed"), target.baseline, str(target.batch))
        table.add_row(*names, target.asks, shown, target.verdict(ratio))
    print_table(table)
    if keep:
        progress.print("slimbench reproduce latency shows them", highlight=False)


def _show(found: Measurement) -> None:
    from benchmarks.cli._tables import plain_console, print_table
    from benchmarks.complexity import format_input

    print_table(_table(found))
    where, product, git = found.environment, found.product, found.git
    commit = "no commit" if git.commit is None else f"commit {git.commit[:12]}{' with changes' if git.dirty else ''}"
    threads = f", {where.cpu_threads} thread{'s' * (where.cpu_threads > 1)}" if found.device == "cpu" else ""
    load = (
        "" if found.load is None else f" Load of the machine {found.load[0]:.1f} before and {found.load[1]:.1f} after."
    )
    packages = "".join(f", {name} {version}" for name, version in where.packages.items())
    console = plain_console()
    console.print(
        f"{where.device}{threads}, torch {where.torch}{packages}, {commit}. {found.task.capitalize()}, {found.batch} x "
        f"{format_input(found.input_size)}, {found.dtype}, {found.layout}; {found.rounds} rounds. Ratios: median and "
        f"its 95 % interval; ms of a batch: median and quartiles.{load}"
    )
    console.print(
        f"The product of {product.size} x {product.size} matrices in {product.dtype} makes {product.gmacs:,.1f} "
        "GMAC/s, to which the shares refer, round by round. MACs are those counted, whatever a mode leaves out."
    )


def _table(found: Measurement) -> Table:
    from rich.table import Table

    table = Table()
    table.add_column("network", no_wrap=True)
    for title in ("mode", "/ baseline", "ms", "GMAC", "GMAC/s", "of peak", "memory", "deviation"):
        table.add_column(title, justify="right", no_wrap=True)
    for entrant in found.entrants:
        ratio, time = entrant.ratio, entrant.seconds
        low, middle, high = (1e3 * value for value in (time.low, time.median, time.high))
        table.add_row(
            entrant.model,
            entrant.mode,
            "1" if entrant is found.baseline else f"{ratio.median:.3f} ({ratio.low:.3f}-{ratio.high:.3f})",
            f"{middle:.4g} ({low:.4g}-{high:.4g})",
            f"{entrant.macs / 1e9:.3f}",
            f"{found.gmacs(entrant):,.1f}",
            f"{100 * entrant.share_of_peak:.0f} %",
            f"{entrant.peak_bytes / _MIB:,.0f} MiB",
            "-" if entrant.deviation is None else f"{entrant.deviation:.1e}",
        )
    return table
