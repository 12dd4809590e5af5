"""What the user sees of several runs: one live table in a terminal, one line an epoch with the run's name elsewhere."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from benchmarks.planning.parallel import Ended, Job
from benchmarks.training.stopping import duration

EPOCH = re.compile(r"^epoch (\d+)/(\d+), (.*)")
LAST_LINES = 6


@dataclass
class _Row:
    began: float = field(default_factory=time.monotonic)
    epoch: str = ""
    said: str = "starting"


class ParallelView:
    """Shows the runs that are under way; what ends is printed above and stays.

    total: how many runs there are. A failed run is shown with the last lines of its log.
    """

    def __init__(self, console: Console, total: int) -> None:
        self.console = console
        self.total = total
        self.done = 0
        self.rows: dict[Job, _Row] = {}
        self.live = Live(console=console, get_renderable=self.table, refresh_per_second=2, transient=True)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the table within the block."""
        if not self.console.is_terminal:
            yield
            return
        with self.live:
            yield

    def started(self, job: Job) -> None:
        self.rows[job] = _Row()
        if not self.console.is_terminal:
            self._print(f"{job.label}: started, log in {job.log}")

    def said(self, job: Job, line: str) -> None:
        row = self.rows[job]
        match = EPOCH.match(line)
        if match is None:
            row.said = line
            return
        row.epoch, row.said = f"{match[1]}/{match[2]}", match[3]
        if not self.console.is_terminal:
            self._print(f"{job.label}: {line}")

    def ended(self, end: Ended) -> None:
        self.rows.pop(end.job, None)
        self.done += not end.stopped
        if end.stopped:
            self._print(f"{end.job.label}: stopped after {duration(end.seconds)}, goes on with the same command")
            return
        counted = f"[{self.done}/{self.total}]"
        if not end.failed:
            self._print(f"{counted} {end.job.label}: done in {duration(end.seconds)}", "green")
        else:
            how = f"exit code {end.code}" if end.code > 0 else f"killed by signal {-end.code}"
            self._print(f"{counted} {end.job.label}: {how}; the last lines of {end.job.log}:", "red")
        after = [line for line in end.lines if not EPOCH.match(line)] if not end.failed else list(end.lines)
        for line in after[-LAST_LINES if end.failed else -2 :]:
            self._print(f"    {line}")

    def told(self, message: str) -> None:
        self._print(message)

    def table(self) -> Table:
        """One line a run under way."""
        grid = Table(box=box.SIMPLE_HEAD, expand=True)
        grid.add_column(f"run ({self.done} of {self.total} done)", overflow="fold")
        grid.add_column("epoch", justify="right", no_wrap=True)
        grid.add_column("", no_wrap=True, overflow="ellipsis", ratio=1)
        grid.add_column("since", justify="right", no_wrap=True)
        for job, row in self.rows.items():
            grid.add_row(Text(job.label), row.epoch, Text(row.said), duration(time.monotonic() - row.began))
        return grid

    def _print(self, text: str, style: str = "") -> None:
        self.console.print(Text(text, style=style), highlight=False, soft_wrap=True)
