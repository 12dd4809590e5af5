"""Where a data set is looked for.

In this order: the folder given on the command line (`--data`), the environment variable `SLIMBENCH_DATA`, `data/` of
the checkout, `data/` of the current folder, the user's cache folder. The first that holds the data set is taken.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from shlex import quote

from benchmarks.errors import UserError

ENVIRONMENT_VARIABLE = "SLIMBENCH_DATA"


def checkout_root() -> Path | None:
    """The folder of the git checkout this package runs from, or None for an installed copy."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").is_file() and (root / "mmconfigs").is_dir() else None


def candidate_roots(data: str | os.PathLike[str] | None = None) -> list[Path]:
    """Folders that may hold data sets, best first. A folder that the user names is the only one."""
    if data:
        return [Path(data).expanduser()]
    if os.environ.get(ENVIRONMENT_VARIABLE):
        return [Path(os.environ[ENVIRONMENT_VARIABLE]).expanduser()]
    from platformdirs import user_cache_path

    checkout = checkout_root()
    roots = [] if checkout is None else [checkout / "data"]
    return [*roots, Path.cwd() / "data", user_cache_path("slimbench") / "data"]


def find_root(name: str, folder: str, download: str, data: str | os.PathLike[str] | None = None) -> Path:
    """Return the first root that contains `folder`.

    name, folder: the data set and the folder it unpacks to ("CIFAR-10", "cifar-10-batches-py").
    download: the command that fetches it, with `{root}` for the target folder.
    Raises UserError, one line, where no root has it.
    """
    roots = candidate_roots(data)
    for root in roots:
        if (root / folder).is_dir():
            return root
    raise not_found(name, [root / folder for root in roots], download, roots[0])


def not_found(name: str, tried: Iterable[Path], download: str, root: Path) -> UserError:
    """The error, one line, that says where `name` was looked for and how it is fetched into `root`."""
    places = ", ".join(dict.fromkeys(map(str, tried)))
    return UserError(f"{name} not found (looked for {places}); get it with: {download.format(root=quote(str(root)))}")
