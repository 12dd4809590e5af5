"""What is told where a data set is missing, not whole or one folder off: the folders it needs and what is there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import islice, takewhile
from pathlib import Path
from shlex import quote

from benchmarks.errors import MissingDataError

# What is looked at for a misplaced folder: ImageNet has a thousand of them, and a folder of photographs 118,287 files.
MOST_FOLDERS, MOST_ENTRIES, DEPTH = 200, 1000, 3
ELSEWHERE = ("proc", "sys", "dev")


def is_there(path: Path) -> bool:
    """A file, or a folder with something in it; what may not be read is not there."""
    if os.path.isfile(path):  # noqa: PTH113 (Path.is_file raises where a folder may not be entered)
        return True
    try:
        with os.scandir(path) as entries:
            return any(True for _ in entries)
    except OSError:
        return False


def missing(title: str, roots: Sequence[Path], needs: Sequence[str], command: str) -> MissingDataError:
    """The error for a data set that no root holds whole: how to get it, the tree that it needs, what of it is there.

    needs: the folders and files below a root. command: what fetches it, with `{root}` for the root. The tree is that of
    the root that holds most of it. A root that is some folders too deep or too high, and folders that lie elsewhere
    below it, are found and named.
    """
    found = {root: sum(is_there(root / need) for need in needs) for root in roots}
    root = max(found, key=found.__getitem__)
    below = _below(root)
    around = (*root.absolute().parents[:DEPTH], *below)
    whole = next((place for place in around if all(is_there(place / need) for need in needs)), None)
    if whole:
        first = f"{title} is not in {root} but in {whole}: say --data {quote(str(whole))}"
    else:
        told = f"is not whole in {root}" if found[root] else f"not found in {', '.join(map(str, found))}"
        first = f"{title} {told}; get it with: {command.format(root=quote(str(root)))}"
    return MissingDataError("\n".join([first, *_tree(root, needs, [] if whole else below)]))


def _below(root: Path) -> list[Path]:
    """Folders below a root, the nearest first, `MOST_FOLDERS` of them at most."""
    found, level = [], [root]
    for _ in range(DEPTH):
        level = list(islice((folder for parent in level for folder in _folders(parent)), MOST_FOLDERS))
        found += level
    return found[:MOST_FOLDERS]


def _tree(root: Path, needs: Sequence[str], below: Sequence[Path]) -> list[str]:
    """The needs as an indented tree, behind each whether it is there, or where else in the folders `below`."""
    rows: list[tuple[str, str]] = []
    above: list[str] = []
    for need in needs:
        *folders, name = need.split("/")
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(above, folders, strict=False)))
        rows += [("    " + "  " * depth + f"{folders[depth]}/", "") for depth in range(shared, len(folders))]
        above = folders
        leaf = "    " + "  " * len(folders) + (name if Path(name).suffix else f"{name}/")
        rows.append((leaf, _state(root / need, below)))
    width = max(len(text) for text, _ in rows) + 2
    return [f"  {root}/", *(f"{text:<{width}}{state}".rstrip() for text, state in rows)]


def _state(path: Path, below: Sequence[Path]) -> str:
    if is_there(path):
        return "is there"
    others = (other for folder in below for other in (folder, folder / path.name) if other.name == path.name)
    if other := next(filter(is_there, others), None):
        return f"missing, but there is {other}"
    return "empty" if path.is_dir() else "missing"


def _folders(folder: Path) -> list[Path]:
    """The folders in a folder, sorted; hidden ones, and a system's own, are none of the user's data."""
    try:
        with os.scandir(folder) as entries:
            found = [Path(entry) for entry in islice(entries, MOST_ENTRIES) if entry.is_dir()]
    except OSError:
        return []
    return sorted(path for path in found if not path.name.startswith(".") and path.name not in ELSEWHERE)
