"""slimbench data list, check and prepare, as a user sees them; and what the other data sets must hold."""

from __future__ import annotations

import urllib.error

import pytest
import torchvision.datasets.utils

from benchmarks.cli import main
from benchmarks.datasets import imagenet_tiny, registry

NAMES = (
    "cifar10", "cifar100", "imagenet", "imagenet-tiny", "voc07", "voc12aug", "coco", "coco2014",
    "voc-mini", "coco-mini", "shapes-tiny", "set5", "set14", "train291", "pictures",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    def refuse(*arguments, **options):
        raise urllib.error.URLError("no network in tests")

    for name in ("_urlretrieve", "_get_redirect_url"):
        monkeypatch.setattr(torchvision.datasets.utils, name, refuse)


def test_list_shows_all_and_where_they_are(cifar10, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "500")
    assert main(["data", "list", "--data", str(cifar10)]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line.split()[-1] for line in lines if line.split() and line.split()[0] in NAMES}
    assert tuple(rows) == NAMES
    assert rows.pop("cifar10") == str(cifar10)
    assert set(rows.values()) == {"–"}


def test_every_data_set_of_the_experiments_is_known():
    from benchmarks.training import experiments

    folders = {name.partition("/")[0] for name in experiments.list_protocols()}
    assert folders <= set(registry.DATASETS)


def test_check_names_each_file_that_is_not_official(cifar10, capsys):
    (cifar10 / "cifar-10-batches-py" / "test_batch").unlink()
    assert main(["data", "check", "cifar10", "--data", str(cifar10)]) == 1
    printed = capsys.readouterr().out
    assert "BAD data_batch_1: its MD5 sum is not c99cafc152244af753f735de768cd75f" in printed
    assert "BAD test_batch: is missing" in printed
    assert f"CIFAR-10 in {cifar10}: not whole, 7 of 7 findings are bad" in printed


def test_all_that_are_named_are_checked(cifar10, monkeypatch, capsys):
    monkeypatch.setattr(imagenet_tiny, "IMAGES", {"train": 1, "val": 1})
    imagenet_tiny.prepare(cifar10)
    assert main(["data", "check", "cifar10", "imagenet-tiny", "--data", str(cifar10)]) == 1
    assert "imagenet-tiny: whole" in capsys.readouterr().out


def test_prepare_draws_and_checks(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(imagenet_tiny, "IMAGES", {"train": 1, "val": 1})
    assert main(["data", "prepare", "imagenet-tiny", "--data", str(tmp_path / "new")]) == 0
    assert f"imagenet-tiny in {tmp_path / 'new' / 'imagenet-tiny'}: whole" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["cifar100", "voc07", "voc12aug", "coco", "coco2014"])
def test_without_a_network_prepare_says_so_in_one_line(name, tmp_path, capsys):
    assert main(["data", "prepare", name, "--data", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: cannot fetch {registry.get(name).title} into {tmp_path}: no network in tests;")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["prepare", "train291"], "https://cv.snu.ac.kr/research/VDSR/"),
        (["prepare", "imagenet"], "with a registration, from https://image-net.org"),
        (["check", "imagenet"], "imagenet not found (looked for "),
        (["prepare", "coco-mini"], "coco-mini is a part of COCO 2017, and "),
        (["prepare", "voc-mini"], "slimbench data prepare shapes-tiny"),
        (["check", "cifar11"], "no data set 'cifar11'; did you mean cifar10"),
        (["check"], "which data set? slimbench data check NAME"),
        (["chekc", "cifar10"], "no action 'chekc'; did you mean check?"),
    ],
)
def test_what_a_user_can_put_right_is_one_line(arguments, words, tmp_path, capsys):
    assert main(["data", *arguments, "--data", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_a_missing_data_set_is_one_message_that_draws_its_folders(tmp_path, capsys):
    (tmp_path / "coco" / "train2017").mkdir(parents=True)
    (tmp_path / "coco" / "train2017" / "000000000009.jpg").touch()
    assert main(["data", "check", "coco", "--data", str(tmp_path)]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"error: COCO 2017 is not whole in {tmp_path}; get it with: slimbench data prepare coco --data {tmp_path}",
        f"  {tmp_path}/",
        "    coco/",
        "      train2017/                  is there",
        "      val2017/                    missing",
        "      annotations/",
        "        instances_train2017.json  missing",
        "        instances_val2017.json    missing",
    ]
