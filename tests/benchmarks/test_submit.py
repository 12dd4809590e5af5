"""slimbench submit: from the words on the command line to jobs; the jobs themselves are tested in test_slurm."""

from __future__ import annotations

import pytest

from benchmarks.cli import main
from benchmarks.planning import slurm, work

A, B = "cifar10/smoke/resnet56_cifar", "cifar10/smoke/s_versatile_resnet56_cifar"


@pytest.fixture
def cluster(monkeypatch):
    """Notes what was submitted instead of submitting it."""
    asked = {}

    def executor(folder, request, name):
        asked.update(folder=folder, request=request, cluster=name)
        return "cluster"

    def submit(jobs, to):
        asked.update(jobs=jobs, to=to)
        return [f"12_{index}" for index in range(len(jobs))]

    monkeypatch.setattr(slurm, "executor", executor)
    monkeypatch.setattr(slurm, "submit", submit)
    return asked


def test_one_job_a_run_with_absolute_paths(cluster, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["--seeds", "0-1", "--partition", "gpu", "--hours", "2", "--gpus", "2", "--data", "data", "--results", "r"]
    assert main(["submit", A, B, *words]) == 0
    paths = ["--data", str(tmp_path / "data"), "--results", str(tmp_path / "r")]
    assert [list(job.arguments) for job in cluster["jobs"]] == [
        ["train", name, "--seed", str(seed), *paths] for name in (A, B) for seed in (0, 1)
    ]
    assert {job.processes for job in cluster["jobs"]} == {2}
    assert cluster["request"] == slurm.Request(hours=2, partition="gpu", gpus=2)
    assert cluster["folder"] == tmp_path / "work_dirs" / "slurm"
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 4
    assert printed[0] == f"12_0: {A} seed 0, output in work_dirs/slurm/12*"


def test_missing_submits_the_plan_best_first(cluster, monkeypatch):
    asked = []

    def missing_runs(tables, **options):
        asked.append((tables, options))
        return [(B, 2), (A, 0), (A, 1)]

    monkeypatch.setattr(work, "missing_runs", missing_runs)
    assert main(["submit", "--missing", "table1", "--protocol", "smoke", "--limit", "2"]) == 0
    assert asked == [(["table1"], {"protocol": "smoke", "seeds": "", "data": None, "results": None})]
    assert [job.arguments[1:] for job in cluster["jobs"]] == [(B, "--seed", "2"), (A, "--seed", "0")]


def test_a_dry_run_submits_nothing(cluster, capsys):
    assert main(["submit", A, "--dry-run"]) == 0
    assert cluster == {}
    printed = capsys.readouterr().out
    assert f"{A} seed 0" in printed
    assert "1 jobs of name slimbench, timeout_min 240" in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name an experiment"),
        (["cifar10/smoke/resnet57_cifar"], "resnet56_cifar"),
        ([A, "--seeds", "x"], "--seeds"),
        ([A, "--protocol", "smoke"], "belongs to --missing"),
        ([A, "--hours", "0.01"], "--hours 0.01: too short"),
    ],
)
def test_mistakes_are_one_line(cluster, words, message, capsys):
    assert main(["submit", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert cluster == {}
