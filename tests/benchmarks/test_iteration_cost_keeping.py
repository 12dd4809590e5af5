"""Kept measurements: where they lie, under which names, and what is said of broken ones."""

from __future__ import annotations

import json
import warnings
from datetime import datetime, timedelta, timezone

import iteration_cost_samples as samples
import pytest
from pydantic import ValidationError

from benchmarks import iteration_cost, ledger
from benchmarks.cli import main
from benchmarks.errors import UserError
from benchmarks.iteration_cost import keeping

NAME = "plain-257x513-b2-some-cpu-2.0ghz-20260102T030405-000678Z.json"


def test_a_kept_measurement_is_read_again_and_is_no_run(tmp_path):
    report = samples.report()
    path = iteration_cost.keep(report, tmp_path)
    assert path == tmp_path / "iteration-costs" / NAME
    assert iteration_cost.kept(tmp_path) == [(f"iteration-costs/{NAME}", report)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ledger.runs(tmp_path) == []


def test_nothing_is_written_over(tmp_path):
    path = iteration_cost.keep(samples.report(), tmp_path)
    before = path.read_bytes()
    with pytest.raises(UserError, match=f"{NAME} is there already"):
        iteration_cost.keep(samples.report(batch=2), tmp_path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [NAME]


def test_the_name_tells_baseline_input_batch_device_and_time():
    later = datetime(2026, 1, 2, 5, 4, 5, 679, tzinfo=timezone(timedelta(hours=2)))
    assert keeping.file_name(samples.report()) == NAME
    assert keeping.file_name(samples.report(started_at=later)) == NAME.replace("678Z", "679Z")
    assert keeping.file_name(samples.report(batch=16, input_size=(600, 850))) == NAME.replace(
        "257x513-b2", "600x850-b16"
    )
    plain = samples.entrant("my configs/höher/a b.py", samples.BASE, 200)
    assert keeping.file_name(samples.report((plain,))) == NAME.replace("plain", "a-b", 1)
    gpu = samples.report().environment.model_copy(update={"gpu": "NVIDIA H100 80GB HBM3"})
    assert "-nvidia-h100-80gb-hbm3-" in keeping.file_name(samples.report(environment=gpu))


def test_a_broken_file_is_named_and_the_others_are_read(tmp_path):
    path = iteration_cost.keep(samples.report(), tmp_path)
    content = json.loads(path.read_text())
    content["entrants"][1]["training"]["peak_ratio"] = 1.0
    (path.parent / "altered.json").write_text(json.dumps(content))
    (path.parent / "cut.json").write_text(path.read_text()[:200])
    (path.parent / "copy.json").write_bytes(path.read_bytes())
    (path.parent / ".hidden.json").write_text("{")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = iteration_cost.kept(tmp_path)
    assert [one for one, _ in found] == [f"iteration-costs/{NAME}"]
    altered, copied, cut = (str(warning.message) for warning in caught)
    assert altered.startswith("skipping broken record iteration-costs/altered.json: ")
    assert "peak_ratio 1.0 is not its memory over the baseline's, 1.25" in altered
    assert copied == f"skipping record iteration-costs/copy.json: it says it is {NAME}"
    assert cut.startswith("skipping broken record iteration-costs/cut.json: Invalid JSON")


def test_an_empty_ledger_keeps_nothing(tmp_path):
    assert iteration_cost.kept(tmp_path / "nowhere") == []


def test_no_data_set_is_called_like_the_folder():
    with pytest.raises(ValidationError, match="'iteration-costs' is the ledger's folder of other records"):
        ledger.Dataset(name="iteration-costs", checksum="sha256:0", splits={})


def test_the_command_keeps_what_it_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SLIMBENCH_RESULTS", str(tmp_path / "ledger"))
    monkeypatch.setattr(iteration_cost, "measure", lambda *args, **options: samples.report())
    assert main(["throughput", "set/paper/slow", "--baseline", "set/paper/plain"]) == 0
    assert not (tmp_path / "ledger").exists()
    assert main(["throughput", "set/paper/slow", "--baseline", "set/paper/plain", "--keep"]) == 0
    captured = capsys.readouterr()
    assert (
        captured.err
        == f"kept as {tmp_path}/ledger/iteration-costs/{NAME}; slimbench reproduce iteration-costs shows it\n"
    )
    assert captured.out.count("slow ") == 4
    assert iteration_cost.kept() == [(f"iteration-costs/{NAME}", samples.report())]


def test_a_ledger_that_cannot_be_written_is_told_before_measuring(tmp_path, monkeypatch, capsys):
    (tmp_path / "ledger").write_text("a file, no folder")
    monkeypatch.setenv("SLIMBENCH_RESULTS", str(tmp_path / "ledger"))
    monkeypatch.setattr(iteration_cost, "measure", lambda *args, **options: pytest.fail("it measured"))
    assert main(["throughput", "a/b/c", "--keep"]) == 2
    assert capsys.readouterr().err == f"error: cannot write {tmp_path}/ledger/iteration-costs: Not a directory\n"


def test_models_of_classification_are_not_kept(capsys):
    assert main(["throughput", "resnet56_cifar", "--keep"]) == 2
    assert capsys.readouterr().err.startswith("error: --keep is for experiments of detection and segmentation")
