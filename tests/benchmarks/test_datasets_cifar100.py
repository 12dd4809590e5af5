from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.transforms import functional

from benchmarks.datasets import cifar, registry
from benchmarks.errors import UserError
from benchmarks.training import engine, experiments


def raw(root, name):
    content = pickle.loads((root / "cifar-100-python" / name).read_bytes())
    return content["data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), content["fine_labels"]


def pixels_of(batch, kind):
    """Back from normalised floats to whole pixels (N, 32, 32, 3)."""
    values = batch["inputs"].permute(0, 2, 3, 1) * torch.tensor(kind.std) + torch.tensor(kind.mean)
    return (values * 255).round().to(torch.uint8).numpy()


def test_labels_are_the_fine_ones(cifar100):
    data = cifar.CifarInMemory(str(cifar100), train=False, verify=False, name="cifar100")
    pixels, labels = raw(cifar100, "test")
    batch = data.__getitems__([20, 3])
    assert batch["labels"].tolist() == [labels[20], labels[3]] == [20, 3]
    assert np.array_equal(pixels_of(batch, cifar.kind("cifar100")), pixels[[20, 3]])
    assert data.metainfo["classes"][:2] == ("class 0", "class 1")


def test_crop_flip_and_rotation_are_torchvisions_in_its_order(cifar100):
    data = cifar.CifarInMemory(str(cifar100), verify=False, name="cifar100", rotation=15)
    data.set_epoch(seed=2, epoch=7)
    pixels, _ = raw(cifar100, "train")
    ours = pixels_of(data.__getitems__(range(len(data))), cifar.kind("cifar100"))
    for index, result in enumerate(ours):
        image = Image.fromarray(np.pad(pixels[index], ((4, 4), (4, 4), (0, 0))))
        image = functional.crop(image, *data.offsets[:, index].tolist(), 32, 32)
        image = functional.hflip(image) if data.flips[index] else image
        image = functional.rotate(image, data.angles[index].item())
        assert np.array_equal(result, np.asarray(image)), index


@pytest.mark.parametrize("chunk", [7, 10_000])
def test_a_whole_epoch_at_once_as_on_a_gpu_gives_the_same_batches(cifar100, monkeypatch, chunk):
    monkeypatch.setattr(cifar, "WHOLE_EPOCH_CHUNK", chunk)
    batchwise, whole = (
        cifar.CifarInMemory(str(cifar100), verify=False, name="cifar100", rotation=15) for _ in range(2)
    )
    whole.whole_epochs = True
    for epoch in (1, 2):
        for data in (batchwise, whole):
            data.set_epoch(seed=5, epoch=epoch)
        for indices in ([79, 0, 41], [3]):
            first, second = batchwise.__getitems__(indices), whole.__getitems__(indices)
            assert torch.equal(first["inputs"], second["inputs"])
            assert torch.equal(first["labels"], second["labels"])


class Operations(TorchDispatchMode):
    """Names of what torch does."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(func.name())
        return func(*args, **(kwargs or {}))


def test_a_batch_of_a_gpu_is_a_gather_and_nothing_that_waits(cifar100):
    data = cifar.CifarInMemory(str(cifar100), verify=False, name="cifar100", rotation=15)
    data.whole_epochs = True
    data.__getitems__([0])
    with Operations() as done:
        data.__getitems__([5, 6, 7])
    moving = {"aten::index.Tensor", "aten::_to_copy", "aten::view", "aten::permute", "aten::lift_fresh", "aten::detach"}
    assert done.names - moving == {"aten::mul_.Tensor", "aten::add_.Tensor"}


def test_angles_are_uniform_and_change_nothing_else(cifar100):
    plain = cifar.CifarInMemory(str(cifar100), verify=False, name="cifar100")
    turned = cifar.CifarInMemory(str(cifar100), verify=False, name="cifar100", rotation=15)
    assert torch.equal(plain.offsets, turned.offsets)
    assert torch.equal(plain.flips, turned.flips)
    assert turned.angles.abs().max() <= 15
    assert turned.angles.min() < -12
    assert turned.angles.max() > 12
    before = turned.angles
    turned.set_epoch(0, 1)
    assert not torch.equal(before, turned.angles)


def test_files_that_are_not_the_official_ones_are_refused(cifar100):
    with pytest.raises(UserError, match=r"CIFAR-100 .* official MD5 sums; .* prepare cifar100 "):
        cifar.CifarInMemory(str(cifar100), name="cifar100")


def test_each_data_set_has_its_own_checksum(cifar100):
    assert registry.get("cifar100").locate(cifar100) == str(cifar100)
    mine = registry.get("cifar100").checksum(str(cifar100), False)
    assert mine == cifar.checksum(str(cifar100), False, "cifar100")
    content = pickle.loads((cifar100 / "cifar-100-python" / "train").read_bytes())
    content["fine_labels"][0] = 5
    (cifar100 / "cifar-100-python" / "train").write_bytes(pickle.dumps(content))
    cifar.load_arrays.cache_clear()
    cifar.checksum.cache_clear()
    assert registry.get("cifar100").checksum(str(cifar100), False) != mine


def test_a_wrong_name_gets_the_nearest():
    with pytest.raises(UserError, match="no data set 'cifar1000'; did you mean cifar100"):
        registry.get("cifar1000")


def test_networks_of_table_5_are_experiments_with_100_classes():
    for model in ("resnet56_cifar", "sc_resnet56_cifar", "sc_resnet50_cifar"):
        config = experiments.experiment(f"cifar100/paper-200e/{model}")
        assert config.model.num_classes == config.dataset.num_classes == 100
    assert config.train_dataloader.dataset.rotation == 15
    assert "rotation" not in experiments.experiment("cifar100/proxy-10e/resnet56_cifar").train_dataloader.dataset


@pytest.mark.usefixtures("tiny_network")
def test_a_run_on_cifar100(cifar100, tmp_path):
    result = engine.train("cifar100/smoke/resnet56_cifar", data=cifar100, work_dir=tmp_path / "w").result
    assert result.identity == "cifar100/smoke/resnet56_cifar"
    assert result.num_classes == 100
    assert result.dataset.splits == {"train": 80, "test": 24}
    assert result.dataset.checksum == cifar.checksum(str(cifar100), False, "cifar100")
