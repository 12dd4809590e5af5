"""The committed reports are what the command makes today, from the committed tables, models and results."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.published import select_tables
from benchmarks.reports import index
from benchmarks.reports.combined import DATASETS
from benchmarks.reports.sources import ComplexityCounter, ledger_runs
from benchmarks.reports.write import join, texts

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", select_tables(["table1"]))
def test_the_committed_report_is_up_to_date(name):
    def stop(problem):
        raise AssertionError(problem)

    runs = ledger_runs(ROOT / "results", stop)
    (joined,) = join([name], ComplexityCounter(), runs, stop)
    for suffix, fresh in texts(joined).items():
        committed = ROOT / "reports" / f"{name}{suffix}"
        renew = f"run `slimbench reproduce {name}` and commit reports/"
        assert committed.is_file(), f"{committed.relative_to(ROOT)} is missing: {renew}"
        assert committed.read_text(encoding="utf-8") == fresh, f"{committed.relative_to(ROOT)} is stale: {renew}"


@pytest.mark.parametrize(("name", "fresh"), [("index.md", index.markdown), ("all-tables.tex", index.latex)])
def test_the_committed_overview_is_up_to_date(name, fresh):
    committed = ROOT / "reports" / name
    renew = "run `slimbench reproduce all` and commit reports/"
    assert committed.is_file(), f"reports/{name} is missing: {renew}"
    assert committed.read_text(encoding="utf-8") == fresh(ROOT / "reports"), f"reports/{name} is stale: {renew}"


def test_every_report_belongs_to_a_table():
    known = set(select_tables(["all"])) | {f"{index.COMBINED}/{dataset}" for dataset in DATASETS}
    for file in (ROOT / "reports").glob("*/*.csv"):
        assert f"{file.parent.name}/{file.stem}" in known, f"{file.relative_to(ROOT)} belongs to no table: remove it"
