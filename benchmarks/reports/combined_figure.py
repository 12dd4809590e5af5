"""The combined view as a figure: accuracy against a cost on a logarithmic axis, the networks of both papers.

A disc is a counted cost, a ring a printed one, a star an accuracy that we measured. The grey stair joins the networks
that none beats. A thin line to the right of a versatile network ends at the MACs that a library executes for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from benchmarks.reports import style
from benchmarks.reports.combined import COUNTED, DATASETS, MEASURED, front
from benchmarks.reports.figures import leader
from benchmarks.reports.labels import Box, Mark, place

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# file name's part -> column of the points, label of the axis
COSTS = {"macs": ("mul", "MACs"), "params": ("params", "Parameters")}
# A series is a paper's own method, or what stands beside it.
_SERIES: dict[str, tuple[str, str]] = {
    "slimconv": ("#0072B2", "SlimConv"),
    "versatile": ("#D55E00", "Versatile Filters"),
    "baseline": ("#000000", "baseline"),
    "other": ("#999999", "another method"),
    "control": ("#009E73", "our control"),
}
_AREA = 30.0
_STAR = 70.0
# How far a name may stand from its marker, in points: with a thin line, and without.
_FAR, _NEAR = 24.0, 3.0


def draw(frame: pd.DataFrame, dataset: str, cost: str) -> Figure:
    """Return the figure of one data set; ``frame`` has the columns of ``combined.Point``, ``cost`` is of ``COSTS``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    column, x_label = COSTS[cost]
    shown = frame[(frame["dataset"] == dataset) & frame[column].notna()].reset_index(drop=True)
    shown = shown.assign(
        x=shown[column].astype(float),
        y=shown["accuracy"].astype(float),
        series=[_series(point) for point in shown.itertuples()],
        counted=shown[f"{column}_origin"] == COUNTED,
        end=shown["macs"].astype("Float64") if cost == "macs" else None,
    )
    best = front(shown, "x")
    with style.applied():
        figure = Figure(figsize=style.SIZE, dpi=style.DPI)
        FigureCanvasAgg(figure)  # labels are measured with the renderer that draws them
        axes = figure.add_axes(style.AXES)
        axes.set_xscale("log")
        stair = shown.loc[best]
        axes.plot(stair["x"], stair["y"], color="#BBBBBB", linewidth=0.9, drawstyle="steps-post", zorder=1)
        for point in shown.itertuples():
            _marker(axes, point)
        axes.margins(0.08)
        cost_ticks(axes)
        axes.set_title(
            f"All networks of the papers' tables on {DATASETS[dataset]}: accuracy against {x_label.replace('P', 'p')}"
        )
        versatile = any(_apart(point) for point in shown.itertuples())
        axes.set_xlabel(f"{x_label}; for versatile filters their #MUL" if versatile else x_label)
        axes.set_ylabel("Top-1 accuracy (%), higher is better")
        _labels(figure, axes, shown, best)
        _legend(figure, shown)
    return figure


def _series(point: Any) -> str:
    return str({"method": point.paper, "quoted": "other"}.get(point.kind, point.kind))


def _colour(series: str) -> str:
    return _SERIES.get(series, _SERIES["slimconv"])[0]


def _marker(axes: Axes, point: Any) -> None:
    colour = _colour(point.series)
    front_most = 3 if point.series in {"other", "baseline"} else 4
    if point.accuracy_origin == MEASURED:
        axes.scatter(point.x, point.y, s=_STAR, marker="*", color=colour, linewidths=0, zorder=front_most)
    elif point.counted:
        axes.scatter(point.x, point.y, s=_AREA, color=colour, alpha=0.8, linewidths=0, zorder=front_most)
    else:
        axes.scatter(point.x, point.y, s=_AREA, facecolors="none", edgecolors=colour, linewidths=1.1, zorder=front_most)
    if _apart(point):
        axes.plot([point.x, point.end], [point.y, point.y], color=colour, linewidth=0.6, alpha=0.45, zorder=1)
        axes.scatter(point.end, point.y, s=14, marker="|", color=colour, alpha=0.6, linewidths=0.9, zorder=2)


def _apart(point: Any) -> bool:
    """Whether a library executes more than the method's arithmetic needs."""
    import pandas as pd

    return point.end is not None and not pd.isna(point.end) and point.end > 1.001 * point.x


def cost_ticks(axes: Axes) -> None:
    """Write 200 M instead of 2 x 10^8, at round values; at more of them where the axis spans less than a decade."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(
        LogLocator(subs=(1.0, 2.0, 5.0) if high > 10 * low else (1.0, 1.5, 2.0, 3.0, 5.0, 7.0))
    )
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: engineering(float(value))))
    axes.xaxis.set_minor_formatter(NullFormatter())


def engineering(value: float) -> str:
    """As 200 M instead of 2e8."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g} {letter}"
    return f"{value:g}"


def _labels(figure: Figure, axes: Axes, shown: pd.DataFrame, best: list[int]) -> None:
    """Name what has a free place near it: the unbeaten networks choose first, then the methods, then the baselines."""
    from matplotlib.patheffects import withStroke

    figure.canvas.draw()
    to_points = 72 / figure.dpi
    spots = axes.transData.transform(shown[["x", "y"]].to_numpy()) * to_points
    radius = _AREA**0.5 / 2
    obstacles = [Box(x - radius, y - radius, x + radius, y + radius) for x, y in spots.tolist()]
    window = axes.get_window_extent()
    frame = Box(*(value * to_points for value in (window.x0, window.y0, window.x1, window.y1)))
    methods, baselines = (
        [index for index in shown.index[shown["kind"] == kind].tolist() if index not in best]
        for kind in ("method", "baseline")
    )
    for chosen, farthest in ((best, _FAR), (methods, _FAR), (baselines, _NEAR)):
        wanted = []
        for index in chosen:
            written = axes.annotate(_short(str(shown["label"][index])), (0, 0), fontsize=6.5, annotation_clip=False)
            extent = written.get_window_extent()
            width, height = extent.width * to_points, extent.height * to_points
            mark = Mark(float(spots[index][0]), float(spots[index][1]), radius, width, height)
            wanted.append((index, written, mark))
        for (index, written, mark), spot in zip(
            wanted, place([mark for _, _, mark in wanted], frame, obstacles), strict=True
        ):
            if not spot.free or spot.gap > farthest:
                written.remove()
                continue
            obstacles.append(spot.box)
            colour = _colour(shown["series"][index])
            written.set_color("#666666" if shown["series"][index] == "other" else colour)
            corner = axes.transData.inverted().transform((spot.box.left / to_points, spot.box.bottom / to_points))
            written.set_position((float(corner[0]), float(corner[1])))
            written.set_verticalalignment("bottom")
            written.set_path_effects([withStroke(linewidth=3, foreground="white")])  # where lines pass behind
            if spot.gap > 4:
                leader(axes, mark, spot.box, to_points, colour)


def _short(label: str) -> str:
    return label.replace("Separate L-Versatile", "Sep. L-V.").replace("Shared L-Versatile", "Shared L-V.")


def _legend(figure: Figure, shown: pd.DataFrame) -> None:
    from matplotlib.lines import Line2D

    def mark(marker: str, colour: str, *, filled: bool = True, line: Literal["-", "none"] = "none") -> Line2D:
        face = colour if filled else "none"
        return Line2D(
            [], [], linestyle=line, linewidth=0.9, color=colour, marker=marker, markersize=_AREA**0.5,
            markerfacecolor=face, markeredgecolor="none" if filled else colour,
        )  # fmt: skip

    handles = [mark("s", colour) for series, (colour, _) in _SERIES.items() if (shown["series"] == series).any()]
    names = [name for series, (_, name) in _SERIES.items() if (shown["series"] == series).any()]
    printed, measured = ~shown["counted"], shown["accuracy_origin"] == MEASURED
    meanings = [
        (mark("o", style.INK), "accuracy as printed,\ncost counted here", True),
        (mark("o", style.INK, filled=False), "accuracy and cost\nas printed", bool(printed.any())),
        (mark("*", style.INK), "accuracy measured here", bool(measured.any())),
        (mark("|", style.INK, filled=False, line="-"), "to the MACs that a\nlibrary executes",
         any(map(_apart, shown.itertuples()))),
        (Line2D([], [], color="#BBBBBB"), "none is more accurate\nat this cost", True),
    ]  # fmt: skip
    for handle, name, used in meanings:
        if used:
            handles.append(handle)
            names.append(name)
    figure.legend(handles, names, loc="upper left", bbox_to_anchor=style.LEGEND_TOP, labelspacing=0.8)
    note = "Accuracies come from\ndifferent training recipes;\nthe points are in the CSV\nbeside this figure."
    figure.text(style.LEGEND_BOTTOM[0] + 0.015, style.LEGEND_BOTTOM[1], note, fontsize=7, color="#666666")
