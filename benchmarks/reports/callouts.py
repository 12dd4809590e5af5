"""Names beside the points of an axes, each where there is room for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.reports.figures import leader
from benchmarks.reports.labels import Box, Mark, place

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NEAR = 4.0  # points from a marker to its name; beyond them a line leads there


@dataclass(frozen=True)
class Named:
    """A point at (x, y) in data units, its name and colour, and (x, y) of the corners of what is drawn around it.

    around: opposite corners, in data units, such as the ends of an error bar; none where there is only the marker.
    """

    x: float
    y: float
    name: str
    colour: str
    around: tuple[tuple[float, float], ...] = ()


def name_points(
    figure: Figure, axes: Axes, points: Sequence[Named], radius: float, *, must: bool = True, fontsize: float = 6.5
) -> int:
    """Write the names; return how many were written.

    Args:
        figure: that of the axes, drawn before, so that its sizes are final.
        axes: with final limits.
        points: all that is drawn, the most important first.
        radius: of the markers, in points.
        must: write every name, if need be over another; else only those that find a free place near their point.
        fontsize: of the names.
    """
    to_points = 72 / figure.dpi
    spots = [_in_points(axes, (point.x, point.y), to_points) for point in points]
    window = axes.get_window_extent()
    frame = Box(*(value * to_points for value in (window.x0, window.y0, window.x1, window.y1)))
    obstacles = []
    for point, (x, y) in zip(points, spots, strict=True):
        corners = [(x - radius, y - radius), (x + radius, y + radius)]
        corners += [_in_points(axes, corner, to_points) for corner in point.around]
        xs, ys = zip(*corners, strict=True)
        obstacles.append(Box(min(xs), min(ys), max(xs), max(ys)))
    texts = [axes.annotate(point.name, (0, 0), fontsize=fontsize, annotation_clip=False) for point in points]
    extents = [text.get_window_extent() for text in texts]
    marks = [
        Mark(x, y, radius + 1, extent.width * to_points, extent.height * to_points)
        for (x, y), extent in zip(spots, extents, strict=True)
    ]
    places = place(marks, frame, obstacles) if must else []
    written = 0
    for number, (point, text, mark) in enumerate(zip(points, texts, marks, strict=True)):
        spot = places[number] if must else place([mark], frame, obstacles)[0]
        if not must and (not spot.free or spot.gap > 2 * _NEAR):
            text.remove()
            continue
        written += 1
        obstacles.append(spot.box)
        corner = axes.transData.inverted().transform((spot.box.left / to_points, spot.box.bottom / to_points))
        text.set_position((float(corner[0]), float(corner[1])))
        text.set_verticalalignment("bottom")
        text.set_color(point.colour)
        _outline(text)
        if spot.gap > _NEAR:
            leader(axes, mark, spot.box, to_points, point.colour)
    return written


def _in_points(axes: Axes, spot: tuple[float, float], to_points: float) -> tuple[float, float]:
    x, y = axes.transData.transform(spot)
    return float(x) * to_points, float(y) * to_points


def _outline(text: object) -> None:
    from matplotlib.patheffects import withStroke

    text.set_path_effects([withStroke(linewidth=2.5, foreground="white")])  # type: ignore[attr-defined]
