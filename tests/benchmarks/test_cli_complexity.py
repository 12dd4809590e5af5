"""``slimbench complexity`` and ``slimbench models``."""

from __future__ import annotations

import json

import pytest

import backbones
from benchmarks.cli import main
from benchmarks.complexity import CONVENTIONS

KEYS = ["model", "input", "convention", "params", "macs", "mul", "add", "weight_bytes"]


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["complexity", "resnet50", "--json"]) == 0
    cost = json.loads(capsys.readouterr().out)
    assert list(cost) == KEYS
    assert (cost["macs"], cost["params"], cost["input"]) == (4_089_184_256, 25_557_032, "3x224x224")


def test_json_with_layers_input_and_convention(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["resnet56_cifar", "--input", "3x16x16", "--convention", "ptflops-2018", "--json", "--layers"]
    assert main(["complexity", *arguments]) == 0
    cost = json.loads(capsys.readouterr().out)
    assert list(cost) == [*KEYS, "layers"]
    assert (cost["input"], cost["convention"]) == ("3x16x16", "ptflops-2018")
    assert sum(layer["macs"] for layer in cost["layers"]) == cost["macs"]


def test_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["complexity", "separate_l_versatile_resnet56_cifar_s2", "--layers"]) == 0
    out = capsys.readouterr().out
    assert "455,578" in out
    assert "layer3.8.conv2" in out
    assert "LearnableVersatileConv2d" in out
    assert " relu " not in out


def test_help_names_every_convention(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    assert main(["complexity", "--help"]) == 0
    out = capsys.readouterr().out
    assert all(convention in out for convention in CONVENTIONS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["complexity", "sc_resnet5"], "did you mean sc_resnet50"),
        (["complexity", "resnet50", "--input", "224"], "3x224x224"),
        (["complexity", "resnet50", "--input", "4x32x32"], "input of 4x32x32"),
        (["complexity", "resnet50", "--convention", "conv_linear"], "did you mean conv-linear"),
        (["models", "sc_resnt*"], "did you mean sc_resnet"),
        (["models", "qqqq"], "lists them all"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_models_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "*resnet56*", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(rows) == backbones.list_models("*resnet56*")
    spatial = rows["s_versatile_resnet56_cifar"]
    assert spatial["baseline"] == "resnet56_cifar"
    assert spatial["paper"] == "versatile"
    assert spatial["mul"] < spatial["macs"] == rows["resnet56_cifar"]["macs"]


def test_models_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert main(["models", "sc_resnet50*"]) == 0
    out = capsys.readouterr().out
    line = next(line for line in out.splitlines() if "sc_resnet50_k8_3" in line)
    assert line.split()[0] == "sc_resnet50_k8_3"
    assert "12.098" in line
    assert "1,880.3" in line
    assert "resnet101" not in out
