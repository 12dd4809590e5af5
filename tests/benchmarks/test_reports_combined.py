"""The combined view: which networks become a point, at which cost, and which of them are one."""

from __future__ import annotations

from decimal import Decimal

import pandas as pd
import pytest
import report_samples as samples

from benchmarks.published import load_table
from benchmarks.reports import cells, combined, combined_figure
from benchmarks.reports.combined import COLUMNS, front


def build(tmp_path, *tables, runs=()):
    """Join tables given as (name, raw)."""
    counter = samples.SampleCounter()
    for name, raw in tables:
        samples.write_table(tmp_path, raw, name)
    reports = [cells.build(load_table(name, tmp_path), counter, runs) for name, _ in tables]
    return combined.points(reports, counter)


def point(frame, label, origin="printed"):
    (found,) = frame[(frame.label == label) & (frame.accuracy_origin == origin)].to_dict("records")
    return found


def test_a_printed_accuracy_stands_at_the_counted_cost_or_else_at_the_printed_one(tmp_path):
    frame = build(tmp_path, ("sample/table1", samples.table()))
    small = point(frame, "S_1 (32×4d)")
    assert (small["accuracy"], small["params"], small["params_origin"]) == (Decimal("93.2"), 428_890, "counted")
    later = point(frame, "Later")  # planned: there is no network to count
    assert (later["mul"], later["mul_origin"]) == (200_000_000, "printed")
    assert (later["params"], later["params_origin"], later["model"]) == (990_000, "printed", "")
    theirs = point(frame, "Theirs")
    assert pd.isna(theirs["mul"])
    assert (theirs["mul_origin"], theirs["params"], theirs["tables"]) == ("", 730_000, "sample/table1")


def test_a_measurement_is_a_point_of_its_own_and_a_proxy_is_none(tmp_path):
    frame = build(tmp_path, ("sample/table1", samples.table()), runs=samples.RUNS)
    assert point(frame, "base", "measured")["accuracy"] == Decimal("93.6")  # the row is called Baseline
    assert set(frame.accuracy_origin) == {"printed", "measured"}
    assert set(frame[frame.accuracy_origin == "measured"].model) == {"base"}
    assert not frame.accuracy.isin([Decimal("88.25"), Decimal(88)]).any()


def test_one_network_in_several_tables_is_one_point_unless_the_accuracies_differ(tmp_path):
    other = samples.table()
    other["rows"] = [
        samples._row("ResNet-50 [20]", "base", "6.50", "1.3", "8.5", kind="baseline"),
        samples._row("S_1 again", "small", "6.9", "0.6", "4.3"),
        samples._row("Theirs [9]", "", "6.9", "0.4", "7.3", group="q", kind="quoted", quoted_from="[7]"),
    ]
    frame = build(tmp_path, ("sample/table1", samples.table()), ("sample/table2", other))
    assert point(frame, "ResNet-50")["tables"] == "sample/table1 sample/table2"
    assert "base" not in set(frame.label)
    assert sorted(frame[frame.model == "small"].accuracy) == [Decimal("93.1"), Decimal("93.2")]
    assert point(frame, "Theirs")["mul"] == 40_000_000  # one table prints it, the other does not


def test_a_cost_that_is_blocked_is_taken_as_printed(tmp_path):
    raw = samples.table()
    raw["rows"][1]["cells"] = {"macs": {"blocked": "a fast algorithm"}}
    fast = point(build(tmp_path, ("sample/table1", raw)), "S_1 (32×4d)")
    assert (fast["mul"], fast["mul_origin"]) == (60_000_000, "printed")
    assert (fast["params"], fast["params_origin"]) == (428_890, "counted")


@pytest.mark.parametrize("change", [{"dataset": "set5"}, {"columns": [samples.table()["columns"][0]]}])
def test_other_data_sets_and_tables_without_costs_give_no_points(tmp_path, change):
    raw = samples.table() | change
    if "columns" in change:
        raw.pop("figure")
        for row in raw["rows"]:
            row["values"] = {k: v for k, v in row.get("values", {}).items() if k == "error"}
            row["cells"] = {}
    assert build(tmp_path, ("sample/table1", raw)).empty


def frame_of(*rows):
    empty = dict.fromkeys(COLUMNS, "")
    base = {"dataset": "cifar10", "paper": "slimconv", "kind": "method", "accuracy_origin": "printed",
            "mul_origin": "counted", "params_origin": "counted", "params": 10**6}  # fmt: skip
    return pd.DataFrame(
        [empty | base | {"label": f"Network {i}", "mul": x, "macs": x, "accuracy": Decimal(y)} | more
         for i, (x, y, more) in enumerate(rows)]
    )  # fmt: skip


def test_the_front_holds_what_nothing_beats():
    frame = frame_of((300, "93.0", {}), (100, "91.0", {}), (200, "90.0", {}), (300, "94.0", {}), (400, "94.0", {}))
    assert front(frame, "mul") == [1, 3]


def test_the_figure_names_the_unbeaten_and_the_methods_and_no_name_covers_another():
    rows = [(1e8 * (1 + i % 4), f"{90 + i / 7:.2f}", {"kind": ("other", "method")[i % 2]}) for i in range(12)]
    frame = frame_of(*rows, (5e8, "80.0", {"kind": "quoted", "mul_origin": "printed"}))
    figure = combined_figure.draw(frame, "cifar10", "macs")
    named = {text.get_text() for text in figure.axes[0].texts}
    best = {f"Network {i}" for i in front(frame, "mul")}
    assert best <= named
    assert named <= best | {f"Network {i}" for i in range(1, 12, 2)}
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])


def test_only_versatile_networks_have_a_line_to_what_a_library_executes():
    frame = frame_of((2e8, "93.0", {}), (1e8, "92.0", {"paper": "versatile", "macs": 4e8}))
    lines = combined_figure.draw(frame, "cifar10", "macs").axes[0].lines
    assert [1e8, 4e8] in [list(line.get_xdata()) for line in lines]
    assert not any(4e8 in line.get_xdata() for line in combined_figure.draw(frame, "cifar10", "params").axes[0].lines)
