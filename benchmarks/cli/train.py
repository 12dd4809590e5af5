"""slimbench train EXPERIMENT: train experiments on real data; the results go into the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def command(
    experiment: Annotated[
        list[str],
        typer.Argument(help="data set/protocol/model, as cifar10/proxy-10e/resnet56_cifar; several; wildcards list"),
    ],
    seed: Annotated[
        int | None, typer.Option(help="Seed of initialisation, data order and augmentation.", min=0, show_default="0")
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="Several seeds, one after the other: 0,1,2 or 0-4.")] = None,
    time_budget: Annotated[
        str | None, typer.Option(help="Stop cleanly within this time (90s, 9m, 1h30m); exit code 3 if work is left.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder that holds the data set (default: SLIMBENCH_DATA).")] = None,
    work_dir: Annotated[
        Path | None,
        typer.Option(help="Checkpoints and logs; several runs get a folder each in it.", show_default="work_dirs/..."),
    ] = None,
    results: Annotated[Path | None, typer.Option(help="The ledger (default: SLIMBENCH_RESULTS or results/).")] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the work folder's newest checkpoint.")] = True,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:1, ...", show_default="cuda where there is a GPU, else cpu")
    ] = None,
    compile: Annotated[  # noqa: A002 (the option's name)
        bool | None, typer.Option(help="torch.compile on or off.", show_default="as the config says")
    ] = None,
    launcher: Annotated[
        str, typer.Option(help="Several processes for one run: pytorch (torchrun), slurm (srun) or mpi (mpirun).")
    ] = "none",
    batch_size: Annotated[
        int | None,
        typer.Option(help="Total batch of all processes; another one than the protocol's needs --scale-lr."),
    ] = None,
    scale_lr: Annotated[
        bool, typer.Option("--scale-lr", help="Scale the learning rate with --batch-size: a protocol of its own.")
    ] = False,
    sync_bn: Annotated[
        bool, typer.Option("--sync-bn", help="Batch norm over the images of all processes, on GPUs.")
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also log to the work folder's tensorboard/.")
    ] = False,
) -> None:
    """Train experiments and record their results.

    A run that was stopped, by Ctrl-C, a time budget, a signal or a crash, goes on from its last checkpoint when the
    same command is given again, and ends as if nothing had happened. Finished runs are skipped.
    """
    from functools import partial

    from rich.console import Console

    from benchmarks.errors import UserError
    from benchmarks.training import experiments, launch, series
    from benchmarks.training.plan import parse_seeds
    from benchmarks.training.stopping import parse_duration

    console = Console()
    say = partial(console.print, highlight=False, soft_wrap=True, markup=False)
    if any(character in name for name in experiment for character in "*?["):
        for name in dict.fromkeys(name for pattern in experiment for name in experiments.matching(pattern)):
            say(name)
        return
    if seed is not None and seeds is not None:
        raise UserError(f"--seed {seed} and --seeds {seeds}: give one of them")
    for name in experiment:
        experiments.experiment(name)  # a mistyped name is told before hours of work on another one
    wanted = (seed or 0,) if seeds is None else parse_seeds(seeds)
    runs = [(name, number) for name in experiment for number in wanted]
    budget = None if time_budget is None else parse_duration(time_budget)
    options: dict[str, Any] = {
        "data": data, "results": results, "resume": resume, "console": console, "launcher": launcher,
        "device": device, "compile": compile, "tensorboard": tensorboard,
        "batch_size": batch_size, "scale_lr": scale_lr, "sync_bn": sync_bn,
    }  # fmt: skip
    try:
        with launch.processes(launcher, device):
            if len(runs) == 1:
                done = series.run_alone(*runs[0], time_budget_s=budget, work_dir=work_dir, say=say, **options)
            else:
                done = series.run_many(runs, time_budget_s=budget, work_root=work_dir, say=say, **options)
                say(done.summary())
    except KeyboardInterrupt:
        say("stopped at once; the same command goes on from the last checkpoint")
        raise typer.Exit(130) from None
    if done.exit_code:
        raise typer.Exit(done.exit_code)
