from __future__ import annotations

import io

import pytest
import report_samples as samples
from rich.cells import cell_len
from rich.console import Console

from benchmarks.published import load_paper, load_table
from benchmarks.reports import cells, costs
from benchmarks.reports.terminal import view


@pytest.fixture(autouse=True)
def protocols(monkeypatch):
    monkeypatch.setattr(costs, "protocols", lambda: samples.PROTOCOLS)


def printed(tmp_path, width):
    root = samples.write_table(tmp_path, samples.table())
    report = cells.build(load_table("sample/table1", root), samples.SampleCounter(), samples.RUNS)
    stream = io.StringIO()
    console = Console(file=stream, width=width, highlight=False)
    console.print(view(report, load_paper("sample", root), console))
    return report, stream.getvalue()


@pytest.mark.parametrize("width", [80, 120, 200])
def test_nothing_is_cut_at_any_usual_width(tmp_path, width):
    report, shown = printed(tmp_path, width)
    assert "…" not in shown
    assert all(cell_len(line) <= width for line in shown.splitlines())
    for row in report.table.rows:
        assert row.label in shown
        for value in row.values.values():
            assert f" {value} " in shown


def test_a_wide_terminal_gets_one_block_and_a_narrow_one_several(tmp_path):
    assert printed(tmp_path, 200)[1].count("Model") == 1
    assert printed(tmp_path, 60)[1].count("Model") > 1


def test_proxies_are_marked_and_explained_and_so_are_differences(tmp_path):
    _, shown = printed(tmp_path, 120)
    assert "proxy 11.75" in shown
    assert "proxy: proxy-10e, 10 epochs, n = 1; a shortened protocol, not compared with the paper" in shown
    assert "✗ Odd, params: The paper divides by 4, Eq. 6 by 5." in shown


def test_a_measured_gain_is_told_with_its_verdict_and_an_open_one_is_not(tmp_path):
    _, shown = printed(tmp_path, 200)
    assert (
        "S_1 (32×4d) against Baseline, top-1 accuracy in points, proxy-10e: +0.25 (no interval), n = 1 / 1; "
        "claimed −0.3, stands for > −0.50: undecided; seeds to decide: unknown: no spread"
    ) in shown
    assert "Odd against" not in shown
