"""``slimbench upscale IMAGE... --model MODEL --output DIR``: enlarge a user's own pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from benchmarks.super_resolution.networks import Trained

LARGEST_SCALE = 8


def command(
    images: Annotated[list[str], typer.Argument(help="Files, folders and patterns in quotes.", metavar="IMAGE...")],
    model: Annotated[
        str, typer.Option(help="A network (vdsr20), an experiment (set5/paper/vdsr22), or bicubic, without weights.")
    ],
    output: Annotated[Path, typer.Option(help="Folder of the enlarged pictures; it is made if it is not there.")],
    scale: Annotated[int, typer.Option(help="2, 3 or 4; up to 8, which no network here is trained for.")] = 2,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Weights: ours, MMEngine's, a bare state dict, or the VDSR authors' .mat.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Which training of the experiment.", show_default="the lowest there is")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:1, ...", show_default="cuda where there is a GPU, else cpu")
    ] = None,
    tile: Annotated[
        int | None,
        typer.Option(
            help="Compute in tiles of at most so many enlarged pixels a side; 0: whole.",
            show_default="by the free memory",
        ),
    ] = None,
    suffix: Annotated[str | None, typer.Option(help="End of the new files' names.", show_default="_x2, ...")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
) -> None:
    """Enlarge your own pictures: luminance by a network, colour by bicubic interpolation.

    slimbench upscale holiday/ --model vdsr20 --checkpoint VDSR_Official.mat --output larger/

    writes larger/NAME_x2.png for each picture of the folder.

    An experiment that was trained here needs no --checkpoint: its newest one is taken.

    Grey, palette, 16-bit and transparent pictures stay what they are, of any size.
    They are turned upright and keep their colour profile, no other metadata.
    CMYK and animated pictures are refused.

    If a picture fails, the others are enlarged nevertheless, and the exit code is 1.
    """
    from benchmarks.errors import UserError
    from benchmarks.super_resolution import files
    from benchmarks.super_resolution.networks import trained
    from benchmarks.training import device as devices

    if not 2 <= scale <= LARGEST_SCALE:
        raise UserError(f"--scale {scale}: give 2, 3 or 4, at most {LARGEST_SCALE}")
    if tile is not None and tile < 0:
        raise UserError(f"--tile {tile}: give a number of pixels, such as 256, or 0 for the whole picture at once")
    pictures = files.inputs(images)
    targets = files.outputs(pictures, output, f"_x{scale}" if suffix is None else suffix)
    chosen = trained(model, checkpoint, seed)
    chosen.network.to(devices.check(device))
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--output {output}: {error.strerror or error}") from error
    _announce(model, scale, chosen)
    bad = []
    for picture, target in zip(pictures, targets, strict=True):
        try:
            typer.echo(_enlarged(picture, target, chosen, scale, tile, force))
        except UserError as error:
            bad.append(str(picture))
            typer.echo(f"error: {error}", err=True)
    failed = f"; not {', '.join(bad)}" if bad else ""
    typer.echo(f"{len(pictures) - len(bad)} of {len(pictures)} pictures enlarged into {output}{failed}")
    if bad:
        raise typer.Exit(1)


def _announce(model: str, scale: int, chosen: Trained) -> None:
    typer.echo(f"{model} ({chosen.source}), x{scale}")
    if chosen.scales and scale not in chosen.scales:
        trained_for = ", ".join(f"x{known}" for known in chosen.scales)
        typer.echo(f"warning: these weights were trained for {trained_for}; x{scale} is a guess", err=True)


def _enlarged(picture: Path, target: Path, chosen: Trained, scale: int, tile: int | None, force: bool) -> str:
    """Enlarge one picture and say so in a line. Raises UserError."""
    import time

    from benchmarks.errors import UserError
    from benchmarks.super_resolution import files
    from benchmarks.super_resolution.enlarge import upscale

    files.refuse_existing(target, force)
    begin = time.monotonic()
    small = files.read(picture)
    try:
        with _tiles_shown(picture.name) as shown:
            large = small._replace(pixels=upscale(small.pixels, chosen.network, scale, tile, shown))
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        raise UserError(f"{picture}: not enough memory for {small} at x{scale}; give a smaller --tile") from error
    except UserError as error:
        raise UserError(f"{picture}: {error}") from error
    files.write(target, large, force)
    height, width = large.pixels.shape[:2]
    return f"{picture} ({small}) -> {target} ({width}x{height}) in {time.monotonic() - begin:.1f} s"


@contextmanager
def _tiles_shown(name: str) -> Iterator[Callable[[int, int], None] | None]:
    """On a terminal, a line that tells how far a picture of several tiles is."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    with console.status(name) as status:
        yield lambda done, total: status.update(f"{name}: {done} of {total} tiles")
