"""slimbench train EXPERIMENT: train experiments on real data; the results go into the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def command(
    experiment: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[EXPERIMENT...]",
            help="data set/protocol/model, as cifar10/proxy-10e/resnet56_cifar; several; wildcards list; with "
            "--missing tables, by default all",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of initialisation, data order and augmentation.", min=0, show_default="0")
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="Several seeds, one after the other: 0,1,2 or 0-4.")] = None,
    missing: Annotated[
        bool,
        typer.Option("--missing", help="Train what published tables lack, best first: the list of slimbench plan."),
    ] = False,
    protocol: Annotated[
        str | None, typer.Option(help="With --missing: this protocol, such as proxy-10e, in place of the tables' own.")
    ] = None,
    parallel: Annotated[int, typer.Option(help="So many runs at a time, each a process of its own.", min=1)] = 1,
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
        bool | None,
        typer.Option(help="torch.compile on or off.", show_default="on in long runs where it was measured to help"),
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
    amp: Annotated[
        bool | None,
        typer.Option(help="Train in bfloat16 under autocast, or in float32.", show_default="as the experiment says"),
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also log to the work folder's tensorboard/.")
    ] = False,
) -> None:
    """Train experiments and record their results.

    A run that was stopped, by Ctrl-C, a time budget, a signal or a crash, goes on from its last checkpoint when the
    same command is given again, and ends as if nothing had happened. Finished runs are skipped.
    """
    import time
    from functools import partial

    begun = time.monotonic()

    from rich.console import Console

    from benchmarks.errors import UserError
    from benchmarks.planning import work
    from benchmarks.planning.plan import parse_seeds
    from benchmarks.training import experiments, launch, processes, series
    from benchmarks.training.stopping import parse_duration

    if parallel > 1 and launcher != "none":
        raise UserError(f"--parallel {parallel} and --launcher {launcher}: either many runs or one run on many")
    console = Console(quiet=not launch.find_place(launcher).is_main)
    say = partial(console.print, highlight=False, soft_wrap=True, markup=False)
    experiment = experiment or []
    if any(character in name for name in experiment for character in "*?["):
        for name in dict.fromkeys(name for pattern in experiment for name in experiments.matching(pattern)):
            say(name)
        return
    if seed is not None and seeds is not None:
        raise UserError(f"--seed {seed} and --seeds {seeds}: give one of them")
    if missing:
        if batch_size is not None:
            raise UserError(f"--missing and --batch-size {batch_size}: another batch is a protocol that no table names")
        runs = work.missing_runs(
            experiment, protocol=protocol, seeds=seeds if seed is None else str(seed), data=data, results=results,
            work_dir=work_dir, device=device, warn=lambda message: typer.echo(f"warning: {message}", err=True),
        )  # fmt: skip
        say(f"{len(runs)} runs are missing" if runs else "nothing is missing for which there are data")
    else:
        if protocol is not None:
            raise UserError(f"--protocol {protocol}: belongs to --missing; an experiment's name says its protocol")
        runs = work.chosen(experiment, (seed or 0,) if seeds is None else parse_seeds(seeds))
    # Finding out what is missing is part of the time.
    budget = None if time_budget is None else max(0.0, parse_duration(time_budget) - (time.monotonic() - begun))
    options: dict[str, Any] = {
        "data": data, "results": results, "resume": resume, "console": console, "launcher": launcher,
        "device": device, "compile": compile, "tensorboard": tensorboard,
        "batch_size": batch_size, "scale_lr": scale_lr, "sync_bn": sync_bn, "amp": amp,
    }  # fmt: skip
    if parallel > 1 and len(runs) > 1:
        passed = ("compile", "tensorboard", "batch_size", "scale_lr", "sync_bn")
        flags = {name: options[name] or None for name in passed} | {
            "compile": compile,
            "amp": amp,
            "resume": None if resume else False,
        }
        code = work.run_side_by_side(
            runs, parallel, console, time_budget_s=budget, data=data, results=results, work_dir=work_dir,
            device=device, options=flags,
        )  # fmt: skip
        raise typer.Exit(code)
    try:
        with launch.processes(launcher, device):
            runs = processes.from_main(runs)  # what is missing may have changed while they looked
            if len(runs) == 1 and not missing:
                done = series.run_alone(*runs[0], time_budget_s=budget, work_dir=work_dir, say=say, **options)
            else:
                done = series.run_many(runs, time_budget_s=budget, work_root=work_dir, say=say, **options)
                say(done.summary())
    except KeyboardInterrupt:
        say("stopped at once; the same command goes on from the last checkpoint")
        raise typer.Exit(130) from None
    if done.exit_code:
        raise typer.Exit(done.exit_code)
