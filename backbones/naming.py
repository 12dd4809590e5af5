"""Names and their nearest neighbours. Imports nothing heavy, so that the command line can use it at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, choices: Iterable[str], limit: int = 3) -> str:
    """Return ``"; did you mean a, b?"`` for the nearest of ``choices``, or an empty string."""
    near = difflib.get_close_matches(name, list(choices), n=limit, cutoff=0.6)
    return f"; did you mean {', '.join(near)}?" if near else ""


class UnknownModelError(KeyError):
    """No model of that name. The text proposes the nearest names."""

    def __init__(self, name: str, choices: Iterable[str]) -> None:
        self.name = name
        self.message = f"no model {name!r}{did_you_mean(name, choices)}"
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message
