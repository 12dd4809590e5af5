"""Learning curves: what a training looked like, epoch by epoch, and how far its seeds lie apart.

    frame = curves.frame(results)            # RunResult, as the ledger reads them
    curves.learning_curves(frame).savefig("curve.png")

A line is the mean over the seeds of a model, a band reaches from the least to the largest of them, and a cross marks
where a run ended because its loss was no number. An epoch that changed no mask is off the logarithmic axis.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.ledger import RunResult
from benchmarks.published import natural
from benchmarks.reports import style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Panels in their order: the curve's name in the ledger -> label and scale of the axis. Of the qualities, the first
# that the runs have.
QUALITIES = {
    "top1_accuracy": "Top-1 accuracy (%), higher is better",
    "miou": "mIoU (%), higher is better",
    "map": "mAP (%), higher is better",
    "psnr": "PSNR (dB), higher is better",
}
OTHERS = {
    "psnr_x2": ("PSNR ×2 (dB), higher is better", "linear"),
    "psnr_x3": ("PSNR ×3 (dB), higher is better", "linear"),
    "psnr_x4": ("PSNR ×4 (dB), higher is better", "linear"),
    "train_loss": ("Training loss", "log"),
    "share_of_ones": ("Mask entries that are one (%)", "linear"),
    "masks_changed": ("Changed mask entries (%)", "log"),
}
_SHARES = {"share_of_ones", "masks_changed"}
IDENTITY = ("dataset", "protocol", "model", "seed", "status", "path", "epoch")
# Okabe and Ito's palette without its yellow, which is too faint for a line; dashes tell more models apart.
COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_DASHES = ("-", "--", ":", "-.")
_WIDTH, _PANEL, _LEGEND_LINE = 8.0, 2.9, 0.19  # inches
_FEW_EPOCHS = 30
_TICKS = (0.0, 20.0, 40.0, 50.0, 60.0, 70.0, 80.0, 85.0, 90.0, 92.0, 94.0, 96.0, 98.0, 99.0, 100.0)


def frame(results: Iterable[RunResult | tuple[str, RunResult]]) -> pd.DataFrame:
    """Return the curves of ``results``, one epoch of one run a row: ``IDENTITY``, then every quantity that one has.

    A result may come with its path in the ledger, as ``ledger.runs`` gives it.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for item in results:
        path, result = item if isinstance(item, tuple) else (item.relative_path.as_posix(), item)
        common = {
            "dataset": result.dataset.name,
            "protocol": result.protocol.name,
            "model": result.model,
            "seed": result.seed,
            "status": result.status,
            "path": path,
        }
        columns = dict(result.curves)
        epochs = columns.pop("epoch", range(1, max(map(len, columns.values()), default=0) + 1))
        for index, epoch in enumerate(epochs):
            rows.append(common | {"epoch": epoch} | {name: column[index] for name, column in columns.items()})
    names = dict.fromkeys(name for row in rows for name in row)
    quantities = [name for name in names if name not in IDENTITY]
    found: pd.DataFrame = pd.DataFrame(rows, columns=[*IDENTITY, *quantities])
    found[quantities] = found[quantities].astype("float64")
    return found


def learning_curves(runs: pd.DataFrame | Sequence[RunResult], title: str = "") -> Figure:
    """Return the figure: quality and training loss against the epoch, and below them how learned masks changed.

    Args:
        runs: What :func:`frame` returns, or results (one will do).
        title: By default what the runs have in common.

    Raises:
        ValueError: No run has a curve.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    data = frame(runs) if isinstance(runs, Sequence) else runs
    panels = panels_of(data)
    if not panels:
        raise ValueError("no run has a curve")
    models = sorted(data["model"].unique(), key=natural)
    lines = math.ceil(len(models) / 2)
    rows = math.ceil(len(panels) / 2)
    legend = _LEGEND_LINE * lines + 0.15
    height = 0.35 + _PANEL * rows + legend
    with style.applied():
        figure = Figure(figsize=(_WIDTH, height), dpi=style.DPI)
        FigureCanvasAgg(figure)
        grid = figure.subplots(rows, min(2, len(panels)), squeeze=False)
        figure.subplots_adjust(
            left=0.085,
            right=0.985,
            top=1 - 0.42 / height,
            bottom=(legend + 0.48) / height,
            wspace=0.24,
            hspace=0.3,
        )
        figure.suptitle(title or _common(data), x=0.012, y=1 - 0.08 / height, ha="left", va="top", fontsize=10)
        for (name, (label, scale)), axes in zip(panels.items(), grid.flat, strict=False):
            for index, model in enumerate(models):
                _draw(axes, data[data["model"] == model], name, index)
            _dress(axes, label, scale, data)
        for axes in list(grid.flat)[len(panels) :]:
            axes.set_visible(False)
        handles = [_handle(data, model, index) for index, model in enumerate(models)]
        figure.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.075, 0.0), ncols=min(2, len(models)))
    return figure


def tidy_csv(data: pd.DataFrame) -> str:
    """Return the curves as CSV, one epoch of one run a row."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(data.columns)
    for row in data.itertuples(index=False):
        writer.writerow("" if value != value else value for value in row)  # noqa: PLR0124 (NaN)
    return out.getvalue()


def panels_of(data: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Return the quantities that at least one run has, with the label and the scale of their axis.

    The scale of a quality is "missing": by what is missing to 100 %, where it comes near that.
    """
    quality = next(({name: (label, "missing")} for name, label in QUALITIES.items() if _has(data, name)), {})
    return quality | {name: what for name, what in OTHERS.items() if _has(data, name)}


def _has(data: pd.DataFrame, name: str) -> bool:
    return name in data and bool(data[name].notna().any())


def _draw(axes: Axes, runs: pd.DataFrame, name: str, index: int) -> None:
    """One model in one panel: the mean over its seeds, the band between them, crosses where runs broke off."""
    if not _has(runs, name):
        return
    known = runs.dropna(subset=[name])
    known = known.assign(**{name: known[name] * (100 if name in _SHARES else 1)})
    if OTHERS.get(name, ("", ""))[1] == "log":
        known = known[known[name] > 0]  # nothing changed: below any logarithmic axis
    by_epoch = known.groupby("epoch")[name].agg(["mean", "min", "max", "count"])
    look = _look(index)
    marker: dict[str, Any] = {"marker": "o", "markersize": 2.5} if runs["epoch"].max() <= _FEW_EPOCHS else {}
    axes.plot(by_epoch.index, by_epoch["mean"], linewidth=1.2, **look, **marker)
    if (by_epoch["count"] > 1).any():
        axes.fill_between(
            by_epoch.index, by_epoch["min"], by_epoch["max"], color=look["color"], alpha=0.18, linewidth=0
        )
    for _, run in known[known["status"] == "diverged"].groupby("path", sort=True):
        last = run.loc[run["epoch"].idxmax()]
        axes.plot(last["epoch"], last[name], marker="x", markersize=7, markeredgewidth=1.6, color=look["color"])


def _dress(axes: Axes, label: str, scale: str, data: pd.DataFrame) -> None:
    from matplotlib.ticker import MaxNLocator

    if scale == "missing":
        _spread_the_top(axes)
    else:
        axes.set_yscale(scale)
    if scale == "log":
        _plain_ticks(axes)
    axes.set_ylabel(label)
    axes.set_xlabel("Epoch")
    axes.set_xlim(min(0, data["epoch"].min()), data["epoch"].max() * 1.02)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))


def _spread_the_top(axes: Axes) -> None:
    """Where percentages come near 100, scale the axis by the logarithm of what is missing to 101.

    Trained networks differ by tenths of a percent at the end and by tens of percents at the start.
    """
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    low, high = axes.get_ylim()
    if not 75 < high <= 110:
        return

    def forward(value: Any) -> Any:
        return -np.log10(np.clip(101 - np.asarray(value, dtype=float), 1e-3, None))

    def backward(value: Any) -> Any:
        return 101 - 10 ** -np.asarray(value, dtype=float)

    top = min(high, 100.0)
    axes.set_yscale("function", functions=(forward, backward))
    axes.set_ylim(low, top)
    gap = (forward(top) - forward(low)) / 9
    ticks: list[float] = []
    for tick in reversed(_TICKS):
        if low <= tick <= top and (not ticks or forward(ticks[-1]) - forward(tick) >= gap):
            ticks.append(tick)
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _plain_ticks(axes: Axes) -> None:
    """Numbers as they are said, 0.5 and not 5 x 10^-1, also where an axis spans less than a power of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axes.get_ylim()
    decades = math.log10(high / low)
    steps = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0) if decades < 1.2 else (1.0, 2.0, 5.0) if decades < 2.5 else (1.0,)
    axes.yaxis.set_major_locator(LogLocator(subs=steps, numticks=12))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _look(index: int) -> dict[str, Any]:
    dashes = _DASHES[(index // len(COLOURS)) % len(_DASHES)]
    return {"color": COLOURS[index % len(COLOURS)], "linestyle": dashes}


def _handle(data: pd.DataFrame, model: str, index: int) -> Any:
    from matplotlib.lines import Line2D

    runs = data[data["model"] == model].drop_duplicates("path")
    seeds, lost = runs["seed"].nunique(), int((runs["status"] == "diverged").sum())
    words = [f"n={seeds}"] if seeds > 1 else []
    words += [f"{lost} of {len(runs)} diverged"] if lost else []
    return Line2D([], [], linewidth=1.4, label=f"{model} ({', '.join(words)})" if words else model, **_look(index))


def _common(data: pd.DataFrame) -> str:
    """What all runs share: data set and protocol; a single run's model and seed, too."""
    parts = [" and ".join(sorted(data[name].unique())) for name in ("dataset", "protocol")]
    models = data["model"].unique()
    parts += [str(models[0])] if len(models) == 1 else []
    seeds = sorted(data["seed"].unique())
    return f"{'/'.join(parts)}, {'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}"
