"""Set5, Set14, the 291 pictures and a user's own: found, checked, fetched from archives that are built here."""

from __future__ import annotations

import shutil
import urllib.error
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets.utils
from PIL import Image

from benchmarks.cli import main
from benchmarks.datasets import picture_sets, registry
from benchmarks.datasets.picture_sets import OwnPictures
from benchmarks.errors import UserError

SET5 = next(each for each in picture_sets.ALL if each.name == "set5")
BY_HAND = "fetch test_data.zip from https://cv.snu.ac.kr/research/VDSR/ by hand and put the 5 pictures into {}"
SIZES = dict.fromkeys(("baby", "bird", "butterfly", "head", "woman"), (24, 20))


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    def refuse(*arguments, **options):
        raise urllib.error.URLError("no network in tests")

    for name in ("_urlretrieve", "_get_redirect_url"):
        monkeypatch.setattr(torchvision.datasets.utils, name, refuse)


@pytest.fixture
def offered(tmp_path, monkeypatch):
    """A function: what VDSR's page gives for test_data.zip, a folder to be packed or the file's bytes."""

    def offer(content):
        if not isinstance(content, bytes):
            content = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", content)).read_bytes()
        (tmp_path / "page").mkdir(exist_ok=True)
        (tmp_path / "page" / "test_data.zip").write_bytes(content)
        monkeypatch.setattr(torchvision.datasets.utils, "_get_redirect_url", lambda url, **_: url)
        monkeypatch.setattr(
            torchvision.datasets.utils,
            "_urlretrieve",
            lambda url, file: shutil.copy(tmp_path / "page" / url.rpartition("/")[2], file),
        )

    return offer


def test_the_folder_is_found_by_any_of_its_names(tmp_path, make_pictures):
    info = registry.get("train291")
    make_pictures(tmp_path / "train291", {f"t{i}": (2, 2) for i in range(291)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert info.locate(tmp_path) == str(tmp_path / "train291")
    assert [(finding.ok, finding.text[:5]) for finding in info.check(tmp_path / "train291")] == [
        (True, "291 p"),
        (False, "names"),
    ]


def test_where_a_set_is_not_found_it_is_said_how_it_is_fetched(tmp_path):
    with pytest.raises(
        UserError, match=r"Set14 not found \(looked for .*/Set14\); get it with: slimbench data prepare"
    ):
        registry.get("set14").locate(tmp_path)


def test_another_number_of_pictures_is_warned_of(tmp_path, make_pictures):
    make_pictures(tmp_path / "Set5", {"baby": (24, 20)})
    with pytest.warns(UserWarning, match=r"Set5 in .*Set5 has 1 pictures, not 5"):
        registry.get("set5").locate(tmp_path)


def test_check_tells_number_unreadable_pictures_and_other_pixels(tmp_path, make_pictures):
    place = make_pictures(tmp_path / "Set5", SIZES)
    known = replace(SET5, known=SET5.checksum(str(place)))
    assert [finding.ok for finding in known.check(place)] == [True, True]
    other = known.check(make_pictures(tmp_path / "other" / "Set5", SIZES, seed=1))
    assert [finding.ok for finding in other] == [True, False]
    assert other[1].text.endswith(f"not those behind the published reports ({known.known})")
    (place / "baby.png").write_bytes(b"no picture")
    (place / "more.png").write_bytes((place / "bird.png").read_bytes())
    found = known.check(place)
    assert [finding.text.partition(str(place))[0] for finding in found if not finding.ok] == [
        "6 pictures, not 5",
        "cannot read the picture ",
    ]


def test_copies_as_bmp_with_other_names_are_the_same_data(tmp_path, make_pictures):
    place = make_pictures(tmp_path / "Set5", SIZES)
    copy = tmp_path / "copy" / "Set5"
    copy.mkdir(parents=True)
    for path in place.iterdir():
        Image.open(path).save(copy / f"{path.stem}_GT.bmp")
        (copy / f"._{path.stem}_GT.bmp").write_bytes(b"what macOS leaves behind")
    assert SET5.checksum(str(copy)) == SET5.checksum(str(place))


@pytest.mark.parametrize("inside", ["Set5", "test_data/set5", "a/b/SET5"])
def test_the_folder_is_fetched_from_anywhere_in_the_archive(inside, tmp_path, make_pictures, offered, capsys):
    made = make_pictures(tmp_path / "source" / inside, SIZES)
    make_pictures(tmp_path / "source" / "Set14", {"zebra": (24, 20)})
    make_pictures(tmp_path / "source" / "small" / "Set5", {"baby": (12, 10)})  # of the name, and not whole
    hidden = tmp_path / "source" / "__MACOSX" / "Set5"
    hidden.mkdir(parents=True)
    (hidden / "._baby.png").touch()
    checksum = SET5.checksum(str(made))
    offered(tmp_path / "source")
    root = tmp_path / "data"
    assert main(["data", "prepare", "set5", "--data", str(root)]) == 1, "drawn pictures are not Set5's"
    assert "BAD names, sizes or luminance" in capsys.readouterr().out
    assert [path.name for path in root.iterdir()] == ["Set5"], "nothing else is left behind"
    assert SET5.checksum(str(root / "Set5")) == checksum


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<html>moved</html>", "cannot fetch Set5 into {root}: "),
        (b"", "cannot fetch Set5 into {root}: "),
        ("Set5 of one picture", "holds no folder Set5 of 5 pictures: "),
        ("no Set5", "holds no folder Set5 of 5 pictures: "),
    ],
)
def test_another_archive_is_one_line_and_leaves_nothing(content, words, tmp_path, make_pictures, offered, capsys):
    if isinstance(content, str):
        name = "Set5" if content == "Set5 of one picture" else "Set6"
        make_pictures(tmp_path / "source" / name, {"baby": (24, 20)})
        content = tmp_path / "source"
    offered(content)
    root = tmp_path / "data"
    assert main(["data", "prepare", "set5", "--data", str(root)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert words.format(root=root) in error
    assert BY_HAND.format(root / "Set5") in error
    assert list(root.iterdir()) == []


def test_without_a_network_it_is_said_what_to_do_by_hand(tmp_path, capsys):
    assert main(["data", "prepare", "set5", "--data", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: cannot fetch Set5 into {tmp_path}: no network in tests; repeat it where there is")
    assert BY_HAND.format(tmp_path / "Set5") in error
    assert error.count("\n") == 1


def test_what_is_there_is_not_fetched_again(tmp_path, make_pictures):
    place = make_pictures(tmp_path / "Set5", SIZES)
    whole = replace(SET5, known=SET5.checksum(str(place)))
    assert whole.prepare(tmp_path) == tmp_path
    (place / "baby.png").unlink()
    with pytest.raises(UserError, match=r"Set5 is there and not whole \(4 pictures, not 5\): remove it and repeat"):
        whole.prepare(tmp_path)


def test_a_users_folder_is_data_itself(tmp_path, make_pictures, capsys):
    own = OwnPictures()
    folder = make_pictures(tmp_path / "holiday", {"one": (24, 20)})
    assert own.locate(folder) == str(folder)
    assert main(["data", "check", "pictures", "--data", str(folder)]) == 0
    assert capsys.readouterr().out.startswith("ok  1 picture\n")
    (folder / "two.png").write_bytes(b"")
    assert main(["data", "check", "pictures", "--data", str(folder)]) == 1
    for call, words in (
        (lambda: own.locate(None), "say in which folder, with --data FOLDER"),
        (lambda: own.locate(tmp_path), f"no pictures in {tmp_path} "),
        (lambda: own.locate(tmp_path / "nowhere"), "no pictures in "),
        (lambda: own.prepare(tmp_path), "your pictures are not fetched"),
    ):
        with pytest.raises(UserError, match=words):
            call()


@pytest.mark.parametrize("name", ["set5", pytest.param("train291", marks=pytest.mark.slow)])
def test_the_known_checksum_is_that_of_the_pictures_where_they_are_found(name):
    (info,) = (each for each in picture_sets.ALL if each.name == name)
    try:
        place = info.locate(None)
    except UserError as error:
        pytest.skip(str(error))
    assert info.checksum(place) == info.known


def test_pictures_of_any_kind_have_a_checksum(tmp_path):
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / "grey.png")
    Image.new("P", (8, 8)).save(tmp_path / "palette.png")
    Image.new("RGBA", (8, 8), (1, 2, 3, 255)).save(tmp_path / "alpha.png")
    assert OwnPictures().checksum(str(tmp_path)).startswith("sha256:")
