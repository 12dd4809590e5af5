"""slimbench train --missing and --parallel: real trainings of a tiny network on tiny data."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import report_samples as samples

from benchmarks import ledger, published
from benchmarks.cli import main
from benchmarks.planning import parallel, plan, work
from benchmarks.training import engine

ROOT = Path(__file__).resolve().parents[2]
BASE, METHOD = "cifar10/smoke/resnet56_cifar", "cifar10/smoke/s_versatile_resnet56_cifar"
# A child that makes the tests' tiny network whatever it is asked for.
CHILD = """
import sys
sys.path[:0] = [{root!r}, {here!r}]
import backbones
from conftest import TinyNet
backbones.create_model = lambda name, num_classes=10, **kwargs: TinyNet(num_classes)
from benchmarks.planning import child
sys.exit(child.main())
"""


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """One table with a baseline and a method, in place of the papers'."""
    rows = [
        {"label": label, "kind": kind, "model": name.rpartition("/")[2], "values": {"error": "7.0"}}
        for label, kind, name in [("Baseline", "baseline", BASE), ("Method", "method", METHOD)]
    ]
    raw = {
        "number": "1", "caption": "Errors", "where": "Section 2", "dataset": "cifar10", "protocol": "paper-400e",
        "input": "3x32x32", "classes": 10, "rows": rows,
        "columns": [{"id": "error", "label": "Error", "metric": "top1_error", "unit": "%", "better": "lower"}],
    }  # fmt: skip
    monkeypatch.setattr(published, "PAPERS", samples.write_table(tmp_path / "papers", raw))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def train(cifar10, tmp_path):
    (tmp_path / "ledger").mkdir()
    folders = ["--data", str(cifar10), "--results", str(tmp_path / "ledger")]
    return lambda *words: main(["train", *words, *folders])


def recorded(tmp_path):
    return sorted((run.identity, run.seed) for _, run in ledger.runs(tmp_path / "ledger"))


def test_missing_is_worked_through_and_then_nothing_is_missing(tables, tiny_network, train, tmp_path, capsys):
    assert train("--missing", "--protocol", "smoke", "--seeds", "0,1") == 0
    assert recorded(tmp_path) == [(BASE, 0), (BASE, 1), (METHOD, 0), (METHOD, 1)]
    printed = capsys.readouterr().out
    assert "4 runs are missing" in printed
    started = [line for line in printed.splitlines() if line.startswith("[")]
    assert [line.split()[1:] for line in started] == [
        [BASE, "seed", "0"], [METHOD, "seed", "0"], [BASE, "seed", "1"], [METHOD, "seed", "1"],
    ]  # fmt: skip
    assert train("--missing", "--protocol", "smoke", "--seeds", "0,1") == 0
    assert "nothing is missing" in capsys.readouterr().out


def test_a_failing_experiment_is_told_skipped_and_tried_last_the_next_time(
    tables, tiny_network, train, tmp_path, capsys, monkeypatch
):
    import backbones

    def create_model(name, num_classes=10, **kwargs):
        if name == BASE.rpartition("/")[2]:
            raise RuntimeError("out of memory")
        return tiny_network(num_classes)

    with monkeypatch.context() as patch:
        patch.setattr(backbones, "create_model", create_model)
        assert train("--missing", "--protocol", "smoke", "--seeds", "0") == 1
    assert recorded(tmp_path) == [(METHOD, 0)]
    assert "out of memory" in capsys.readouterr().out
    folders = {"data": tmp_path / "data", "results": tmp_path / "ledger"}
    runs = work.missing_runs(None, protocol="smoke", seeds="0-1", **folders)
    assert runs == [(BASE, 1), (METHOD, 1), (BASE, 0)]
    # without the failure it is a run like any other, and its success forgets the failure
    assert train("--missing", "--protocol", "smoke", "--seed", "0") == 0
    assert recorded(tmp_path) == [(BASE, 0), (METHOD, 0)]
    assert plan.work_in_progress(Path("work_dirs"), BASE, [0]).failed == ()


def test_two_runs_side_by_side_are_two_results_and_two_logs(tables, train, tmp_path, monkeypatch, capsys):
    script = tmp_path / "child.py"
    script.write_text(CHILD.format(root=str(ROOT), here=str(Path(__file__).parent)))
    monkeypatch.setattr(parallel, "COMMAND", (sys.executable, str(script)))
    assert train("--missing", "--protocol", "smoke", "--seeds", "0", "--parallel", "2") == 0
    assert recorded(tmp_path) == [(BASE, 0), (METHOD, 0)]
    printed = capsys.readouterr().out
    for name in (BASE, METHOD):
        assert f"{name} seed 0: epoch 2/2, loss " in printed
        assert f"{name} seed 0: done in " in printed
        log = engine.work_folder(name, 0) / parallel.LOG
        assert "epoch 1/2, loss " in log.read_text()
    assert printed.splitlines()[-1] == "2 done"


@pytest.fixture
def side_by_side(monkeypatch):
    """Notes the jobs of `run_parallel` and lets them end as they are told to."""
    noted = {"codes": iter([0, 0, 0, 0])}

    def run_parallel(jobs, environments, view, *, time_budget_s=None):
        noted.update(jobs=jobs, environments=environments, budget=time_budget_s)
        return parallel.Summary(tuple(parallel.Ended(job, next(noted["codes"]), 1.0, ()) for job in jobs), ())

    monkeypatch.setattr(work, "run_parallel", run_parallel)
    return noted


def test_an_explicit_list_side_by_side(side_by_side, train, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ["--seeds", "0-1", "--parallel", "3", "--device", "cpu", "--no-compile", "--time-budget", "5m"]
    assert train(BASE, METHOD, *options) == 0
    first = side_by_side["jobs"][0]
    paths = ("--data", str(tmp_path / "data"), "--results", str(tmp_path / "ledger"))
    assert first.arguments == ("train", BASE, "--seed", "0", *paths, "--device", "cpu", "--no-compile")
    assert first.folder == Path("work_dirs") / BASE / "seed0"
    assert [job.label for job in side_by_side["jobs"]] == [f"{n} seed {s}" for n in (BASE, METHOD) for s in (0, 1)]
    assert len(side_by_side["environments"]) == 3
    assert 280 < side_by_side["budget"] <= 300


def test_each_run_has_its_own_folder_in_the_given_one(side_by_side, train, tmp_path):
    assert train(BASE, METHOD, "--parallel", "8", "--work-dir", str(tmp_path / "w")) == 0
    folders = [job.folder for job in side_by_side["jobs"]]
    assert folders == [tmp_path / "w" / name / "seed0" for name in (BASE, METHOD)]
    for job in side_by_side["jobs"]:
        assert ("--work-dir", str(job.folder)) in zip(job.arguments, job.arguments[1:], strict=False)
    assert len(side_by_side["environments"]) == 2, "no more places than runs"


def test_a_run_that_was_killed_counts_as_failed_the_next_time(side_by_side, train, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    side_by_side["codes"] = iter([-9, 0])
    (tmp_path / "work_dirs" / BASE / "seed0").mkdir(parents=True)
    assert train(BASE, METHOD, "--parallel", "2") == 1
    assert plan.work_in_progress(Path("work_dirs"), BASE, [0]).failed == ((0, "RuntimeError: killed by signal 9"),)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name an experiment"),
        ([BASE, "--protocol", "smoke"], "belongs to --missing"),
        (["--missing", "--batch-size", "256"], "another batch is a protocol"),
        (["--missing", "no_table"], "no table 'no_table'"),
        ([BASE, METHOD, "--parallel", "2", "--launcher", "pytorch"], "--parallel 2 and --launcher pytorch"),
        (["cifar10/smoke/resnet57_cifar"], "resnet56_cifar"),
    ],
)
def test_mistakes_are_one_line(train, words, message, capsys):
    assert train(*words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_options_as_words():
    given = {"compile": False, "tensorboard": True, "batch_size": 64, "device": None}
    assert work.option_words(given) == ["--no-compile", "--tensorboard", "--batch-size", "64"]
