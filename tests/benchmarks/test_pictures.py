"""Every kind of picture file is read as what it shows, or refused in one line."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.datasets.pictures import picture_files, read_bytes
from benchmarks.errors import UserError

RGB = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)


def written(tmp_path, image, name="picture.png", **options):
    path = tmp_path / name
    image.save(path, **options)
    return path


def pixels(path):
    """``(H, W, C)``, as numpy has it."""
    found = read_bytes(path)
    assert found.dtype == torch.uint8
    return found[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "A.PNG"])
def test_colours_are_read_exactly(tmp_path, name):
    assert np.array_equal(pixels(written(tmp_path, Image.fromarray(RGB), name)), RGB)


def test_grey_stays_one_channel_in_full_range(tmp_path):
    grey = np.arange(256, dtype=np.uint8).reshape(8, 32)
    assert np.array_equal(pixels(written(tmp_path, Image.fromarray(grey)))[..., 0], grey)


def test_black_and_white(tmp_path):
    path = written(tmp_path, Image.fromarray(RGB[..., 0] > 127))
    assert Image.open(path).mode == "1"
    assert np.array_equal(pixels(path)[..., 0], np.where(RGB[..., 0] > 127, 255, 0))


@pytest.mark.parametrize("name", ["wide.png", "wide.tif"])
def test_16_bits_are_rounded_to_8(tmp_path, name):
    wide = np.array([[0, 128, 129, 255, 256], [257, 32768, 33000, 65406, 65535]], dtype=np.uint16)
    path = written(tmp_path, Image.fromarray(wide), name)
    assert Image.open(path).mode.startswith("I")
    assert pixels(path)[..., 0].tolist() == [[0, 0, 1, 1, 1], [1, 128, 128, 254, 255]]


def test_palettes_become_their_colours(tmp_path):
    image = Image.fromarray(np.array([[0, 1], [2, 1]], dtype=np.uint8), mode="P")
    image.putpalette([10, 20, 30, 200, 100, 50, 0, 0, 255])
    found = pixels(written(tmp_path, image))
    assert found.tolist() == [[[10, 20, 30], [200, 100, 50]], [[0, 0, 255], [200, 100, 50]]]


def test_a_grey_picture_packed_into_a_palette_is_grey(tmp_path):
    image = Image.fromarray(np.array([[0, 1], [1, 0]], dtype=np.uint8), mode="P")
    image.putpalette([7, 7, 7, 99, 99, 99])
    assert pixels(written(tmp_path, image)).tolist() == [[[7], [99]], [[99], [7]]]


def test_an_opaque_alpha_channel_is_dropped(tmp_path):
    opaque = np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)])
    assert np.array_equal(pixels(written(tmp_path, Image.fromarray(opaque))), RGB)
    grey = Image.fromarray(opaque[..., 2:], mode="LA")
    assert np.array_equal(pixels(written(tmp_path, grey, "grey.png")), RGB[..., 2:])


def test_transparent_pixels_are_refused(tmp_path):
    clear = np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)])
    clear[2, 3, 3] = 254
    palette = Image.fromarray(np.array([[0, 1]], dtype=np.uint8), mode="P")
    palette.putpalette([10, 20, 30, 200, 100, 50])
    paths = [
        written(tmp_path, Image.fromarray(clear), "rgba.png"),
        written(tmp_path, Image.fromarray(clear[..., 2:], mode="LA"), "la.png"),
        written(tmp_path, palette, "palette.png", transparency=1),
    ]
    for path in paths:
        with pytest.raises(UserError, match=rf"{path.name}: it has transparent pixels; flatten it"):
            read_bytes(path)


def test_cmyk_becomes_rgb(tmp_path):
    cmyk = np.zeros((8, 8, 4), np.uint8)
    cmyk[:, :4, 0] = 255  # cyan, then black
    cmyk[:, 4:, 3] = 255
    found = pixels(written(tmp_path, Image.fromarray(cmyk, mode="CMYK"), "cmyk.tif"))
    assert found[:, :4].reshape(-1, 3).tolist() == [[0, 255, 255]] * 32
    assert found[:, 4:].max() == 0


def test_floating_point_pixels_are_refused(tmp_path):
    path = written(tmp_path, Image.fromarray(np.ones((4, 4), np.float32)), "float.tif")
    with pytest.raises(UserError, match=r"float\.tif: its pixels are of PIL's mode F"):
        read_bytes(path)
    path = written(tmp_path, Image.fromarray(np.full((4, 4), 9, np.int32)), "int32.tif")
    with pytest.raises(UserError, match=r"int32\.tif: its pixels are of PIL's mode I;"):
        read_bytes(path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif", "webp"])
def test_truncated_files_are_one_line(tmp_path, suffix):
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = written(tmp_path, Image.fromarray(noise), f"whole.{suffix}")
    content = path.read_bytes()
    for part in (0, 1, 12, 30, len(content) // 2):
        path.write_bytes(content[:part])
        with pytest.raises(UserError, match=rf"cannot read the picture .*whole\.{suffix}: ") as caught:
            read_bytes(path)
        assert "\n" not in str(caught.value)


def test_what_is_no_picture_is_one_line(tmp_path):
    (tmp_path / "notes.png").write_text("not a picture\n" * 100)
    with pytest.raises(UserError, match=r"cannot read the picture .*notes\.png"):
        read_bytes(tmp_path / "notes.png")
    with pytest.raises(UserError, match=r"cannot read the picture .*missing\.png"):
        read_bytes(tmp_path / "missing.png")


def test_pictures_of_a_folder_by_name(tmp_path):
    for name in ("b.png", "a.JPG", "c.bmp", "notes.txt", "._b.png", "e.png.part"):
        (tmp_path / name).touch()
    assert [path.name for path in picture_files(tmp_path)] == ["a.JPG", "b.png", "c.bmp"]


@pytest.mark.parametrize("folder", [".", "missing"])
def test_a_folder_without_pictures(tmp_path, folder):
    with pytest.raises(UserError, match=r"no pictures in .*\(files ending in \.png, \.bmp"):
        picture_files(tmp_path / folder)
