"""Time against MACs of a group of networks, both relative to the baseline: where counting predicts time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from benchmarks.reports import style
from benchmarks.reports.callouts import Named, name_points
from benchmarks.reports.combined_figure import engineering

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

# Colour and form both tell the mode, so that colour never stands alone.
_MODES = {
    "eager": ("#000000", "o"),
    "compiled": ("#0072B2", "s"),
    "deployed": ("#D55E00", "D"),
    "deployed+compiled": ("#009E73", "^"),
    "ncnn": ("#CC79A7", "v"),
}
_LABELLED = 24  # so few networks are all named, of more those that find room
_SIZE = 5.0  # of a marker, in points


def draw(points: pd.DataFrame, title: str, baseline: str) -> Figure:
    """Return the figure of one group; `points` as `latencies.frame` gives them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    shown = points[points["macs"] > 0]
    origin = float(shown.loc[shown["baseline"], "macs"].iloc[0])
    with style.applied():
        figure = Figure(figsize=style.SIZE, dpi=style.DPI)
        FigureCanvasAgg(figure)  # names are measured with the renderer that draws them
        axes = figure.add_axes(style.AXES)
        axes.set_xscale("log")
        axes.set_yscale("log")
        for mode, group in shown.groupby("mode", sort=False):
            colour, marker = _MODES[str(mode)]
            errors = [group["ratio"] - group["low"], group["high"] - group["ratio"]]
            axes.errorbar(
                group["macs"], group["ratio"], yerr=errors, fmt=marker, color=colour, markersize=_SIZE, linewidth=0.9,
                alpha=0.85, zorder=3,
            )  # fmt: skip
        low, high = (float(limit) for limit in (shown["macs"].min(), shown["macs"].max()))
        ends = (low / 1.2, high * 1.2)
        axes.plot(ends, [end / origin for end in ends], color="#BBBBBB", linewidth=0.9, zorder=1)
        for axis, words in ((axes.xaxis, engineering), (axes.yaxis, lambda value: f"{value:g}")):
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axis.set_major_formatter(FuncFormatter(lambda value, _, words=words: words(float(value))))
            axis.set_minor_formatter(NullFormatter())
        axes.set_title(title)
        axes.set_xlabel("MACs of an image, as counted")
        axes.set_ylabel(f"Time over that of {baseline}")
        figure.canvas.draw()
        name_points(figure, axes, _named(shown, origin), _SIZE / 2, must=len(shown) <= _LABELLED, fontsize=5.5)
        modes = list(dict.fromkeys(shown["mode"]))
        handles = [
            Line2D([], [], linestyle="none", color=_MODES[mode][0], marker=_MODES[mode][1], markersize=_SIZE)
            for mode in modes
        ]
        handles.append(Line2D([], [], color="#BBBBBB", linewidth=0.9))
        figure.legend(
            handles, [*modes, "time as MACs"], loc="upper left", bbox_to_anchor=style.LEGEND_TOP, labelspacing=0.8
        )
    return figure


def _named(shown: pd.DataFrame, origin: float) -> list[Named]:
    """The points; first those whose time their MACs tell least, beside the others."""
    per_mac = (shown["ratio"] * origin / shown["macs"]).astype(float)
    surprise = (per_mac / per_mac.median()).map(lambda value: abs(math.log(value)))
    found = []
    for index in surprise.sort_values(ascending=False, kind="stable").index:
        point = shown.loc[index]
        x, y, low, high = (float(point[name]) for name in ("macs", "ratio", "low", "high"))
        colour = _MODES[str(point["mode"])][0]
        found.append(Named(x, y, str(point["model"]), colour, ((x, low), (x, high))))
    return found
