"""What a check of a data set found, and the parts of which data sets consist."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path


@dataclass(frozen=True)
class Finding:
    """One line of a check; `ok` is False where something is missing or wrong."""

    ok: bool
    text: str


@dataclass(frozen=True)
class Part:
    """Files that a data set must have: a glob pattern below its root and how many files fit it.

    lines: the pattern names one text file, and its lines are counted instead. images: it names one file of COCO's
    annotations, and the images that it lists are counted. pixels: photographs, of which a checksum takes the sizes.
    """

    pattern: str
    count: int
    lines: bool = False
    images: bool = False
    pixels: bool = False

    @property
    def place(self) -> str:
        """The folder or the file that must be there: the pattern up to its first wildcard."""
        return place_of(self.pattern)

    def files(self, root: Path) -> list[str]:
        """The files that are there, relative to the root, sorted."""
        return sorted(path.relative_to(root).as_posix() for path in root.glob(self.pattern))

    def check(self, root: Path) -> Finding:
        if self.lines:
            found, unit = self._lines(root / self.pattern), "lines"
        elif self.images:
            found, unit = self._images(root / self.pattern), "images"
        else:
            found, unit = sum(1 for _ in root.glob(self.pattern)), "files"
        what = f"{self.pattern}: {found:,} {unit}"
        return Finding(found == self.count, what if found == self.count else f"{what}, not {self.count:,}")

    @staticmethod
    def _lines(path: Path) -> int:
        return len(path.read_text(encoding="utf-8").split("\n")) - 1 if path.is_file() else 0

    @staticmethod
    def _images(path: Path) -> int:
        try:
            return len(json.loads(path.read_bytes())["images"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0


@dataclass(frozen=True)
class Listed:
    """A file for each name of a list. names: the list's path below the root. pattern: a file's, `{}` being its name."""

    pattern: str
    names: str
    pixels: bool = False

    @property
    def place(self) -> str:
        return place_of(self.pattern)

    def files(self, root: Path) -> list[str]:
        return [self.pattern.format(name) for name in sorted(read_names(root / self.names))]

    def check(self, root: Path) -> Finding:
        files = self.files(root)
        missing = [file for file in files if not (root / file).is_file()]
        what = f"{self.pattern.format('*')}: {len(files) - len(missing):,} of the {len(files):,} files of {self.names}"
        return Finding(not missing and bool(files), f"{what}; {missing[0]} is missing" if missing else what)


def place_of(pattern: str) -> str:
    """The folder or the file that a pattern of paths needs: what stands before the first `*` or `{}`."""
    fixed = takewhile(lambda part: not {"*", "{"} & set(part), pattern.split("/"))
    return "/".join(fixed)


def read_names(path: Path) -> list[str]:
    """The first word of each line of a list of VOC's; nothing if the file is missing."""
    if not path.is_file():
        return []
    return [words[0] for line in path.read_text(encoding="utf-8").splitlines() if (words := line.split())]


def check_parts(parts: Iterable[Part | Listed], root: Path) -> list[Finding]:
    """A finding a part."""
    return [part.check(root) for part in parts]
