"""What is missing: sample tables over real experiments, a ledger and a work folder of empty files."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime, timezone

import pytest
import report_samples as samples
import torch

from benchmarks import ledger
from benchmarks.cli import main
from benchmarks.errors import UserError
from benchmarks.planning import estimate, plan
from benchmarks.planning.order import Estimate, Experiment, Use
from benchmarks.reports import costs
from benchmarks.training import lock, records

BASE, METHOD, CONTROL = "resnet56_cifar", "s_versatile_resnet56_cifar", "resnet56_cifar_at_63m"
PAPER, PROXY = "cifar10/paper-400e", "cifar10/proxy-10e"


def row(label, model, kind="method", **more):
    return {"label": label, "kind": kind, "model": model, "values": {"error": "7.0", "params": "4.3"}} | more


def raw(*extra, **changes):
    return {
        "number": "1",
        "caption": "Errors",
        "where": "Section 2",
        "dataset": "cifar10",
        "protocol": "paper-400e",
        "input": "3x32x32",
        "classes": 10,
        "columns": [
            {"id": "error", "label": "Error", "metric": "top1_error", "unit": "%", "better": "lower"},
            {"id": "params", "label": "#Param", "metric": "params", "scale": 1e5, "better": "lower"},
        ],
        "rows": [
            row("Baseline", BASE, "baseline"),
            row("Method", METHOD),
            {"label": "Equal cost", "kind": "control", "model": CONTROL, "ours": True},
            {"label": "Theirs", "kind": "quoted", "quoted_from": "[7]", "values": {"error": "6", "params": "-"}},
            row("Locked", "resnet56_cifar_at_31m", cells={"error": {"blocked": "the data are gone"}}),
            row("Later", "no_such_model", planned="not built yet"),
            *extra,
        ],
    } | changes


@pytest.fixture
def tables(tmp_path):
    return samples.write_table(tmp_path / "papers", raw())


@pytest.fixture
def missing(tables, tmp_path, cifar10):
    def ask(*names, **changes):
        folders = {
            "papers": tables, "results": tmp_path / "ledger", "work_root": tmp_path / "work", "data": cifar10,
        }  # fmt: skip
        (tmp_path / "ledger").mkdir(exist_ok=True)
        return plan.plan(names or ["all"], **(folders | changes))

    return ask


def record(root, name, seed=0, status="finished", origin="train", error=7.0):
    dataset, protocol, model = name.split("/")
    moment = datetime(2026, 1, 2, tzinfo=timezone.utc)
    metrics = [{"name": "top1_accuracy", "value": 100 - error, "unit": "%", "split": "test"}]
    result = ledger.RunResult.model_validate(
        {
            "origin": origin,
            "run_id": f"x{seed}",
            "dataset": {"name": dataset, "checksum": "sha256:0", "splits": {"test": 1}},
            "protocol": {
                "name": protocol, "proxy": protocol.startswith("proxy"), "epochs": 10, "description": "d",
            },
            "model": model,
            "input_size": (3, 32, 32),
            "num_classes": 10,
            "seed": seed,
            "status": status,
            "metrics": metrics if status == "finished" else [],
            "epochs_done": 10,
            "wall_time_s": 1,
            "started_at": moment,
            "finished_at": moment,
            "environment": {
                "python": "3", "torch": None, "torchvision": None, "mmengine": None, "slimbench": None,
                "platform": "p", "cpu": "c", "cpu_threads": 1,
            },
            "git": {},
            "checkpoint": f"sha256:{'0' * 64}" if origin == "test" else None,
        }
    )  # fmt: skip
    ledger.write(result, root)


def names(found):
    return [item.name for item in found.experiments]


def test_every_row_that_a_run_can_fill_and_no_other(missing):
    found = missing()
    assert sorted(names(found)) == sorted(f"{PAPER}/{model}" for model in (BASE, METHOD, CONTROL))
    assert names(found)[0] == f"{PAPER}/{BASE}"
    control = next(item for item in found.experiments if item.name.endswith(CONTROL))
    assert control.uses == (Use("sample/table1", "Equal cost", "control", 1),)
    assert control.baseline == f"{PAPER}/{BASE}"
    assert control.epochs == 400
    assert len(found.runs) == 9


def test_no_training_fills_a_cell_that_waits_for_released_weights(tables, missing):
    cells = {"error": {"tested": "paper-400e", "model": "resnet56_cifar_at_31m"}}
    samples.write_table(tables, raw(row("Weights", "sc_resnet56_cifar", "other", cells=cells)))
    assert sorted(names(missing())) == sorted(f"{PAPER}/{model}" for model in (BASE, METHOD, CONTROL))


def test_one_experiment_serves_the_cells_of_several_tables(tables, missing):
    samples.write_table(tables, raw(number="2"), "sample/table2")
    first = missing().experiments[0]
    assert [use.table for use in first.uses] == ["sample/table1", "sample/table2"]
    assert first.cells == 2
    assert [use.table for use in missing("table2").experiments[0].uses] == ["sample/table2"]


def test_finished_and_diverged_seeds_are_there_failed_and_tested_ones_are_not(missing, tmp_path):
    for seed, status, origin in [
        (0, "finished", "train"), (1, "diverged", "train"), (2, "failed", "train"), (3, "finished", "test"),
    ]:  # fmt: skip
        record(tmp_path / "ledger", f"{PAPER}/{METHOD}", seed, status, origin)
    found = {item.name: item for item in missing(seeds=(0, 1, 2, 3)).experiments}
    assert found[f"{PAPER}/{METHOD}"].missing == (2, 3)
    for seed in (2, 3):
        record(tmp_path / "ledger", f"{PAPER}/{METHOD}", seed)
    assert f"{PAPER}/{METHOD}" not in names(missing(seeds=(0, 1, 2, 3)))


def test_a_measured_cell_still_wants_its_other_seeds(missing, tmp_path):
    record(tmp_path / "ledger", f"{PAPER}/{BASE}")
    found = {item.name: item for item in missing().experiments}
    assert found[f"{PAPER}/{BASE}"].missing == (1, 2)
    assert f"{PAPER}/{BASE}" not in names(missing(seeds=(0,)))


def test_a_proxy_does_not_fill_the_cell_of_the_papers_protocol(missing, tmp_path):
    record(tmp_path / "ledger", f"{PROXY}/{METHOD}")
    assert f"{PAPER}/{METHOD}" in names(missing(seeds=(0,)))


def test_a_shortened_protocol_in_place_of_the_papers(tables, missing, tmp_path):
    samples.write_table(tables, raw(row("Other recipe", "resnet56_cifar_at_36m", protocol="smoke")))
    record(tmp_path / "ledger", f"{PROXY}/{BASE}")
    found = missing(protocol="proxy-10e", seeds=(0,))
    # a row with a protocol of its own is there for what that protocol changes
    assert sorted(names(found)) == sorted([f"{PROXY}/{METHOD}", f"{PROXY}/{CONTROL}"])
    assert found.experiments[0].epochs == 10
    assert found.experiments[0].baseline == f"{PROXY}/{BASE}"
    with pytest.raises(UserError, match=r"no protocol 'proxy-11e' .*proxy-10e"):
        missing(protocol="proxy-11e")


def test_begun_runs_and_failures_are_read_from_the_work_folder(missing, tmp_path):
    folder = tmp_path / "work" / PAPER / METHOD / "seed1"
    folder.mkdir(parents=True)
    for name in (
        "epoch_9.pth",
        "epoch_10.pth",
        "epoch_10_batch_7.pth",
        ".epoch_11.pth.1.tmp",
        "epoch_12.pth.unreadable",
    ):
        (folder / name).touch()
    failed = tmp_path / "work" / PAPER / BASE / "seed0"
    failed.mkdir(parents=True)
    records.remember_failure(failed, RuntimeError("out of memory"))
    found = missing(seeds=(0, 1))
    assert (found.runs[0].name, found.runs[0].seed) == (f"{PAPER}/{METHOD}", 1)
    assert found.runs[0].experiment.begun == ((1, 10),)
    assert (found.runs[-1].name, found.runs[-1].seed) == (f"{PAPER}/{BASE}", 0)
    assert found.runs[-1].experiment.failed == ((0, "RuntimeError: out of memory"),)
    records.remember_failure(failed, None)
    assert missing(seeds=(0, 1)).runs[-1].experiment.failed == ()


def test_a_run_that_another_process_has_locked_is_running(missing, tmp_path):
    folder = tmp_path / "work" / PAPER / METHOD / "seed0"
    folder.mkdir(parents=True)
    script = (
        "import fcntl, sys; file = open(sys.argv[1], 'a+'); fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB);"
        "print('held', flush=True); sys.stdin.read()"
    )
    words = [sys.executable, "-c", script, str(folder / lock.NAME)]
    holder = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"held\n"
        found = missing(seeds=(0, 1))
        item = next(item for item in found.experiments if item.name == f"{PAPER}/{METHOD}")
        assert item.running == (0,)
        assert [run.seed for run in found.runs if run.name == item.name] == [1]
    finally:
        holder.communicate()
    assert f"{PAPER}/{METHOD}" in [run.name for run in missing(seeds=(0,)).runs]


def test_without_the_data_an_experiment_is_listed_but_not_planned(missing, tmp_path):
    found = missing(data=tmp_path / "nowhere")
    assert found.experiments == found.runs == ()
    assert len(found.without_data) == 3
    ((dataset, message),) = found.data
    assert dataset == "cifar10"
    assert "CIFAR-10 not found" in message


def test_what_only_tests_weights_wants_them_trained(tables, missing, tmp_path):
    rows = [row("At 256", "resnet50", protocol="paper-90e-test256"), row("At 224", "resnet50", protocol="paper-90e")]
    samples.write_table(tables, raw(dataset="imagenet", input="3x224x224", classes=1000, rows=rows))
    trained, tested = "imagenet/paper-90e/resnet50", "imagenet/paper-90e-test256/resnet50"
    found = missing(seeds=(0,))
    assert [(item.name, item.cells) for item in found.without_data] == [(trained, 2)]
    assert [(item.name, item.cells) for item in found.test_only] == [(tested, 1)]
    record(tmp_path / "ledger", trained)
    found = missing(seeds=(0,))
    assert found.without_data == ()
    assert [item.name for item in found.test_only] == [tested]
    record(tmp_path / "ledger", tested, origin="test")
    assert missing(seeds=(0,)).test_only == ()


def test_weights_that_the_authors_released_are_pointed_at(tables, tmp_path, capsys):
    rows = [row("Sc", "sc_resnet50", released=True), row("Plain", "resnet50")]
    samples.write_table(tables, raw(dataset="imagenet", input="3x224x224", protocol="paper-90e", rows=rows))
    assert main(arguments(tables, tmp_path, tmp_path / "nowhere")) == 0
    told = capsys.readouterr().out.split("with the authors' weights")[1].splitlines()
    assert told[1:] == ["  imagenet/released/sc_resnet50"]


def test_cells_without_an_experiment_are_counted(tables, missing):
    samples.write_table(tables, raw(row("Unheard-of", BASE, protocol="paper-9000e")))
    assert missing().not_configured == (("cifar10/paper-9000e", 1),)


def test_the_baseline_is_that_of_the_reports(tables, missing):
    rows = [row("A", BASE, "baseline"), row("B", CONTROL, "baseline"), row("b", METHOD, baseline="B")]
    samples.write_table(tables, raw(rows=rows))
    found = {item.name: item.baseline for item in missing().experiments}
    assert found == {f"{PAPER}/{BASE}": f"{PAPER}/{BASE}"} | dict.fromkeys(
        [f"{PAPER}/{CONTROL}", f"{PAPER}/{METHOD}"], f"{PAPER}/{CONTROL}"
    )


@pytest.mark.parametrize(
    ("text", "seeds"), [("0", (0,)), ("0,1,2", (0, 1, 2)), ("2-4, 0", (2, 3, 4, 0)), ("1,0-1", (1, 0))]
)
def test_seeds(text, seeds):
    assert plan.parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "3-1", "-1", "0,,1", "0-"])
def test_bad_seeds(text):
    with pytest.raises(UserError, match="--seeds"):
        plan.parse_seeds(text)


NEEDED = Experiment(f"{PROXY}/{BASE}", (), "", 10, (0,))


def test_an_estimate_from_a_measurement_that_is_kept(tmp_path):
    asked = []

    def measure(name):
        asked.append(name)
        return 500.0

    cache = tmp_path / "cache" / "t.json"
    first = estimate.Estimator(measure, "cpu", cache)(NEEDED)
    assert first.measured
    assert first.hours == pytest.approx(10 * 50_000 / 500 / 3600)
    assert estimate.Estimator(None, "cpu", cache)(NEEDED) == first
    cache.write_text("{broken")
    assert estimate.Estimator(measure, "cpu", cache)(NEEDED) == first
    assert asked == [NEEDED.name] * 2


def test_the_rule_of_thumb_where_nothing_is_measured(tmp_path):
    by_rule = estimate.Estimator(None, "cpu", tmp_path / "t.json")(NEEDED)
    assert not by_rule.measured
    assert by_rule.basis == "rule of thumb for 2 CPU cores"
    # 3 x 125.5 million MACs x 10 epochs x 50,000 images
    rate = costs.protocols()["cifar10/paper-400e"].macs_per_second
    assert by_rule.hours == pytest.approx(3 * 125.5e6 * 500_000 / rate / 3600, rel=0.01)
    gpu = estimate.Estimator(None, "cuda", tmp_path / "t.json")(NEEDED)
    assert gpu.basis == "rule of thumb for one H100"
    assert gpu.hours < by_rule.hours / 20


def test_an_epoch_that_is_a_part_of_the_data(tmp_path):
    needed = Experiment("set5/proxy-64e/vdsr22", (), "", 64, (0,))
    rate = costs.protocols()["set5/paper"].macs_per_second
    # 41x41 pixels, 20 layers of 64 channels to 64, and 1 to 64 and back: 3 passes over 64 epochs of 2,000 patches
    macs = 41 * 41 * 9 * (20 * 64 * 64 + 2 * 64)
    found = estimate.Estimator(None, "cpu", tmp_path / "t.json")(needed)
    assert found.hours == pytest.approx(3 * macs * 64 * 2_000 / rate / 3600, rel=1e-3)


def test_a_network_that_fails_to_run_falls_back_to_the_rule(tmp_path):
    def measure(name):
        raise torch.OutOfMemoryError("out of memory: tried to allocate 80 GiB")

    found = estimate.Estimator(measure, "cpu", tmp_path / "t.json")(NEEDED)
    assert not found.measured
    assert "not measured: out of memory" in found.basis


def test_a_network_too_large_for_the_device_is_not_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(estimate, "LONGEST_ITERATION_S", 0.01)
    found = estimate.Estimator(lambda name: pytest.fail("measured"), "cpu", tmp_path / "t.json")(NEEDED)
    assert "too large to measure here" in found.basis


def arguments(tables, tmp_path, data, *more):
    (tmp_path / "ledger").mkdir(exist_ok=True)
    folders = ["--papers", str(tables), "--results", str(tmp_path / "ledger"), "--data", str(data)]
    return ["plan", *folders, "--no-measure", *more]


def test_the_command_prints_a_line_an_experiment_and_the_sum(tables, tmp_path, cifar10, capsys, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert main(arguments(tables, tmp_path, cifar10)) == 0
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    place = next(i for i, line in enumerate(lines) if f"{PAPER}/" in line)
    assert lines[place + 1].split()[:4] == ["1", BASE, "sample/table1", "0/3"]
    assert "9 runs of 3 experiments: " in printed
    assert "~ rule of thumb for 2 CPU cores" in printed
    assert main(arguments(tables, tmp_path, cifar10, "--json", "--seeds", "0")) == 0
    told = json.loads(capsys.readouterr().out)
    assert [run["seed"] for run in told["runs"]] == [0, 0, 0]
    assert told["experiments"][0]["seeds"] == {"wanted": [0], "done": [], "missing": [0]}
    assert told["hours"] == pytest.approx(sum(run["hours"] for run in told["runs"]), abs=0.01)


def test_the_command_lists_below_the_line_what_has_no_data(tables, tmp_path, capsys):
    assert main(arguments(tables, tmp_path, tmp_path / "nowhere")) == 0
    printed = capsys.readouterr().out
    assert "without data: 9 runs of 3 experiments; CIFAR-10 not found" in printed
    for model in (BASE, METHOD, CONTROL):
        record(tmp_path / "ledger", f"{PAPER}/{model}")
    assert main(arguments(tables, tmp_path, tmp_path / "nowhere", "--seeds", "0")) == 0
    assert capsys.readouterr().out == "nothing is missing\n"


def test_nothing_unknown_is_taken_for_an_estimate():
    assert estimate.Estimator(None, "cpu").rule("no-such-data/p") is None
    assert Estimate(1.0, False, "x").hours == 1.0
