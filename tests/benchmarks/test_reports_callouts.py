"""Names beside points: none over another where there is room, and only near ones where they may be left out."""

from __future__ import annotations

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from benchmarks.reports.callouts import Named, name_points


def _drawn(points: list[Named], *, must: bool) -> tuple[int, list[Annotation]]:
    figure = Figure(figsize=(6, 4), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_xlim(0, 10)
    axes.set_ylim(0, 10)
    figure.canvas.draw()
    written = name_points(figure, axes, points, 3.0, must=must)
    return written, [text for text in axes.texts if isinstance(text, Annotation)]


@pytest.mark.parametrize("must", [True, False])
def test_names_do_not_cover_each_other(must: bool) -> None:
    points = [Named(2 + 0.3 * i, 5 + 0.2 * (i % 3), f"network {i}", "#0072B2") for i in range(6)]
    points.append(Named(8, 5, "far from them", "#D55E00", ((8, 3), (8, 7))))
    written, texts = _drawn(points, must=must)
    assert written == len(texts)
    assert (written == len(points)) or not must
    boxes = [text.get_window_extent() for text in texts]
    assert all(Bbox.intersection(a, b) is None for i, a in enumerate(boxes) for b in boxes[:i])
    assert texts[-1].get_text() == "far from them"
    assert texts[-1].get_color() == "#D55E00"


def test_in_a_crowd_the_first_are_named() -> None:
    points = [Named(5, 5, f"one of many {i}", "#000000") for i in range(40)]
    written, texts = _drawn(points, must=False)
    assert 0 < written < len(points)
    assert texts[0].get_text() == "one of many 0"
    assert _drawn(points, must=True)[0] == len(points)
