"""The targets of deployed networks: what is measured for them, what a record says of them, what the page shows."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from latency_samples import BASE, HALF, entrant, measurement

import backbones
from benchmarks import latency
from benchmarks.cli import main
from benchmarks.latency import Ratio, modes
from benchmarks.latency.targets import TARGETS, Target, runs

SLIM = Target("sc_resnet50:deployed", "resnet50:compiled", 0.7, "at most 0.70 of the time", "a paper")


def ratio(low, median, high):
    return Ratio(low=low, median=median, high=high)


def test_each_target_names_networks_that_take_its_input():
    for target in TARGETS:
        for name in (target.network, target.baseline):
            wanted = modes.parse(name, "eager")
            assert wanted.label == name
            assert backbones.model_spec(wanted.model).input_size == (3, 224, 224)
        assert 0 < target.most_ratio <= 1
    assert len({(one.network, one.baseline, one.batch) for one in TARGETS}) == len(TARGETS)


def test_each_baseline_and_batch_is_one_run():
    found = [(run.baseline, run.batch, len(run.networks)) for run in runs()]
    assert found == [
        ("resnet50:compiled", 1, 6),
        ("resnet50:compiled", 8, 1),
        ("resnet50:eager", 1, 1),
        ("mobilenet_v2_x0_75:compiled", 1, 1),
        ("mobilenet_v2:compiled", 1, 1),
    ]
    assert {(run.baseline, run.batch, name) for run in runs() for name in run.networks} == {
        (one.baseline, one.batch, one.network) for one in TARGETS
    }


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (ratio(0.6, 0.65, 0.7), "met"),
        (ratio(0.6, 0.7, 0.71), "met, uncertain"),
        (ratio(0.69, 0.71, 0.75), "missed, uncertain"),
        (ratio(0.71, 0.72, 0.75), "missed"),
        (None, "not measured"),
    ],
)
def test_the_median_decides_and_the_interval_says_how_surely(found, verdict):
    assert SLIM.verdict(found) == verdict


def test_faster_is_less_time_and_not_as_much():
    faster = Target("a:deployed", "b:compiled", 1.0, "faster", "")
    assert faster.verdict(ratio(0.9, 0.95, 0.99)) == "met"
    assert faster.verdict(ratio(0.9, 0.95, 1.0)) == "met, uncertain"
    assert faster.verdict(ratio(1.0, 1.0, 1.0)) == "missed"


def test_only_a_record_of_the_targets_setting_speaks_of_it():
    found = measurement()
    assert SLIM.measured_in(found) is found.entrants[1]
    threads = found.environment.model_copy(update={"cpu_threads": 2})
    eager = (entrant("resnet50", BASE), entrant("sc_resnet50", HALF, "deployed"))
    compiled = (entrant("resnet50", BASE, "compiled"), entrant("sc_resnet50", HALF, "compiled"))
    batch = tuple(entrant(one.model, one.seconds.slices, one.mode, batch=8) for one in found.entrants)
    for other in (
        measurement(environment=threads), measurement(eager), measurement(compiled), measurement(batch, batch=8),
        measurement(dtype="bf16"), measurement(input_size=(3, 64, 64)), measurement(device="cuda"),
    ):  # fmt: skip
        assert SLIM.measured_in(other) is None


def of_run(run, network_seconds=HALF, **changes):
    """What measuring a run's networks might give."""
    base, *others = [modes.parse(name, "eager") for name in (run.baseline, *run.networks)]
    entrants = [entrant(base.model, BASE, base.mode, batch=run.batch)]
    entrants += [entrant(one.model, network_seconds, one.mode, batch=run.batch) for one in others]
    return measurement(tuple(entrants), batch=run.batch, **changes)


def test_the_command_measures_all_targets_and_keeps_the_records(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SLIMBENCH_RESULTS", str(tmp_path / "ledger"))
    monkeypatch.setenv("COLUMNS", "200")
    asked = []

    def measure(networks, baseline, *, batch, threads, seconds, tell):
        asked.append((threads, seconds))
        run = next(one for one in runs() if (one.baseline, one.batch) == (baseline, batch))
        assert tuple(networks) == run.networks
        started = datetime(2026, 1, 2, 3, 4, len(asked), tzinfo=timezone.utc)
        return of_run(run, started_at=started)

    monkeypatch.setattr(latency, "measure", measure)
    assert main(["latency", "--targets", "--seconds", "3", "--keep"]) == 0
    assert asked == [(1, 3.0)] * len(runs())
    assert len(latency.SHELF.kept()) == len(runs())
    lines = capsys.readouterr().out.splitlines()
    lines = lines[next(number for number, line in enumerate(lines) if "asked" in line) + 2 :]
    said = [line for line in lines if "0.500 (0.500-0.750)" in line]
    assert len(said) == len(TARGETS)
    assert "at least 2.5 times as fast" in said[0]
    assert said[0].split()[-1] == "missed"
    assert said[5].rstrip().endswith("met, uncertain")  # 0.70 lies within the interval
    assert said[-1].split()[-1] == "met"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--targets", "resnet50"], "leave out resnet50"),
        (["--targets", "--batch", "2", "--training"], "leave out --batch, --training"),
        ([], "no MODEL to measure"),
    ],
)
def test_targets_take_no_networks_of_the_users(arguments, message, monkeypatch, capsys):
    monkeypatch.setattr(latency, "measure", lambda *args, **options: pytest.fail("it measured"))
    assert main(["latency", *arguments]) == 2
    assert message in capsys.readouterr().err
