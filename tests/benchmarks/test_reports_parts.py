"""Where the operations of a table's detectors and segmentors are."""

from __future__ import annotations

import re
from decimal import Decimal

import report_samples as samples

from benchmarks.published import load_paper, load_table
from benchmarks.reports import cells, render, text
from benchmarks.reports.sources import ComplexityCounter


def test_the_page_of_a_detector_says_where_its_operations_are() -> None:
    report = cells.build(load_table("slimconv/table8"), ComplexityCounter(), [])
    for cell in report.cells:
        assert bool(cell.parts) == (cell.metric == "macs")
        if cell.parts:
            assert abs(sum(value for _, value in cell.parts) - cell.ours) < Decimal("1e-9")
    page = render.markdown(report, load_paper("slimconv"))
    section = page.partition("## Where the operations are")[2].partition("## ")[0]
    assert "The second stage (roi_head) was counted for 300 regions." in section
    rows = re.findall(r"^\| (Sc-)?ResNet-101(?:\(ours\))? \|(.*)\|$", section, re.MULTILINE)
    shares = [[int(share) for share in re.findall(r"\((\d+) %\)", values)] for _, values in rows]
    assert shares == [[46, 6, 48, 0], [43, 9, 48, 0]]


def test_a_table_of_other_networks_has_no_such_section(tmp_path) -> None:
    root = samples.write_table(tmp_path, samples.table())
    report = cells.build(load_table("sample/table1", root), samples.SampleCounter(), [])
    assert text.parts(report) == ([], [], "")
