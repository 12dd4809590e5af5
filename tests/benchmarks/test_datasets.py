from __future__ import annotations

import hashlib
import pickle

import numpy as np
import pytest
import torch

from benchmarks.datasets import cifar, locate
from benchmarks.errors import UserError


def raw(root, *names):
    """Pixels (N, 32, 32, 3) and labels straight from the pickled files."""
    contents = [pickle.loads((root / "cifar-10-batches-py" / name).read_bytes()) for name in names]
    pixels = np.concatenate([content["data"] for content in contents]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return pixels, np.concatenate([content["labels"] for content in contents])


TRAINING = [f"data_batch_{i}" for i in range(1, 6)]


def normalised(pixels):
    return (
        torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 255.0
        - torch.tensor(cifar.KINDS["cifar10"].mean)[:, None, None]
    ) / (torch.tensor(cifar.KINDS["cifar10"].std)[:, None, None])


def test_a_test_batch_is_the_normalised_images_in_order(cifar10):
    data = cifar.CifarInMemory(str(cifar10), train=False, verify=False)
    pixels, labels = raw(cifar10, "test_batch")
    batch = data.__getitems__([5, 2, 23])
    assert batch["labels"].tolist() == labels[[5, 2, 23]].tolist()
    assert batch["inputs"].is_contiguous(memory_format=torch.channels_last)
    for image, index in zip(batch["inputs"], [5, 2, 23], strict=True):
        torch.testing.assert_close(image, normalised(pixels[index]), rtol=0, atol=1e-5)


def test_training_images_are_padded_cropped_and_flipped_as_drawn(cifar10):
    data = cifar.CifarInMemory(str(cifar10), verify=False)
    data.set_epoch(seed=3, epoch=1)
    pixels, _ = raw(cifar10, *TRAINING)
    batch = data.__getitems__(range(len(data)))["inputs"]
    for index, image in enumerate(batch):
        padded = np.pad(pixels[index], ((4, 4), (4, 4), (0, 0)))
        top, left = data.offsets[:, index].tolist()
        crop = padded[top : top + 32, left : left + 32]
        crop = crop[:, ::-1] if data.flips[index] else crop
        torch.testing.assert_close(image, normalised(crop), rtol=0, atol=1e-5)
    assert {0, 8} <= set(data.offsets.flatten().tolist()) <= set(range(9))
    assert 0.2 < data.flips.float().mean() < 0.8


def test_augmentation_follows_from_seed_epoch_and_index_alone(cifar10):
    first, second = (cifar.CifarInMemory(str(cifar10), verify=False) for _ in range(2))
    first.set_epoch(1, 4)
    for epoch in range(5):  # another history, other batches, the same images
        second.set_epoch(1, epoch)
    together = first.__getitems__([7, 3])["inputs"]
    assert torch.equal(together[1], second[3]["inputs"])
    second.set_epoch(1, 5)
    assert not torch.equal(first.offsets, second.offsets)
    second.set_epoch(2, 4)
    assert not torch.equal(first.offsets, second.offsets)


def test_limit_takes_the_first_images(cifar10):
    data = cifar.CifarInMemory(str(cifar10), train=False, verify=False, limit=7)
    assert len(data) == 7
    assert data.labels.tolist() == raw(cifar10, "test_batch")[1][:7].tolist()


def test_the_checksum_is_that_of_pixels_and_labels(cifar10):
    digest = hashlib.sha256()
    for names in (TRAINING, ["test_batch"]):
        pixels, labels = raw(cifar10, *names)
        digest.update(np.ascontiguousarray(pixels).tobytes() + labels.astype("<i8").tobytes())
    assert cifar.checksum(str(cifar10), verify=False) == f"sha256:{digest.hexdigest()}"


def test_files_that_are_not_the_official_ones_are_refused(cifar10):
    with pytest.raises(UserError, match=r"differ from the official MD5 sums; .*slimbench data prepare cifar10 --data "):
        cifar.CifarInMemory(str(cifar10))


def test_a_missing_file_is_refused(cifar10):
    (cifar10 / "cifar-10-batches-py" / "data_batch_3").unlink()
    with pytest.raises(UserError, match="incomplete"):
        cifar.CifarInMemory(str(cifar10), verify=False)


def test_data_that_are_nowhere_are_one_line_with_the_command(tmp_path):
    with pytest.raises(UserError) as error:
        cifar.locate(tmp_path)
    assert str(tmp_path / "cifar-10-batches-py") in str(error.value)
    assert str(error.value).endswith(f"get it with: slimbench data prepare cifar10 --data {tmp_path}")
    assert "\n" not in str(error.value)


def test_where_data_are_looked_for(cifar10, tmp_path, monkeypatch):
    monkeypatch.delenv(locate.ENVIRONMENT_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)  # its data/ holds the set
    monkeypatch.setattr(locate, "checkout_root", lambda: None)
    assert cifar.locate() == str(tmp_path / "data")
    monkeypatch.setenv(locate.ENVIRONMENT_VARIABLE, str(tmp_path / "elsewhere"))
    with pytest.raises(UserError, match="elsewhere"):
        cifar.locate()
    assert cifar.locate(cifar10) == str(cifar10)
