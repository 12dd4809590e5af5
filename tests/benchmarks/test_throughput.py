"""The benchmark of the training loop on a network of three layers: who is measured, and the arithmetic."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from benchmarks import throughput, throughput_rivals
from benchmarks.cli import main
from benchmarks.datasets import cifar
from benchmarks.errors import UserError
from benchmarks.throughput import Throughput
from benchmarks.training import stopwatch
from benchmarks.training.classifier import ImageClassifier


@pytest.fixture(autouse=True)
def _small(monkeypatch, tiny_network):
    monkeypatch.setattr(stopwatch, "MIN_SLICES", 2)
    monkeypatch.setattr(throughput_rivals, "PLAIN_WORKERS", 0)
    original = throughput_rivals.generate_cifar
    monkeypatch.setattr(throughput, "generate_cifar", lambda name, root: original(name, root, 200, 10))
    monkeypatch.setenv("SLIMBENCH_DATA", "no/such/folder")


def made_up(**images_per_second):
    return Throughput(
        "cifar10/p/m", "cpu", 2, "2", 128, "bf16", "no", "real", 1.0,
        {name: tuple(map(float, numbers)) for name, numbers in images_per_second.items()},
    )  # fmt: skip


def test_ratios_are_taken_slice_by_slice():
    one = made_up(engine=(100, 50, 300), plain=(50, 25, 100), ceiling=(100, 100, 300))
    assert one.ratio("plain") == (2.0, 2.0, 2.5)
    assert one.ratio("ceiling") == (1.0, 0.75, 1.0)
    assert one.median() == 100
    assert one.quartiles() == (75, 200)


def test_all_three_are_measured_on_generated_images():
    found = throughput.measure("resnet56_cifar", seconds=0.01, batch=16)
    assert found.data == "generated"
    assert (found.batch, found.precision, found.compile) == (16, "bf16", "no")
    assert set(found.images_per_second) == {"engine", "plain", "ceiling"}
    assert len({len(numbers) for numbers in found.images_per_second.values()}) == 1
    assert all(number > 0 for numbers in found.images_per_second.values() for number in numbers)
    assert 0 < found.outside < 1


def test_only_what_is_asked_for_is_measured(cifar10, monkeypatch):
    kinds = []
    step = ImageClassifier.train_step

    def watched(self, data, optim_wrapper):
        kinds.append(type(optim_wrapper).__name__)
        return step(self, data, optim_wrapper)

    monkeypatch.setattr(ImageClassifier, "train_step", watched)
    monkeypatch.setattr(cifar, "load_arrays", lambda *a, load=cifar.load_arrays: load(a[0], a[1], False, *a[3:]))
    found = throughput.measure(
        "resnet56_cifar", seconds=0.01, batch=16, precision="fp32", data=cifar10, rivals=("ceiling",)
    )
    assert set(found.images_per_second) == {"engine", "ceiling"}
    assert (found.data, found.precision) == ("real", "fp32")
    assert set(kinds) == {"OptimWrapper"}


def test_a_compiled_engine_and_a_compiled_ceiling(monkeypatch):
    compiled = []
    start = ImageClassifier.compile_for
    monkeypatch.setattr(
        ImageClassifier,
        "compile_for",
        lambda self, *a, **k: (start(self, *a, **k), compiled.append(self.compiled_mode)),
    )
    found = throughput.measure("resnet56_cifar", seconds=0.01, batch=16, compile="eager", rivals=("ceiling",))
    assert found.compile == "eager"
    assert compiled == ["eager", "eager"]


def test_images_a_second_are_images_over_seconds(monkeypatch):
    """With a clock that goes on by one second a look, a slice of one iteration of 16 images takes one second."""
    clock = iter(range(10**6))
    monkeypatch.setattr(stopwatch.Stopwatch, "_now", lambda self: float(next(clock)))
    found = throughput.measure("resnet56_cifar", seconds=0.01, batch=16)
    assert found.images_per_second == {"engine": (16.0, 16.0), "plain": (16.0, 16.0), "ceiling": (16.0, 16.0)}


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_generated_images_have_the_layout_of_the_data_set(tmp_path, name):
    root = throughput_rivals.generate_cifar(name, tmp_path, 50, 10)
    images, labels, classes = cifar.load_arrays(str(root), True, False, name)
    assert (images.shape, images.dtype) == ((50, 32, 32, 3), np.uint8)
    assert labels.max() < len(classes) == int(name.removeprefix("cifar"))


def test_the_plain_loop_sees_normalised_images(tmp_path):
    root = throughput_rivals.generate_cifar("cifar10", tmp_path, 500, 10)
    data = throughput_rivals.PlainCifar(str(root), "cifar10", False, 15.0)
    images = torch.stack([data[index][0] for index in range(200)])
    assert images.shape == (200, 3, 32, 32)
    assert images.min() == pytest.approx(-0.4914 / 0.2470, abs=0.1), "black corners, normalised"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["resnet65_cifar"], "no experiment matches 'cifar10/*/resnet65_cifar'; did you mean"),
        (["resnet56_cifar", "--dataset", "cifar11"], "cifar11"),
        (["resnet56_cifar", "--modes", "no,fast", "--seconds", "0"], "compile='fast'"),
        (["resnet56_cifar", "--modes", "no", "--compile"], "give one of them"),
        (["resnet56_cifar", "--data", "no/such/folder"], "CIFAR-10 not found"),
        (["resnet56_cifar", "--device", "cuda"], "no GPU is usable here"),
    ],
)
def test_mistakes_are_one_line(capsys, arguments, message):
    assert main(["throughput", *arguments]) == 2
    printed = capsys.readouterr().err.replace("measuring resnet56_cifar ...\n", "")
    assert message in printed
    assert printed.count("\n") == 1


def test_an_unknown_data_set_that_cannot_be_imitated(monkeypatch):
    with pytest.raises(UserError):
        throughput.measure("resnet50", "imagenet", seconds=0)


def test_the_command_prints_ratios_and_writes_json(tmp_path, capsys):
    written = tmp_path / "throughput.json"
    threads = torch.get_num_threads()
    options = [
        "--batch",
        "16",
        "--seconds",
        "0.01",
        "--threads",
        "1",
        "--modes",
        "no,eager",
        "--json",
        str(written),
    ]
    assert main(["throughput", "resnet56_cifar", *options]) == 0
    printed = capsys.readouterr().out
    assert "generated images" in printed
    assert printed.count("resnet56_cifar") == 2
    content = json.loads(written.read_text())
    assert [one["compile"] for one in content] == ["no", "eager"]
    assert set(content[0]["images_per_second"]) == {"engine", "plain", "ceiling"}
    assert torch.get_num_threads() == threads
