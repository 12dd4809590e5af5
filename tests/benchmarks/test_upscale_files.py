"""Reading and writing of a user's picture files."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from benchmarks.errors import UserError
from benchmarks.super_resolution import files
from benchmarks.super_resolution.files import Picture

ORIENTATION = 0x0112


def pixels(channels: int, white: int = 255, height: int = 5, width: int = 7) -> Any:
    drawn = np.random.default_rng(channels).integers(0, white + 1, (height, width, channels))
    return drawn.astype(np.uint8 if white == 255 else np.uint16)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def deep_png(values: Any, colour_type: int, *extra: bytes) -> bytes:
    """A PNG of 16 bits, written from the specification."""
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0))
    return b"".join(
        [b"\x89PNG\r\n\x1a\n", header, *extra, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    )  # fmt: skip


def saved(image: Image.Image, path: Path, **options: Any) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize(("channels", "kind"), [(1, "grey"), (2, "grey with alpha"), (3, "RGB"), (4, "RGB with alpha")])
def test_8_bits(tmp_path: Path, channels: int, kind: str) -> None:
    truth = pixels(channels)
    found = files.read(saved(Image.fromarray(truth.squeeze()), tmp_path / "a.png"))
    assert np.array_equal(found.pixels, truth)
    assert str(found) == f"7x5 {kind}"


@pytest.mark.parametrize(("channels", "colour_type"), [(1, 0), (2, 4), (3, 2), (4, 6)])
def test_16_bits_of_a_png(tmp_path: Path, channels: int, colour_type: int) -> None:
    truth = pixels(channels, 65_535)
    (tmp_path / "a.png").write_bytes(deep_png(truth, colour_type))
    found = files.read(tmp_path / "a.png")
    assert found.pixels.dtype == np.uint16
    assert np.array_equal(found.pixels, truth)
    assert str(found).endswith(", 16 bits")


@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits_of_a_tiff(tmp_path: Path, channels: int) -> None:
    truth = pixels(channels, 65_535)
    assert cv2.imwrite(str(tmp_path / "a.tif"), truth[..., ::-1])
    assert np.array_equal(files.read(tmp_path / "a.tif").pixels, truth)


@pytest.mark.parametrize(("channels", "colour_type"), [(1, 0), (3, 2)])
def test_a_transparent_colour_of_16_bits(tmp_path: Path, channels: int, colour_type: int) -> None:
    truth = pixels(channels, 65_535)
    key = chunk(b"tRNS", truth[0, 0].astype(">u2").tobytes())
    (tmp_path / "a.png").write_bytes(deep_png(truth, colour_type, key))
    found = files.read(tmp_path / "a.png").pixels
    assert np.array_equal(found[..., :-1], truth)
    assert found[0, 0, -1] == 0
    assert (found[1:, :, -1] == 65_535).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright(tmp_path: Path, orientation: int) -> None:
    values = pixels(3)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = saved(Image.fromarray(values), tmp_path / "a.png", exif=exif)
    with Image.open(path) as image:
        upright = np.array(ImageOps.exif_transpose(image))
    assert np.array_equal(files.read(path).pixels, upright)
    if orientation == 6:  # a telephone held upright: its first row is the picture's last column
        assert np.array_equal(upright, np.rot90(values, -1))
    deep = deep_png(values.astype(np.uint16) * 257, 2, chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")))
    (tmp_path / "deep.png").write_bytes(deep)
    assert np.array_equal(files.read(tmp_path / "deep.png").pixels, upright.astype(np.uint16) * 257)
    grey = Image.fromarray(values[..., 0].astype(np.uint16))
    saved(grey, tmp_path / "a.tif", tiffinfo={ORIENTATION: orientation})
    deep_tiff = files.read(tmp_path / "a.tif").pixels
    assert deep_tiff.dtype == np.uint16
    assert np.array_equal(deep_tiff[..., 0], upright[..., 0])


def test_palettes_become_what_they_show(tmp_path: Path) -> None:
    image = Image.fromarray(pixels(3)).quantize(16)
    path = saved(image, tmp_path / "a.gif")
    assert np.array_equal(files.read(path).pixels, np.array(image.convert("RGB")))
    path = saved(image, tmp_path / "b.png", transparency=int(np.array(image)[0, 0]))
    found = files.read(path).pixels
    assert found.shape == (5, 7, 4)
    assert found[0, 0, 3] == 0
    assert found[..., 3].max() == 255
    grey = Image.fromarray(pixels(1)[..., 0])
    assert np.array_equal(files.read(saved(grey.convert("P"), tmp_path / "c.png")).pixels, pixels(1))


def test_other_kinds_of_grey_and_transparency(tmp_path: Path) -> None:
    black_and_white = pixels(1)[..., 0] > 127
    found = files.read(saved(Image.fromarray(black_and_white), tmp_path / "a.png")).pixels
    assert np.array_equal(found[..., 0], black_and_white * 255)
    image = Image.fromarray(pixels(3))
    found = files.read(saved(image, tmp_path / "b.png", transparency=tuple(map(int, pixels(3)[0, 0])))).pixels
    assert found.shape == (5, 7, 4)
    assert found[0, 0, 3] == 0


def test_the_first_picture_of_a_telephones_jpeg(tmp_path: Path) -> None:
    first, preview = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    first.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[preview])
    found = files.read(tmp_path / "a.jpg").pixels
    assert found[..., 0].min() > 200
    assert found[..., 2].max() < 50


def broken_files(folder: Path) -> dict[str, str]:
    """Files that are refused, and what is said of them."""
    image = Image.fromarray(pixels(3, height=60, width=60))
    for mode in ("CMYK", "LAB", "I", "F"):
        saved(Image.new(mode, (4, 4)), folder / f"{mode}.tif")
    saved(image, folder / "animated.gif", save_all=True, append_images=[Image.new("RGB", (60, 60))])
    saved(image, folder / "pages.tif", save_all=True, append_images=[Image.new("RGB", (4, 4))])
    saved(image, folder / "whole.png")
    whole = (folder / "whole.png").read_bytes()
    (folder / "truncated.png").write_bytes(whole[: len(whole) // 2])
    (folder / "damaged.png").write_bytes(whole[:90] + b"x" * 40 + whole[130:])
    deep = deep_png(pixels(3, 65_535), 2)
    (folder / "truncated16.png").write_bytes(deep[: len(deep) // 2])
    (folder / "empty.png").touch()
    (folder / "text.png").write_text("no picture", encoding="ascii")
    (folder / "no_pixels.png").write_bytes(deep_png(np.zeros((0, 0, 3), np.uint16), 2))
    bomb = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)) + chunk(b"IDAT", b"")
    (folder / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bomb)
    saved(image, folder / "a.ppm")
    return {
        "CMYK.tif": "CMYK.*convert it",
        "LAB.tif": "CIELAB",
        "I.tif": "32 bits",
        "F.tif": "32 bits",
        "animated.gif": "2 pictures in one file",
        "pages.tif": "2 pictures in one file",
        "truncated.png": "cannot be read: .*truncated",
        "damaged.png": "cannot be read",
        "truncated16.png": "cannot be read: .*truncated",
        "empty.png": "the file is empty",
        "text.png": "no picture",
        "no_pixels.png": "no_pixels",
        "bomb.png": "cannot be read: .*exceeds limit",
        "a.ppm": "PPM",
        "missing.png": "cannot be read: No such file",
    }


def test_what_cannot_be_kept_is_refused_by_name(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name, told in broken_files(tmp_path).items():
        with pytest.raises(UserError, match=told) as caught:
            files.read(tmp_path / name)
        assert str(caught.value).startswith(f"{tmp_path / name}: ")
        assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_large_picture_gives_no_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: Any) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30)
    assert files.read(saved(Image.fromarray(pixels(3)), tmp_path / "a.png")).pixels.shape == (5, 7, 3)
    assert not recwarn.list


@pytest.mark.parametrize("white", [255, 65_535])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_what_is_written_is_read_again(tmp_path: Path, channels: int, white: int) -> None:
    picture = Picture(pixels(channels, white))
    files.write(tmp_path / "a.png", picture)
    found = files.read(tmp_path / "a.png")
    expected = picture.pixels
    if (channels, white) == (2, 65_535):
        expected = expected[..., [0, 0, 0, 1]]
    assert found.pixels.dtype == picture.pixels.dtype
    assert np.array_equal(found.pixels, expected)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("white", [255, 65_535])
def test_the_colour_profile_is_kept(tmp_path: Path, white: int) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    values = pixels(3, white)
    files.write(tmp_path / "a.png", Picture(values, profile))
    found = files.read(tmp_path / "a.png")
    assert found.icc == profile
    assert np.array_equal(found.pixels, values)
    with Image.open(tmp_path / "a.png") as image:
        image.verify()  # every checksum of the file


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    target.write_text("mine", encoding="ascii")
    with pytest.raises(UserError, match=r"a\.png exists; --force"):
        files.write(target, Picture(pixels(3)))
    assert target.read_text(encoding="ascii") == "mine"
    assert list(tmp_path.iterdir()) == [target]
    files.write(target, Picture(pixels(3)), force=True)
    assert np.array_equal(files.read(target).pixels, pixels(3))


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write(tmp_path / "a.png", Picture(pixels(3)))

    def full(self: Path, content: bytes) -> None:
        with self.open("wb") as file:
            file.write(content[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match=r"a\.png: cannot be written: No space left on device"):
        files.write(tmp_path / "a.png", Picture(pixels(4)), force=True)
    assert np.array_equal(files.read(tmp_path / "a.png").pixels, pixels(3))
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_files_folders_and_patterns(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    names = ["b.png", "a.jpg", "notes.txt", "deep/c.png", "[x].png"]
    for name in names:
        (tmp_path / name).touch()

    def found(*arguments: str) -> list[str]:
        each = [str(tmp_path / argument) for argument in arguments]
        return [path.relative_to(tmp_path).as_posix() for path in files.inputs(each)]

    assert found("b.png", "deep") == ["b.png", "deep/c.png"]
    assert found(".") == ["[x].png", "a.jpg", "b.png"]
    assert found("*.png") == ["[x].png", "b.png"]
    assert found("**/*.png") == ["[x].png", "b.png", "deep/c.png"]
    assert found("[x].png") == ["[x].png"]  # a name as well as a pattern
    assert found("b.png", "?.png", "b.png") == ["b.png"]
    for wrong in ("z.png", "*.bmp"):
        with pytest.raises(UserError, match=f"pattern: .*{wrong.replace('*', '[*]')}"):
            found("b.png", wrong)
    (tmp_path / "bare").mkdir()
    with pytest.raises(UserError, match=r"no pictures in .*bare"):
        found("bare")


def test_names_of_what_comes_out(tmp_path: Path) -> None:
    assert files.outputs([Path("x/a.jpg"), Path("b.tar.png")], tmp_path, "_x2") == [
        tmp_path / "a_x2.png", tmp_path / "b.tar_x2.png",
    ]  # fmt: skip
    with pytest.raises(UserError, match=r"x/a\.jpg and y/a\.png would all become .*a_x2\.png"):
        files.outputs([Path("x/a.jpg"), Path("b.png"), Path("y/a.png")], tmp_path, "_x2")
    with pytest.raises(UserError, match=r"a\.png is a picture to be enlarged"):
        files.outputs([tmp_path / "a.png"], tmp_path, "")
    with pytest.raises(UserError, match="--suffix '/x'"):
        files.outputs([Path("a.png")], tmp_path, "/x")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    saved(Image.fromarray(pixels(3)), tmp_path / "a.png").chmod(0)
    with pytest.raises(UserError, match="cannot be read: Permission denied"):
        files.read(tmp_path / "a.png")


def test_jpeg_and_webp(tmp_path: Path) -> None:
    smooth = np.linspace(0, 255, 16 * 16 * 3).reshape(16, 16, 3).astype(np.uint8)
    for suffix in ("jpg", "webp", "bmp"):
        found = files.read(saved(Image.fromarray(smooth), tmp_path / f"a.{suffix}")).pixels
        assert np.abs(found.astype(int) - smooth).mean() < 6
    stream = io.BytesIO()
    Image.fromarray(smooth[..., 0]).save(stream, "JPEG")
    (tmp_path / "grey").write_bytes(stream.getvalue())  # the content tells the kind, not the name
    assert files.read(tmp_path / "grey").pixels.shape == (16, 16, 1)
