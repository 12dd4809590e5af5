"""The committed reports are what the command makes today, from the committed tables, models and results."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.ledger import ITERATION_COSTS, LATENCY
from benchmarks.published import select_tables
from benchmarks.reports import combined, curves, findings, findings_figure, index, iteration_costs, latencies, render
from benchmarks.reports.sources import ComplexityCounter, kept_costs, kept_latencies, ledger_results, ledger_runs
from benchmarks.reports.write import curve_groups, join, texts

ROOT = Path(__file__).resolve().parents[2]


def stop(problem):
    raise AssertionError(problem)


def check(name, fresh, table):
    """The committed file ``reports/<name>`` holds the text ``fresh``."""
    committed = ROOT / "reports" / name
    renew = f"run `slimbench reproduce {table}` and commit reports/"
    assert committed.is_file(), f"reports/{name} is missing: {renew}"
    assert committed.read_text(encoding="utf-8") == fresh, f"reports/{name} is stale: {renew}"


def trained():
    return curve_groups(ledger_results(ROOT / "results", stop))


@pytest.mark.parametrize("name", select_tables(["table1"]))
def test_the_committed_report_is_up_to_date(name):
    timed = kept_latencies(ROOT / "results", stop)
    (joined,) = join([name], ComplexityCounter(), ledger_runs(ROOT / "results", stop), stop, latencies=timed)
    for suffix, fresh in texts(joined).items():
        check(f"{name}{suffix}", fresh, name)


@pytest.mark.slow
def test_all_committed_reports_are_up_to_date():
    counter, names = ComplexityCounter(), select_tables(["all"])
    timed = kept_latencies(ROOT / "results", stop)
    found = list(join(names, counter, ledger_runs(ROOT / "results", stop), stop, latencies=timed))
    assert [joined.report.table.name for joined in found] == names
    for joined in found:
        for suffix, fresh in texts(joined).items():
            check(f"{joined.report.table.name}{suffix}", fresh, "all")
    points = combined.points([joined.report for joined in found], counter)
    for dataset in combined.DATASETS:
        check(f"{index.COMBINED}/{dataset}.csv", combined.tidy_csv(points[points.dataset == dataset]), "all")
    page, points = findings.page(
        [joined.report for joined in found], counter, ledger_results(ROOT / "results", stop), timed
    )
    check(f"{index.FINDINGS}.md", page, index.FINDINGS)
    check(f"{index.FINDINGS}.csv", findings_figure.tidy_csv(points), index.FINDINGS)
    assert (ROOT / "reports" / f"{index.FINDINGS}.png").is_file()


@pytest.mark.parametrize(("name", "fresh"), [("index.md", index.markdown), ("all-tables.tex", index.latex)])
def test_the_committed_overview_is_up_to_date(name, fresh):
    check(name, fresh(ROOT / "reports"), "all")


def test_the_committed_learning_curves_are_up_to_date():
    for key, group in trained().items():
        name = f"{render.CURVES}/{'-'.join(key)}"
        check(f"{name}.csv", curves.tidy_csv(curves.frame(group)), "all")
        check(f"{name}.md", render.curves_markdown(group), "all")
        assert (ROOT / "reports" / f"{name}.png").is_file()


def test_the_committed_costs_of_iterations_are_up_to_date():
    found = kept_costs(ROOT / "results", stop)
    assert found
    check(f"{ITERATION_COSTS}.md", iteration_costs.markdown(found), ITERATION_COSTS)
    check(f"{ITERATION_COSTS}.csv", iteration_costs.tidy_csv(found), ITERATION_COSTS)


def test_the_committed_latencies_are_up_to_date():
    found = kept_latencies(ROOT / "results", stop)
    assert (ROOT / "reports" / f"{LATENCY}.md").is_file() == bool(found)
    if found:
        check(f"{LATENCY}.md", latencies.markdown(found), LATENCY)
        check(f"{LATENCY}.csv", latencies.tidy_csv(found), LATENCY)
    drawn = {group.stem for group in latencies.groups(found) if len(group.models()) >= latencies.ENOUGH}
    assert {file.stem for file in (ROOT / "reports" / LATENCY).glob("*.png")} == drawn


def test_every_link_of_the_findings_leads_somewhere():
    page = (ROOT / "reports" / f"{index.FINDINGS}.md").read_text(encoding="utf-8")
    headings = [line.lstrip("#").strip() for line in page.splitlines() if line.startswith("#")]
    anchors = {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}
    links = re.findall(r"\]\(([^)]+)\)", page)
    assert len(links) > 20
    for link in links:
        file, _, anchor = link.partition("#")
        assert (ROOT / "reports" / file).exists(), link
        assert file or anchor in anchors, link


def test_every_report_belongs_to_a_table():
    known = set(select_tables(["all"])) | {f"{index.COMBINED}/{dataset}" for dataset in combined.DATASETS}
    known |= {f"{name}.claims" for name in known} | {f"{render.CURVES}/{'-'.join(key)}" for key in trained()}
    for file in (ROOT / "reports").glob("*/*.csv"):
        assert f"{file.parent.name}/{file.stem}" in known, f"{file.relative_to(ROOT)} belongs to no table: remove it"
