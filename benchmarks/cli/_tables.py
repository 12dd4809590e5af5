"""How the verbs print a table."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PIPE_WIDTH = 180


def plain_console(pipe_width: int = PIPE_WIDTH) -> Console:
    """Return a console as wide as the terminal; a pipe or a file has no width and gets ``pipe_width``."""
    from rich.console import Console

    has_width = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(width=None if has_width else pipe_width, highlight=False)


def print_table(table: Table) -> None:
    """Print ``table`` as wide as the terminal; a pipe or a file has no width, so nothing is cut there."""
    from rich import box

    table.box = box.SIMPLE_HEAD
    plain_console().print(table)
