"""Picture files of any user: read with their full depth and the right way up, written as PNG, whole or not at all."""

from __future__ import annotations

import contextlib
import glob
import io
import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from benchmarks.atomic import replacing
from benchmarks.datasets.pictures import BROKEN, picture_files
from benchmarks.errors import UserError

Pixels = np.ndarray[tuple[int, ...], np.dtype[Any]]

FORMATS = ("PNG", "JPEG", "MPO", "TIFF", "BMP", "GIF", "WEBP")  # MPO: the JPEG of many telephones
# What else there is, and what is to be done about it.
_NOT_TAKEN = {
    "CMYK": "colours for print (CMYK)",
    "LAB": "colours as CIELAB",
    "HSV": "colours as HSV",
    "I": "pixels of 32 bits",
    "F": "pixels that are fractions",
}
_ORIENTATION = 0x0112  # of the tags that EXIF and TIFF share
_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339


class Picture(NamedTuple):
    """pixels: (H, W, C), uint8 or uint16, C = 1 (grey), 2 (grey, alpha), 3 (RGB) or 4. icc: the colour profile."""

    pixels: Pixels
    icc: bytes | None = None

    def __str__(self) -> str:
        height, width, channels = self.pixels.shape
        kind = ("grey", "grey with alpha", "RGB", "RGB with alpha")[channels - 1]
        return f"{width}x{height} {kind}{', 16 bits' if self.pixels.dtype == np.uint16 else ''}"


def inputs(arguments: Iterable[str]) -> list[Path]:
    """The files that a user's files, folders and patterns mean, each once, in that order.

    Raises UserError for an argument that means none.
    """
    found: dict[Path, Path] = {}
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            new = picture_files(path)
        elif path.exists() or not glob.has_magic(argument):
            new = [path]
        else:
            new = [Path(match) for match in sorted(glob.glob(argument, recursive=True)) if not Path(match).is_dir()]  # noqa: PTH207  Path.glob takes no absolute patterns
        missing = next((path for path in new if not path.exists()), None)
        if missing is not None or not new:
            raise UserError(f"no such picture, folder of pictures or pattern: {argument}")
        for path in new:
            found.setdefault(path.resolve(), path)
    return list(found.values())


def outputs(pictures: Iterable[Path], folder: Path, suffix: str) -> list[Path]:
    """Where each picture's enlargement goes: ``<folder>/<name><suffix>.png``.

    Raises UserError if two would be one file, or one would take the place of a picture that is to be enlarged.
    """
    pictures = list(pictures)
    if Path(suffix).name != suffix and suffix:
        raise UserError(f"--suffix {suffix!r} is a part of a file's name, such as _x2")
    targets = [folder / f"{picture.stem}{suffix}.png" for picture in pictures]
    (target, count), *_ = Counter(targets).most_common(1)
    if count > 1:
        same = [str(picture) for picture, its in zip(pictures, targets, strict=True) if its == target]
        raise UserError(f"{' and '.join(same)} would all become {target}; enlarge them into different folders")
    sources = {picture.resolve() for picture in pictures}
    for target in targets:
        if target.resolve() in sources:
            raise UserError(f"{target} is a picture to be enlarged; give another --output or --suffix")
    return targets


def read(path: Path) -> Picture:
    """A picture with all its bits, turned upright. Raises UserError, one line that names the file."""
    try:
        content = path.read_bytes()
        if not content:
            raise UserError(f"{path}: the file is empty")
        with _quiet(), Image.open(io.BytesIO(content)) as image:
            _refuse_strange(path, image)
            deep = _is_deep(path, image, content)
            if image.mode in _NOT_TAKEN and not deep:
                raise UserError(f"{path}: {_NOT_TAKEN[image.mode]} are not enlarged; convert it to RGB or grey")
            orientation = image.getexif().get(_ORIENTATION, 1)
            icc = image.info.get("icc_profile")
            image.load()  # a truncated file fails here, and only here
            # The reader of 16 bits turns a TIFF upright itself.
            pixels = (
                _turned(_deep_pixels(path, image, content), 1 if image.format == "TIFF" else orientation)
                if deep
                else _pixels(ImageOps.exif_transpose(image))
            )
    except UnidentifiedImageError:
        raise UserError(f"{path}: no picture, or of no known kind") from None
    except BROKEN as error:
        raise UserError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return Picture(pixels, icc)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the warning that a picture is large, and without what the reader of 16 bits says on the terminal."""
    import warnings

    import cv2

    before = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        cv2.utils.logging.setLogLevel(before)


def _refuse_strange(path: Path, image: Image.Image) -> None:
    if image.format not in FORMATS:
        known = "PNG, JPEG, TIFF, BMP, GIF and WebP"
        raise UserError(f"{path}: pictures of the kind {image.format} are not enlarged; {known} are")
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":
        raise UserError(f"{path}: {frames} pictures in one file (animated, or several pages); save them apart")


def _is_deep(path: Path, image: Image.Image, content: bytes) -> bool:
    """Whether the samples have 16 bits, which Pillow keeps in grey pictures only and does not tell of others."""
    if image.format == "PNG":
        return content[24] == 16  # in the header, after width and height
    if image.format != "TIFF":
        return False
    tags = image.tag_v2  # type: ignore[attr-defined]  # of a TIFF
    bits = set(tags.get(_BITS_PER_SAMPLE, (1,)))
    if max(bits) <= 8:
        return False
    kinds, photometric = set(tags.get(_SAMPLE_FORMAT, (1,))), tags.get(_PHOTOMETRIC)
    if bits != {16} or kinds != {1} or photometric not in {1, 2}:
        raise UserError(f"{path}: a TIFF with samples of {max(bits)} bits that are not grey or RGB numbers from 0 up")
    return True


def _pixels(image: Image.Image) -> Pixels:
    """8 bits, palettes and keys of transparency resolved: (H, W, C)."""
    transparent = "transparency" in image.info
    if image.mode in {"1", "L"}:
        image = image.convert("LA" if transparent else "L")
    elif image.mode in {"La", "LA"}:
        image = image.convert("LA")
    elif image.mode == "P" and not transparent and "icc_profile" not in image.info and _is_grey(image.convert("RGB")):
        image = image.convert("L")
    else:
        image = image.convert("RGBA" if transparent or image.mode in {"RGBA", "RGBa", "PA"} else "RGB")
    pixels = np.array(image)
    return pixels.reshape(*pixels.shape[:2], -1)


def _is_grey(image: Image.Image) -> bool:
    red, green, blue = image.split()
    return red == green == blue


def _deep_pixels(path: Path, image: Image.Image, content: bytes) -> Pixels:
    """16 bits: (H, W, C)."""
    import cv2

    found = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if found is None or found.dtype != np.uint16:
        raise UserError(f"{path}: its 16 bits cannot be read; convert it to a PNG")
    pixels = found.reshape(*found.shape[:2], -1)
    if pixels.shape[2] >= 3:
        pixels = pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    key = image.info.get("transparency")
    if key is not None and pixels.shape[2] in {1, 3}:
        visible = (pixels != np.array(key)).any(2, keepdims=True)
        pixels = np.concatenate([pixels, visible.astype(np.uint16) * 65_535], 2)
    if image.format == "PNG" and content[25] == 4:  # grey with alpha, which comes as RGB with alpha
        pixels = pixels[..., [0, -1]]
    return pixels


def _turned(pixels: Pixels, orientation: int) -> Pixels:
    """Upright, as EXIF's orientation 1 to 8 asks for it."""
    if orientation in {5, 6, 7, 8}:
        pixels = pixels.swapaxes(0, 1)
    rows, columns = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}.get(orientation, (1, 1))
    return pixels[::rows, ::columns]


def write(path: Path, picture: Picture, force: bool = False) -> None:
    """Write a PNG beside its place and then rename it: a reader sees all of it or nothing.

    A 16-bit grey picture with alpha is written as RGB with alpha. Raises UserError if the file is there already,
    unless ``force``, or if the disk does not take it.
    """
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(_png(picture))
            refuse_existing(path, force)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error


def refuse_existing(path: Path, force: bool = False) -> None:
    """Raises UserError if the file is there and is not to be replaced."""
    if path.exists() and not force:
        raise UserError(f"{path} exists; --force replaces it")


def _png(picture: Picture) -> bytes:
    pixels = picture.pixels
    if pixels.dtype == np.uint8:
        stream = io.BytesIO()
        image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else np.ascontiguousarray(pixels))
        image.save(stream, "PNG", icc_profile=picture.icc)
        return stream.getvalue()
    import cv2

    order = {1: [0], 2: [0, 0, 0, 1], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[pixels.shape[2]]
    done, encoded = cv2.imencode(".png", np.ascontiguousarray(pixels[..., order]))
    if not done:
        raise OSError("the picture is too large for a PNG")
    content = encoded.tobytes()
    if picture.icc is None:
        return content
    header = 8 + 25  # the signature, and the chunk that a colour profile has to follow
    return content[:header] + _icc_chunk(picture.icc) + content[header:]


def _icc_chunk(profile: bytes) -> bytes:
    body = b"iCCP" + b"ICC Profile\0\0" + zlib.compress(profile)
    return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
