"""``slimbench upscale``: a user's own pictures, with whose weights, and what happens if something is wrong."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

import backbones
from benchmarks import cli
from benchmarks.cli import upscale as verb
from benchmarks.errors import UserError
from benchmarks.super_resolution import enlarge, networks
from benchmarks.super_resolution.enlarge import upscale

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the verb in an empty folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def start(*arguments: object) -> tuple[int, str, str]:
        code = cli.main(["upscale", *map(str, arguments), "--device", "cpu"])
        return code, *capsys.readouterr()

    return start


def network(name: str = "vdsr20", seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return backbones.create_model(name).eval()


def picture(path: Path, channels: int = 3, height: int = 6, width: int = 9) -> Any:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, channels)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.squeeze()).save(path)
    return pixels


def read(path: Path) -> Any:
    with Image.open(path) as image:
        return np.array(image)


def nearly(found: Any, expected: Any) -> bool:
    """Equal but for a rounding that tipped."""
    return found.shape == expected.shape and int(np.abs(found.astype(int) - expected).max()) <= 1


def test_a_folder_by_bicubic_interpolation(run: Run, tmp_path: Path) -> None:
    pixels = picture(tmp_path / "in/a.png"), picture(tmp_path / "in/b.png", 1)
    code, out, err = run("in", "--model", "bicubic", "--output", "out/deep", "--scale", 3)
    assert (code, err) == (0, "")
    first, *lines, last = out.splitlines()
    assert first == "bicubic (no weights), x3"
    assert lines[0].startswith("in/a.png (9x6 RGB) -> out/deep/a_x3.png (27x18) in ")
    assert lines[1].startswith("in/b.png (9x6 grey) -> out/deep/b_x3.png (27x18) in ")
    assert last == "2 of 2 pictures enlarged into out/deep"
    for name, truth in zip(("a_x3.png", "b_x3.png"), pixels, strict=True):
        found = read(tmp_path / "out/deep" / name)
        assert np.array_equal(found, upscale(truth, torch.nn.Identity(), 3).squeeze())


def write_state_dict(path: Path, net: torch.nn.Module) -> Path:
    torch.save(net.state_dict(), path)
    return path


def write_mmengine(path: Path, net: torch.nn.Module) -> Path:
    torch.save({"meta": {"epoch": 7}, "state_dict": {f"network.{k}": v for k, v in net.state_dict().items()}}, path)
    return path


def write_matlab(path: Path, net: torch.nn.Module) -> Path:
    weights, biases = np.empty((1, 20), object), np.empty((1, 20), object)
    for layer, conv in enumerate(net.convs):  # type: ignore[arg-type]
        weights[0, layer] = conv.weight.detach().permute(2, 3, 1, 0).numpy()
        biases[0, layer] = conv.bias.detach()[:, None].numpy()
    savemat(path, {"model": {"weight": weights, "bias": biases}})
    return path


@pytest.mark.parametrize(
    ("name", "write"), [("a.pth", write_state_dict), ("b.pth", write_mmengine), ("c.mat", write_matlab)]
)
def test_weights_of_every_kind(run: Run, tmp_path: Path, name: str, write: Callable[..., Path]) -> None:
    net = network()
    pixels = picture(tmp_path / "a.png")
    checkpoint = write(tmp_path / name, net)
    code, out, err = run("a.png", "--model", "vdsr20", "--checkpoint", checkpoint, "--output", ".", "--tile", 8)
    assert (code, err) == (0, "")
    assert out.startswith(f"vdsr20 ({checkpoint}), x2\n")
    found = read(tmp_path / "a_x2.png")
    assert nearly(found, upscale(pixels, net, 2))
    assert not nearly(found, upscale(pixels, torch.nn.Identity(), 2))


def test_weights_that_do_not_fit(run: Run, tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    checkpoint = write_state_dict(tmp_path / "a.pth", network("vdsr22"))
    code, out, err = run("a.png", "--model", "vdsr20", "--checkpoint", checkpoint, "--output", "out")
    assert (code, out) == (2, "")
    assert "a.pth does not fit vdsr20: 4 unexpected (convs.20.weight" in err
    assert not (tmp_path / "out").exists()


def train(seed: int, epoch: int, name: str = "vdsr22", experiment: str = "set5/paper/vdsr22") -> torch.nn.Module:
    """Leave what a training leaves in ./work_dirs."""
    net = network(name, seed=seed * 100 + epoch)
    folder = Path("work_dirs") / experiment / f"seed{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    weights = {f"network.{key}": value for key, value in net.state_dict().items()}
    content = {"slimbench_checkpoint": 2, "experiment": experiment, "epoch": epoch, "state_dict": weights}
    torch.save(content, folder / f"epoch_{epoch}.pth")
    return net


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_an_experiment_takes_its_newest_readable_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first, second, other = train(2, 9), train(2, 10), train(11, 3)
    found = networks.trained("set5/paper/vdsr22")
    assert same(found.network, second)
    assert found.source == "work_dirs/set5/paper/vdsr22/seed2/epoch_10.pth, 10 epochs"
    assert same(networks.trained("set5/paper/vdsr22", seed=11).network, other)
    assert found.network.convs[1].weight.is_contiguous(memory_format=torch.channels_last)  # type: ignore[index, union-attr]
    assert not found.network.training
    newest = Path("work_dirs/set5/paper/vdsr22/seed2/epoch_10.pth")
    newest.write_bytes(newest.read_bytes()[:1000])
    assert same(networks.trained("set5/paper/vdsr22").network, first)
    assert newest.is_file()  # a training may own it
    assert same(networks.trained("set5/paper/vdsr22", newest.with_name("epoch_9.pth"), seed=11).network, first)


def test_an_experiment_that_trains_nothing_takes_what_it_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    net = train(0, 80)
    assert same(networks.trained("set14/paper/vdsr22").network, net)


def test_weights_tell_the_scales_that_they_were_trained_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    train(0, 80, experiment="set5/paper-x2x4/vdsr22")
    assert networks.trained("set5/paper-x2x4/vdsr22").scales == (2, 4)
    file = Path("work_dirs/set5/paper-x2x4/vdsr22/seed0/epoch_80.pth")
    assert networks.trained("vdsr22", file).scales == (2, 4)
    assert networks.trained("vdsr22", write_state_dict(tmp_path / "a.pth", network("vdsr22"))).scales == (2, 3, 4)
    assert networks.trained("bicubic").scales == ()


def test_an_experiment_without_a_checkpoint_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    train_it = r"train it \(slimbench train set5/paper/vdsr22\), or name a file of weights with --checkpoint"
    with pytest.raises(UserError, match=rf"no checkpoint in work_dirs/set5/paper/vdsr22: {train_it}"):
        networks.trained("set5/paper/vdsr22")
    train(0, 1)
    with pytest.raises(UserError, match=rf"no checkpoint in work_dirs/set5/paper/vdsr22/seed4: {train_it}"):
        networks.trained("set5/paper/vdsr22", seed=4)
    Path("work_dirs/set5/paper/vdsr22/seed0/epoch_1.pth").write_bytes(b"no")
    with pytest.raises(UserError, match=r"no checkpoint in .* \(cannot read checkpoint .*epoch_1\.pth"):
        networks.trained("set5/paper/vdsr22")


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("vdsr22", "vdsr22 needs weights: train it .slimbench train set5/paper/vdsr22. and give --model"),
        ("vdsr21", "vdsr21 is no model; did you mean vdsr2"),
        ("resnet56_cifar", "resnet56_cifar enlarges no pictures; there are bicubic, "),
        ("set5/paper/vdsr21", "no experiment 'set5/paper/vdsr21'; did you mean set5/paper/vdsr2"),
        ("cifar10/proxy-10e/resnet56_cifar", "cifar10/proxy-10e/resnet56_cifar enlarges no pictures"),
    ],
)
def test_models_that_will_not_do(run: Run, tmp_path: Path, model: str, told: str) -> None:
    picture(tmp_path / "a.png")
    code, out, err = run("a.png", "--model", model, "--output", "out")
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    with pytest.raises(UserError, match=told):
        networks.trained(model)


def test_every_model_of_the_catalogue_that_enlarges() -> None:
    names = networks.names()
    assert {"vdsr20", "vdsr22", "s_versatile_vdsr22", "separate_l_versatile_vdsr22_s4"} <= set(names)
    assert [name for name in names if "vdsr" not in name] == []


def test_a_scale_that_nobody_trained_for_is_warned_of(run: Run, tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    checkpoint = write_state_dict(tmp_path / "a.pth", network())
    common = ("a.png", "--model", "vdsr20", "--checkpoint", checkpoint, "--output", "out")
    code, _, err = run(*common, "--scale", 5)
    assert (code, err) == (0, "warning: these weights were trained for x2, x3, x4; x5 is a guess\n")
    assert run("a.png", "--model", "bicubic", "--output", "out", "--scale", 8)[2] == ""
    for scale in (1, 9):
        assert run(*common, "--scale", scale)[::2] == (2, f"error: --scale {scale}: give 2, 3 or 4, at most 8\n")


def test_one_bad_picture_does_not_keep_the_others(run: Run, tmp_path: Path) -> None:
    for name in ("a", "c", "d"):
        picture(tmp_path / f"in/{name}.png")
    (tmp_path / "in/b.png").write_bytes(b"no picture")
    before = picture(tmp_path / "out/c_x2.png")
    code, out, err = run("in", "--model", "bicubic", "--output", "out")
    assert code == 1
    assert err == (
        "error: in/b.png: no picture, or of no known kind\nerror: out/c_x2.png exists; --force replaces it\n"
    )
    assert out.endswith("2 of 4 pictures enlarged into out; not in/b.png, in/c.png\n")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a_x2.png", "c_x2.png", "d_x2.png"]
    assert np.array_equal(read(tmp_path / "out/c_x2.png"), before)
    (tmp_path / "in/b.png").unlink()
    assert run("in", "--model", "bicubic", "--output", "out", "--force")[0] == 0
    assert not np.array_equal(read(tmp_path / "out/c_x2.png"), before)


def test_names_of_ones_own(run: Run, tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    assert run("*.png", "--model", "bicubic", "--output", "out", "--suffix", "-large")[0] == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a-large.png"]
    code, _, err = run("a.png", "--model", "bicubic", "--output", ".", "--suffix", "", "--force")
    assert (code, err) == (2, "error: a.png is a picture to be enlarged; give another --output or --suffix\n")


def test_a_picture_that_needs_too_much_memory(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(tmp_path / "a.png")

    def too_much(*arguments: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")

    monkeypatch.setattr(enlarge, "upscale", too_much)
    code, _, err = run("a.png", "--model", "bicubic", "--output", "out")
    assert (code, err) == (1, "error: a.png: not enough memory for 9x6 RGB at x2; give a smaller --tile\n")


def test_mistakes_in_the_options(run: Run, tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "file").touch()
    common = ("a.png", "--model", "bicubic")
    assert run("b.png", "--model", "bicubic", "--output", "out")[0] == 2
    assert run(*common, "--output", "out", "--tile", -1)[::2] == (
        2, "error: --tile -1: give a number of pixels, such as 256, or 0 for the whole picture at once\n",
    )  # fmt: skip
    assert run(*common, "--output", "file")[::2] == (2, "error: --output file: File exists\n")
    assert run(*common, "--output", "out", "--checkpoint", "x.pth")[0] == 2
    assert not (tmp_path / "out").exists()


def test_tiles_are_shown_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with verb._tiles_shown("a.png") as shown:
        assert shown is None
    monkeypatch.setenv("FORCE_COLOR", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with verb._tiles_shown("a.png") as shown:
            assert shown is not None
            shown(3, 4)
    assert "a.png: 3 of 4 tiles" in capsys.readouterr().err
