"""A run that is killed with SIGKILL, wherever that hits it, ends as one that nobody killed, bit for bit."""

from __future__ import annotations

import json
import random
import signal
import time

import pytest
import torch
from resume_worker import CONTEXT, EPOCHS, train

from benchmarks import ledger
from benchmarks.training.checkpoint_files import checkpoint_files
from benchmarks.training.safe_loading import load_safely

# and the number of times that the process comes by there before it dies
PLACES = [
    ("before the file is whole", 4),
    ("before the file has its name", 1),
    ("before old files are removed", 1),
    ("in the validation", 0),
    ("in an iteration", 3),
    ("after the test", 0),
]


def start(*arguments):
    process = CONTEXT.Process(target=train, args=arguments, daemon=True)
    process.start()
    return process


def ended(process):
    process.join(60)
    assert process.exitcode is not None, "hangs"
    return process.exitcode


@pytest.fixture(scope="module")
def data(make_cifar10, tmp_path_factory):
    return make_cifar10(tmp_path_factory.mktemp("cifar") / "data")


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """The work folder and the record of a run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    assert ended(start(folder, data, folder / "ledger")) == 0
    return folder


def same(first, second):
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second


def check_same_end(folder, whole):
    first, second = (load_safely(path / f"epoch_{EPOCHS}.pth") for path in (whole, folder))
    for key in ("state_dict", "ema_state_dict", "optimizer", "param_schedulers", "random_state", "iteration"):
        assert same(first[key], second[key]), key
    (_, one), (_, other) = (ledger.runs(path / "ledger")[0] for path in (whole, folder))
    assert one.metrics == other.metrics
    assert one.curves.keys() == other.curves.keys()
    assert all(one.curves[name] == other.curves[name] for name in one.curves if name != "seconds")
    assert {"mask_penalty", "masks_changed", "share_of_ones", "top1_accuracy", "train_loss"} <= set(one.curves)
    assert len(checkpoint_files(folder)) == 2
    assert not list(folder.glob(".epoch*")), "no temporary file stays behind"


def test_killed_at_all_bad_moments(data, whole, tmp_path):
    arguments = (tmp_path, data, tmp_path / "ledger")
    for place, after in PLACES:
        assert ended(start(*arguments, place, after)) == -signal.SIGKILL, place
        if place == "before the file is whole":
            assert list(tmp_path.glob(".epoch*.tmp"))
    assert ended(start(*arguments)) == 0
    check_same_end(tmp_path, whole)


def killed_at_random(seed, kills, data, whole, folder):
    draw = random.Random(seed)
    codes = []
    for _ in range(kills):
        process = start(folder, data, folder / "ledger", None, 0, 0.05)
        log, begun = folder / "log.jsonl", len(codes)
        limit = time.monotonic() + 60
        while process.is_alive() and time.monotonic() < limit:  # until the training itself begins
            if log.exists() and log.read_text().count('"start"') > begun:
                break
            time.sleep(0.005)
        time.sleep(draw.uniform(0, 0.25))
        process.kill()
        codes.append(ended(process))
        if codes[-1] == 0:
            break
    assert codes.count(-signal.SIGKILL) >= 2, codes
    assert ended(start(folder, data, folder / "ledger")) == 0
    check_same_end(folder, whole)
    starts = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    iterations = [line["iterations_done"] for line in starts if line["event"] == "start"]
    assert iterations == sorted(iterations), "no start falls behind the one before"
    assert any(line["batches_done"] for line in starts if line["event"] == "start"), "one began within an epoch"


def test_killed_at_random_moments(data, whole, tmp_path):
    killed_at_random(0, 3, data, whole, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 6))
def test_killed_at_very_many_random_moments(seed, data, whole, tmp_path):
    killed_at_random(seed, 40, data, whole, tmp_path)
