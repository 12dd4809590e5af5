"""The page of what iterations cost: its tables, its data, and the command that makes it."""

from __future__ import annotations

import csv
import io

import iteration_cost_samples as samples
import pytest

from benchmarks import iteration_cost
from benchmarks.cli import main
from benchmarks.environment import GitState
from benchmarks.reports import index, iteration_costs
from benchmarks.reports.write import write_iteration_costs, write_overview


def page(*reports):
    return iteration_costs.markdown([(f"iteration-costs/{number}.json", one) for number, one in enumerate(reports)])


def rows_of(document):
    return [line for line in document.splitlines() if line.startswith("|")]


def test_ratios_stand_first_then_seconds_memory_and_the_same_for_inference():
    heading, rule, base, slow = rows_of(page(samples.report()))
    assert heading == (
        "| Network | Parameters | Training: time / baseline | s an iteration | memory / baseline | MiB "
        "| Inference: time / baseline | s an image | memory / baseline | MiB |"
    )
    assert rule.count("|") == heading.count("|") == slow.count("|") == 11
    cells = "1 | 4.00 (4.00 to 4.00) | 1 | 200"
    assert base == f"| plain | 1.23 M | {cells} | {cells} |"
    # the median of the slices' ratios, not the ratio of the medians, which is 2
    cells = "1.50 (1.50 to 2.00) | 8.00 (6.00 to 10.0) | 1.25 | 250"
    assert slow == f"| slow | 1.23 M | {cells} | {cells} |"


def test_beneath_a_table_stands_what_it_was_measured_on():
    document = page(samples.report(git=GitState(commit="0123456789abcdef", dirty=True)))
    for words in (
        "## plain, 257 × 513: training and inference\n",
        "- Baseline: set/paper/plain.\n",
        "- Training: batches of 2 × 3 × 257 × 513, bfloat16. Inference: one image of 3 × 257 × 513, fp32. ",
        "- Some(R) CPU @ 2.0GHz, 1 thread, Linux x86. 5 slices in training, 5 slices in inference.\n",
        "- Peak memory: resident memory above that before the network was built.\n",
        "- Versions: Python 3.12.1, torch 2.11.0, mmengine 0.10.12, mmcv 2.3.6.\n",
        "results/iteration-costs/0.json), with every slice. Commit 0123456789, with changes, 2026-01-02.\n",
    ):
        assert words in document
    assert "Regions" not in document
    assert "learned masks" not in document


def test_one_mode_alone_regions_masks_without_hook_and_blurred_peaks():
    detectors = (
        samples.entrant("a/b/one", samples.BASE, 200, ("training",), regions=128),
        samples.entrant("c/d/one", samples.SLOW, 250, ("training",), regions=96, mask_hook=False),
    )
    document = page(samples.report(detectors, peaks_exact=False))
    assert "## a/b/one, 257 × 513: training\n" in document
    assert [row.split(" |")[0] for row in rows_of(document)[2:]] == ["| a/b/one", "| c/d/one"]
    assert "nference:" not in document
    assert "- Regions of the second stage in training: 96 to 128.\n" in document
    assert "- c/d/one has learned masks and was trained without their penalty and rule.\n" in document
    assert "known to some 10 % only on this system.\n" in document


def test_the_data_have_every_number_of_the_page():
    found = [("iteration-costs/x.json", samples.report())]
    rows = list(csv.DictReader(io.StringIO(iteration_costs.tidy_csv(found))))
    assert [(row["network"], row["mode"]) for row in rows] == [
        ("set/paper/plain", "training"), ("set/paper/plain", "inference"),
        ("set/paper/slow", "training"), ("set/paper/slow", "inference"),
    ]  # fmt: skip
    training, inference = rows[2:]
    assert training == {
        "file": "iteration-costs/x.json", "baseline": "set/paper/plain", "network": "set/paper/slow",
        "mode": "training", "parameters": "1234567", "trained": "1000000", "ratio": "1.5", "ratio_low": "1.5",
        "ratio_high": "2", "seconds": "8", "seconds_low": "6", "seconds_high": "10", "slices": "5", "iterations": "1",
        "peak_ratio": "1.25", "peak_mib": "250", "memory": "resident", "regions": "", "images": "2", "height": "257",
        "width": "513", "precision": "bfloat16", "device": "Some(R) CPU @ 2.0GHz", "threads": "1", "torch": "2.11.0",
        "commit": "0123456789abcdef0123", "dirty": "false", "finished_at": "2026-01-02T03:09:05+00:00",
    }  # fmt: skip
    assert (inference["images"], inference["precision"]) == ("1", "fp32")


def test_the_order_of_the_files_changes_no_byte():
    found = [(f"iteration-costs/a{number}.json", samples.report(batch=number)) for number in (2, 10)]
    for make in (iteration_costs.markdown, iteration_costs.tidy_csv):
        assert make(found) == make(found[::-1])
    assert page(samples.report()).index("## plain") > 0


def test_the_index_leads_to_the_page_if_there_is_one(tmp_path):
    assert write_iteration_costs([], tmp_path / "none") == []
    assert not (tmp_path / "none").exists()
    assert "iteration-costs" not in index.markdown(tmp_path)
    written = write_iteration_costs([("iteration-costs/x.json", samples.report())], tmp_path / "out")
    assert [path.name for path in written] == ["iteration-costs.md", "iteration-costs.csv"]
    write_overview(tmp_path / "out")
    assert (
        "[iteration-costs](iteration-costs.md) ([data](iteration-costs.csv))" in (tmp_path / "out/index.md").read_text()
    )


def test_reproduce_makes_the_page_by_its_name(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SLIMBENCH_RESULTS", str(tmp_path / "ledger"))
    monkeypatch.chdir(tmp_path)
    command = ["reproduce", "iteration-costs", "--output", str(tmp_path / "out")]
    assert main(command) == 2
    assert capsys.readouterr().err.startswith("error: the ledger keeps no costs of iterations; slimbench throughput ")
    kept = iteration_cost.keep(samples.report())
    (kept.parent / "broken.json").write_text("{")
    assert main(command) == 0
    captured = capsys.readouterr()
    assert captured.out == "wrote out/iteration-costs.{md,csv}\nwrote out/index.md, out/all-tables.tex\n"
    assert captured.err.startswith("warning: skipping broken record iteration-costs/broken.json: ")
    assert captured.err.count("\n") == 1
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "iteration-costs.md", "iteration-costs.csv", "index.md", "all-tables.tex",
    }  # fmt: skip
    assert f"../results/iteration-costs/{kept.name}" in (tmp_path / "out/iteration-costs.md").read_text()


@pytest.mark.parametrize("names", [["iteration-costs", "sample/tabel1"], ["iteration-cost"]])
def test_a_mistyped_name_is_one_line(tmp_path, capsys, names):
    assert main(["reproduce", *names, "--output", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"error: no table '{names[-1]}'")
