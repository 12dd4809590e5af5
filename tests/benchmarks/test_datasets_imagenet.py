"""ImageNet's folders and archives, in small; the tiny stand-in; a training on it."""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import imagenet as torchvision_imagenet

from benchmarks.datasets import imagenet, imagenet_tiny, registry
from benchmarks.errors import UserError
from benchmarks.training import engine

IDS = ("n01440764", "n01443537")


def jpeg(shade):
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), (shade, 0, 0)).save(stream, "JPEG")
    return stream.getvalue()


def archive(path, files, mode="w"):
    with tarfile.open(path, mode) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path.read_bytes()


@pytest.fixture
def small(monkeypatch):
    """Two classes with 3 training and 2 validation images each count as whole."""
    monkeypatch.setattr(imagenet, "CLASSES", 2)
    monkeypatch.setattr(imagenet, "IMAGES", {"train": 6, "val": 4})
    monkeypatch.setattr(imagenet, "PER_CLASS", {"train": (3, 3), "val": (2, 2)})


@pytest.fixture
def folders(small, tmp_path):
    for split, count in (("train", 3), ("val", 2)):
        for name in IDS:
            (tmp_path / "imagenet" / split / name).mkdir(parents=True)
            for index in range(count):
                (tmp_path / "imagenet" / split / name / f"{index}.JPEG").write_bytes(jpeg(index))
    return tmp_path / "imagenet"


def bad(folder):
    return [finding.text for finding in imagenet.check(folder) if not finding.ok]


def test_a_whole_imagenet_is_whole(folders):
    assert bad(folders) == []


def test_official_numbers_are_those_of_ilsvrc_2012(folders, monkeypatch):
    monkeypatch.undo()
    assert bad(folders)[:2] == ["train/: 2 class folders, not 1,000", "train/: 6 images, not 1,281,167"]
    assert "val/: 4 images, not 50,000" in bad(folders)


def test_what_is_missing_or_wrong_is_told(folders):
    (folders / "val" / IDS[0] / "1.JPEG").unlink()
    assert bad(folders) == ["val/: 3 images, not 4", f"val/: 1 classes have not 2 images, {IDS[0]} 1"]
    (folders / "val" / IDS[0] / "1.JPEG").touch()
    assert bad(folders) == ["val/: 1 files are empty"]
    shutil.move(folders / "train" / IDS[1], folders / "train" / "fish")
    assert "train/: 1 folders are no WordNet ids, fish among them" in bad(folders)
    assert "train/ and val/ have different classes" in bad(folders)


def test_where_imagenet_is_looked_for(folders, tmp_path):
    assert imagenet.locate(tmp_path) == str(folders)
    assert imagenet.locate(folders) == str(folders), "the folder itself may be named"
    shutil.move(folders, tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"imagenet not found .*prepare imagenet --data"):
        imagenet.locate(tmp_path)


def test_the_checksum_is_over_names_and_sizes(folders):
    before = imagenet.checksum(str(folders))
    lines = [
        f"{split}/{name}/{index}.JPEG {(folders / split / name / f'{index}.JPEG').stat().st_size}\n"
        for split, count in (("train", 3), ("val", 2))
        for name in IDS
        for index in range(count)
    ]
    assert before == f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"
    (folders / "val" / IDS[0] / "0.JPEG").rename(folders / "val" / IDS[0] / "9.JPEG")
    imagenet.checksum.cache_clear()
    assert imagenet.checksum(str(folders)) != before


@pytest.fixture
def archives(small, tmp_path, monkeypatch):
    """The three archives that the user fetches, with images of two classes, and their MD5 sums."""
    io_module = pytest.importorskip("scipy.io")
    fields = [(name, object) for name in ("ILSVRC2012_ID", "WNID", "words", "gloss", "num_children")]
    synsets = np.array([(number, name, "a, b", "", 0) for number, name in enumerate(IDS, 1)], dtype=fields)
    stream = io.BytesIO()
    io_module.savemat(stream, {"synsets": synsets})
    data = "ILSVRC2012_devkit_t12/data"
    three = {name: {f"{name}_{index}.JPEG": jpeg(index) for index in range(3)} for name in IDS}
    contents = {
        "devkit": {
            f"{data}/meta.mat": stream.getvalue(),
            f"{data}/ILSVRC2012_validation_ground_truth.txt": b"2\n1\n1\n2",
        },
        "val": {f"ILSVRC2012_val_0000000{index}.JPEG": jpeg(index) for index in range(1, 5)},
        "train": {f"{name}.tar": archive(tmp_path / "one.tar", files) for name, files in three.items()},
    }
    (tmp_path / "one.tar").unlink()
    sums = {}
    for key, (name, _) in torchvision_imagenet.ARCHIVE_META.items():
        content = archive(tmp_path / name, contents[key], "w:gz" if name.endswith("gz") else "w")
        sums[key] = (name, hashlib.md5(content).hexdigest())
    monkeypatch.setattr(torchvision_imagenet, "ARCHIVE_META", sums)
    return tmp_path


def test_the_users_archives_are_unpacked(archives):
    assert imagenet.prepare(archives) == archives
    assert bad(archives) == []
    second = archives / "val" / IDS[0] / "ILSVRC2012_val_00000002.JPEG"
    assert second.read_bytes() == jpeg(2), "the ground truth has put it there"
    assert imagenet.prepare(archives) == archives, "nothing is done twice"


def test_an_altered_archive_is_refused(archives):
    (archives / "ILSVRC2012_img_train.tar").write_bytes(b"other")
    with pytest.raises(
        UserError, match=r"cannot unpack ImageNet's train images .*ILSVRC2012_img_train\.tar .*corrupted"
    ):
        imagenet.prepare(archives)


def test_a_half_unpacked_split_is_refused(archives):
    imagenet.prepare(archives)
    shutil.rmtree(archives / "train" / IDS[0])
    with pytest.raises(UserError, match=r"train is there and not whole \(train/: 1 class folders, not 2\): remove it"):
        imagenet.prepare(archives)


def test_a_missing_archive_is_asked_for_with_its_source(archives):
    (archives / "ILSVRC2012_img_val.tar").unlink()
    with pytest.raises(
        UserError, match=r"ILSVRC2012_img_val\.tar is not in .*with a registration, from https://image-net"
    ):
        imagenet.prepare(archives)


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    monkeypatch.setattr(imagenet_tiny, "IMAGES", {"train": 8, "val": 4})
    return imagenet_tiny.prepare(tmp_path / "data")


def test_the_tiny_data_set_is_drawn_the_same_each_time(tiny, tmp_path):
    again = imagenet_tiny.prepare(tmp_path / "again")
    for path in sorted(tiny.rglob("*.JPEG")):
        assert path.read_bytes() == (again / path.relative_to(tiny)).read_bytes()


def test_the_tiny_data_set_is_not_drawn_twice_and_not_trusted_when_broken(tiny):
    assert imagenet_tiny.prepare(tiny.parent) == tiny
    assert not list(tiny.parent.glob(".*")), "nothing unfinished is left"
    (tiny / "val" / "bars" / "000.JPEG").unlink()
    with pytest.raises(UserError, match=r"not whole \(val/bars/\*\.JPEG: 3 files, not 4\): remove it and repeat"):
        imagenet_tiny.prepare(tiny.parent)


@pytest.mark.usefixtures("tiny_network")
@pytest.mark.filterwarnings("ignore:.*holds 4 class folders")
def test_the_whole_imagenet_path(tiny, tmp_path):
    result = engine.train("imagenet-tiny/smoke/resnet50", data=tiny.parent, work_dir=tmp_path / "w").result
    assert result.identity == "imagenet-tiny/smoke/resnet50"
    assert {metric.name for metric in result.metrics} == {"top1_accuracy", "top5_accuracy"}
    assert result.dataset.checksum == registry.get("imagenet-tiny").checksum(str(tiny), True)
    assert result.dataset.splits == {"train": 32, "test": 16}
    assert result.num_classes == 1000
