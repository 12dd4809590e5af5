"""What more runs cost: by the runs of the ledger, scaled by MACs, and by the rule of thumb."""

from __future__ import annotations

from dataclasses import replace

import pytest
import report_samples as samples

from benchmarks.published import load_table
from benchmarks.reports import costs
from benchmarks.reports.effort import Effort, Work


@pytest.fixture(autouse=True)
def protocols(monkeypatch):
    monkeypatch.setattr(costs, "protocols", lambda: samples.PROTOCOLS)


def took(model, seconds, protocol="proxy-10e", **more):
    provenance = replace(samples.PROVENANCE, wall_time_s=seconds)
    return samples.run(model, 88.0, protocol, provenance=provenance, **more)


def effort(tmp_path, runs):
    table = load_table("sample/table1", samples.write_table(tmp_path, samples.table()))
    return Effort(runs, samples.SampleCounter(), [table])


def test_a_network_takes_what_its_own_runs_took_whatever_number_of_metrics_they_have(tmp_path):
    runs = [took("base", 100.0), took("base", 100.0, metric="top5_accuracy"), took("base", 400.0, seed=1)]
    found = effort(tmp_path, runs)
    assert found.seconds(Work("cifar10", "proxy-10e", "base")) == pytest.approx(250)
    assert found.seconds(Work("cifar10", "proxy-10e", "base", 3)) == pytest.approx(750)


def test_another_network_takes_what_these_took_by_macs(tmp_path):
    found = effort(tmp_path, [took("base", 1000.0)])
    macs = samples.SampleCounter.KNOWN
    expected = 1000 * macs["small"].macs / macs["base"].macs
    assert found.seconds(Work("cifar10", "proxy-10e", "small")) == pytest.approx(expected)
    assert found.seconds(Work("cifar10", "proxy-10e", "nowhere")) is None
    assert found.seconds(Work("cifar10", "proxy-2e", "base")) is None  # neither runs nor a rule


def test_without_runs_the_rule_of_thumb_tells(tmp_path):
    found = effort(tmp_path, [took("base", 1000.0)])
    rule = samples.PROTOCOLS["cifar10/paper-400e"].seconds(samples.SampleCounter.KNOWN["small"].macs)
    assert found.seconds(Work("cifar10", "paper-400e", "small")) == pytest.approx(rule)


def test_words_name_the_hardware_of_a_rule_and_none_where_runs_tell(tmp_path):
    found = effort(tmp_path, [took("base", 3 * 3600.0)])
    assert found.words([Work("cifar10", "proxy-10e", "base")]) == "about 3 hours"
    assert found.words([Work("cifar10", "paper-400e", "base", 2)]).endswith(" on 2 CPU cores")
    mixed = [Work("cifar10", "proxy-10e", "base"), Work("cifar10", "proxy-2e", "base")]
    assert found.words(mixed) == ""  # a sum without one of its parts is none
    assert found.words([mixed[0], Work("cifar10", "proxy-2e", "base", 0)]) == "about 3 hours"  # nothing of it is wanted
    assert found.words([]) == ""


def test_a_run_that_broke_off_tells_no_time(tmp_path):
    found = effort(tmp_path, [took("base", 5.0, status="diverged")])
    assert found.seconds(Work("cifar10", "proxy-10e", "base")) is None
