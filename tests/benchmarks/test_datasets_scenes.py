"""Data sets of boxes and masks: what is counted, what identifies them, what is told where they are missing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from benchmarks.datasets import registry
from benchmarks.datasets.findings import Listed, Part
from benchmarks.datasets.scenes import SceneSet
from benchmarks.errors import MissingDataError, UserError

VOC = "VOCdevkit/VOC2007"


@pytest.fixture
def scenes():
    """A data set of two photographs, a list and a mask each."""
    return SceneSet(
        "two",
        "the two",
        "",
        "",
        "",
        (
            Part("set/photos/*.jpg", 2, pixels=True),
            Part("set/list.txt", 2, lines=True),
            Listed("set/masks/{}.png", "set/list.txt"),
        ),
        advice=", or draw it",
    )


def write(root):
    for name, content in {
        "photos/a.jpg": "A" * 10,
        "photos/b.jpg": "B" * 20,
        "list.txt": "a 1\nb -1\n",
        "masks/a.png": "mask of a",
        "masks/b.png": "mask of b",
        "masks/c.png": "of nothing that is listed",
    }.items():
        path = Path(root, "set", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def test_lines_and_files_of_voc_are_counted(tmp_path):
    lists = tmp_path / VOC / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "trainval.txt").write_text("000001\n" * 5_011)
    (lists / "test.txt").write_text("000001\n" * 4_952)
    findings = registry.get("voc07").check(tmp_path)
    assert [finding.ok for finding in findings] == [False, False, True, True]
    assert findings[0].text == f"{VOC}/JPEGImages/*.jpg: 0 files, not 9,963"


def test_each_name_of_a_list_needs_its_file(scenes, tmp_path):
    write(tmp_path)
    assert all(finding.ok for finding in scenes.check(tmp_path))
    (tmp_path / "set/masks/b.png").unlink()
    text = "set/masks/*.png: 1 of the 2 files of set/list.txt; set/masks/b.png is missing"
    assert [finding.text for finding in scenes.check(tmp_path) if not finding.ok] == [text]


def test_the_checksum_is_of_contents_but_only_of_the_sizes_of_photographs(scenes, tmp_path):
    lines = ["set/photos/a.jpg 10 ", "set/photos/b.jpg 20 "]
    for name, content in (("list.txt", "a 1\nb -1\n"), ("masks/a.png", "mask of a"), ("masks/b.png", "mask of b")):
        lines.append(f"set/{name} {len(content)} {hashlib.sha256(content.encode()).hexdigest()}")
    expected = hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()
    assert scenes.checksum(str(write(tmp_path / "1"))) == f"sha256:{expected}"


@pytest.mark.parametrize(
    ("name", "content", "same"),
    [
        ("photos/a.jpg", "X" * 10, True),
        ("photos/a.jpg", "A" * 11, False),
        ("photos/c.jpg", "C", False),
        ("masks/a.png", "musk of a", False),
        ("masks/c.png", "listed by nobody", True),
        ("list.txt", "a 1\n", False),
    ],
)
def test_what_changes_the_checksum(scenes, tmp_path, name, content, same):
    before = scenes.checksum(str(write(tmp_path / "before")))
    (write(tmp_path / "after") / "set" / name).write_text(content)
    assert (scenes.checksum(str(tmp_path / "after"), verify=False) == before) is same


def test_a_data_set_that_is_not_whole_has_no_checksum(scenes, tmp_path):
    write(tmp_path)
    (tmp_path / "set/masks/b.png").unlink()
    with pytest.raises(UserError, match=r"cannot read .*b\.png: No such file"):
        scenes.checksum(str(tmp_path))
    for path in (tmp_path / "set/photos").iterdir():
        path.unlink()
    with pytest.raises(UserError, match=r"set/photos/\*\.jpg has no file in .*'slimbench data check two'"):
        scenes.checksum(str(tmp_path))


def told(scenes, data):
    with pytest.raises(MissingDataError) as caught:
        scenes.locate(data)
    return str(caught.value).splitlines()


def test_it_is_located_when_all_folders_are_there_and_hold_something(scenes, tmp_path):
    assert scenes.locate(write(tmp_path)) == str(tmp_path)
    for path in (tmp_path / "set/photos").iterdir():
        path.unlink()
    first, *tree = told(scenes, tmp_path)
    assert first == (
        f"the two is not whole in {tmp_path}; get it with: slimbench data prepare two --data {tmp_path}, or draw it"
    )
    assert tree == [
        f"  {tmp_path}/",
        "    set/",
        "      photos/   empty",
        "      list.txt  is there",
        "      masks/    is there",
    ]


def test_a_root_one_folder_too_deep_or_too_high_is_recognised(scenes, tmp_path):
    root = write(tmp_path / "here" / "data")
    for wrong in (root / "set", root / "set" / "photos", tmp_path, tmp_path / "here"):
        assert told(scenes, wrong)[0] == f"the two is not in {wrong} but in {root}: say --data {root}"


def test_a_folder_at_another_place_is_named(scenes, tmp_path):
    write(tmp_path)
    (tmp_path / "set" / "images").mkdir()
    (tmp_path / "set" / "photos").rename(tmp_path / "set" / "images" / "photos")
    assert f"      photos/   missing, but there is {tmp_path / 'set/images/photos'}" in told(scenes, tmp_path)


def test_the_search_ends_in_a_folder_of_very_many(scenes, tmp_path, monkeypatch):
    from benchmarks.datasets import missing

    listed = []
    real = missing._folders
    monkeypatch.setattr(missing, "_folders", lambda folder: listed.append(folder) or real(folder))
    monkeypatch.setattr(missing, "MOST_FOLDERS", 20)
    for number in range(30):
        (tmp_path / f"{number:02}" / "a" / "b" / "c").mkdir(parents=True)
    assert "missing" in told(scenes, tmp_path)[-1]
    assert len(listed) <= 1 + 2 * 20


def test_of_several_roots_that_with_most_of_it_is_drawn(scenes, tmp_path, monkeypatch):
    from benchmarks.datasets import scenes as module

    (write(tmp_path / "some") / "set/list.txt").unlink()
    monkeypatch.setattr(module, "candidate_roots", lambda data: [tmp_path / "none", tmp_path / "some"])
    assert told(scenes, None)[0].startswith(f"the two is not whole in {tmp_path / 'some'};")
    monkeypatch.setattr(module, "candidate_roots", lambda data: [tmp_path / "none", tmp_path / "nil"])
    assert told(scenes, None)[0].startswith(f"the two not found in {tmp_path / 'none'}, {tmp_path / 'nil'};")


def test_what_is_whole_is_not_fetched_again(tmp_path):
    done = []
    parts = (Part("a/*.txt", 1),)
    fetched = SceneSet("x", "x", "", "", "", parts, fetch=lambda root: done.append("fetch"), finish=done.append)
    assert fetched.prepare(tmp_path) == tmp_path
    assert done == ["fetch", tmp_path]
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.txt").touch()
    fetched.prepare(tmp_path)
    assert len(done) == 2
