"""The picture folders of super-resolution: Set5, Set14, the 291 training pictures, and any folder of the user's."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from benchmarks.datasets.findings import Finding
from benchmarks.datasets.locate import candidate_roots, not_found
from benchmarks.errors import UserError


@dataclass(frozen=True)
class PictureSet:
    """A folder of pictures below a root. folders: the names it goes by. count: pictures, 0 for any number."""

    name: str
    title: str
    description: str
    size: str
    folders: tuple[str, ...]
    count: int

    @property
    def layout(self) -> str:
        return f"{self.folders[0]}/*"

    def locate(self, data: str | os.PathLike[str] | None = None) -> str:
        """The folder of the pictures. Raises UserError if there is none."""
        roots = candidate_roots(data)
        places = [root / folder for root in roots for folder in self.folders]
        for place in places:
            if place.is_dir():
                return str(place)
        raise not_found(self.title, places, f"slimbench data prepare {self.name} --data {{root}}", roots[0])

    def check(self, place: Path) -> list[Finding]:
        """Whether all pictures are there."""
        from benchmarks.datasets.pictures import picture_files

        found = len(picture_files(place))
        return [Finding(found == self.count, f"{place}: {found} pictures, not {self.count}")]

    def prepare(self, root: Path) -> Path:
        raise UserError(f"{self.title} must be fetched by hand")

    def checksum(self, place: str, verify: bool = True) -> str:
        """SHA-256 over the names and the luminance of all pictures."""
        from benchmarks.datasets.super_resolution import checksum

        return checksum(place)


ALL = (
    PictureSet("set5", "Set5", "5 pictures to test super-resolution", "1 MB", ("Set5",), 5),
    PictureSet("train291", "291 pictures", "91 of Yang et al. and 200 of BSD300", "24 MB", ("291", "train291"), 291),
)
