from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from benchmarks import ledger


def run(**changes):
    content = {
        "run_id": "20260101T000000Z-abc123",
        "dataset": {"name": "cifar10", "checksum": "sha256:" + "0" * 64, "splits": {"train": 50000, "test": 10000}},
        "protocol": {"name": "proxy-10e", "proxy": True, "epochs": 2, "description": "two epochs"},
        "model": "resnet56_cifar",
        "input_size": [3, 32, 32],
        "num_classes": 10,
        "seed": 3,
        "status": "finished",
        "metrics": [{"name": "top1_accuracy", "value": 91.25, "unit": "%", "split": "test"}],
        "epochs_done": 2,
        "wall_time_s": 12.5,
        "started_at": "2026-01-01T00:00:00Z",
        "finished_at": "2026-01-01T00:00:12Z",
        "environment": {
            "python": "3.11.7", "torch": "2.6.0", "torchvision": "0.21.0", "mmengine": "0.10.12", "slimbench": "0.1.0",
            "platform": "Linux x86_64", "cpu": "a processor", "cpu_threads": 2,
        },
        "git": {"commit": "a" * 40, "dirty": False},
        "curves": {"epoch": [1, 2], "train_loss": [1.5, 0.5], "top1_accuracy": [None, 91.25]},
        "notes": ["[1, 2] is no curve"],
    }  # fmt: skip
    return ledger.RunResult.model_validate({**content, **changes})


def test_the_path_is_the_identity_and_the_content_survives(tmp_path):
    path = ledger.write(run(), tmp_path)
    assert path == tmp_path / "cifar10/proxy-10e/resnet56_cifar/seed3-20260101T000000Z-abc123.json"
    assert ledger.read(path) == run()
    assert run().identity == ledger.identity("cifar10", "proxy-10e", "resnet56_cifar")


def test_the_file_is_plain_stable_and_small(tmp_path):
    long = [round(0.123456 + i, 6) for i in range(400)]
    result = run(curves=dict.fromkeys(("epoch", "train_loss", "top1_accuracy", "lr", "seconds"), long))
    text = ledger.write(result, tmp_path).read_text()
    assert text.endswith("}\n")
    assert '"input_size": [3, 32, 32]' in text
    assert '"notes": [\n    "[1, 2] is no curve"\n  ]' in text
    assert len(text) < 50_000
    assert json.loads(text)["curves"]["lr"] == long
    assert ledger.dumps(ledger.RunResult.model_validate_json(text)) == text
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["seed3-20260101T000000Z-abc123.json"]


@pytest.mark.parametrize(
    "changes",
    [
        {"surprise": 1},
        {"seed": -1},
        {"metrics": [{"name": "top1_accuracy", "value": 100.5, "unit": "%", "split": "test"}]},
        {"metrics": [{"name": "top1_accuracy", "value": float("nan"), "unit": "%", "split": "test"}]},
        {"metrics": []},
        {"curves": {"epoch": [1, 2], "train_loss": [1.0]}},
        {"curves": {"epoch": [1], "train_loss": [float("inf")]}},
        {"started_at": "2026-01-01T00:00:00"},
        {"model": "../../somewhere"},
        {"origin": "test"},
        {"schema_version": 2},
        {"dataset": {"name": "cifar10", "checksum": "abc", "splits": {}}},
        {"git": {"commit": "main", "dirty": False}},
    ],
)
def test_what_cannot_be_true_is_refused(changes):
    with pytest.raises(ValidationError):
        run(**changes)


def test_load_is_tidy(tmp_path):
    both = [
        {"name": "top1_accuracy", "value": 91.25, "unit": "%", "split": "test"},
        {"name": "top5_accuracy", "value": 99.5, "unit": "%", "split": "test"},
    ]
    ledger.write(run(metrics=both), tmp_path)
    ledger.write(run(seed=4, status="diverged", metrics=[], curves={}), tmp_path)
    frame = ledger.load(tmp_path)
    assert tuple(frame.columns) == ledger.COLUMNS
    assert frame["metric"].tolist()[:2] == ["top1_accuracy", "top5_accuracy"]
    assert frame["metric"].isna().tolist() == [False, False, True]
    assert frame["value"].tolist()[:2] == [91.25, 99.5]
    assert frame["value"].isna().tolist() == [False, False, True]
    assert frame["run"].unique().tolist() == ["cifar10/proxy-10e/resnet56_cifar"]
    assert frame["status"].tolist() == ["finished", "finished", "diverged"]
    assert (tmp_path / frame["path"][0]).is_file()


def test_an_empty_or_absent_ledger_is_an_empty_frame(tmp_path):
    assert tuple(ledger.load(tmp_path / "nowhere").columns) == ledger.COLUMNS
    assert len(ledger.load(tmp_path)) == 0


@pytest.mark.parametrize("spoil", [lambda text: text[: len(text) // 2], lambda text: text.replace("91.25", "912.5", 1)])
def test_a_broken_file_is_named_and_skipped(tmp_path, spoil):
    good = ledger.write(run(seed=1), tmp_path)
    bad = ledger.write(run(seed=2), tmp_path)
    bad.write_text(spoil(bad.read_text()))
    with pytest.warns(UserWarning, match=f"broken result .*{bad.name}"):
        frame = ledger.load(tmp_path)
    assert frame["path"].tolist() == [good.relative_to(tmp_path).as_posix()]


def test_a_file_in_the_wrong_place_is_named_and_skipped(tmp_path):
    path = ledger.write(run(), tmp_path)
    path.rename(path.with_name("seed9-copy.json"))
    with pytest.warns(UserWarning, match=r"seed9-copy\.json: it says it is .*seed3"):
        assert ledger.load(tmp_path).empty


def test_where_the_ledger_is(tmp_path, monkeypatch):
    monkeypatch.delenv(ledger.ENVIRONMENT_VARIABLE, raising=False)
    checkout = Path(ledger.__file__).resolve().parents[1]
    assert ledger.results_dir() == checkout / "results"
    monkeypatch.setenv(ledger.ENVIRONMENT_VARIABLE, str(tmp_path / "variable"))
    assert ledger.results_dir() == tmp_path / "variable"
    assert ledger.results_dir(tmp_path / "option") == tmp_path / "option"
    monkeypatch.delenv(ledger.ENVIRONMENT_VARIABLE)
    monkeypatch.setattr(ledger, "__file__", str(tmp_path / "site-packages/benchmarks/ledger.py"))
    assert checkout not in ledger.results_dir().parents


def test_reading_the_ledger_needs_no_torch():
    code = "import sys, benchmarks.ledger; sys.exit('torch' in sys.modules or 'pandas' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=Path(ledger.__file__).parents[1], check=False).returncode == 0
    )
