"""Small pictures beside a run's record: what they show, how they get there, and whether they still are those.

They lie in a folder named like the record, without its suffix, and the record lists them with their SHA-256. So both
move between machines as plain files, and one that is missing or altered is noticed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from benchmarks.atomic import replacing


class Sample(BaseModel):
    """A picture that a run made of a test picture, or what its result is compared with.

    file: its name in the folder. picture, scale: which one; scale is 1 where nothing was enlarged. shows: the run's
    result (enlarged, or with the predicted boxes or masks), the truth (the original, or with the true boxes or masks),
    bicubic enlargement, or the test picture itself. box: left, top, width and height of what it shows, in pixels of the
    original.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\.(png|jpg)$")
    picture: str
    scale: int = Field(ge=1)
    shows: Literal["result", "truth", "bicubic", "image"]
    box: tuple[int, int, int, int]
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


def folder_of(record: Path) -> Path:
    """The folder of a record's pictures: `seed0-x/` beside `seed0-x.json`."""
    return record.with_suffix("")


def read(sample: Sample, folder: Path) -> bytes | None:
    """The picture file's bytes; None if it is not there or is another than the record lists."""
    try:
        content = (folder / sample.file).read_bytes()
    except OSError:
        return None
    return content if hashlib.sha256(content).hexdigest() == sample.sha256 else None


def problems(samples: Iterable[Sample], folder: Path) -> list[str]:
    """One line for each picture that is missing or altered."""
    wrong = [folder / sample.file for sample in samples if read(sample, folder) is None]
    return [f"its picture {path.name} is {'not the listed one' if path.exists() else 'missing'}" for path in wrong]


def write(content: bytes, path: Path) -> str:
    """Write a picture atomically, with its folder; return its SHA-256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def copy(samples: Iterable[Sample], source: Path, target: Path) -> None:
    """Copy the pictures between two folders. Raises ValueError if one is not there as listed."""
    for sample in samples:
        content = read(sample, source)
        if content is None:
            raise ValueError(f"{source / sample.file} is not the picture that the record lists")
        if read(sample, target) is None:
            write(content, target / sample.file)
