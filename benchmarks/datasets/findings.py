"""What a check of a data set found, and how folders of files are counted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Finding:
    """One line of a check; `ok` is False where something is missing or wrong."""

    ok: bool
    text: str


@dataclass(frozen=True)
class Part:
    """Files that a data set must have: a glob pattern below its root and how many files fit it.

    lines: the pattern names one text file, and its lines are counted instead.
    """

    pattern: str
    count: int
    lines: bool = False

    def check(self, root: Path) -> Finding:
        found = self._lines(root / self.pattern) if self.lines else sum(1 for _ in root.glob(self.pattern))
        what = f"{self.pattern}: {found:,} {'lines' if self.lines else 'files'}"
        return Finding(found == self.count, what if found == self.count else f"{what}, not {self.count:,}")

    @staticmethod
    def _lines(path: Path) -> int:
        return len(path.read_text(encoding="utf-8").split("\n")) - 1 if path.is_file() else 0


def check_parts(parts: Iterable[Part], root: Path) -> list[Finding]:
    """A finding a part."""
    return [part.check(root) for part in parts]
