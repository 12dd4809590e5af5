"""The figures of pictures: a row a picture, a column a network, its quality beneath, the status by its name.

Parts of enlarged pictures, with the truth on the left; or whole ones with boxes or masks, and the image before that.

The pictures are those that the ledger keeps beside the runs behind the table's cells, so nothing is computed here.
"""

from __future__ import annotations

import io
import textwrap
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import digits, sample_files
from benchmarks.metrics import METRICS
from benchmarks.published import Crop, Row
from benchmarks.reports import style
from benchmarks.reports.cells import UNTRAINED, Cell, Report
from benchmarks.reports.sources import Run
from benchmarks.sample_files import Sample

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

IMAGE, TRUTH = "Image", "Ground truth"
# In pixels of the PNG: the space between two pictures, for titles and for the words beneath.
_GAP, _LEFT, _TOP, _BENEATH = 20, 70, 130, 120
# Width and height: of a part of a picture; of the place into which a whole one fits.
_CROP, _WHOLE = (288, 288), (240, 180)
_CROPS_CAPTION = "beneath each crop the PSNR of the whole picture"
_PNG = b"\x89PNG"


@dataclass(frozen=True)
class Tile:
    """One place of the figure: a picture file's bytes, or why there is none; and the words beneath."""

    column: str
    content: bytes | None
    missing: str
    words: tuple[str, ...]
    status: str


def tiles(report: Report, results: Path) -> list[list[Tile]]:
    """Return a row of tiles for each picture: the truth, then the table's rows; ``results`` is the ledger's folder.

    Of several runs behind a cell the first in the order of their files is shown, whichever it is. All tiles of a
    picture show the same part of it: that which most of the runs behind the cells kept. A number that belongs to
    several pictures stands beneath the last of them.
    """
    crops = report.table.crops
    last = {crop.column: crop for crop in crops}
    rows = [_row(report, crop, results) for crop in crops]
    return [
        row if last[crop.column] is crop else [replace(tile, words=()) for tile in row]
        for crop, row in zip(crops, rows, strict=True)
    ]


def heading(report: Report, paper: str) -> str:
    """Return the words above the figure; ``paper`` is the paper's short name."""
    return f"{paper}, {report.table.title}: {report.table.caption}"


def stand_in_heading(report: Report, paper: str) -> str:
    """Return the words above a stand-in's figure."""
    return f"Proxy {report.table.dataset}/{report.table.protocol}, not {report.table.title} of {paper}"


def stand_in_stem(report: Report) -> str:
    """Return the name of a stand-in's figure, without suffix."""
    return f"{report.table.name.rpartition('/')[2]}-{report.table.dataset}-{report.table.protocol}"


def draw(report: Report, title: str, results: Path) -> Figure:
    """Return the figure of a report whose table names crops."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = tiles(report, results)
    side, tall = _CROP if any(crop.scale > 1 for crop in report.table.crops) else _WHOLE
    beneath = [_BENEATH if any(tile.words for tile in row) else _GAP for row in rows]
    width = _LEFT + len(rows[0]) * (side + _GAP)
    height = _TOP + sum(tall + words for words in beneath)
    with style.applied():
        figure = Figure(figsize=(width / style.DPI, height / style.DPI), dpi=style.DPI)
        FigureCanvasAgg(figure)
        size = min(10.0, 10 * width / (16 * len(title)))  # a letter of 10 points is 16 pixels wide at most, on average
        figure.text(_GAP / width, 1 - _GAP / height, title, va="top", fontsize=size)
        bottom = height - _TOP
        for index, (crop, row) in enumerate(zip(report.table.crops, rows, strict=True)):
            bottom -= tall
            name, letters = (f"{crop.picture} ×{crop.scale}", 9) if crop.scale > 1 else (crop.picture, 7)
            middle = (bottom + tall / 2) / height
            figure.text(_LEFT / 2 / width, middle, name, rotation=90, ha="center", va="center", fontsize=letters)
            for column, tile in enumerate(row):
                left = _LEFT + column * (side + _GAP)
                axes = figure.add_axes((left / width, bottom / height, side / width, tall / height))
                _picture(axes, tile, (side, tall), whole=crop.scale == 1)
                if index == 0:
                    axes.set_title("\n".join(textwrap.wrap(tile.column, 18)), fontsize=8, loc="center")
            bottom -= beneath[index]
    return figure


def _picture(axes: Axes, tile: Tile, place: tuple[int, int], whole: bool) -> None:
    from matplotlib.image import imread

    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    if tile.content is not None:
        pixels = imread(io.BytesIO(tile.content), format="png" if tile.content.startswith(_PNG) else "jpg")
        fitted = _fitted(pixels.shape[1], pixels.shape[0], place) if whole else None
        axes.imshow(pixels, interpolation="antialiased" if whole else "nearest", aspect="auto", extent=fitted)
        if whole:
            axes.set(xlim=(0, place[0]), ylim=(place[1], 0))
        axes.spines[:].set_visible(False)
    else:
        axes.spines[:].set_visible(True)
        axes.spines[:].set_color("#BBBBBB")
        axes.spines[:].set_linestyle(":")
        look: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 5 if whole else 6, "color": "#666666"}
        axes.text(0.5, 0.5, tile.missing, transform=axes.transAxes, **look)
    for line, words in enumerate(tile.words):
        look = {"fontsize": 8} if line == 0 else {"fontsize": 6.5, "color": "#666666"}
        if line and tile.status == "proxy":
            look["color"] = style.PROXY_COLOUR
        below = (11.52 + 34.56 * line) / place[1]
        axes.text(0.5, -below, words, transform=axes.transAxes, ha="center", va="top", **look)


def _fitted(width: int, height: int, place: tuple[int, int]) -> tuple[float, float, float, float]:
    """Left, right, bottom and top of a picture in its place's pixels, as large as it fits and in the middle."""
    scale = min(place[0] / width, place[1] / height)
    left, top = (place[0] - width * scale) / 2, (place[1] - height * scale) / 2
    return left, left + width * scale, top + height * scale, top


def _row(report: Report, crop: Crop, results: Path) -> list[Tile]:
    column = crop.column
    cells = [report.cell(row, column) for row in report.table.rows]
    kept = {path: _kept(report, path, crop, results) for cell in cells for path in cell.sources}
    boxes = Counter(sample.box for pictures in kept.values() for sample, _ in pictures)
    box = boxes.most_common(1)[0][0] if boxes else None
    shown: dict[str, dict[str, bytes]] = {
        path: {sample.shows: content for sample, content in kept[path] if sample.box == box} for path in sorted(kept)
    }
    columns = {"truth": TRUTH} if crop.scale > 1 else {"image": IMAGE, "truth": TRUTH}
    first = [
        Tile(name, content, "" if content else "comes with\nthe first run", (), "")
        for shows, name in columns.items()
        for content in [next((pictures[shows] for pictures in shown.values() if shows in pictures), None)]
    ]
    return [*first, *(_tile(report, row, cell, shown) for row, cell in zip(report.table.rows, cells, strict=True))]


def _tile(report: Report, row: Row, cell: Cell, shown: dict[str, dict[str, bytes]]) -> Tile:
    if cell.ours is None:
        return Tile(row.label, None, _how(cell), (cell.status,), cell.status)
    # What needs no network is the same in every run.
    shows = row.recorded_as or "result"
    paths = list(shown) if row.recorded_as else [path for path in sorted(cell.sources) if path in shown]
    path = next((path for path in paths if shows in shown[path]), "")
    content = shown[path][shows] if path else None
    return Tile(row.label, content, "" if content else "no picture\nwas kept", _words(report, cell, path), cell.status)


def _words(report: Report, cell: Cell, path: str) -> tuple[str, ...]:
    """The PSNR of the run that is shown, and what it is; with several seeds, their mean, too."""
    if cell.protocol == UNTRAINED or cell.ours is None:
        return (f"{digits.show(cell.ours or digits.exact(0), 2)} {cell.unit}", "evaluated, no network")
    what = cell.protocol if cell.status != "evaluated" else "the authors' weights"
    status = f"{cell.status}, {what}"
    mean = f"{digits.show(cell.ours, 2)}{f' ± {digits.show(cell.sd, 2)}' if cell.sd is not None else ''}"
    run = next((run for run in _runs(report, path) if run.metric == METRICS[cell.metric].run), None)
    if run is None or cell.n == 1:
        return (f"{mean} {cell.unit}", status)
    shown = METRICS[cell.metric].from_run(run.value)
    return (f"{shown:.2f} {cell.unit}", status, f"seed {run.seed}; {mean}, n = {cell.n}")


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
    return [(sample, content) for sample, content in found if content is not None]


def _runs(report: Report, path: str) -> list[Run]:
    return [run for run in report.runs if f"results/{run.path}" == path]


def caption(report: Report) -> str:
    """Return the sentence beneath the figure."""
    several = any((cell.n or 0) > 1 for cell in report.cells)
    whole = all(crop.scale == 1 for crop in report.table.crops)
    measure = METRICS[report.table.columns[0].metric].label
    beneath = f"beneath the last picture the {measure} of all test images" if whole else _CROPS_CAPTION
    return (
        f"{report.table.caption}; {beneath} and its status{'. Of several seeds the first is shown' if several else ''}"
    )
