"""slimbench train EXPERIMENT: train one experiment on real data; the result goes into the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    experiment: Annotated[
        str,
        typer.Argument(help="data set/protocol/model, for example cifar10/proxy-10e/resnet56_cifar; wildcards list"),
    ],
    seed: Annotated[int, typer.Option(help="Seed of initialisation, data order and augmentation.", min=0)] = 0,
    data: Annotated[Path | None, typer.Option(help="Folder that holds the data set (default: SLIMBENCH_DATA).")] = None,
    work_dir: Annotated[Path | None, typer.Option(help="Checkpoints and logs.", show_default="work_dirs/...")] = None,
    results: Annotated[Path | None, typer.Option(help="The ledger (default: SLIMBENCH_RESULTS or results/).")] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the work folder's newest checkpoint.")] = True,
) -> None:
    """Train an experiment and record its result.

    A run that was stopped goes on from its last checkpoint when the same command is given again.
    """
    from functools import partial

    from rich.console import Console

    from benchmarks.training import engine, experiments

    console = Console()
    say = partial(console.print, highlight=False, soft_wrap=True)
    if any(character in experiment for character in "*?["):
        for name in experiments.matching(experiment):
            say(name)
        return
    try:
        outcome = engine.train(
            experiment, seed, data=data, work_dir=work_dir, results=results, resume=resume, console=console
        )
    except KeyboardInterrupt:
        say("stopped; the same command goes on from the last whole epoch")
        raise typer.Exit(130) from None
    result = outcome.result
    run = f"{result.identity} seed {result.seed}"
    for metric in result.metrics:
        say(f"{run}: {metric.name} {metric.value:.2f} {metric.unit}")
    if result.status == "diverged":
        say(f"{run} diverged: {result.notes[0]}")
    say(f"{'already finished, recorded' if outcome.already else 'recorded'} in {outcome.path}")
    if result.status != "finished":
        raise typer.Exit(1)
