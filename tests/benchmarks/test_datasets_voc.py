"""SBD's masks for VOC 2012, and voc-mini out of it, on a VOC of a few images."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from benchmarks.datasets import mini_sets, registry, sbd
from benchmarks.errors import UserError

VOC = "VOCdevkit/VOC2012"
SIZES = {"2008_000002": (11, 17), "2008_000003": (20, 9), "2008_000007": (13, 13)}  # (height, width)


def write_list(path, names):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name}\n" for name in names))


def write_mat(path, mask):
    """As SBD has them: a structure GTcls with Boundaries, Segmentation and CategoriesPresent."""
    content = np.zeros((1, 1), dtype=[("Boundaries", "O"), ("Segmentation", "O"), ("CategoriesPresent", "O")])
    content[0, 0] = (np.zeros((20, 1)), mask, np.unique(mask)[:, None])
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {"GTcls": content})


@pytest.fixture
def voc(tmp_path, monkeypatch):
    """Three images that only SBD has, two that VOC has as well; and the masks that were written."""
    monkeypatch.setattr(sbd, "COUNT", 3)
    lists = tmp_path / sbd.LISTS
    write_list(lists / "train.txt", ["2007_000001", "2007_000002"])
    write_list(lists / "val.txt", ["2007_000005"])
    write_list(tmp_path / sbd.SBD / "train.txt", ["2008_000007", "2007_000005", "2008_000002"])
    write_list(tmp_path / sbd.SBD / "val.txt", ["2007_000001", "2008_000003"])
    draw = np.random.default_rng(0)
    masks = {}
    for name, size in SIZES.items():
        masks[name] = draw.choice(np.array([0, 1, 20, 255], np.uint8), size)
        write_mat(tmp_path / sbd.SBD / "cls" / f"{name}.mat", masks[name])
        (tmp_path / sbd.PHOTOGRAPHS).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size[::-1]).save(tmp_path / sbd.PHOTOGRAPHS / f"{name}.jpg")
    return tmp_path, masks


def test_masks_become_pictures_with_the_palette_of_voc(voc):
    root, masks = voc
    sbd.convert(root)
    assert sorted(path.name for path in (root / sbd.MASKS).iterdir()) == [f"{name}.png" for name in SIZES]
    for name, mask in masks.items():
        with Image.open(root / sbd.MASKS / f"{name}.png") as image:
            assert image.mode == "P"
            assert np.array_equal(np.array(image), mask)
            colours = np.array(image.convert("RGB"))
        assert {tuple(colour) for colour in colours[mask == 1]} == {(128, 0, 0)}  # aeroplane
        assert {tuple(colour) for colour in colours[mask == 20]} == {(0, 64, 128)}  # TV monitor
        assert {tuple(colour) for colour in colours[mask == 255]} == {(224, 224, 192)}
    assert (root / sbd.NAMES).read_text() == "2008_000002\n2008_000003\n2008_000007\n"


def test_an_interrupted_conversion_goes_on_and_the_list_comes_last(voc, monkeypatch):
    root, _ = voc
    broken = root / sbd.SBD / "cls" / "2008_000007.mat"
    content = broken.read_bytes()
    broken.write_bytes(content[:200])
    with pytest.raises(UserError, match=r"cannot read SBD's mask .*2008_000007\.mat"):
        sbd.convert(root)
    assert not (root / sbd.NAMES).exists()
    broken.write_bytes(content)
    asked = []
    real = sbd.read_mat
    monkeypatch.setattr(sbd, "read_mat", lambda path: asked.append(path.stem) or real(path))
    sbd.convert(root)
    assert asked == ["2008_000007"]
    assert (root / sbd.NAMES).is_file()


def test_a_mask_of_another_size_and_other_classes_are_refused(voc):
    root, masks = voc
    write_mat(root / sbd.SBD / "cls" / "2008_000003.mat", masks["2008_000003"][:, 1:])
    with pytest.raises(UserError, match=r"2008_000003\.mat is of 8x20 pixels and .*2008_000003\.jpg of 9x20"):
        sbd.convert(root)
    write_mat(root / sbd.SBD / "cls" / "2008_000003.mat", np.full((20, 9), 21, np.uint8))
    with pytest.raises(UserError, match=r"2008_000003\.mat has values that are no class of 0 to 20, 21 the highest"):
        sbd.convert(root)


def test_lists_that_do_not_come_out_are_refused(voc):
    root, _ = voc
    write_list(root / sbd.LISTS / "val.txt", [])
    with pytest.raises(
        UserError, match=r"^4 images of SBD .*, not 3: .* 3 in .*dataset/train\.txt, 2 in .*, 0 in .*val"
    ):
        sbd.convert(root)
    assert not (root / sbd.MASKS).exists()


def test_the_counts_are_those_of_the_literature():
    assert sbd.__dict__["COUNT"] + 1_464 == 10_582
    assert registry.get("voc12aug").description.startswith("segmentation into 21 classes: 10,582 training and 1,449")


def test_sbd_is_fetched_once_and_appears_whole(tmp_path, monkeypatch):
    asked = []

    def unpack(url, folder, goal, filename, md5):
        asked.append((filename, md5))
        write_list(tmp_path / goal / "benchmark_RELEASE" / "dataset" / "train.txt", ["a"])

    monkeypatch.setattr(sbd, "download_and_extract_archive", unpack)
    sbd.fetch(tmp_path)
    sbd.fetch(tmp_path)
    assert asked == [("benchmark.tgz", "82b4d87ceb2ed10f6038a1cba92111cb")]
    assert [path.name for path in (tmp_path / "VOCdevkit/VOCaug").iterdir()] == ["dataset"]
    assert (tmp_path / sbd.SBD / "train.txt").read_text() == "a\n"


@pytest.fixture
def whole(tmp_path, monkeypatch):
    """A VOC 2012 of five images, of which voc-mini has four."""
    lists = {"train": ["a", "c"], "val": ["b"], "boxes_only": ["d"]}
    monkeypatch.setattr(mini_sets, "lists", lambda: {"voc-mini": lists})
    for folder, suffix in (("JPEGImages", "jpg"), ("Annotations", "xml"), ("SegmentationClass", "png")):
        (tmp_path / VOC / folder).mkdir(parents=True)
        for name in "abcde":
            (tmp_path / VOC / folder / f"{name}.{suffix}").write_text(f"{folder} of {name}")
    write_list(tmp_path / VOC / "ImageSets/Segmentation/train.txt", ["a", "c", "e"] * 200)
    return tmp_path


def test_voc_mini_is_copied_out_of_voc(whole):
    mini_sets.make_voc_mini(whole)
    mini = whole / "voc-mini" / VOC
    files = {path.relative_to(mini).as_posix(): path.read_text() for path in mini.rglob("*") if path.is_file()}
    assert {name: text for name, text in files.items() if "ImageSets" not in name} == {
        **{f"JPEGImages/{name}.jpg": f"JPEGImages of {name}" for name in "abcd"},
        **{f"Annotations/{name}.xml": f"Annotations of {name}" for name in "abcd"},
        **{f"SegmentationClass/{name}.png": f"SegmentationClass of {name}" for name in "abc"},
    }
    assert {name: text.split() for name, text in files.items() if "ImageSets" in name} == {
        "ImageSets/Main/train.txt": ["a", "c", "d"],
        "ImageSets/Main/val.txt": ["b"],
        "ImageSets/Main/trainval.txt": ["a", "b", "c", "d"],
        "ImageSets/Segmentation/train.txt": ["a", "c"],
        "ImageSets/Segmentation/val.txt": ["b"],
        "ImageSets/Segmentation/trainval.txt": ["a", "b", "c"],
    }


def test_a_whole_voc_is_not_taken_for_the_small_one(whole):
    info = registry.get("voc-mini")
    for name in ("ImageSets/Main/train.txt", "ImageSets/Main/val.txt", "ImageSets/Segmentation/val.txt"):
        write_list(whole / VOC / name, ["a"])
    with pytest.raises(UserError, match=r"has a whole VOC 2012, of 600 images .*prepare voc-mini --data"):
        info.locate(whole)
    mini_sets.make_voc_mini(whole)
    assert info.locate(whole) == str(whole / "voc-mini")
    write_list(whole / VOC / "ImageSets/Segmentation/train.txt", ["a", "c"])
    (whole / "voc-mini").rename(whole / "elsewhere")
    assert info.locate(whole) == str(whole)


def test_without_voc_there_is_no_voc_mini(tmp_path):
    with pytest.raises(
        UserError, match=r"voc-mini is a part of PASCAL VOC 2012, and .*'slimbench data prepare voc12aug"
    ):
        mini_sets.make_voc_mini(tmp_path)
    assert not list(tmp_path.iterdir())
