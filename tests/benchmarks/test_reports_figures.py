from __future__ import annotations

import itertools

import pytest
import report_samples as samples
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.published import load_table
from benchmarks.reports import cells, figures, style
from benchmarks.reports.labels import Box, Mark, place


@pytest.fixture
def report(tmp_path):
    root = samples.write_table(tmp_path, samples.table())
    return cells.build(load_table("sample/table1", root), samples.SampleCounter(), samples.RUNS)


def point(frame, label, origin):
    found = frame[(frame.label == label) & (frame.origin == origin)]
    return found.iloc[0] if len(found) else None


def test_printed_counted_and_proxy_points_are_kept_apart(report):
    frame = figures.points(report)
    assert tuple(point(frame, "Baseline", "printed")[["x", "y", "size"]]) == (1.3, 6.5, 8.5)
    assert point(frame, "Baseline", "counted") is None
    measured = point(frame, "Baseline", "measured")
    assert tuple(measured[["x", "y", "size", "sd"]]) == (1.25492864, 6.4, 8.53018, pytest.approx(0.2828, abs=1e-4))
    assert tuple(point(frame, "Tested", "measured")[["y", "sd"]].isna()) == (False, True)  # one run has no spread
    assert tuple(point(frame, "S_1 (32×4d)", "counted")[["x", "y"]]) == (0.62742144, 6.8)  # the paper's error
    assert tuple(point(frame, "S_1 (32×4d)", "proxy")[["x", "y"]]) == (0.62742144, 11.75)
    assert point(frame, "Theirs [7]", "printed") is None  # no MACs printed: no point
    assert point(frame, "Later", "counted") is None


def test_equal_figures_are_equal_files(report, tmp_path):
    written = [style.save(figures.draw(report, "Sample"), tmp_path / name) for name in "ab"]
    for one, other in zip(*written, strict=True):
        assert one.read_bytes() == other.read_bytes()
    png, pdf = written[0]
    assert png.read_bytes().startswith(b"\x89PNG")
    assert pdf.read_bytes().startswith(b"%PDF")
    assert b"CreationDate" not in pdf.read_bytes()


def test_labels_cover_neither_each_other_nor_the_edge_of_the_figure(report):
    figure = figures.draw(report, "Sample")
    axes = figure.axes[0]
    boxes = [written.get_window_extent() for written in axes.texts]
    assert len(boxes) == 8  # seven rows with printed MACs and error, one proxy
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)
    frame = axes.get_window_extent().padded(1)
    assert all(frame.contains(box.x0, box.y0) and frame.contains(box.x1, box.y1) for box in boxes)


def test_what_the_user_set_in_matplotlib_does_not_change_a_figure(report, tmp_path):
    import matplotlib as mpl

    plain = style.save(figures.draw(report, "Sample"), tmp_path / "plain")[0].read_bytes()
    with mpl.rc_context({"font.size": 20, "lines.linewidth": 9, "axes.facecolor": "red", "savefig.dpi": 30}):
        assert style.save(figures.draw(report, "Sample"), tmp_path / "other")[0].read_bytes() == plain


def test_areas_are_proportional_and_the_legend_shows_round_values():
    areas = style.Areas(49.33)
    assert areas(20.0) == pytest.approx(2 * areas(10.0))
    assert areas(49.33) == areas.biggest
    assert areas.references() == [10.0, 20.0, 40.0]
    assert style.Areas(8.53).references() == [2.0, 4.0, 8.0]
    assert style.Areas(0.0042).references() == [0.001, 0.002, 0.004]


@given(st.lists(st.tuples(st.integers(40, 460), st.integers(40, 260)), min_size=1, max_size=14, unique=True))
def test_a_dozen_labels_always_find_free_places(spots):
    marks = [Mark(float(x), float(y), 6.0, 50.0, 8.0) for x, y in spots]
    frame = Box(0.0, 0.0, 500.0, 300.0)
    places = place(marks, frame)
    for one, other in itertools.combinations(places, 2):
        assert one.box.overlap(other.box) == 0
    assert all(found.box.outside(frame) == 0 for found in places)
    assert all(found.box.overlap(mark.box) == 0 for found in places for mark in marks)
