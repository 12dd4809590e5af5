"""slimbench test on pictures: whose weights, which folders, what is told and where it is recorded."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from scipy.io import savemat

import backbones
from backbones.nets.vdsr import VDSR
from benchmarks import ledger
from benchmarks.cli import main
from benchmarks.datasets import super_resolution
from benchmarks.datasets.super_resolution import PicturesAtScales
from benchmarks.errors import UserError
from benchmarks.training import engine, evaluation, experiments, testing
from benchmarks.training.weights import read_weights

SIZES = {"baby": (44, 37), "butterfly": (40, 53)}
LAYERS = {"vdsr20": 3, "vdsr22": 4}


@pytest.fixture(autouse=True)
def _small_networks(monkeypatch):
    # What takes longer than the test: MMEngine's layout of the config and its look at the compilers.
    monkeypatch.setattr(Config, "pretty_text", "")
    monkeypatch.setattr(engine.BenchmarkRunner, "_log_env", lambda *_: None)
    monkeypatch.setattr(backbones, "create_model", lambda name: VDSR(LAYERS[name], 6))


def layers_of(network):
    """The cells of the authors' file: height x width x in x out, the last without its dimension of 1."""
    weights = [conv.weight.detach().permute(2, 3, 1, 0).contiguous().numpy() for conv in network.convs]
    weights[-1] = weights[-1][..., 0]
    return weights, [conv.bias.detach().numpy()[:, None] for conv in network.convs]


def cell(entries):
    found = np.empty((1, len(entries)), dtype=object)
    found[0, :] = [None] * len(entries)
    for index, entry in enumerate(entries):
        found[0, index] = entry
    return found


@pytest.fixture
def network():
    torch.manual_seed(0)
    found = VDSR(LAYERS["vdsr20"], 6)
    for conv in found.convs:
        torch.nn.init.normal_(conv.bias, std=0.01)
        conv.weight.data.mul_(0.1)
    return found


@pytest.fixture
def released(tmp_path, network):
    weights, biases = layers_of(network)
    savemat(tmp_path / "released.mat", {"model": {"weight": cell(weights), "bias": cell(biases)}})
    return tmp_path / "released.mat"


@pytest.fixture
def data(tmp_path, make_pictures):
    """Set5 alone, without the 291 pictures."""
    make_pictures(tmp_path / "data" / "Set5", SIZES)
    return tmp_path / "data"


def ours(network, maker, epoch=80):
    state = {f"network.{key}": value for key, value in network.state_dict().items()}
    return {"state_dict": state, "experiment": maker, "seed": 2, "epoch": epoch}


pytestmark = pytest.mark.filterwarnings("ignore:Set5 in .* has 2 pictures")


def test_weights_are_read_from_a_file_of_any_kind(tmp_path, network, released):
    state = network.state_dict()
    torch.save(state, tmp_path / "bare.pth")
    torch.save(ours(network, "set5/paper/vdsr20"), tmp_path / "ours.pth")
    torch.save({"state_dict": ours(network, "")["state_dict"], "meta": {"seed": 1}}, tmp_path / "mmengine.pth")
    shutil.copy(released, tmp_path / "renamed")
    for name in ("bare.pth", "ours.pth", "mmengine.pth", "released.mat", "renamed"):
        found = read_weights(tmp_path / name)
        assert list(found) == list(state), name
        assert all(torch.equal(found[key], state[key]) for key in state), name
    with pytest.raises(UserError, match=r"checkpoint .*bare\.mat: not a MATLAB file"):
        read_weights(shutil.copy(tmp_path / "bare.pth", tmp_path / "bare.mat"))


def test_the_authors_file_gives_what_its_network_gives(tmp_path, network, released, data, capsys):
    results = tmp_path / "results"
    torch.save(network.state_dict(), tmp_path / "same.pth")
    words = ["--data", str(data), "--work-dir", str(tmp_path / "work"), "--results", str(results)]
    assert main(["test", "set5/paper/vdsr20", "--checkpoint", str(released), *words]) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.partition("  bicubic")[0] for line in told[:-1]] == [f"set5/paper/vdsr20: x{s}" for s in (2, 3, 4)]
    assert all(", network " in line and line.endswith(f"({released})") for line in told[:-1])
    assert main(["test", "set5/paper/vdsr20", "--checkpoint", str(tmp_path / "same.pth"), *words, "--per-picture"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 3 + 3 * len(SIZES) + 1
    first, second = (result for _, result in ledger.runs(results))
    assert first.metrics == second.metrics
    assert first.checkpoint != second.checkpoint
    assert {(result.origin, result.trained_as, result.status) for result in (first, second)} == {
        ("test", "", "finished")
    }
    assert first.dataset.splits == {"test": 6}


def test_the_authors_file_fits_no_other_network(tmp_path, released, data, capsys):
    words = ["--data", str(data), "--work-dir", str(tmp_path / "work"), "--results", str(tmp_path / "results")]
    assert main(["test", "set5/paper/vdsr22", "--checkpoint", str(released), *words]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(
        f"error: checkpoint {released} does not fit vdsr22: 2 missing (convs.3.weight, convs.3.bias)"
    )
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("results", [None, "ledger"])
def test_a_users_pictures(tmp_path, released, make_pictures, monkeypatch, results):
    monkeypatch.setenv("SLIMBENCH_RESULTS", str(tmp_path / "usual"))
    folder = make_pictures(tmp_path / "mine", {"mein Bild (1)": (30, 41), "b": (25, 25)})
    Image.open(folder / "b.png").convert("L").save(folder / "b.bmp")
    chosen = None if results is None else tmp_path / results
    outcomes = []
    for _ in range(2):
        outcomes.append(
            testing.test("pictures/paper/vdsr20", released, data=folder, work_dir=tmp_path / "work", results=chosen)
        )
        (folder / "b.bmp").unlink(missing_ok=True)
        super_resolution.load.cache_clear()
        super_resolution.checksum.cache_clear()
    first, second = outcomes
    names = {metric.name for metric in first.result.metrics}
    assert {"psnr_x2.b", "psnr_x2.b-2", "psnr_x4.mein-Bild--1-", "bicubic_psnr_x3.b", "ssim_x3"} <= names
    assert first.path != second.path, "results on other pictures replace none"
    assert first.path.is_file()
    assert second.path.is_file()
    assert first.path.is_relative_to(chosen or tmp_path / "work" / "test" / "results")
    assert not (tmp_path / "usual").exists()


def test_pictures_on_demand_are_those_that_are_kept(make_pictures, tmp_path):
    root = str(make_pictures(tmp_path / "mine", SIZES))
    kept, made = PicturesAtScales(root), PicturesAtScales(root, keep=False)
    assert len(kept) == len(made) == 6
    for one, other in zip(kept, made, strict=True):
        assert one.keys() == other.keys()
        assert torch.equal(one["inputs"], other["inputs"])
        assert torch.equal(one["targets"], other["targets"])
    assert all("inputs" not in item for item in made.items)


@pytest.mark.parametrize("folder", ["set14", "pictures"])
def test_what_was_trained_here_is_tested_elsewhere(folder, network):
    for protocol in [name for name in experiments.list_protocols() if name.startswith("set5/") and "smoke" not in name]:
        name = f"{folder}/{protocol.partition('/')[2]}/vdsr20"
        config = experiments.experiment(name)
        content = ours(network, f"{protocol}/vdsr20", experiments.protocol(protocol)["epochs"])
        evaluation.load_weights(config, VDSR(3, 6), content, "ours.pth")
        assert evaluation.trained_as(config, content) == f"{protocol}/vdsr20"
        assert config.test_dataloader.dataset.name == config.dataset.name == folder
        trained = experiments.experiment(f"{protocol}/vdsr20")
        assert config.test_dataloader.dataset.scales == trained.test_dataloader.dataset.scales
        assert config.protocol.proxy == trained.protocol.proxy
        assert config.protocol.evaluate_only


def test_a_checkpoint_of_another_protocol_is_sent_to_its_own(network):
    config = experiments.experiment("pictures/paper/vdsr20")
    with pytest.raises(UserError, match=r"\. pictures/paper-x2/vdsr20 tests those$"):
        evaluation.load_weights(config, network, ours(network, "set5/paper-x2/vdsr20"), "ours.pth")
    with pytest.raises(UserError, match=r"tests one of set5/paper/vdsr20$"):
        evaluation.load_weights(config, network, ours(network, "set5/smoke/vdsr20"), "ours.pth")


def test_a_flat_picture_has_no_finite_psnr_and_is_named(tmp_path, released):
    (tmp_path / "mine").mkdir()
    torch.save({k: v * 0 for k, v in read_weights(released).items()}, tmp_path / "nothing.pth")
    Image.new("RGB", (30, 30), (200, 200, 200)).save(tmp_path / "mine" / "wall.png")
    with pytest.raises(UserError, match=r"^wall at scale 2 is restored without any error"):
        testing.test(
            "pictures/paper/vdsr20", tmp_path / "nothing.pth", data=tmp_path / "mine", work_dir=tmp_path / "work"
        )


def test_training_needs_more_than_the_test_pictures():
    assert experiments.data_of("set5/paper/vdsr22") == ("set5", "train291")
    assert experiments.data_of("cifar10/paper-400e/resnet56_cifar") == ("cifar10",)
