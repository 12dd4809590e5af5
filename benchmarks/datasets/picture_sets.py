"""The picture folders of super-resolution: Set5, Set14, the 291 training pictures, and any folder of the user's."""

from __future__ import annotations

import os
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

from torchvision.datasets.utils import download_and_extract_archive

from benchmarks.datasets.fetch import fetching
from benchmarks.datasets.findings import Finding
from benchmarks.datasets.locate import candidate_roots, not_found
from benchmarks.datasets.pictures import SUFFIXES, picture_files, read_bytes
from benchmarks.errors import UserError

VDSR = "https://cv.snu.ac.kr/research/VDSR/"  # the page of VDSR's authors; torchvision falls back to http by itself


@dataclass(frozen=True)
class PictureSet:
    """A folder of so many pictures below a root.

    folders: the names it goes by. archive: what VDSR's authors offer it in, the folder anywhere in it. known: the
    checksum of the copy behind the published reports; "" where there is none.
    """

    name: str
    title: str
    description: str
    size: str
    folders: tuple[str, ...]
    count: int
    archive: str
    known: str = ""

    @property
    def layout(self) -> str:
        return f"{self.folders[0]}/*"

    def locate(self, data: str | os.PathLike[str] | None = None) -> str:
        """The folder of the pictures, with a warning if their number is another. Raises UserError if there is none."""
        roots = candidate_roots(data)
        places = [root / folder for root in roots for folder in self.folders]
        for place in places:
            if place.is_dir():
                found = len(picture_files(place))
                if found != self.count:
                    warnings.warn(
                        f"{self.title} in {place} has {found} pictures, not {self.count}: its results compare with "
                        "nobody's",
                        stacklevel=2,
                    )
                return str(place)
        raise not_found(self.title, places, f"slimbench data prepare {self.name} --data {{root}}", roots[0])

    def check(self, place: Path) -> list[Finding]:
        """The number of pictures, those that cannot be read, and their checksum where it is known."""
        found = len(picture_files(place))
        number = f"{found} pictures{'' if found == self.count else f', not {self.count}'}"
        findings = [Finding(found == self.count, number), *_unreadable(place)]
        if self.known and all(finding.ok for finding in findings):
            same = self.checksum(str(place)) == self.known
            other = (
                f"names, sizes or luminance of the pictures are not those behind the published reports ({self.known})"
            )
            findings.append(Finding(same, "names, sizes and luminance" if same else other))
        return findings

    def prepare(self, root: Path) -> Path:
        """Download the archive of VDSR's authors and move the folder out of it, unless it is there. Raises UserError.

        The folder appears under its final name only when it is whole.
        """
        for place in (root / folder for folder in self.folders):
            if place.exists():
                wrong = [finding.text for finding in self.check(place) if not finding.ok]
                if wrong:
                    raise UserError(f"{place} is there and not whole ({wrong[0]}): remove it and repeat")
                return root
        url, goal = f"{VDSR}{self.archive}", root / self.folders[0]
        by_hand = f"or fetch {self.archive} from {VDSR} by hand and put the {self.count} pictures into {goal}"
        with (
            fetching(self.title, root, by_hand),
            tempfile.TemporaryDirectory(dir=root, prefix=f".{self.name}.") as folder,
        ):
            unpacked = Path(folder, "unpacked")
            download_and_extract_archive(url, folder, str(unpacked), filename=self.archive)
            found = self._find(unpacked)
            if found is None:
                raise UserError(f"{url} holds no folder {self.folders[0]} of {self.count} pictures: {by_hand}")
            found.rename(goal)
        return root

    def checksum(self, place: str, verify: bool = True) -> str:
        """SHA-256 over the names and the luminance of all pictures."""
        from benchmarks.datasets.super_resolution import checksum

        return checksum(place)

    def _find(self, unpacked: Path) -> Path | None:
        """The uppermost folder of one of the names that holds so many pictures."""
        names = {folder.lower() for folder in self.folders}
        folders = (path for path in unpacked.rglob("*") if path.is_dir() and path.name.lower() in names)
        for folder in sorted(folders, key=lambda path: (len(path.parts), path)):
            try:
                if len(picture_files(folder)) == self.count:
                    return folder
            except UserError:
                continue  # no pictures; macOS's archives hold a second tree of hidden files
        return None


@dataclass(frozen=True)
class OwnPictures:
    """Any folder of the user's: `--data` is the folder itself."""

    name: str = "pictures"
    title: str = "your pictures"
    description: str = "a folder of your own pictures, to test super-resolution on"
    size: str = "any"
    layout: str = "*, --data being the folder itself"

    def locate(self, data: str | os.PathLike[str] | None = None) -> str:
        """The folder. Raises UserError if none is given or it holds no pictures."""
        if not data:
            raise UserError("your pictures are in no usual place: say in which folder, with --data FOLDER")
        place = Path(data).expanduser()
        picture_files(place)
        return str(place)

    def check(self, place: Path) -> list[Finding]:
        """The number of pictures and those that cannot be read."""
        found = len(picture_files(place))
        return [Finding(True, f"{found} picture{'' if found == 1 else 's'}"), *_unreadable(place)]

    def prepare(self, root: Path) -> Path:
        """Raises UserError: there is nothing to fetch."""
        raise UserError(
            f"your pictures are not fetched: put them ({', '.join(SUFFIXES)}) into a folder, then --data FOLDER"
        )

    def checksum(self, place: str, verify: bool = True) -> str:
        """SHA-256 over the names and the luminance of all pictures."""
        from benchmarks.datasets.super_resolution import checksum

        return checksum(place)


def _unreadable(place: Path) -> list[Finding]:
    findings = []
    for path in picture_files(place):
        try:
            read_bytes(path)
        except UserError as error:
            findings.append(Finding(False, str(error)))
    return findings


ALL: tuple[PictureSet | OwnPictures, ...] = (
    PictureSet(
        "set5",
        "Set5",
        "5 pictures to test super-resolution on",
        "1 MB",
        ("Set5",),
        5,
        "test_data.zip",
        "sha256:ebfb654c4dce56b1aed6ceb788cc7b22ce559372a9837a30ab502bc05e2b404e",
    ),
    PictureSet("set14", "Set14", "14 pictures to test super-resolution on", "7 MB", ("Set14",), 14, "test_data.zip"),
    PictureSet(
        "train291",
        "the 291 pictures",
        "to train super-resolution: 91 of Yang et al., 200 of BSD300",
        "24 MB",
        ("291", "train291"),
        291,
        "train_data.zip",
        "sha256:723fca2d0340a3c82b6c0c75715476e49d1fdff87aca101c69d9faa774cafb88",
    ),
    OwnPictures(),
)
