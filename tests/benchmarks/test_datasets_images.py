"""Photographs from folders: pixels, draws, workers, and folders that do not fit."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler
from PIL import Image
from torch.utils.data import DataLoader

from benchmarks.datasets import image_folder, image_transforms, imagenet, imagenet_tiny
from benchmarks.datasets.cifar import identity_collate
from benchmarks.datasets.image_folder import ImageError, ImagesInFolders
from benchmarks.errors import UserError
from benchmarks.training.preprocess import NormaliseOnDevice
from benchmarks.training.sampler import EpochSampler


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(imagenet_tiny, "IMAGES", {"train": 5, "val": 2})
        return imagenet_tiny.prepare(tmp_path_factory.mktemp("drawn"))


@pytest.fixture
def folders(drawn, tmp_path):
    return Path(shutil.copytree(drawn, tmp_path / "images"))


def images(root, train=True, **changes):
    return ImagesInFolders(
        root and str(root), train=train, **{"name": "imagenet-tiny", "num_classes": 4, "size": 32, **changes}
    )


def all_of(data, **options):
    """Every image of an epoch by index, through a DataLoader."""
    loader = DataLoader(data, sampler=range(len(data)), collate_fn=identity_collate, **options)
    return torch.cat([batch["inputs"] for batch in loader])


def test_a_test_image_is_the_middle_of_the_resized_file(folders):
    data = images(folders, train=False, size=56)
    batch = data.__getitems__([3, 6])
    assert batch["inputs"].dtype == torch.uint8
    assert batch["inputs"].is_contiguous(memory_format=torch.channels_last)
    assert batch["labels"].tolist() == [1, 3]
    for pixels, path in zip(batch["inputs"], ["checks/001.JPEG", "waves/000.JPEG"], strict=True):
        image = Image.open(folders / "val" / path)
        width, height = (int(64 * side / min(image.size)) for side in image.size)  # 56 = 7/8 of 64
        left, top = round((width - 56) / 2), round((height - 56) / 2)
        middle = image.resize((width, height), Image.Resampling.BILINEAR).crop((left, top, left + 56, top + 56))
        assert np.array_equal(pixels.permute(1, 2, 0), np.asarray(middle))


@pytest.mark.parametrize(("size", "resized"), [(224, 256), (256, 292)])
def test_the_tests_crop_is_seven_eighths(size, resized):
    steps = image_transforms.testing(size).transforms
    assert steps[0].size == [resized]
    assert list(steps[1].size) == [size, size]


@pytest.mark.parametrize("augmentation", image_transforms.AUGMENTATIONS)
def test_an_image_follows_from_seed_epoch_and_index_alone(folders, augmentation):
    first, second = (images(folders, augmentation=augmentation) for _ in range(2))
    torch.manual_seed(1)
    first.set_epoch(3, 2)
    together = first.__getitems__([7, 0, 12])["inputs"]
    torch.manual_seed(2)
    for epoch in (0, 2):  # another history, another batch, another state of torch's generator
        second.set_epoch(3, epoch)
        alone = second[12]["inputs"]
    assert torch.equal(together[2], alone)
    second.set_epoch(4, 2)
    assert not torch.equal(together[2], second[12]["inputs"])
    second.set_epoch(3, 3)
    assert not torch.equal(together[2], second[12]["inputs"])


def test_drawing_leaves_torchs_generator_as_it_was(folders):
    data = images(folders)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    data[0]
    assert torch.equal(torch.rand(3), expected)


def test_workers_change_nothing_and_see_the_next_epoch(folders):
    data = images(folders)
    lasting = DataLoader(
        data,
        sampler=EpochSampler(data, shuffle=False, seed=7),
        collate_fn=identity_collate,
        batch_size=3,
        num_workers=2,
        persistent_workers=True,
    )
    alone = images(folders)
    for epoch in (0, 1):
        lasting.sampler.set_epoch(epoch)
        alone.set_epoch(7, epoch)
        many = torch.cat([batch["inputs"] for batch in lasting])
        assert torch.equal(many, all_of(alone, batch_size=20))


def test_both_ways_to_name_an_index_are_the_same_image(folders):
    data = images(folders)
    sampler = DefaultSampler(data, shuffle=True, seed=0)
    index = next(iter(sampler))
    assert torch.equal(data[index]["inputs"], data.__getitems__([index])["inputs"][0])


def test_limit_takes_images_of_all_classes(folders):
    assert images(folders, limit=8).labels.tolist() == [0, 0, 0, 1, 1, 2, 2, 2]
    assert images(folders, limit=4).labels.tolist() == [0, 1, 2, 3]
    assert len(images(folders, limit=1000)) == 20


def plain(colour=(200, 40, 90), side=64):
    return Image.new("RGB", (side, side), colour)


def colours(pixels):
    return {tuple(pixel) for pixel in pixels.reshape(-1, 3).tolist()}


def test_crop_and_flip_keep_colours_and_the_other_augmentations_change_them():
    torch.manual_seed(0)
    assert colours(image_transforms.training("crop-flip", 32)(plain())) == {(200, 40, 90)}
    for augmentation in ("inception", "scale-jitter"):
        changed = colours(image_transforms.training(augmentation, 32)(plain()))
        assert len(changed) == 1, "the whole image by the same colour"
        assert changed != {(200, 40, 90)}


def test_colour_noise_has_the_printed_spread():
    torch.manual_seed(0)
    grey = torch.full((1, 1, 3), 128, dtype=torch.uint8)
    shifts = torch.stack([image_transforms.ColourNoise()(grey)[0, 0].float() - 128 for _ in range(4000)])
    noise = image_transforms.ColourNoise
    covariance = noise.EIGENVECTORS @ torch.diag((25.5 * noise.EIGENVALUES) ** 2) @ noise.EIGENVECTORS.T
    torch.testing.assert_close(shifts.T.cov(), covariance, rtol=0.1, atol=0.2)


def test_scale_jitter_cuts_from_sides_of_256_to_480(monkeypatch):
    steps = image_transforms.training("scale-jitter", 224).transforms
    assert (min(steps[0].min_size), max(steps[0].min_size)) == (256, 480)
    assert image_transforms.training("scale-jitter", 32)(plain(side=100)).shape == (32, 32, 3)


def test_a_wrong_augmentation_gets_the_nearest(folders):
    with pytest.raises(UserError, match="no augmentation 'crop_flip'; did you mean crop-flip"):
        images(folders, augmentation="crop_flip")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_image_is_named_in_one_line(folders, workers):
    path = folders / "train" / "bars" / "003.JPEG"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ImageError) as error:
        all_of(images(folders), batch_size=4, num_workers=workers)
    assert str(error.value).startswith(f"cannot read the image {path}: ")
    assert "\n" not in str(error.value)


def test_imagenet_needs_all_its_classes(folders):
    with pytest.raises(UserError, match=r"holds 4 class folders and ImageNet has 1,000; .*imagenet-tiny"):
        ImagesInFolders(str(folders))


def test_imagenet_needs_all_its_images(folders, monkeypatch):
    monkeypatch.setattr(imagenet, "CLASSES", 4)
    with pytest.raises(UserError, match=r"train holds 20 images and ImageNet has 1,281,167; 'slimbench data check"):
        ImagesInFolders(str(folders), num_classes=4)
    assert len(ImagesInFolders(str(folders), num_classes=4, limit=8)) == 8
    assert len(ImagesInFolders(str(folders), num_classes=4, verify=False)) == 20


def test_without_a_root_the_data_set_is_looked_for(folders, monkeypatch):
    folders.rename(folders.parent / "imagenet-tiny")
    monkeypatch.setenv("SLIMBENCH_DATA", str(folders.parent))
    assert images(None).root == folders.parent / "imagenet-tiny"


def test_fewer_folders_than_classes_are_told(folders):
    with pytest.warns(UserWarning, match="holds 4 class folders: they are the first 4 of the network's 1,000 classes"):
        data = images(folders, num_classes=1000)
    assert data.metainfo["classes"] == ("bars", "checks", "discs", "waves")


def test_more_folders_than_classes_are_refused(folders):
    with pytest.raises(UserError, match="holds 4 class folders, and the network has 3 classes"):
        images(folders, num_classes=3)


def test_splits_that_differ_are_refused(folders):
    (folders / "val" / "stars").mkdir()
    with pytest.raises(UserError, match="differ in 1 class folders, the first is 'stars'"):
        images(folders)


def test_a_class_without_images_is_named(folders):
    for path in (folders / "train" / "discs").iterdir():
        path.unlink()
    with pytest.raises(UserError, match="class folders without images, 'discs' among them"):
        images(folders)


def test_another_layout_is_refused(tmp_path):
    with pytest.raises(UserError, match="is not laid out as train/<class>/<image>"):
        images(tmp_path)


def test_normalisation_on_the_device_is_the_usual_one():
    pixels = torch.randint(0, 256, (2, 5, 5, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    labels = torch.tensor([1, 2])
    given = {"inputs": pixels, "labels": labels}
    batch = NormaliseOnDevice(image_transforms.MEAN, image_transforms.STD)(given)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = (pixels / 255 - mean[:, None, None]) / std[:, None, None]
    torch.testing.assert_close(batch["inputs"], expected)
    assert batch["inputs"].is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(batch["labels"], labels)
    assert given["inputs"].dtype == torch.uint8, "the caller's batch stays"
    assert not NormaliseOnDevice((0, 0, 0), (1, 1, 1)).state_dict(), "nothing of it goes into checkpoints"


def test_draws_differ_between_neighbours():
    first = []
    for numbers in [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)]:
        with image_folder.drawing_from(*numbers):
            first.append(torch.rand(()).item())
    assert len(set(first)) == 4
