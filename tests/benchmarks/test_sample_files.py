"""Pictures beside a run's record: written with it, moved with it, missed when they are gone or altered."""

from __future__ import annotations

import hashlib
import shutil

import pytest
import report_samples
from pydantic import ValidationError

from benchmarks import ledger, sample_files
from benchmarks.sample_files import Sample
from benchmarks.training import engine, records


def sample(content=b"a picture", file="baby_x4.png", **more):
    fields = {"file": file, "picture": "baby", "scale": 4, "shows": "result", "box": (1, 2, 3, 4)}
    return Sample(**(fields | {"sha256": hashlib.sha256(content).hexdigest()} | more))


@pytest.fixture
def made(tmp_path):
    """A folder with a picture, as a run leaves it."""
    folder = tmp_path / "work" / "result"
    assert sample_files.write(b"a picture", folder / "baby_x4.png") == sample().sha256
    return folder


def test_a_record_takes_its_pictures_along(tmp_path, made):
    result = report_samples.result(samples=[sample().model_dump()])
    path = ledger.write(result, tmp_path / "ledger", made)
    folder = path.parent / path.stem
    assert path.suffix == ".json"
    assert [each.name for each in folder.iterdir()] == ["baby_x4.png"]
    assert (folder / "baby_x4.png").read_bytes() == b"a picture"
    assert ledger.read(path).samples == (sample(),)
    # By git, or by hand: to another checkout as plain files; nothing is said and nothing is lost.
    shutil.copytree(tmp_path / "ledger", tmp_path / "elsewhere")
    ((moved, again),) = ledger.runs(tmp_path / "elsewhere")
    assert (moved, again) == (result.relative_path.as_posix(), result)
    assert sample_files.read(sample(), sample_files.folder_of(tmp_path / "elsewhere" / moved)) == b"a picture"


def test_a_record_that_the_ledger_lost_comes_back_with_its_pictures(tmp_path, made):
    result = report_samples.result(samples=[sample().model_dump()])
    work = made.parent
    first = records.keep(result, work, tmp_path / "ledger")
    assert made == work / records.SAMPLES
    shutil.rmtree(tmp_path / "ledger")
    again = engine._recorded_again(result, work, tmp_path / "ledger", is_main=True)
    assert (again.path, again.already) == (first, True)
    assert [path for path, _ in ledger.runs(tmp_path / "ledger")] == [result.relative_path.as_posix()]
    assert sample_files.problems(result.samples, sample_files.folder_of(first)) == []


def test_a_record_without_pictures_has_no_folder_and_older_files_stay_readable(tmp_path):
    path = ledger.write(report_samples.result(), tmp_path)
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    text = path.read_text().replace('  "samples": [],\n', "")
    assert "samples" not in text
    assert ledger.RunResult.model_validate_json(text) == report_samples.result()


def test_no_record_is_written_of_pictures_that_are_not_there(tmp_path, made):
    (made / "baby_x4.png").write_bytes(b"another")
    with pytest.raises(ValueError, match=r"baby_x4\.png is not the picture that the record lists"):
        ledger.write(report_samples.result(samples=[sample().model_dump()]), tmp_path / "ledger", made)
    assert not list((tmp_path / "ledger").rglob("*.*"))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_bytes(b"a picturf"), "is not the listed one"),
    ],
)
def test_a_missing_or_altered_picture_is_named_and_its_run_kept(tmp_path, made, spoil, said):
    path = ledger.write(report_samples.result(samples=[sample().model_dump()]), tmp_path / "ledger", made)
    spoil(sample_files.folder_of(path) / "baby_x4.png")
    with pytest.warns(UserWarning, match=rf"{path.stem}\.json: its picture baby_x4\.png {said}"):
        assert len(ledger.runs(tmp_path / "ledger")) == 1
    assert sample_files.read(sample(), sample_files.folder_of(path)) is None


@pytest.mark.parametrize("file", ["../baby.png", "a/b.png", ".hidden.png", "baby.gif", "/baby.png"])
def test_a_record_names_no_files_elsewhere(file):
    with pytest.raises(ValidationError):
        sample(file=file)
