from __future__ import annotations

import math
from decimal import Decimal

import pytest
import report_samples as samples

from benchmarks.errors import UserError
from benchmarks.published import load_table
from benchmarks.reports import cells, costs, text
from benchmarks.reports.sources import runs_of
from benchmarks.reports.summary import summarize


def build(tmp_path, raw=None, runs=samples.RUNS, counter=None):
    table = load_table("sample/table1", samples.write_table(tmp_path, raw or samples.table()))
    return cells.build(table, counter or samples.SampleCounter(), runs)


def cell(report, row, column):
    return next(c for c in report.cells if (c.row, c.column) == (row, column))


def test_each_status_arises_where_it_should(tmp_path):
    report = build(tmp_path)
    statuses = {(c.row, c.column): c.status for c in report.cells}
    assert statuses["Baseline", "macs"] == "counted"
    assert statuses["Baseline", "error"] == "measured"
    assert statuses["S_1 (32×4d)", "error"] == "proxy"
    assert statuses["Tested", "error"] == "evaluated"
    assert statuses["Theirs [7]", "error"] == statuses["Theirs [7]", "macs"] == "quoted"
    assert statuses["Odd", "error"] == "open"
    assert statuses["Later", "macs"] == statuses["Later", "error"] == "open"
    assert statuses["Locked", "error"] == "blocked"
    assert statuses["Locked", "macs"] == "counted"
    assert len(report.cells) == 8 * 3


def test_a_measured_error_is_the_mean_of_100_minus_accuracy(tmp_path):
    measured = cell(build(tmp_path), "Baseline", "error")
    assert measured.ours == Decimal("6.4")
    assert measured.n == 2
    assert float(measured.sd) == pytest.approx(0.2828427, abs=1e-6)  # of 6.6 and 6.2, with n - 1
    assert measured.rel_diff == pytest.approx(6.4 / 6.5 - 1)
    assert measured.agrees is False
    assert measured.sources == (
        "results/cifar10/paper-400e/base/seed0-x.json",
        "results/cifar10/paper-400e/base/seed1-x.json",
    )


def test_a_proxy_is_shown_and_never_compared(tmp_path):
    proxy = cell(build(tmp_path), "S_1 (32×4d)", "error")
    assert proxy.ours == Decimal("11.75")
    assert (proxy.protocol, proxy.epochs, proxy.n) == ("proxy-10e", 10, 1)
    assert proxy.rel_diff is None
    assert proxy.agrees is None


def test_of_two_proxies_the_longer_is_shown(tmp_path):
    runs = [samples.run("small", 80.0, "proxy-2e", epochs=2), *samples.RUNS]
    assert cell(build(tmp_path, runs=runs), "S_1 (32×4d)", "error").protocol == "proxy-10e"


def test_a_test_of_ones_own_checkpoint_is_not_a_second_measurement(tmp_path):
    runs = [*samples.RUNS, samples.run("base", 10.0, seed=2, trained=False)]
    assert cell(build(tmp_path, runs=runs), "Baseline", "error").n == 2


def test_runs_of_another_data_set_or_model_fill_nothing(tmp_path):
    runs = [samples.run("odd", 93.0, dataset="cifar100"), samples.run("other", 93.0)]
    assert cell(build(tmp_path, runs=runs), "Odd", "error").status == "open"


def test_counts_are_compared_at_the_printed_scale(tmp_path):
    counted = cell(build(tmp_path), "Baseline", "params")
    assert counted.ours == Decimal("8.53018")
    assert counted.agrees is True
    assert counted.rel_diff == pytest.approx(0.00355, abs=1e-5)
    assert counted.sources == ("slimbench complexity base --input 3x32x32 --convention conv-linear",)


def test_a_dash_is_compared_with_nothing(tmp_path):
    raw = samples.table()
    raw["rows"][0]["values"]["params"] = "-"
    counted = cell(build(tmp_path, raw), "Baseline", "params")
    assert counted.status == "counted"
    assert counted.agrees is None
    assert counted.rel_diff is None


def test_the_nearest_convention_wins(tmp_path):
    raw = samples.table()
    raw["columns"][1]["convention"] = "of-the-column"
    raw["rows"][1]["convention"] = "of-the-row"
    raw["rows"][2]["cells"]["macs"]["convention"] = "of-the-cell"
    report = build(tmp_path, raw)
    conventions = [cell(report, row, "macs").convention for row in ("Baseline", "S_1 (32×4d)", "Odd")]
    assert conventions == ["of-the-column", "of-the-row", "of-the-cell"]


def test_a_rows_own_input_and_classes_reach_the_counter(tmp_path):
    raw = samples.table()
    raw["rows"][1] |= {"input": "3x64x64", "classes": 100}
    counter = samples.SampleCounter()
    build(tmp_path, raw, counter=counter)
    assert ("small", "3x64x64", "conv-linear", 100) in counter.asked
    assert ("base", "3x32x32", "conv-linear", 10) in counter.asked


def test_a_planned_model_is_counted_as_soon_as_it_exists(tmp_path):
    raw = samples.table()
    raw["rows"][4]["model"] = "base"
    assert cell(build(tmp_path, raw), "Later", "macs").status == "counted"


def test_an_open_cell_says_what_fills_it_and_what_that_costs(tmp_path):
    assert (
        cell(build(tmp_path), "Odd", "error").fill
        == "slimbench train cifar10/paper-400e/odd (about 5 hours on 2 CPU cores)"
    )
    runs = [run for run in samples.RUNS if run.model != "tested"]
    assert cell(build(tmp_path, runs=runs), "Tested", "error").fill.startswith(
        "slimbench test cifar10/released/tested --checkpoint FILE"
    )


def test_an_unknown_model_is_named_with_file_row_and_neighbour(tmp_path):
    raw = samples.table()
    raw["rows"][1]["model"] = "smal"
    with pytest.raises(UserError, match=r"table1.yaml: row 'S_1 \(32×4d\)': no model 'smal'; did you mean small\?"):
        build(tmp_path, raw)


def test_a_model_that_fails_is_named_with_file_and_row(tmp_path):
    with pytest.raises(UserError, match=r"table1.yaml: row 'Odd': counting odd failed: RuntimeError: boom"):
        build(tmp_path, counter=samples.SampleCounter(failing="odd"))


def test_the_summary_counts_agreement_only_among_counted_cells(tmp_path):
    summary = summarize(build(tmp_path).cells)
    # counted: three rows of two, Tested and Locked two each, Random two without a print
    assert summary.by_status["counted"] == 12
    assert summary.compared == 10
    # Odd's parameters are explained; Tested's 0.66 is neither 0.6 rounded ... but it truncates to it
    assert (summary.agree, summary.explained, summary.unexplained) == (9, 1, 0)
    assert sum(summary.by_status.values()) == summary.cells == 24
    assert summary.sentence().startswith(
        "24 cells: 12 counted, 2 measured, 1 evaluated, 1 proxy, 3 quoted, 4 open, 1 blocked."
    )


def test_a_difference_beyond_one_percent_without_explanation_is_unexplained(tmp_path):
    raw = samples.table()
    raw["rows"][2]["cells"].pop("params")
    report = build(tmp_path, raw)
    assert [(c.row, c.column) for c in report.cells if c.unexplained] == [("Odd", "params")]


def test_units_name_their_power_of_ten(tmp_path):
    report = build(tmp_path)
    assert [cell(report, "Odd", name).unit for name in ("error", "macs", "params")] == [
        "%",
        "1e8 MACs",
        "1e5 parameters",
    ]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (20, "1 minutes"),
        (3000, "50 minutes"),
        (6 * 3600, "6 hours"),
        (2.5 * 86400, "2.5 days"),
        (40 * 86400, "40 days"),
    ],
)
def test_durations_are_said_as_a_reader_says_them(seconds, words):
    assert costs.duration(seconds) == words


def test_the_cost_rule_gives_what_its_basis_was_measured_at():
    # 0.27 seconds an iteration of 128 images, ResNet-56 on two cores, 400 epochs
    seconds = costs.protocols()["cifar10/paper-400e"].seconds(125_492_864)
    assert seconds == pytest.approx(400 * 50_000 / 128 * 0.27, rel=0.02)


def test_a_seed_that_was_run_twice_counts_once_with_its_mean(tmp_path):
    runs = [samples.run("base", 93.0), samples.run("base", 94.0), samples.run("base", 93.9, seed=1)]
    measured = cell(build(tmp_path, runs=runs), "Baseline", "error")
    assert (measured.n, float(measured.ours)) == (2, pytest.approx(6.3))


def test_a_diverged_run_is_told_beside_the_mean_and_where_there_is_none(tmp_path):
    lost = {"status": "diverged", "metric": "", "value": math.nan}
    runs = [*samples.RUNS, samples.run("base", seed=2, **lost), samples.run("odd", **lost)]
    report = build(tmp_path, runs=runs)
    measured, nothing = cell(report, "Baseline", "error"), cell(report, "Odd", "error")
    assert (measured.n, measured.diverged, measured.ours) == (2, 1, Decimal("6.4"))
    assert text.ours(report, measured) == "6.40 ± 0.28 (n=2; 1 of 3 diverged)"
    assert text.ours(report, nothing) == "open (1 of 1 diverged)"
    assert "1 of 3 diverged" in text.note(measured)
    # A proxy says nothing of the paper's protocol, and its divergence neither.
    assert cell(report, "S_1 (32×4d)", "error").diverged == 0


def test_finished_runs_leave_the_ledger_with_their_test_metrics_and_others_without_any():
    found = runs_of(
        [
            ("c.json", samples.result(metrics=(("train", 99.0),))),
            ("b.json", samples.result(metrics=(("test", 80.0), ("train", 99.0)))),
            ("a.json", samples.result(status="diverged", metrics=())),
        ]
    )
    assert [(run.path, run.metric, run.status) for run in found] == [
        ("a.json", "", "diverged"),
        ("b.json", "top1_accuracy", "finished"),
    ]
    assert math.isnan(found[0].value)
    assert found[1].value == 80.0
    assert found[1].provenance.finished == "2026-01-02"
    assert found[1].provenance.device == "A processor, 2 threads"


def test_the_provenance_names_processes_and_a_compiled_network():
    result = samples.result()
    changes = {"gpu": "A card x2", "processes": 2, "precision": "bfloat16 autocast", "compile": "inductor"}
    several = result.model_copy(update={"environment": result.environment.model_copy(update=changes)})
    (run,) = runs_of([("a.json", several)])
    assert run.provenance.device == "A card x2, 2 processes"
    assert run.provenance.arithmetic == "bfloat16 autocast, torch.compile inductor"
