"""What was measured here against what was counted: a panel for each data set and protocol.

A disc is the mean over the seeds of a network with its standard deviation, a ring a single run. Costs are counted by
one convention for all networks. For versatile filters the point stands at #MUL, what their arithmetic needs, and a thin
line ends at the MACs that a library executes.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Literal

from benchmarks.published import natural
from benchmarks.reports import style
from benchmarks.reports.callouts import Named, name_points
from benchmarks.reports.combined_figure import cost_ticks
from benchmarks.reports.curves import OTHERS, QUALITIES
from benchmarks.reports.effort import Effort
from benchmarks.reports.sources import Run, by_seed

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = ("dataset", "protocol", "proxy", "model", "series", "metric", "mean", "sd", "n", "mul", "macs")
#: What a point is, as colour and name; the combined view's colours.
SERIES = {
    "baseline": ("#000000", "baseline"),
    "slimconv": ("#0072B2", "SlimConv"),
    "versatile": ("#D55E00", "Versatile Filters"),
    "control": ("#009E73", "our control"),
}
#: Fewer networks make no panel.
ENOUGH = 2
_FILTERS = {"s": "S", "c": "C", "s_c": "S+C", "separate_l": "separate L", "shared_l": "shared L", "naive": "naive"}
_METRICS = (*QUALITIES, "psnr_x2")
_WIDTH, _PANEL, _LEGEND = 8.0, 3.1, 0.55  # inches
_RADIUS = 2.7  # points


def points(runs: Sequence[Run], effort: Effort, datasets: Collection[str]) -> pd.DataFrame:
    """Return a row of ``COLUMNS`` for each network trained on one of ``datasets``, by data set, protocol and cost."""
    import pandas as pd

    found: dict[tuple[str, str, str], list[Run]] = {}
    for run in runs:
        if run.trained and run.finished and run.dataset in datasets and run.metric in _METRICS:
            found.setdefault((run.dataset, run.protocol, run.model), []).append(run)
    rows = []
    for (dataset, protocol, model), mine in found.items():
        metric = next(name for name in _METRICS if any(run.metric == name for run in mine))
        values = by_seed(run for run in mine if run.metric == metric)
        counts = effort.counts(dataset, model)
        if counts is not None:
            sd = statistics.stdev(values) if len(values) > 1 else math.nan
            known = (dataset, protocol, mine[0].proxy, model, series(model), metric)
            rows.append((*known, statistics.fmean(values), sd, len(values), *counts))
    rows.sort(key=lambda row: (natural(row[0]), row[2], natural(row[1]), row[9], row[3]))
    frame: pd.DataFrame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame


def tidy_csv(frame: pd.DataFrame) -> str:
    """Return the points as CSV; one run has no sd."""
    text: str = frame.to_csv(index=False, lineterminator="\n", float_format="%.6g")
    return text


def series(model: str) -> str:
    """Return which of ``SERIES`` a network of the catalogue is."""
    import backbones
    from backbones.catalogue.controls import CONTROLS

    if model in CONTROLS.values() or model.endswith("_rand") or model.startswith("naive_"):
        return "control"
    try:
        spec = backbones.model_spec(model)
    except backbones.UnknownModelError:
        return "baseline"
    return spec.paper if spec.baseline and spec.paper in SERIES else "baseline"


def panels(frame: pd.DataFrame) -> list[pd.DataFrame]:
    """Split the points by data set and protocol, as far as there is something to compare."""
    groups = [group for _, group in frame.groupby(["dataset", "protocol"], sort=False)]
    return [group for group in groups if len(group) >= ENOUGH]


def draw(frame: pd.DataFrame) -> Figure:
    """Return the figure, a panel a row.

    Raises:
        ValueError: No data set has two networks under one protocol.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = panels(frame)
    if not shown:
        raise ValueError("no panel has two networks")
    height = 0.15 + _PANEL * len(shown) + _LEGEND
    with style.applied():
        figure = Figure(figsize=(_WIDTH, height), dpi=style.DPI)
        FigureCanvasAgg(figure)  # labels are measured with the renderer that draws them
        grid = figure.subplots(len(shown), 1, squeeze=False)[:, 0]
        figure.subplots_adjust(
            left=0.085, right=0.97, top=1 - 0.32 / height, bottom=(_LEGEND + 0.45) / height, hspace=0.42
        )
        for group, axes in zip(shown, grid, strict=False):
            _panel(axes, group)
        figure.canvas.draw()
        for group, axes in zip(shown, grid, strict=False):
            _labels(figure, axes, group)
        _legend(figure, frame)
    return figure


def _rows(group: pd.DataFrame) -> list[Any]:
    return list(group.itertuples())


def _alone(point: Any) -> bool:
    """Whether it is one run, without a spread."""
    return math.isnan(point.sd)


def _panel(axes: Axes, group: pd.DataFrame) -> None:
    first = group.iloc[0]
    axes.set_xscale("log")
    for point in _rows(group):
        colour = SERIES[point.series][0]
        bar: dict[str, Any] = {} if _alone(point) else {"yerr": point.sd, "capsize": 2.5, "elinewidth": 1.0}
        face = "white" if _alone(point) else colour
        axes.errorbar(
            point.mul, point.mean, fmt="o", color=colour, markersize=2 * _RADIUS, markerfacecolor=face, zorder=4, **bar
        )
        if point.macs > 1.001 * point.mul:
            axes.plot([point.mul, point.macs], [point.mean] * 2, color=colour, linewidth=0.7, alpha=0.5, zorder=2)
            axes.scatter(point.macs, point.mean, s=16, marker="|", color=colour, alpha=0.7, linewidths=0.9, zorder=2)
    axes.margins(0.16)
    cost_ticks(axes)
    proxy = ", a proxy" if first.proxy else ""
    axes.set_title(f"{first.dataset}/{first.protocol}{proxy}")
    axes.set_xlabel("Multiplications of an image (#MUL)")
    label = QUALITIES.get(str(first.metric)) or OTHERS[str(first.metric)][0]
    axes.set_ylabel(label.removesuffix(", higher is better"))


def _labels(figure: Figure, axes: Axes, group: pd.DataFrame) -> None:
    """Name every point where there is the most room near it."""
    named = []
    for point in _rows(group):
        name = f"{short(point.model)} (n={point.n})" if point.n > 1 else short(point.model)
        sd = 0 if _alone(point) else point.sd
        around = ((point.macs, point.mean), (point.mul, point.mean + sd), (point.mul, point.mean - sd))
        named.append(Named(point.mul, point.mean, name, SERIES[point.series][0], around))
    name_points(figure, axes, named, _RADIUS)


def short(model: str) -> str:
    """Return a model's name without what all names of a panel share: a versatile network's goes by its filters."""
    name = model.replace("_cifar", "")
    filters, versatile, rest = name.partition("_versatile_")
    if not versatile or filters not in _FILTERS:
        return name.replace("_", " ")
    return f"{_FILTERS[filters]} {rest.partition('_')[2].replace('_', ' ')}".rstrip()


def _legend(figure: Figure, frame: pd.DataFrame) -> None:
    from matplotlib.lines import Line2D

    def mark(colour: str, *, filled: bool = True, marker: str = "o", line: Literal["-", "none"] = "none") -> Line2D:
        face = colour if filled else "white"
        return Line2D([], [], linestyle=line, linewidth=0.8, color=colour, marker=marker, markerfacecolor=face,
                      markersize=2 * _RADIUS)  # fmt: skip

    used = [name for name in SERIES if (frame["series"] == name).any()]
    handles = [mark(SERIES[name][0]) for name in used]
    names = [SERIES[name][1] for name in used]
    if frame["sd"].isna().any():
        handles.append(mark(style.INK, filled=False))
        names.append("one run, no spread")
    if (frame["macs"] > 1.001 * frame["mul"]).any():
        handles.append(mark(style.INK, marker="|", line="-"))
        names.append("to the MACs that a library executes")
    figure.legend(handles, names, loc="lower left", bbox_to_anchor=(0.075, 0.0), ncols=3, columnspacing=2.0)
