"""Crops for the eye: the right part of the picture, the network's luminance, the colours of bicubic enlargement."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from benchmarks import sample_files
from benchmarks.super_resolution.colour import luminance_of_bytes
from benchmarks.super_resolution.samples import enlarged, save
from benchmarks.training import samples

BOX = (3, 5, 12, 8)


def read(path):
    with Image.open(path) as image:
        assert image.mode == "RGB"
        return np.asarray(image).astype(int)


def perfect(inputs, targets, scale, name):
    """A network that restores everything."""
    assert inputs.shape == targets.shape
    assert inputs.dtype == targets.dtype == torch.float32
    return targets


@pytest.fixture
def folder(tmp_path):
    """A smooth coloured picture, with sides that 2 does not divide, and a grey one."""
    y, x = np.mgrid[0:41, 0:53]
    wave = np.stack([128 + 60 * np.sin(x / 5), 128 + 60 * np.cos(y / 6), 128 + 50 * np.sin((x + y) / 7)], -1)
    pixels = wave.round().astype(np.uint8)
    (tmp_path / "set").mkdir()
    Image.fromarray(pixels).save(tmp_path / "set" / "wave.png")
    Image.fromarray(pixels[..., 0]).save(tmp_path / "set" / "grey.png")
    return tmp_path / "set"


def test_three_pictures_a_crop_of_the_same_part(folder, tmp_path):
    crops = [{"picture": "wave", "scale": 2, "box": BOX}]
    found = save(perfect, str(folder), crops, tmp_path / "out")
    assert [(each.file, each.shows, each.box) for each in found] == [
        ("wave_x2.png", "result", BOX),
        ("wave_x2_truth.png", "truth", BOX),
        ("wave_x2_bicubic.png", "bicubic", BOX),
    ]
    assert sample_files.problems(found, tmp_path / "out") == []
    left, top, width, height = BOX
    truth = read(folder / "wave.png")[top : top + height, left : left + width]
    assert (read(tmp_path / "out" / "wave_x2_truth.png") == truth).all()
    # All luminance and bicubic's chroma: as good as the truth here. PIL's own reduction and enlargement come near
    # bicubic, but for the border, which they continue otherwise.
    assert abs(read(tmp_path / "out" / "wave_x2.png") - truth).max() <= 3
    with Image.open(folder / "wave.png") as image:
        small = image.crop((0, 0, 52, 40)).resize((26, 20), Image.Resampling.BICUBIC)
        pil = np.asarray(small.resize((52, 40), Image.Resampling.BICUBIC)).astype(int)
    assert abs(read(tmp_path / "out" / "wave_x2_bicubic.png") - pil[top : top + height, left : left + width]).max() <= 3


def test_the_luminance_is_what_the_network_says(folder):
    truth = torch.from_numpy(np.array(Image.open(folder / "wave.png")))[:40, :52].permute(2, 0, 1)[None]
    _, result = enlarged(lambda inputs, *_: torch.full_like(inputs, 0.5), truth, 2)
    assert (luminance_of_bytes(result).int() - round(0.5 * 255)).abs().max() <= 1
    assert result.float().std(dim=1).mean() > 10  # and yet it has colours


def test_a_network_beyond_the_range_is_clipped_and_equal_runs_are_equal_files(folder, tmp_path):
    crops = [{"picture": "grey", "scale": 4, "box": BOX}]
    first, second = (
        save(lambda inputs, *_: inputs * 0 + 1.5, str(folder), crops, tmp_path / name) for name in ("a", "b")
    )
    assert first == second
    assert (read(tmp_path / "a" / "grey_x4.png") == 255).all()


@pytest.mark.parametrize("crop", [{"picture": "absent"}, {"box": (45, 0, 8, 8)}, {"box": (-1, 0, 8, 8)}])
def test_what_is_not_there_is_left_out(folder, tmp_path, crop):
    # 53 columns are cut to 52 at a scale of 2
    crops = [{"picture": "wave", "scale": 2, "box": BOX} | crop]
    assert save(perfect, str(folder), crops, tmp_path / "out") == ()


def test_a_run_keeps_the_crops_of_its_config_that_it_tested(folder, tmp_path):
    class Model(torch.nn.Module):
        def test_step(self, data):
            assert not self.training
            assert set(data) == {"inputs", "targets", "scale", "name"}
            return [{"outputs": data["targets"]}]

    data = SimpleNamespace(root=str(folder), items=[{"name": "wave", "scale": 2}, {"name": "grey", "scale": 3}])
    runner = SimpleNamespace(model=Model(), test_loop=SimpleNamespace(dataloader=SimpleNamespace(dataset=data)))
    crops = [{"picture": name, "scale": scale, "box": BOX} for name in ("wave", "grey") for scale in (2, 3)]
    found = samples.saved(Config({"samples": crops}), runner, tmp_path / "out")
    assert {(each.picture, each.scale) for each in found} == {("wave", 2), ("grey", 3)}
    assert samples.saved(Config({}), runner, tmp_path / "none") == ()
    assert not (tmp_path / "none").exists()
