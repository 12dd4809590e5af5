"""slimbench test EXPERIMENT --checkpoint F: test stored weights; the result goes into the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    experiment: Annotated[str, typer.Argument(help="data set/protocol/model, as cifar10/paper-400e/resnet56_cifar.")],
    checkpoint: Annotated[Path, typer.Option(help="Ours, MMEngine's, a bare state dict, or VDSR's .mat.")],
    data: Annotated[Path | None, typer.Option(help="Folder that holds the data set (default: SLIMBENCH_DATA).")] = None,
    results: Annotated[Path | None, typer.Option(help="The ledger (default: SLIMBENCH_RESULTS or results/).")] = None,
    work_dir: Annotated[Path | None, typer.Option(help="Logs.", show_default="work_dirs/...")] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:1, ...", show_default="cuda where there is a GPU, else cpu")
    ] = None,
    each: Annotated[
        bool, typer.Option("--each", "--per-picture", help="Show each class's or, in super-resolution, picture's, too.")
    ] = False,
) -> None:
    """Test a checkpoint on the experiment's test images, in float32.

    Super-resolution is told in one line a scale: PSNR and SSIM of bicubic enlargement and of the network. With the
    data set "pictures", as in pictures/paper/vdsr20, --data is a folder of your own pictures; what they give stays in
    --work-dir unless --results names a ledger.
    """
    from functools import partial

    from rich.console import Console

    from benchmarks.training import launch, testing
    from benchmarks.training.lines import of_metrics

    launch.refuse_several("test")
    say = partial(Console().print, highlight=False, soft_wrap=True)
    outcome = testing.test(experiment, checkpoint, data=data, results=results, work_dir=work_dir, device=device)
    for line in of_metrics(experiment, outcome.result.metrics if outcome.result else (), each=each):
        say(f"{line} ({checkpoint})")
    say(f"recorded in {outcome.path}")
