"""Cells by status, and how many counted ones agree: for a table, a paper and in all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.reports.cells import STATUSES, Cell


@dataclass(frozen=True)
class Summary:
    """Numbers of cells.

    ``compared`` are the counted cells for which the paper prints a number; of these ``agree`` round or truncate to
    it, ``within`` are at most 1 % away, ``explained`` differ with a recorded explanation, and ``unexplained``
    differ by more than 1 % without one.
    """

    cells: int
    by_status: dict[str, int]
    compared: int
    agree: int
    within: int
    explained: int
    unexplained: int

    def to_json_dict(self) -> dict[str, int | dict[str, int]]:
        """Return plain values, in a fixed order."""
        return {
            "cells": self.cells,
            "by_status": self.by_status,
            "compared": self.compared,
            "agree": self.agree,
            "within_1_percent": self.within,
            "explained": self.explained,
            "unexplained": self.unexplained,
        }

    def headline(self) -> str:
        """Return the cells by status and how many agree."""
        statuses = ", ".join(f"{number} {status}" for status, number in self.by_status.items() if number)
        text = f"{self.cells} cells: {statuses}."
        if not self.compared:
            return text
        return (
            f"{text} Of {self.compared} counted cells {self.agree} agree with the printed digits and "
            f"{self.within} are within 1 %."
        )

    def sentence(self) -> str:
        """Return the status line that stands on top of a report: the headline, and how many are explained."""
        differing = self.compared - self.agree
        if not differing:
            return self.headline()
        return f"{self.headline()[:-1]}; {differing} differ, {self.explained} of them with an explanation."


def summarize(cells: Iterable[Cell]) -> Summary:
    """Count ``cells``."""
    all_cells = list(cells)
    found: Counter[str] = Counter(cell.status for cell in all_cells)
    compared = [cell for cell in all_cells if cell.compared]
    return Summary(
        cells=len(all_cells),
        by_status={status: found[status] for status in STATUSES},
        compared=len(compared),
        agree=sum(bool(cell.agrees) for cell in compared),
        within=sum(cell.within for cell in compared),
        explained=sum(not cell.agrees and bool(cell.explanation) for cell in compared),
        unexplained=sum(cell.unexplained for cell in compared),
    )
