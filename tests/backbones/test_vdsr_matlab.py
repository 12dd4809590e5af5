"""The VDSR authors' MATLAB file, written here by SciPy in their form and computed here without our network."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import savemat
from scipy.signal import correlate2d

import backbones
from backbones.adapters import load_official_vdsr
from backbones.adapters.official import CheckpointError
from backbones.adapters.vdsr_matlab import is_matlab_file, read_vdsr
from backbones.nets.vdsr import VDSR

Layers = list[Any]


def layers(depth: int = 20, width: int = 64, seed: int = 0) -> tuple[Layers, Layers]:
    """Weights (height, width, in, out), the last (height, width, in) as MATLAB stores it; biases (out, 1)."""
    draw = np.random.default_rng(seed)
    sides = [1, *[width] * (depth - 1), 1]
    weights = [draw.normal(0, (2 / (9 * a)) ** 0.5, (3, 3, a, b)).astype(np.float32) for a, b in pairwise(sides)]
    weights[-1] = weights[-1][..., 0]
    return weights, [draw.normal(0, 0.1, (b, 1)).astype(np.float32) for b in sides[1:]]


def cell(entries: Layers) -> Any:
    found = np.empty((1, len(entries)), dtype=object)
    for index, entry in enumerate(entries):
        found[0, index] = entry
    return found


def write(path: Path, weights: Layers, biases: Layers) -> Path:
    savemat(path, {"model": {"weight": cell(weights), "bias": cell(biases)}})
    return path


def computed(weights: Layers, biases: Layers, image: Any) -> Any:
    """VDSR in NumPy: (H, W) -> (H, W)."""
    maps = image[None]
    for number, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        weight = weight.reshape(3, 3, len(maps), -1).astype(np.float64)  # noqa: PLW2901
        sums = [sum(correlate2d(m, weight[:, :, i, o], "same") for i, m in enumerate(maps)) for o in range(len(bias))]
        maps = np.stack([s + b for s, b in zip(sums, bias[:, 0], strict=True)])
        maps = maps if number == len(weights) - 1 else np.maximum(maps, 0)
    return image + maps[0]


def test_gives_the_outputs_of_the_authors_network(tmp_path: Path) -> None:
    weights, biases = layers(depth=4, width=5)
    path = write(tmp_path / "released.mat", weights, biases)
    model = VDSR(4, 5)
    assert load_official_vdsr(model, path) is model
    image = np.random.default_rng(1).random((9, 12))
    with torch.inference_mode():
        found = model.double()(torch.from_numpy(image)[None, None])[0, 0].numpy()
    np.testing.assert_allclose(found, computed(weights, biases, image), rtol=1e-12)


def test_twenty_layers_are_vdsr20_and_no_other_network(tmp_path: Path) -> None:
    weights, biases = layers()
    path = write(tmp_path / "released.mat", weights, biases)
    model = load_official_vdsr(backbones.create_model("vdsr20"), str(path))
    assert model.convs[7].weight[3, 5, 0, 2].item() == weights[7][0, 2, 5, 3]  # type: ignore[index, union-attr]
    for name, message in (("vdsr22", r"4 missing \(convs\.20\."), ("s_versatile_vdsr22", "of another shape")):
        other = backbones.create_model(name)
        before = {key: value.clone() for key, value in other.state_dict().items()}
        with pytest.raises(CheckpointError, match=message) as raised:
            load_official_vdsr(other, path)
        assert str(path) in str(raised.value)
        assert "\n" not in str(raised.value)
        assert all(torch.equal(value, before[key]) for key, value in other.state_dict().items())


@pytest.mark.parametrize(
    "form",
    [
        lambda weights, biases: (weights, [bias[:, 0] for bias in biases]),
        lambda weights, biases: ([weights[0][:, :, 0], *weights[1:]], biases),
        lambda weights, biases: ([weight.astype(np.float64) for weight in weights], biases),
    ],
)
def test_every_way_to_drop_dimensions(form: Callable[..., Any], tmp_path: Path) -> None:
    weights, biases = layers(3, 4)
    expected = read_vdsr(write(tmp_path / "a.mat", weights, biases))
    found = read_vdsr(write(tmp_path / "b.mat", *form(weights, biases)))
    assert list(found) == list(expected) == [f"convs.{i}.{kind}" for i in range(3) for kind in ("weight", "bias")]
    assert all(torch.equal(found[key], expected[key]) and found[key].dtype == torch.float32 for key in expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w, b: (w[:-1], b), "2 layers have weights and 3 have biases"),
        (lambda w, b: ([], []), "0 layers have weights and 0 have biases"),
        (lambda w, b: ([w[0], w[1][:, :, 1:], w[2]], b), "weights of layer 2 of 3 are 3x3x3x4, not 3x3x4x4"),
        (lambda w, b: (w, [b[0], b[1][1:], b[2]]), "weights of layer 2 of 3 are 3x3x4x4, not 3x3x4x3"),
        (lambda w, b: (w[:-1], b[:-1]), "weights of layer 2 of 2 are 3x3x4x4, not 3x3x4x1"),
        (lambda w, b: (w, [*b[:2], np.zeros((2, 1))]), "biases of layer 3 of 3 are 2x1, not 1x1"),
        (lambda w, b: ([np.zeros((5, 5, 1, 4)), *w[1:]], b), "weights of layer 1 of 3 are 5x5x1x4, not 3x3x1x4"),
        (lambda w, b: (["conv", *w[1:]], b), "layer 1 holds other things than real numbers"),
        (lambda w, b: ([1j * w[0], *w[1:]], b), "layer 1 holds other things than real numbers"),
    ],
)
def test_other_shapes_are_refused(change: Callable[..., Any], message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "other.mat", *change(*layers(3, 4)))
    with pytest.raises(CheckpointError, match=message) as raised:
        read_vdsr(path)
    assert str(raised.value).startswith(f"checkpoint {path}: ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"net": 1}, "without a variable `model`"),
        ({"model": 3.0}, "`model` is no struct of `weight` and `bias`"),
        ({"model": {"weight": cell([])}}, "`model` is no struct of `weight` and `bias`"),
        ({"model": {"weight": np.ones((3, 3)), "bias": np.ones(3)}}, "are no cells with an entry a layer"),
        ({"model": np.zeros((2, 1), [("weight", object), ("bias", object)])}, "`model` is no struct"),
    ],
)
def test_another_matlab_file_is_refused(content: dict[str, Any], message: str, tmp_path: Path) -> None:
    savemat(tmp_path / "other.mat", content)
    with pytest.raises(CheckpointError, match=message) as raised:
        read_vdsr(tmp_path / "other.mat")
    assert "\n" not in str(raised.value)


def test_files_that_are_not_read(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.mat", *layers(3, 4)).read_bytes()
    hdf5 = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM" + bytes(384) + b"\x89HDF\r\n\x1a\n"
    contents = {b"": "not a MATLAB file", b"no file of MATLAB " * 20: "not a MATLAB file", hdf5: "version 7.3"}
    contents |= {whole[:length]: "not a MATLAB file, or damaged|without a variable" for length in range(1, 900, 97)}
    path = tmp_path / "damaged.mat"
    for content, message in contents.items():
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=message) as raised:
            read_vdsr(path)
        assert "\n" not in str(raised.value)
    with pytest.raises(CheckpointError, match=r"nowhere\.mat: no such file$"):
        read_vdsr(tmp_path / "nowhere.mat")
    with pytest.raises(CheckpointError, match="not a MATLAB file"):
        read_vdsr(tmp_path)


def test_matlab_files_are_told_by_name_or_content(tmp_path: Path) -> None:
    renamed = write(tmp_path / "released.mat", *layers(3, 4)).rename(tmp_path / "released")
    torch.save({"weight": torch.ones(1)}, tmp_path / "ours.pth")
    (tmp_path / "A.MAT").touch()
    names = ("released", "ours.pth", "A.MAT", "nowhere.pth", ".")
    assert [is_matlab_file(tmp_path / name) for name in names] == [True, False, True, False, False]
    assert len(read_vdsr(renamed)) == 6
