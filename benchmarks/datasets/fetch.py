"""Downloads by torchvision, whose failures become one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

from benchmarks.errors import UserError


@contextmanager
def fetching(title: str, root: Path) -> Iterator[None]:
    """For a block that downloads `title` into root. Raises UserError if there is no network or a file is altered."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        yield
    except (OSError, EOFError, HTTPException, RuntimeError) as error:
        reason = " ".join(str(getattr(error, "reason", error)).split()) or type(error).__name__
        raise UserError(f"cannot fetch {title} into {root}: {reason}; repeat it where there is a network") from error
