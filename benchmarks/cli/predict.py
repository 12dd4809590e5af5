"""``slimbench predict IMAGE... --config CONFIG --checkpoint FILE --output DIR``: boxes or masks on pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from benchmarks.prediction.predictor import Predictor


def command(
    images: Annotated[list[str], typer.Argument(help="Files, folders and patterns in quotes.", metavar="IMAGE...")],
    config: Annotated[
        str,
        typer.Option(help="An experiment (voc-mini/overfit/deeplabv3plus_resnet50), or a file of mmdet or mmseg."),
    ],
    checkpoint: Annotated[Path, typer.Option(help="Weights: ours, MMEngine's, or a bare state dict.")],
    output: Annotated[Path, typer.Option(help="Folder of the drawn pictures; it is made if it is not there.")],
    score_threshold: Annotated[
        float, typer.Option(help="Boxes must score more than this, 0 to 1.", min=0.0, max=1.0)
    ] = 0.3,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:1, ...", show_default="cuda where there is a GPU, else cpu")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Also write the boxes (NAME.json) or the class ids (NAME.classes.png).")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
) -> None:
    """Draw a detector's boxes or a segmentor's masks over pictures.

    slimbench predict street.jpg --config my_faster_rcnn.py --checkpoint epoch_12.pth --output drawn/

    writes drawn/street.png. Pictures go through the config's own test pipeline, and the drawing is done by
    MMDetection's or MMSegmentation's own visualiser.

    A checkpoint must fit the config's network in every key, and is read without running what it may hold.

    If a picture fails, the others are drawn nevertheless, and the exit code is 1.
    """
    from benchmarks.errors import UserError
    from benchmarks.prediction import files, predictor
    from benchmarks.super_resolution.files import inputs
    from benchmarks.training import device as devices

    pictures = inputs(images)
    targets = files.targets(pictures, output)
    network = predictor.load(config, checkpoint, devices.check(device))
    if network.classes.remark:
        typer.echo(f"warning: {network.classes.remark}", err=True)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--output {output}: {error.strerror or error}") from error
    bad = []
    for picture, target in zip(pictures, targets, strict=True):
        try:
            files.refuse_existing(target, overwrite)
            typer.echo(_drawn(picture, target, network, score_threshold, json))
        except UserError as error:
            bad.append(str(picture))
            typer.echo(f"error: {error}", err=True)
    failed = f"; not {', '.join(bad)}" if bad else ""
    typer.echo(f"{len(pictures) - len(bad)} of {len(pictures)} pictures drawn into {output}{failed}")
    if bad:
        raise typer.Exit(1)


def _drawn(picture: Path, target: Path, network: Predictor, threshold: float, data: bool) -> str:
    """Draw one picture and say in a line what was found. Raises UserError."""
    from benchmarks.prediction import files

    found = network(picture)
    boxes, ids = network.boxes(found, threshold), network.class_ids(found)
    height, width = found.image.shape[:2]
    if data and ids is not None:
        files.write_ids(target, ids, network.classes)
    elif data:
        files.write_boxes(target, picture, (width, height), threshold, boxes)
    files.write_drawing(target, network.drawn(found, threshold))
    if ids is None:
        return f"{picture} -> {target}: {len(boxes)} box{'es' * (len(boxes) != 1)} above {threshold:g}"
    names = [network.classes.names[index] for index in sorted(set(ids.flat)) if index < len(network.classes.names)]
    return f"{picture} -> {target}: {', '.join(names)}"
