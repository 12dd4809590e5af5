"""Downloads by torchvision, whose failures become one line."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from zipfile import BadZipFile

from benchmarks.errors import UserError


@contextmanager
def fetching(title: str, root: Path, otherwise: str = "") -> Iterator[None]:
    """For a block that downloads `title` into root. Raises UserError if there is no network or a file is altered.

    otherwise: what else a user can do.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        yield
    except (OSError, EOFError, HTTPException, RuntimeError, BadZipFile, zlib.error) as error:
        reason = " ".join(str(getattr(error, "reason", error)).split()) or type(error).__name__
        advice = ", ".join(filter(None, ("repeat it where there is a network", otherwise)))
        raise UserError(f"cannot fetch {title} into {root}: {reason}; {advice}") from error
