"""minival out of COCO's own files, and coco-mini out of COCO, on annotations of a few images."""

from __future__ import annotations

import json

import pytest

from benchmarks.datasets import coco, mini_sets, minival, registry
from benchmarks.errors import UserError

#: minival's ids, and all of val2014's, neither in order
CHOSEN, EVERYTHING = [40, 7], [12, 40, 3, 7, 25]


def annotations(images, prefix):
    return {
        "info": {"year": 2014},
        "images": [{"id": number, "file_name": f"{prefix}{number:012}.jpg"} for number in images],
        "annotations": [{"id": 10 * number + i, "image_id": number, "bbox": [0, 0, 1.5, 2]}
                        for number in reversed(images) for i in range(number % 3)],
        "categories": [{"id": 1, "name": "person"}],
    }  # fmt: skip


def write(root, split, content):
    path = root / "coco" / "annotations" / f"instances_{split}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def read(root, split):
    return json.loads((root / "coco" / "annotations" / f"instances_{split}.json").read_text())


def never(root):
    raise AssertionError("nothing is to be fetched")


@pytest.fixture
def small(monkeypatch, tmp_path):
    monkeypatch.setattr(minival, "IMAGES", {"valminusminival2014": 3, "minival2014": 2})
    write(tmp_path, "val2014", annotations(EVERYTHING, "COCO_val2014_"))
    write(tmp_path, "val2017", annotations(CHOSEN, ""))
    return tmp_path


def test_val2014_is_split_by_the_ids_of_val2017_and_keeps_its_own_entries(small):
    minival.split(small, never)
    expected = {"minival2014": {40, 7}, "valminusminival2014": {12, 3, 25}}
    whole = read(small, "val2014")
    for split, kept in expected.items():
        content = read(small, split)
        assert content == {
            **whole,
            "images": [image for image in whole["images"] if image["id"] in kept],
            "annotations": [each for each in whole["annotations"] if each["image_id"] in kept],
        }
        assert {image["id"] for image in content["images"]} == kept
    assert sum(len(read(small, split)["annotations"]) for split in expected) == len(whole["annotations"]) > 0
    assert len(list((small / "coco/annotations").iterdir())) == 4


def test_the_counts_are_those_of_the_literature():
    assert minival.IMAGES == {"valminusminival2014": 35_504, "minival2014": 5_000}
    assert sum(minival.IMAGES.values()) == coco.VAL_2014.count
    assert coco.TRAIN_2014.count + minival.IMAGES["valminusminival2014"] == coco.TRAIN_2017.count


def test_the_list_is_fetched_if_it_is_not_there(small):
    content = (small / "coco/annotations/instances_val2017.json").read_bytes()
    (small / "coco/annotations/instances_val2017.json").unlink()
    minival.split(small, lambda root: (root / "coco/annotations/instances_val2017.json").write_bytes(content))
    assert len(read(small, "minival2014")["images"]) == 2

    def refuse(root):
        raise OSError("no network")

    (small / "coco/annotations/instances_val2017.json").unlink()
    with pytest.raises(UserError, match=r"cannot fetch the annotations of COCO 2017, .* no network"):
        minival.split(small, refuse)


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        ([40, 7, 12], "valminusminival2014 would have 2 images, not 3"),
        ([40, 99], r"1 images of .*val2017\.json, 99 among them, are not in .*val2014\.json"),
    ],
)
def test_other_lists_are_refused_and_nothing_is_written(small, listed, words):
    write(small, "val2017", annotations(listed, ""))
    with pytest.raises(UserError, match=words):
        minival.split(small, never)
    assert not list((small / "coco/annotations").glob("*mini*"))


def test_a_broken_file_is_named(small):
    (small / "coco/annotations/instances_val2014.json").write_text("{")
    with pytest.raises(UserError, match=r"cannot read .*instances_val2014\.json"):
        minival.split(small, never)


def test_check_counts_the_images_of_both_files(small):
    minival.split(small, never)
    texts = [finding.text for finding in registry.get("coco2014").check(small)]
    assert "coco/annotations/instances_minival2014.json: 2 images, not 5,000" in texts
    assert "coco/annotations/instances_valminusminival2014.json: 3 images, not 35,504" in texts


def test_annotations_are_fetched_without_their_images(tmp_path, monkeypatch):
    """What is there is not fetched again, derived files are not counted as COCO's own."""
    asked = []
    monkeypatch.setattr(coco, "download_and_extract_archive", lambda url, folder, **options: asked.append(url))
    for split in ("train2014", "val2014", "minival2014", "valminusminival2014"):
        write(tmp_path, split, {})
    coco.fetch(tmp_path, coco.ARCHIVES_2014)
    assert [url.rpartition("/")[2] for url in asked] == ["train2014.zip", "val2014.zip"]


@pytest.fixture
def whole(tmp_path, monkeypatch):
    """COCO of four images, of which coco-mini has two."""
    monkeypatch.setattr(mini_sets, "lists", lambda: {"coco-mini": [7, 12]})
    write(tmp_path, "train2017", annotations([25, 12, 7, 8], ""))
    (tmp_path / "coco/train2017").mkdir()
    for number in (7, 8, 12, 25):
        (tmp_path / f"coco/train2017/{number:012}.jpg").write_bytes(b"pixels of %d" % number)
    return tmp_path


def test_coco_mini_is_copied_out_of_coco(whole):
    mini_sets.make_coco_mini(whole)
    files = sorted((whole / "coco-mini/train2017").iterdir())
    assert [path.name for path in files] == ["000000000007.jpg", "000000000012.jpg"]
    assert files[0].read_bytes() == b"pixels of 7"
    content = json.loads((whole / "coco-mini/annotations/instances_train2017.json").read_text())
    assert [image["id"] for image in content["images"]] == [7, 12]
    assert [each["id"] for each in content["annotations"]] == [70]
    assert content["categories"] == [{"id": 1, "name": "person"}]
    with pytest.raises(UserError, match="coco-mini is there and not whole: remove it"):
        mini_sets.make_coco_mini(whole)


def test_nothing_is_left_of_a_coco_mini_that_cannot_be_made(whole):
    write(whole, "train2017", annotations([12, 25], ""))
    with pytest.raises(UserError, match="lists 1 of the 2 images of coco-mini"):
        mini_sets.make_coco_mini(whole)
    (whole / "coco/train2017/000000000012.jpg").unlink()
    with pytest.raises(UserError, match=r"000000000012\.jpg is not there: 'slimbench data prepare coco --data "):
        mini_sets.make_coco_mini(whole)
    assert [path.name for path in whole.iterdir()] == ["coco"]


def test_the_shipped_lists_have_the_numbers_that_check_expects():
    lists = mini_sets.lists()
    assert len(set(lists["coco-mini"])) == 64
    names = lists["voc-mini"]
    assert [len(set(names[split])) for split in ("train", "val", "boxes_only")] == [43, 50, 7]
    assert len({name for split in names.values() for name in split}) == 100
