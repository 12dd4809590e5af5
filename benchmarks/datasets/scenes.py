"""The data sets of detection and segmentation as one kind of thing: what they consist of, where, and which they are.

Counts are the data sets' own; nobody publishes checksums of their unpacked files. torchvision checks the archives that
it fetches.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from shlex import quote

from benchmarks.datasets.fetch import fetching
from benchmarks.datasets.findings import Finding, Listed, Part, check_parts
from benchmarks.datasets.locate import candidate_roots
from benchmarks.datasets.missing import is_there, missing
from benchmarks.errors import UserError


@dataclass(frozen=True)
class SceneSet:
    """A data set of photographs with boxes or masks.

    parts: what must be there, below a root. fetch: downloads and unpacks what is not there into a root. finish: makes
    the rest of what is there, or raises UserError. folders: where below a root the data set's own root may be, "" for
    the root itself, first to last. refuses: why what lies at such a place is another data set in the same folders, or
    "". advice: what else the message says of a missing one, `{root}` being the root.
    """

    name: str
    title: str
    description: str
    size: str
    layout: str
    parts: tuple[Part | Listed, ...]
    fetch: Callable[[Path], None] | None = None
    finish: Callable[[Path], None] | None = None
    folders: tuple[str, ...] = ("",)
    refuses: Callable[[Path], str] | None = None
    advice: str = ""

    @property
    def needs(self) -> list[str]:
        """The folders and files without which no experiment begins."""
        return list(dict.fromkeys(part.place for part in self.parts))

    def locate(self, data: str | os.PathLike[str] | None = None) -> str:
        """The folder above VOCdevkit/, coco/ or coco-mini/.

        Raises UserError, with the tree of what is needed and what is there, if there is none.
        """
        roots = candidate_roots(data)
        command = f"slimbench data prepare {self.name} --data {{root}}{self.advice}"
        refusal = ""
        for root in roots:
            for place in (root / folder for folder in self.folders):
                if not all(is_there(place / need) for need in self.needs):
                    continue
                reason = self.refuses(place) if self.refuses else ""
                if not reason:
                    return str(place)
                refusal = refusal or f"{place} {reason}; get it with: {command.format(root=quote(str(root)))}"
        if refusal:
            raise UserError(refusal)
        raise missing(self.title, roots, [(Path(self.folders[-1]) / need).as_posix() for need in self.needs], command)

    def check(self, root: Path) -> list[Finding]:
        """A finding a part."""
        return check_parts(self.parts, root)

    def checksum(self, root: str, verify: bool = True) -> str:
        """SHA-256 over the contents of lists, annotations and masks, and over names and sizes of the photographs.

        Up to 20 GB of pixels are not read, so it takes seconds, and only once in a process. `verify` asks for nothing
        more: there are no official checksums. Raises UserError if a part is missing.
        """
        return _checksum(self.name, self.parts, root)

    def prepare(self, root: Path) -> Path:
        """Fetch and make what is not in root yet; returns the data set's own root. Raises UserError if it cannot."""
        place = root / self.folders[0]
        if all(finding.ok for finding in self.check(place)):
            return place
        if self.fetch is not None:
            with fetching(self.title, root):
                self.fetch(root)
        if self.finish is not None:
            self.finish(root)
        return place


@lru_cache(maxsize=16)
def _checksum(name: str, parts: tuple[Part | Listed, ...], root: str) -> str:
    digest = hashlib.sha256()
    for part in parts:
        files = part.files(Path(root))
        if not files:
            raise UserError(f"{part.pattern} has no file in {root}: 'slimbench data check {name}' says what is missing")
        for file in files:
            path = Path(root, file)
            try:
                size = path.stat().st_size
                content = "" if part.pixels else hashlib.sha256(path.read_bytes()).hexdigest()
            except OSError as error:
                raise UserError(f"cannot read {path}: {error.strerror or error}") from error
            digest.update(f"{file} {size} {content}\n".encode())
    return f"sha256:{digest.hexdigest()}"
