"""How the verbs print a table."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

PIPE_WIDTH = 180


def print_table(table: Table) -> None:
    """Print ``table`` as wide as the terminal; a pipe or a file has no width, so nothing is cut there."""
    from rich import box
    from rich.console import Console

    has_width = sys.stdout.isatty() or "COLUMNS" in os.environ
    table.box = box.SIMPLE_HEAD
    Console(width=None if has_width else PIPE_WIDTH, highlight=False).print(table)
