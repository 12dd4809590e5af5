"""Patches are the pictures' own pixels, each seen as often as all others; pictures stand at their scales."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.datasets import registry
from benchmarks.datasets.super_resolution import (
    ORIENTATIONS,
    PatchesInMemory,
    PicturesAtScales,
    checksum,
    load,
    only_one,
    orient,
    tiles,
)
from benchmarks.errors import UserError
from benchmarks.super_resolution.colour import luminance_of_bytes
from benchmarks.super_resolution.quality import ssim
from benchmarks.super_resolution.resize import cropped, degraded
from benchmarks.training.super_resolver import EnlargementQuality, to_8_bit

SIZES = {"a": (26, 19), "b": (16, 33), "c": (9, 40)}  # the last holds no patch of 12
SIZE = 12


@pytest.fixture
def folder(tmp_path, make_pictures):
    return str(make_pictures(tmp_path / "pictures", SIZES))


def patches(folder, **changes):
    return PatchesInMemory(folder, **{"size": SIZE, "scales": (2, 3), **changes})


def every_sample(data):
    batch = data.__getitems__(range(len(data)))
    return batch["inputs"], batch["targets"]


class TestLoad:
    def test_luminance_by_name(self, folder):
        pictures = load(folder)
        assert [picture.name for picture in pictures] == ["a", "b", "c"]
        for name, luminance in pictures:
            pixels = np.asarray(Image.open(f"{folder}/{name}.png"))
            expected = luminance_of_bytes(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None])
            assert torch.equal(luminance, expected)
            assert luminance.shape == (1, 1, *SIZES[name])

    def test_the_checksum_is_of_what_the_pictures_show(self, folder, tmp_path):
        for name in ("same", "other", "renamed"):
            (tmp_path / name).mkdir()
            for stem in SIZES:
                image = Image.open(f"{folder}/{stem}.png")
                if (name, stem) == ("other", "b"):
                    image.putpixel((3, 3), (255, 0, 255))
                image.save(tmp_path / name / f"{'z' if (name, stem) == ('renamed', 'c') else stem}.bmp")
        of = {name: checksum(str(tmp_path / name)) for name in ("same", "other", "renamed")}
        assert of["same"] == checksum(folder), "another lossless format"
        assert len(set(of.values())) == 3
        assert of["same"].startswith("sha256:")


class TestPatches:
    def test_they_are_the_pictures_own_pixels_at_known_places(self, folder):
        data = patches(folder)
        expected = []
        for scale_of_picture in itertools.product(load(folder), (2, 3)):
            (name, luminance), scale = scale_of_picture
            height, width = (side // scale * scale for side in SIZES[name])
            whole = luminance[..., :height, :width]
            enlarged = degraded(whole.double() / 255, scale).float()
            for top in range(0, height - SIZE + 1, SIZE):
                for left in range(0, width - SIZE + 1, SIZE):
                    place = (..., slice(top, top + SIZE), slice(left, left + SIZE))
                    expected.append((enlarged[place], whole[place]))
        assert len(expected) == 2 * 2 + 2 * 2  # 26x19 and 16x33: two each at either scale
        assert data.inputs.shape == data.targets.shape == (len(expected), 1, SIZE, SIZE)
        for found, (inputs, targets) in zip(zip(data.inputs, data.targets, strict=True), expected, strict=True):
            assert torch.equal(found[0], inputs[0])
            assert torch.equal(found[1], targets[0])

    def test_an_epoch_shows_each_patch_in_each_orientation_once(self, folder):
        data = patches(folder, scales=(3,))  # at another scale the same pixels would come again
        assert len(data) == len(data.inputs) * ORIENTATIONS
        inputs, targets = every_sample(data)
        seen = {target.numpy().tobytes() for target in targets}
        assert len(seen) == len(data), "no two are alike, and none is missing"
        everything = {
            turned.float().div(255).numpy().tobytes()
            for target in data.targets
            for turned in (each.rot90(n, (1, 2)) for each in (target, target.flip(2)) for n in range(4))
        }
        assert seen == everything
        assert inputs.dtype == targets.dtype == torch.float32
        assert inputs.sub(targets).abs().mean() < targets.std(), "each input is that of its target"

    @pytest.mark.parametrize("per_epoch", [1, 7, 50, 63])
    def test_nothing_comes_again_before_all_has_come(self, folder, per_epoch):
        data = patches(folder, per_epoch=per_epoch)
        assert len(data) == per_epoch
        drawn = []
        for epoch in range(-(-2 * data.samples // per_epoch)):
            data.set_epoch(3, epoch)
            drawn += data._drawn.tolist()
        for number in range(2):
            round_ = drawn[number * data.samples : (number + 1) * data.samples]
            assert sorted(round_) == list(range(data.samples))
        assert drawn[: data.samples] != drawn[data.samples : 2 * data.samples], "another order in each round"

    def test_an_epoch_follows_from_seed_and_number_alone(self, folder):
        first, second = patches(folder, per_epoch=10), patches(folder, per_epoch=10)
        for epoch in range(20):
            first.set_epoch(5, epoch)
        second.set_epoch(5, 19)
        for a, b in zip(every_sample(first), every_sample(second), strict=True):
            assert torch.equal(a, b)
        for seed, epoch in ((6, 19), (5, 18)):
            second.set_epoch(seed, epoch)
            assert not torch.equal(every_sample(first)[1], every_sample(second)[1])

    def test_a_sample_does_not_depend_on_its_batch(self, folder):
        data = patches(folder)
        data.set_epoch(1, 2)
        inputs, targets = every_sample(data)
        for batch in ([4], [9, 4, 0], list(range(11, 30))):
            found = data.__getitems__(batch)
            assert torch.equal(found["inputs"], inputs[batch])
            assert torch.equal(found["targets"], targets[batch])
        assert torch.equal(data[7]["inputs"], inputs[7])

    def test_a_turned_patch_is_a_patch_of_the_turned_picture(self):
        picture = torch.rand(1, 1, 36, 36, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        for scale, orientation in itertools.product((2, 3, 4), range(ORIENTATIONS)):
            number = torch.tensor([orientation])
            turned_patch = orient(tiles(degraded(picture, scale), SIZE)[5:6], number)
            turned_picture = degraded(orient(picture, number), scale)
            found = [  # the tile is somewhere in the turned picture's, whose sides the tiles divide
                tile for tile in tiles(turned_picture, SIZE) if torch.allclose(tile, turned_patch[0], atol=1e-12)
            ]
            assert len(found) == 1, (scale, orientation)

    def test_the_orientations_are_the_eight_of_a_square(self):
        square = torch.arange(9.0).view(1, 1, 3, 3).expand(8, 1, 3, 3)
        found = {tuple(one.flatten().tolist()) for one in orient(square, torch.arange(8))}
        one = square[0, 0]
        expected = {tuple(m.rot90(n).flatten().tolist()) for m in (one, one.T) for n in range(4)}
        assert len(found) == 8
        assert found == expected

    def test_a_limit_takes_the_first_pictures(self, folder):
        some, all_ = patches(folder, limit=1), patches(folder)
        assert len(some.inputs) == 4
        assert torch.equal(some.inputs, all_.inputs[:4])

    def test_no_more_than_there_is(self, folder):
        assert len(patches(folder, per_epoch=10_000)) == patches(folder).samples == 64

    def test_pictures_that_hold_no_patch(self, folder):
        with pytest.raises(UserError, match=r"no picture in .*pictures holds a patch of 30x30 pixels"):
            patches(folder, size=30)
        with pytest.raises(UserError, match="no pictures in"):
            patches(f"{folder}/missing")

    def test_as_many_as_nothing_are_refused(self, folder):
        with pytest.raises(ValueError, match="per_epoch must be at least 1, not 0"):
            patches(folder, per_epoch=0)


class TestPicturesAtScales:
    @pytest.mark.parametrize("keep", [True, False])
    def test_every_picture_at_every_scale(self, tmp_path, make_pictures, keep):
        folder = str(make_pictures(tmp_path / "p", {"a": (26, 35), "b": (25, 24)}))
        data = PicturesAtScales(folder, scales=(2, 3, 4), keep=keep)
        assert len(data) == 6
        assert [(item["scale"], item["name"]) for item in map(data.__getitem__, range(6))] == [
            (s, n) for s in (2, 3, 4) for n in "ab"
        ]
        for item in map(data.__getitem__, range(6)):
            (luminance,) = (each.luminance for each in load(folder) if each.name == item["name"])
            truth = cropped(luminance, item["scale"])
            assert item["targets"].shape == truth.shape == item["inputs"].shape
            assert torch.equal(to_8_bit(item["targets"]) * 255, truth.double())
            enlarged = degraded(truth.double() / 255, item["scale"])
            assert torch.allclose(item["inputs"].double(), enlarged, atol=1e-6)
            assert item["inputs"].dtype == item["targets"].dtype == torch.float32
        assert data[4]["targets"].shape[-2:] == (24, 32)
        assert data[3]["targets"].shape[-2:] == (24, 24)

    def test_a_limit(self, folder):
        data = PicturesAtScales(folder, scales=(2,), limit=2)
        assert [item["name"] for item in data] == ["a", "b"]

    @pytest.mark.parametrize(("scale", "fits"), [(2, True), (3, False)])
    def test_pictures_that_are_too_small_to_be_measured(self, tmp_path, make_pictures, scale, fits):
        folder = str(make_pictures(tmp_path / "p", {"small": (16, 40)}))  # 11 of SSIM's window and the border twice
        if fits:
            (item,) = PicturesAtScales(folder, scales=(scale,))
            assert ssim(item["inputs"], item["targets"], scale) < 1
        else:
            with pytest.raises(UserError, match=r"p/small: 16x40 pixels are too few to be measured at scale 3"):
                PicturesAtScales(folder, scales=(scale,))

    def test_a_batch_is_one_picture(self, folder):
        item = {"name": "a"}
        assert only_one([item]) is item
        with pytest.raises(ValueError, match="too many values"):
            only_one([item, item])


# The means that the literature prints for bicubic enlargement of Set5 (VDSR's Table 2 and many others).
LITERATURE = {2: (33.66, 0.9299), 3: (30.39, 0.8682), 4: (28.42, 0.8104)}


def test_bicubic_enlargement_of_set5_is_the_literatures():
    try:
        place = registry.get("set5").locate(None)
    except UserError as error:
        pytest.skip(f"no Set5: {error}")
    metric = EnlargementQuality()
    for item in PicturesAtScales(place):
        metric.process(None, [{**item, "outputs": item["inputs"].clone() + 1e-3}])
    found = metric.compute_metrics(metric.results)
    for scale, (decibels, similarity) in LITERATURE.items():
        assert found[f"bicubic_psnr_x{scale}"] == pytest.approx(decibels, abs=0.02)
        assert found[f"bicubic_ssim_x{scale}"] == pytest.approx(similarity, abs=0.001)


def test_bicubic_enlargement_of_drawn_pictures_by_hand(tmp_path, make_pictures):
    """The metric, step by step, without the code that computes it in a run."""
    folder = str(make_pictures(tmp_path / "p", {"a": (37, 41), "b": (30, 35)}))
    for scale in (2, 3, 4):
        values = []
        for _, luminance in load(folder):
            height, width = (side // scale * scale for side in luminance.shape[-2:])
            truth = luminance[0, 0, :height, :width].double().numpy()
            enlarged = degraded(torch.from_numpy(truth)[None, None] / 255, scale)[0, 0].numpy() * 255
            error = np.clip(np.floor(enlarged + 0.5), 0, 255) - truth
            inside = error[scale : height - scale, scale : width - scale]
            values.append(20 * np.log10(255 / np.sqrt(np.mean(inside**2))))
        metric = EnlargementQuality(brief=True)
        metric.process(None, [{**item, "outputs": item["inputs"]} for item in PicturesAtScales(folder, (scale,))])
        assert metric.compute_metrics(metric.results) == {f"psnr_x{scale}": pytest.approx(np.mean(values), abs=0.01)}
