"""The figure of a table: quality against cost, the area of a marker in proportion to the parameters.

A ring is what the paper prints (its cost, quality and parameters); a disc is what we counted, at the paper's quality
as long as there is no measurement under the paper's protocol. A square within the disc says that the quality is
measured, too, and whiskers its standard deviation. A diamond is a proxy result and never a paper's number.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from benchmarks import digits
from benchmarks.published import Row
from benchmarks.reports import style, text
from benchmarks.reports.cells import Cell, Report
from benchmarks.reports.labels import Box, Mark, place

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PRINTED, _COUNTED, _MEASURED, _PROXY = "printed", "counted", "measured", "proxy"


def points(report: Report) -> pd.DataFrame:
    """Return the points of the table's figure: label, kind, origin, x, y, size, sd.

    The origin is printed, counted (at the printed quality), measured (the quality, too) or proxy; ``sd`` is the
    quality's standard deviation, where it is known.
    """
    import pandas as pd

    rows = [point for row in report.table.rows if not row.recorded_as for point in _points_of(report, row)]
    frame: pd.DataFrame = pd.DataFrame(rows, columns=["label", "kind", "origin", "x", "y", "size", "sd"])
    return frame


def draw(report: Report, paper: str) -> Figure:
    """Return the figure of a report whose table describes one; ``paper`` is the paper's short name."""
    data = report.table.figure
    assert data is not None
    x, y = report.table.column(data.x), report.table.column(data.y)
    return scatter(
        points(report),
        title=f"{paper}, {report.table.title}: {data.caption[0].lower()}{data.caption[1:]}",
        x_label=text.heading(report, x),
        y_label=text.heading(report, y),
        size_label=text.heading(report, report.table.column(data.size)) if data.size else "",
        better=y.better,
    )


def scatter(frame: pd.DataFrame, *, title: str, x_label: str, y_label: str, size_label: str, better: str) -> Figure:
    """Draw quality against cost.

    Args:
        frame: label, kind, origin, x, y, size, sd; one point a row. A label stands at its first point
            and again at its proxy.
        title: Above the axes.
        x_label: Below the axes.
        y_label: Beside the axes.
        size_label: What the area of a marker is; empty for markers of one size.
        better: "lower" or "higher" quality values are better; an arrow says so.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with style.applied():
        figure = Figure(figsize=style.SIZE, dpi=style.DPI)
        FigureCanvasAgg(figure)  # labels are measured with the renderer that draws them
        axes = figure.add_axes(style.AXES)
        if not size_label:
            frame = frame.assign(size=style.ONE_SIZE)
        sizes = frame["size"].dropna()
        areas = style.Areas(float(sizes.max()) if size_label and len(sizes) else 1.0)
        _markers(axes, frame, areas)
        _links(axes, frame)
        axes.margins(0.12)
        axes.set_title(title)
        axes.set_xlabel(x_label)
        axes.set_ylabel(f"{y_label}, {better} is better")
        _labels(figure, axes, frame, areas)
        _legend(figure, frame, areas, size_label)
    return figure


def _points_of(report: Report, row: Row) -> list[dict[str, Any]]:
    data = report.table.figure
    assert data is not None
    x, y = report.cell(row, data.x), report.cell(row, data.y)
    size = report.cell(row, data.size) if data.size else None
    # "(ours)" means the paper's authors here; the colour says that already.
    common: dict[str, Any] = {"label": row.name.replace("(ours)", ""), "kind": row.kind}
    found: list[dict[str, Any]] = []
    if (px := _printed(x)) is not None and (py := _printed(y)) is not None:
        found.append(common | {"origin": _PRINTED, "x": px, "y": py, "size": _printed(size)})
    if x.status == "counted":
        ours = common | {"x": _ours(x), "y": _ours(y), "size": _ours(size), "sd": float(y.sd) if y.sd else None}
        if y.status in {"measured", "evaluated"}:
            found.append(ours | {"origin": _MEASURED})
        elif (py := _printed(y)) is not None:
            found.append(ours | {"origin": _COUNTED, "y": py, "sd": None})
        if y.status == "proxy":
            found.append(ours | {"origin": _PROXY})
    return found


def _printed(cell: Cell | None) -> float | None:
    return float(Decimal(cell.paper)) if cell and digits.is_number(cell.paper) else None


def _ours(cell: Cell | None) -> float | None:
    return float(cell.ours) if cell and cell.ours is not None else None


def _size(value: float | None) -> float | None:
    return None if value is None or value != value else value  # noqa: PLR0124 (NaN, as pandas stores None)


def _markers(axes: Axes, frame: pd.DataFrame, areas: style.Areas) -> None:
    for point in frame.sort_values("size", ascending=False, kind="stable").itertuples():
        colour, _ = style.KINDS[point.kind]
        area = areas(_size(point.size))
        if point.origin in {_COUNTED, _MEASURED}:
            axes.scatter(point.x, point.y, s=area, color=colour, alpha=0.35, linewidths=0, zorder=2)
            middle = {_COUNTED: (5, "o"), _MEASURED: (12, "s")}[point.origin]
            axes.scatter(point.x, point.y, s=middle[0], marker=middle[1], color=colour, linewidths=0, zorder=4)
            if _size(point.sd) is not None:
                axes.errorbar(point.x, point.y, yerr=point.sd, color=colour, linewidth=1.0, capsize=2.5, zorder=4)
        elif point.origin == _PROXY:
            axes.scatter(
                point.x, point.y, s=style.PROXY_AREA, marker="D", color=style.PROXY_COLOUR, linewidths=0, zorder=3
            )
        else:
            dashed = "-" if _size(point.size) is not None else ":"
            axes.scatter(
                point.x,
                point.y,
                s=area,
                facecolors="none",
                edgecolors=colour,
                linewidths=1.1,
                linestyles=dashed,
                zorder=3,
            )


def _links(axes: Axes, frame: pd.DataFrame) -> None:
    """Tie what is printed to what was counted or measured, where the two lie apart."""
    for label, pair in frame[frame["origin"] != _PROXY].groupby("label", sort=False):
        if label and len(pair) == 2:
            colour = style.KINDS[pair["kind"].iloc[0]][0]
            axes.plot(pair["x"], pair["y"], color=colour, linewidth=0.6, alpha=0.7, zorder=1)


def _labels(figure: Figure, axes: Axes, frame: pd.DataFrame, areas: style.Areas) -> None:
    """Write each label once, where it covers neither markers nor other labels."""
    figure.canvas.draw()
    to_points = 72 / figure.dpi
    shown = frame.assign(proxy=frame["origin"] == _PROXY).drop_duplicates(["label", "proxy"])
    texts = [axes.annotate(str(label), (0, 0), fontsize=7, annotation_clip=False) for label in shown["label"]]
    obstacles = [_box(axes, point, areas, to_points) for point in frame.itertuples()]
    marks = []
    for point, written in zip(shown.itertuples(), texts, strict=True):
        extent = written.get_window_extent()
        box = _box(axes, point, areas, to_points)
        marks.append(Mark(*box.centre, (box.right - box.left) / 2, extent.width * to_points, extent.height * to_points))
    window = axes.get_window_extent()
    frame_box = Box(*(value * to_points for value in (window.x0, window.y0, window.x1, window.y1)))
    for point, written, mark, spot in zip(
        shown.itertuples(), texts, marks, place(marks, frame_box, obstacles), strict=True
    ):
        colour = style.PROXY_COLOUR if point.origin == _PROXY else style.KINDS[point.kind][0]
        written.set_color("#666666" if point.kind == "quoted" else colour)
        corner = (spot.box.left / to_points, spot.box.bottom / to_points)
        x, y = axes.transData.inverted().transform(corner)
        written.set_position((float(x), float(y)))
        written.set_verticalalignment("bottom")
        if spot.gap > 4:
            leader(axes, mark, spot.box, to_points, colour)


def _box(axes: Axes, point: Any, areas: style.Areas, to_points: float) -> Box:
    """The square around a marker, in points."""
    x, y = (float(value) * to_points for value in axes.transData.transform((point.x, point.y)))
    area = style.PROXY_AREA if point.origin == _PROXY else areas(_size(point.size))
    radius = area**0.5 / 2
    return Box(x - radius, y - radius, x + radius, y + radius)


def leader(axes: Axes, mark: Mark, box: Box, to_points: float, colour: str) -> None:
    """A thin line from a marker's edge to the nearest edge of a label that stands apart."""
    x = min(max(mark.x, box.left), box.right)
    y = min(max(mark.y, box.bottom), box.top)
    length = ((x - mark.x) ** 2 + (y - mark.y) ** 2) ** 0.5
    if length <= mark.radius:
        return
    start = (mark.x + (x - mark.x) * mark.radius / length, mark.y + (y - mark.y) * mark.radius / length)
    ends = axes.transData.inverted().transform([[v / to_points for v in end] for end in (start, (x, y))])
    axes.plot(ends[:, 0], ends[:, 1], color=colour, linewidth=0.5, alpha=0.6, zorder=1, scalex=False, scaley=False)


def _legend(figure: Figure, frame: pd.DataFrame, areas: style.Areas, size_label: str) -> None:
    from matplotlib.legend_handler import HandlerTuple
    from matplotlib.lines import Line2D

    def dot(area: float, colour: str, *, filled: bool, marker: str = "o") -> Line2D:
        face = colour if filled else "none"
        edge = "none" if filled else colour
        return Line2D(
            [], [], linestyle="none", marker=marker, markersize=area**0.5, markerfacecolor=face,
            markeredgecolor=edge, markeredgewidth=1.1, alpha=0.35 if filled and marker == "o" else 1.0,
        )  # fmt: skip

    shown_sizes: list[Artist] = [dot(areas(value), style.INK, filled=False) for value in areas.references()]
    size_names = [f"{value:g}" for value in areas.references()]
    if frame["size"].isna().any():
        axes = figure.axes[0]
        shown_sizes.append(
            axes.scatter([], [], s=areas(None), facecolors="none", edgecolors=style.INK, linewidths=1.1, linestyles=":")
        )
        size_names.append("not printed")
    origins, kinds = set(frame["origin"]), set(frame["kind"])
    handles: list[Any] = []
    names: list[str] = []
    for kind, (colour, name) in style.KINDS.items():
        if kind in kinds:
            handles.append(dot(36, colour, filled=True, marker="s"))
            names.append(name)
    meanings = {
        _PRINTED: (dot(80, style.INK, filled=False), "as printed"),
        _COUNTED: (dot(80, style.INK, filled=True), "cost and size\ncounted here"),
        _MEASURED: (
            (dot(80, style.INK, filled=True), dot(12, style.INK, filled=True, marker="s")),
            "and quality measured\nhere, ± sd",
        ),
        _PROXY: (
            dot(style.PROXY_AREA, style.PROXY_COLOUR, filled=True, marker="D"),
            "proxy training, not\nthe paper's protocol",
        ),
    }
    for origin, (handle, name) in meanings.items():
        if origin in origins:
            handles.append(handle)
            names.append(name)
    first = figure.legend(
        handles,
        names,
        loc="upper left",
        bbox_to_anchor=style.LEGEND_TOP,
        labelspacing=0.7,
        handler_map={tuple: HandlerTuple(ndivide=1)},  # a square within its disc
    )
    if size_label and frame["size"].notna().any():
        figure.legend(
            shown_sizes, size_names, title=size_label, title_fontsize=8, alignment="left",
            loc="lower left", bbox_to_anchor=style.LEGEND_BOTTOM, labelspacing=1.5, handletextpad=1.2, borderpad=0.8,
        )  # fmt: skip
        figure.add_artist(first)
