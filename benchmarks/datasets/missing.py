"""What is told where a data set is missing, not whole or one folder off: the folders it needs and what is there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import islice, takewhile
from pathlib import Path
from shlex import quote

from benchmarks.errors import MissingDataError

MOST_ENTRIES = 1000  # of a folder that are looked at: those of photographs are large
ELSEWHERE = ("proc", "sys", "dev")


def is_there(path: Path) -> bool:
    """A file, or a folder with something in it."""
    if not path.is_dir():
        return path.is_file()
    with os.scandir(path) as entries:
        return any(True for _ in entries)


def missing(title: str, roots: Sequence[Path], needs: Sequence[str], command: str) -> MissingDataError:
    """The error for a data set that no root holds whole: how to get it, the tree that it needs, what of it is there.

    needs: the folders and files below a root. command: what fetches it, with `{root}` for the root. The tree is that of
    the root that holds most of it. A root that is some folders too deep or too high, and folders that lie elsewhere
    below it, are found and named.
    """
    found = {root: sum(is_there(root / need) for need in needs) for root in roots}
    root = max(found, key=found.__getitem__)
    whole = next((place for place in _around(root) if all(is_there(place / need) for need in needs)), None)
    if whole:
        first = f"{title} is not in {root} but in {whole}: say --data {quote(str(whole))}"
    else:
        told = f"is not whole in {root}" if found[root] else f"not found in {', '.join(map(str, found))}"
        first = f"{title} {told}; get it with: {command.format(root=quote(str(root)))}"
    return MissingDataError("\n".join([first, *_tree(root, needs, search=not whole)]))


def _around(root: Path) -> Iterator[Path]:
    """The folders above a root, the nearest first, then those one and two levels below it."""
    yield from root.absolute().parents[:3]
    for folder in _folders(root):
        yield folder
        yield from _folders(folder)


def _tree(root: Path, needs: Sequence[str], search: bool) -> list[str]:
    """The needs as an indented tree, behind each whether it is there."""
    rows: list[tuple[str, str]] = []
    above: list[str] = []
    for need in needs:
        *folders, name = need.split("/")
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(above, folders, strict=False)))
        rows += [("    " + "  " * depth + f"{folders[depth]}/", "") for depth in range(shared, len(folders))]
        above = folders
        leaf = "    " + "  " * len(folders) + (name if Path(name).suffix else f"{name}/")
        rows.append((leaf, _state(root, need, search)))
    width = max(len(text) for text, _ in rows) + 2
    return [f"  {root}/", *(f"{text:<{width}}{state}".rstrip() for text, state in rows)]


def _state(root: Path, need: str, search: bool) -> str:
    path = root / need
    if is_there(path):
        return "is there"
    if search and (other := _elsewhere(root, path.name)):
        return f"missing, but there is {other}"
    return "empty" if path.is_dir() else "missing"


def _elsewhere(root: Path, name: str) -> Path | None:
    """A folder or file of this name up to three levels below the root, at another place than it should be."""
    level = [root]
    for _ in range(3):
        level = [folder for parent in level for folder in _folders(parent)]
        for folder in level:
            if folder.name == name and is_there(folder):
                return folder
            if is_there(folder / name):
                return folder / name
    return None


def _folders(folder: Path) -> list[Path]:
    """The folders in a folder, sorted; hidden ones, and a system's own, are none of the user's data."""
    try:
        with os.scandir(folder) as entries:
            found = [Path(entry) for entry in islice(entries, MOST_ENTRIES) if entry.is_dir()]
    except OSError:
        return []
    return sorted(path for path in found if not path.name.startswith(".") and path.name not in ELSEWHERE)
