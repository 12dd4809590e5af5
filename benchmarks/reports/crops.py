"""The figure of enlarged pictures: a row a picture, a column a method, the PSNR beneath, its status by its name.

The pictures are those that the ledger keeps beside the runs behind the table's cells, so nothing is enlarged here.
"""

from __future__ import annotations

import io
import textwrap
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import digits, sample_files
from benchmarks.published import Crop, Row
from benchmarks.reports import style
from benchmarks.reports.cells import UNTRAINED, Cell, Report
from benchmarks.reports.sources import Run
from benchmarks.sample_files import Sample

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRUTH = "Ground truth"
# In pixels of the PNG: the side of a picture, the space between two, for titles and for the words beneath.
_SIDE, _GAP, _LEFT, _TOP, _BENEATH = 288, 20, 70, 130, 120


@dataclass(frozen=True)
class Tile:
    """One place of the figure: a picture as a PNG file's bytes, or why there is none; and the words beneath."""

    column: str
    png: bytes | None
    missing: str
    words: tuple[str, ...]
    status: str


def tiles(report: Report, results: Path) -> list[list[Tile]]:
    """Return a row of tiles for each picture: the truth, then the table's rows; ``results`` is the ledger's folder.

    Of several runs behind a cell the first in the order of their files is shown, whichever it is. All tiles of a
    picture show the same part of it: that which most of the runs behind the cells kept.
    """
    return [_row(report, crop, results) for crop in report.table.crops]


def draw(report: Report, paper: str, results: Path) -> Figure:
    """Return the figure of a report whose table names crops; ``paper`` is the paper's short name."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = tiles(report, results)
    width = _LEFT + len(rows[0]) * (_SIDE + _GAP)
    height = _TOP + len(rows) * (_SIDE + _BENEATH)
    with style.applied():
        figure = Figure(figsize=(width / style.DPI, height / style.DPI), dpi=style.DPI)
        FigureCanvasAgg(figure)
        title = f"{paper}, {report.table.title}: {report.table.caption}"
        figure.text(_GAP / width, 1 - _GAP / height, title, va="top", fontsize=10)
        for index, (crop, row) in enumerate(zip(report.table.crops, rows, strict=True)):
            bottom = height - _TOP - index * (_SIDE + _BENEATH) - _SIDE
            name = f"{crop.picture} ×{crop.scale}"
            middle = (bottom + _SIDE / 2) / height
            figure.text(_LEFT / 2 / width, middle, name, rotation=90, ha="center", va="center", fontsize=9)
            for column, tile in enumerate(row):
                left = _LEFT + column * (_SIDE + _GAP)
                axes = figure.add_axes((left / width, bottom / height, _SIDE / width, _SIDE / height))
                _picture(axes, tile)
                if index == 0:
                    axes.set_title("\n".join(textwrap.wrap(tile.column, 18)), fontsize=8, loc="center")
    return figure


def _picture(axes: Axes, tile: Tile) -> None:
    from matplotlib.image import imread

    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    if tile.png is not None:
        axes.imshow(imread(io.BytesIO(tile.png), format="png"), interpolation="nearest", aspect="auto")
        axes.spines[:].set_visible(False)
    else:
        axes.spines[:].set_visible(True)
        axes.spines[:].set_color("#BBBBBB")
        axes.spines[:].set_linestyle(":")
        axes.text(
            0.5, 0.5, tile.missing, transform=axes.transAxes, ha="center", va="center", fontsize=6, color="#666666"
        )
    for line, words in enumerate(tile.words):
        look: dict[str, Any] = {"fontsize": 8} if line == 0 else {"fontsize": 6.5, "color": "#666666"}
        if line and tile.status == "proxy":
            look["color"] = style.PROXY_COLOUR
        axes.text(0.5, -0.04 - 0.12 * line, words, transform=axes.transAxes, ha="center", va="top", **look)


def _row(report: Report, crop: Crop, results: Path) -> list[Tile]:
    column = crop.column
    cells = [report.cell(row, column) for row in report.table.rows]
    kept = {path: _kept(report, path, crop, results) for cell in cells for path in cell.sources}
    boxes = Counter(sample.box for pictures in kept.values() for sample, _ in pictures)
    box = boxes.most_common(1)[0][0] if boxes else None
    shown: dict[str, dict[str, bytes]] = {
        path: {sample.shows: png for sample, png in kept[path] if sample.box == box} for path in sorted(kept)
    }
    truth = next((pictures["truth"] for pictures in shown.values() if "truth" in pictures), None)
    first = Tile(TRUTH, truth, "" if truth else "comes with\nthe first run", (), "")
    return [first, *(_tile(report, row, cell, shown) for row, cell in zip(report.table.rows, cells, strict=True))]


def _tile(report: Report, row: Row, cell: Cell, shown: dict[str, dict[str, bytes]]) -> Tile:
    if cell.ours is None:
        return Tile(row.label, None, _how(cell), (cell.status,), cell.status)
    # What needs no network is the same in every run.
    shows = row.recorded_as or "result"
    paths = list(shown) if row.recorded_as else [path for path in sorted(cell.sources) if path in shown]
    path = next((path for path in paths if shows in shown[path]), "")
    png = shown[path][shows] if path else None
    return Tile(row.label, png, "" if png else "no picture\nwas kept", _words(report, cell, path), cell.status)


def _words(report: Report, cell: Cell, path: str) -> tuple[str, ...]:
    """The PSNR of the run that is shown, and what it is; with several seeds, their mean, too."""
    if cell.protocol == UNTRAINED or cell.ours is None:
        return (f"{digits.show(cell.ours or digits.exact(0), 2)} {cell.unit}", "evaluated, no network")
    what = cell.protocol if cell.status != "evaluated" else "the authors' weights"
    status = f"{cell.status}, {what}"
    mean = f"{digits.show(cell.ours, 2)}{f' ± {digits.show(cell.sd, 2)}' if cell.sd is not None else ''}"
    run = next((run for run in _runs(report, path) if run.metric == cell.metric), None)
    if run is None or cell.n == 1:
        return (f"{mean} {cell.unit}", status)
    return (f"{run.value:.2f} {cell.unit}", status, f"seed {run.seed}; {mean}, n = {cell.n}")


def _how(cell: Cell) -> str:
    """What would fill an open cell, in lines that fit."""
    command = cell.fill.partition(" (")[0] or cell.reason
    words = command.replace("/", "/ ").replace("_", "_ ").split()
    lines, line = [], ""
    for word in words:
        joined = f"{line}{'' if not line or line[-1] in '/_' else ' '}{word}"
        if len(joined) > 26 and line:
            lines.append(line)
            joined = word
        line = joined
    return "\n".join([*lines, line])


def _kept(report: Report, path: str, crop: Crop, results: Path) -> list[tuple[Sample, bytes]]:
    """The pictures of this crop beside a run, those that are there as the run lists them."""
    folder = sample_files.folder_of(results / path.removeprefix("results/"))
    wanted = (crop.picture, crop.scale)
    samples = dict.fromkeys(sample for run in _runs(report, path) for sample in run.samples)
    found = [
        (sample, sample_files.read(sample, folder)) for sample in samples if (sample.picture, sample.scale) == wanted
    ]
    return [(sample, png) for sample, png in found if png is not None]


def _runs(report: Report, path: str) -> list[Run]:
    return [run for run in report.runs if f"results/{run.path}" == path]


def caption(report: Report) -> str:
    """Return the sentence beneath the figure."""
    several = any((cell.n or 0) > 1 for cell in report.cells)
    return (
        f"{report.table.caption}; beneath each crop the PSNR of the whole picture and its status"
        f"{'. Of several seeds the first is shown' if several else ''}"
    )
