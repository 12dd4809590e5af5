"""Slurm jobs, tried by submitit's local executor, which signals and requeues as Slurm does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.errors import UserError
from benchmarks.planning import slurm

ROOT = Path(__file__).resolve().parents[2]
# Trains until it is told to stop; goes on, and ends, when it is started again.
CHILD = """
import pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
if (folder / "saved").exists():
    (folder / "finished").touch()
    sys.exit(0)
def stop(number, frame):
    time.sleep(0.3)
    (folder / "saved").touch()
    sys.exit(130)
signal.signal(signal.SIGTERM, stop)
(folder / "began").touch()
time.sleep(300)
"""


def wait_for(path, seconds=180):
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, f"waited in vain for {path.name}"
        time.sleep(0.02)


@pytest.fixture
def job(tmp_path, monkeypatch):
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    monkeypatch.chdir(ROOT)  # jobs import this package from the folder in which they were submitted
    return slurm.TrainingJob((str(tmp_path),), command=(sys.executable, str(script)))


def test_a_job_whose_time_is_up_saves_and_goes_on_when_it_is_started_again(job, tmp_path):
    pytest.importorskip("submitit")
    to = slurm.executor(tmp_path / "jobs", slurm.Request(hours=1, gpus=0), "local")
    with to.batch():
        submitted = to.submit(job)
    try:
        wait_for(tmp_path / "began")
        # to the job itself, not to the controller in front of it
        children = Path(f"/proc/{submitted._process.pid}/task/{submitted._process.pid}/children")
        if not children.is_file():
            pytest.skip("cannot find the job's process here")
        os.kill(int(children.read_text().split()[0]), signal.SIGUSR2)
        wait_for(tmp_path / "finished")
        assert submitted.result() == 0
        assert (tmp_path / "saved").exists()
    finally:
        if submitted._process.poll() is None:
            submitted._process.terminate()


def test_a_failed_run_is_a_failed_job(job):
    failing = slurm.TrainingJob(("-c", "raise SystemExit(2)"), command=(sys.executable,))
    with pytest.raises(RuntimeError, match="exit code 2"):
        failing()
    assert slurm.TrainingJob(("-c", "pass"), command=(sys.executable,))() == 0


def test_stop_waits_for_the_end_and_leaves_the_exit_code(job, tmp_path):
    child = subprocess.Popen(job.full_command())
    wait_for(tmp_path / "began")
    assert slurm.stop(child.pid, 120)
    assert (tmp_path / "saved").exists()
    assert child.wait() == 130
    assert slurm.stop(child.pid, 20)  # has long gone


def test_stop_does_not_wait_for_ever():
    script = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    try:
        child.stdout.readline()
        assert not slurm.stop(child.pid, 0.1)
    finally:
        child.kill()
        child.communicate()


def test_several_gpus_share_a_run_through_torchrun():
    one = slurm.TrainingJob(("train", "d/p/m", "--seed", "0"))
    assert one.full_command()[1:] == ["-m", "benchmarks.planning.child", "train", "d/p/m", "--seed", "0"]
    four = slurm.TrainingJob(("train", "d/p/m", "--seed", "0"), processes=4).full_command()
    assert four[1:8] == ["-m", "benchmarks.planning.child", "torchrun", "--standalone", "--nproc-per-node", "4", "-m"]
    assert four[-2:] == ["--launcher", "pytorch"]


def test_a_request_in_the_words_of_submitit():
    asked = slurm.Request(hours=2.5, partition="gpu", gpus=2, memory="32G", at_once=8).parameters()
    assert asked["timeout_min"] == 150
    assert asked["slurm_partition"] == "gpu"
    assert asked["gpus_per_node"] == 2
    assert asked["slurm_array_parallelism"] == 8
    assert asked["slurm_mem"] == "32G"
    assert not [name for name in asked if name in {"slurm_account", "slurm_qos", "slurm_constraint"}]
    assert "gpus_per_node" not in slurm.Request(gpus=0).parameters()
    with pytest.raises(UserError, match=r"--hours 0\.05: too short"):
        slurm.Request(hours=0.05).parameters()


def test_the_script_that_slurm_is_given(tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    from submitit.slurm import slurm as backend

    monkeypatch.setattr(backend.SlurmExecutor, "affinity", classmethod(lambda cls: 2))
    monkeypatch.setattr(slurm.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(backend.shutil, "which", lambda name: f"/usr/bin/{name}")
    scripts = []

    def sbatch(self):
        scripts.append(Path(self.command[-1]).read_text())
        return "Submitted batch job 12"

    monkeypatch.setattr(
        backend.utils.CommandFunction, "__init__", lambda self, command, **k: setattr(self, "command", command)
    )
    monkeypatch.setattr(backend.utils.CommandFunction, "__call__", sbatch)
    to = slurm.executor(tmp_path, slurm.Request(hours=1, partition="gpu", at_once=2))
    numbers = slurm.submit([slurm.TrainingJob(("train", "d/p/m", "--seed", str(seed))) for seed in range(3)], to)
    assert numbers == ["12_0", "12_1", "12_2"]
    (script,) = scripts
    for line in ("--array=0-2%2", "--partition=gpu", "--time=60", "--signal=USR2@180", "--gpus-per-node=1"):
        assert line in script


def test_without_submitit_and_without_slurm_one_line_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(slurm.shutil, "which", lambda name: None)
    pytest.importorskip("submitit")
    with pytest.raises(UserError, match="no sbatch on this machine"):
        slurm.executor(tmp_path, slurm.Request())
    with pytest.raises(UserError, match="no cluster 'moon'"):
        slurm.executor(tmp_path, slurm.Request(), "moon")
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UserError, match=r"pip install 'slimbench\[slurm\]'"):
        slurm.executor(tmp_path, slurm.Request())
