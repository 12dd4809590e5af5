"""``slimbench submit EXPERIMENT...``: runs as Slurm jobs, one job a run; needs the extra ``slurm``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[EXPERIMENT...]", help="Experiments; with --missing: tables, by default all."),
    ] = None,
    seeds: Annotated[str, typer.Option(help="Seeds of each experiment: 0,1,2 or 0-2.")] = "",
    missing: Annotated[
        bool, typer.Option("--missing", help="Submit what the tables lack, best first (slimbench plan lists it).")
    ] = False,
    protocol: Annotated[str, typer.Option(help="With --missing: this protocol in place of the tables' own.")] = "",
    limit: Annotated[int, typer.Option(help="Only the first so many runs; 0 is all.", min=0)] = 0,
    partition: Annotated[str, typer.Option(help="Slurm's partition.", show_default="the cluster's")] = "",
    hours: Annotated[float, typer.Option(help="Time limit of a job; a longer run goes on in the next.")] = 4.0,
    gpus: Annotated[int, typer.Option(help="GPUs of a run; several share its batch.", min=0)] = 1,
    cpus: Annotated[int, typer.Option(help="Cores of a run.", min=1)] = 8,
    memory: Annotated[str, typer.Option(help="Memory of a run, such as 32G.", show_default="the cluster's")] = "",
    at_once: Annotated[int, typer.Option(help="Jobs that may run at a time; 0 leaves it to the cluster.", min=0)] = 0,
    account: Annotated[str, typer.Option(help="Slurm's account.", show_default="the user's")] = "",
    qos: Annotated[str, typer.Option(help="Slurm's quality of service.", show_default="the user's")] = "",
    constraint: Annotated[
        str, typer.Option(help="Slurm's constraint, such as a kind of GPU.", show_default="none")
    ] = "",
    data: Annotated[
        Path | None, typer.Option(help="Folder that holds the data sets (default: SLIMBENCH_DATA).")
    ] = None,
    results: Annotated[Path | None, typer.Option(help="The ledger (default: SLIMBENCH_RESULTS or results/).")] = None,
    folder: Annotated[Path, typer.Option(help="Scripts and output of the jobs.")] = Path("work_dirs/slurm"),
    cluster: Annotated[str, typer.Option(help="slurm, or local to try the jobs on this machine.")] = "slurm",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be submitted.")] = False,
) -> None:
    """Submit runs to a Slurm cluster as one job array.

    A job that is preempted or reaches its time limit saves, puts itself back into the queue and goes on from there.
    The folder from which it is submitted, the data and the ledger must be reachable from the nodes.
    """
    from benchmarks.errors import UserError
    from benchmarks.planning import slurm
    from benchmarks.planning.plan import parse_seeds
    from benchmarks.planning.work import chosen, missing_runs, training_arguments

    if missing:
        runs = missing_runs(names, protocol=protocol, seeds=seeds, data=data, results=results)
    elif protocol:
        raise UserError(f"--protocol {protocol}: belongs to --missing; an experiment's name says its protocol")
    else:
        runs = chosen(names or [], parse_seeds(seeds or "0"))
    runs = runs[: limit or None]
    request = slurm.Request(hours, partition, gpus, cpus, memory, account, qos, constraint, at_once)
    asked = request.parameters()
    if dry_run or not runs:
        for name, seed in runs:
            typer.echo(f"{name} seed {seed}")
        typer.echo(f"{len(runs)} jobs of {', '.join(f'{key} {value}' for key, value in asked.items())}")
        return
    to = slurm.executor(folder.absolute(), request, cluster)
    jobs = [
        slurm.TrainingJob(training_arguments(name, seed, data=data, results=results), max(1, gpus))
        for name, seed in runs
    ]
    for (name, seed), number in zip(runs, slurm.submit(jobs, to), strict=True):
        typer.echo(f"{number}: {name} seed {seed}, output in {folder / number.partition('_')[0]}*")
