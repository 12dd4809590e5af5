"""Several processes at once: their children here are small scripts, and once two real trainings of a tiny network."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.planning import parallel
from benchmarks.planning.parallel import Ended, Job, run_parallel
from benchmarks.planning.parallel_view import ParallelView

ROOT = Path(__file__).resolve().parents[2]
# What a training does, without training: tells epochs, and saves when it is asked to stop.
CHILD = """
import os, pathlib, signal, sys, time
sys.path.insert(0, {root!r})
from benchmarks.planning import child
child.watch(sys.stdin.fileno())
folder, verb, *rest = sys.argv[1:]
def stop(number, frame):
    pathlib.Path(folder, "saved").write_text(signal.Signals(number).name)
    sys.exit(130)
signal.signal(signal.SIGTERM, stop)
pathlib.Path(folder, "began").write_text(str(os.getpid()))
if verb == "print":
    print(*rest, sep=chr(10))
elif verb == "environment":
    print(*(f"{{name}}={{os.environ.get(name)}}" for name in rest))
elif verb == "die":
    print("epoch 1/2, loss 3.0")
    print("error: the disk is full", end="")
    sys.exit(int(rest[0]))
elif verb == "together":
    deadline = time.monotonic() + 180
    while not all(pathlib.Path(name).exists() for name in rest):
        time.sleep(0.01)
        if time.monotonic() > deadline:
            sys.exit("alone")
else:
    time.sleep(300)
"""


class Notes:
    def __init__(self):
        self.events = []

    def started(self, job):
        self.events.append(("started", job.label))

    def said(self, job, line):
        self.events.append(("said", job.label, line))

    def ended(self, end):
        self.events.append(("ended", end.job.label, end.code))

    def told(self, message):
        self.events.append(("told", message))


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(parallel, "POLL_S", 0.01)


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "child.py"
    path.write_text(CHILD.format(root=str(ROOT)))
    return path


@pytest.fixture
def run(tmp_path, script):
    def run(jobs, places=1, view=None, **changes):
        made = [Job(label, (str(tmp_path / label), *words), tmp_path / label) for label, *words in jobs]
        return run_parallel(
            made,
            [{"PLACE": str(i)} for i in range(places)],
            view or Notes(),
            command=(sys.executable, str(script)),
            **changes,
        )

    return run


def wait_for(*paths, seconds=180):
    deadline = time.monotonic() + seconds
    while not all(path.exists() for path in paths):
        assert time.monotonic() < deadline, f"waited in vain for {paths}"
        time.sleep(0.01)


def lives(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # a zombie is dead; whoever adopted it has not asked yet
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_they_run_at_the_same_time(run, tmp_path):
    both = [str(tmp_path / name / "began") for name in "ab"]
    summary = run([("a", "together", *both), ("b", "together", *both)], places=2)
    assert sorted((end.job.label, end.code) for end in summary.ended) == [("a", 0), ("b", 0)]
    assert summary.exit_code == 0


def test_one_place_is_one_after_the_other_in_the_given_order(run):
    notes = Notes()
    run([("b", "print", "x"), ("a", "print", "y")], view=notes)
    b, a = ([("started", name), ("said", name, word), ("ended", name, 0)] for name, word in ("bx", "ay"))
    assert notes.events == b + a


def test_a_failing_run_is_told_with_its_last_words_and_the_others_go_on(run, tmp_path):
    summary = run([("a", "die", "2"), ("b", "print", "fine")])
    failed, fine = summary.ended
    assert (failed.code, failed.lines) == (2, ("epoch 1/2, loss 3.0", "error: the disk is full"))
    assert failed.failed
    assert (fine.code, fine.lines) == (0, ("fine",))
    assert str(summary) == "1 done, 1 failed or diverged"
    assert summary.exit_code == 1
    log = (tmp_path / "a" / parallel.LOG).read_text()
    assert log.startswith("--- ")
    assert "the disk is full" in log


def test_each_place_gives_its_own_environment(run):
    summary = run([("a", "environment", "PLACE", "PYTHONUNBUFFERED", "FORCE_COLOR")])
    assert summary.ended[0].lines == ("PLACE=0 PYTHONUNBUFFERED=1 FORCE_COLOR=None",)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_all_of_them_save(run, tmp_path, number):
    def interrupt():
        wait_for(tmp_path / "a" / "began", tmp_path / "b" / "began")
        os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    threading.Thread(target=interrupt).start()
    summary = run([("a", "sleep"), ("b", "sleep"), ("c", "sleep")], places=2)
    assert [end.code for end in summary.ended] == [130, 130]
    assert [job.label for job in summary.left] == ["c"]
    assert summary.exit_code == 128 + number
    assert str(summary) == "2 stopped, 1 not begun"
    assert (tmp_path / "a" / "saved").read_text() == (tmp_path / "b" / "saved").read_text() == "SIGTERM"
    assert signal.getsignal(number) == before


def test_when_the_time_is_up_they_save_and_nothing_more_begins(run, tmp_path, monkeypatch):
    class Clock:
        """Runs ahead by an hour once the first child has begun, however long that takes on a busy machine."""

        sleep = staticmethod(time.sleep)

        @staticmethod
        def monotonic():
            return time.monotonic() + 3600 * (tmp_path / "a" / "began").exists()

    monkeypatch.setattr(parallel, "time", Clock)
    notes = Notes()
    summary = run([("a", "sleep"), ("b", "sleep")], view=notes, time_budget_s=1800)
    assert (tmp_path / "a" / "saved").exists()
    assert not (tmp_path / "b").exists()
    assert summary.exit_code == 3
    assert ("told", "time is up, each run saves ...") in notes.events


def test_without_time_nothing_begins(run):
    notes = Notes()
    summary = run([("a", "print", "x")], view=notes, time_budget_s=1e-9)
    assert notes.events == []
    assert [job.label for job in summary.left] == ["a"]
    assert summary.exit_code == 3


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks processes up in /proc")
def test_children_of_a_parent_that_is_killed_stop_and_save(tmp_path, script):
    parent = f"""
        import sys
        sys.path.insert(0, {str(ROOT)!r})
        from pathlib import Path
        from benchmarks.planning.parallel import Job, run_parallel
        jobs = [Job(n, (str(Path({str(tmp_path)!r}, n)), "sleep"), Path({str(tmp_path)!r}, n)) for n in "ab"]
        class Silent:
            started = said = ended = told = lambda *_: None
        run_parallel(jobs, [{{}}, {{}}], Silent(), command=(sys.executable, {str(script)!r}))
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(parent)])
    began = [tmp_path / name / "began" for name in "ab"]
    try:
        wait_for(*began)
        time.sleep(0.05)  # began is written in two steps
        pids = [int(path.read_text()) for path in began]
        assert all(map(lives, pids))
    finally:
        process.kill()
        process.wait()
    wait_for(*(tmp_path / name / "saved" for name in "ab"))
    deadline = time.monotonic() + 60
    while any(map(lives, pids)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(lives, pids))


def test_cores_are_shared_and_runs_are_spread_over_the_gpus(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(parallel, "cores", lambda: 16)
    monkeypatch.setattr(parallel, "visible_gpus", lambda: ["4", "5"])
    assert parallel.environments(3) == [
        {"OMP_NUM_THREADS": "5", "CUDA_VISIBLE_DEVICES": gpu} for gpu in ("4", "5", "4")
    ]
    assert parallel.environments(2, device="cpu") == [{"OMP_NUM_THREADS": "8"}] * 2
    monkeypatch.setattr(parallel, "visible_gpus", lambda: ["0"])
    assert parallel.environments(32) == [{"OMP_NUM_THREADS": "1"}] * 32
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert parallel.environments(2) == [{"OMP_NUM_THREADS": "2"}] * 2


def test_gpus_that_the_user_chose_stay_chosen(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "6, 7")
    assert parallel.visible_gpus() == ["6", "7"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert parallel.visible_gpus() == ["0", "1"]


def show(terminal, *events):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120, color_system=None)
    view = ParallelView(console, total=2)
    job = Job("d/p/m seed 0", (), Path("work"))
    with view.shown():
        view.started(job)
        for event in events:
            getattr(view, event[0])(job, *event[1:]) if event[0] == "said" else view.ended(Ended(job, *event[1:]))
    return view, console.file.getvalue()


def test_without_a_terminal_each_epoch_is_a_line_with_the_runs_name():
    _, printed = show(
        False,
        ("said", "a warning that nobody needs"),
        ("said", "epoch 1/2, loss 1.5, accuracy 50.00 %"),
        (
            "ended",
            0,
            61.0,
            ("a warning", "epoch 2/2, loss 1.0", "d/p/m seed 0: top1_accuracy 60.00 %", "recorded in x"),
        ),
    )
    assert printed.splitlines() == [
        "d/p/m seed 0: started, log in work/parallel.log",
        "d/p/m seed 0: epoch 1/2, loss 1.5, accuracy 50.00 %",
        "[1/2] d/p/m seed 0: done in 61 s",
        "    d/p/m seed 0: top1_accuracy 60.00 %",
        "    recorded in x",
    ]


def test_a_failure_shows_the_end_of_the_log_and_a_stop_says_how_to_go_on():
    _, printed = show(False, ("ended", -9, 5.0, tuple(f"line {i}" for i in range(9))))
    assert "[1/2] d/p/m seed 0: killed by signal 9; the last lines of work/parallel.log:" in printed
    assert printed.splitlines()[-parallel_lines() :] == [f"    line {i}" for i in range(3, 9)]
    _, printed = show(False, ("ended", 130, 5.0, ()))
    assert "stopped after 5 s, goes on with the same command" in printed


def parallel_lines():
    from benchmarks.planning import parallel_view

    return parallel_view.LAST_LINES


def test_in_a_terminal_there_is_one_table():
    view, _ = show(True, ("said", "epoch 3/10, loss 1.5, accuracy 50.00 %"))
    console = Console(file=io.StringIO(), width=120)
    console.print(view.table())
    shown = console.file.getvalue()
    for text in ("0 of 2 done", "d/p/m seed 0", "3/10", "loss 1.5, accuracy 50.00 %"):
        assert text in shown
