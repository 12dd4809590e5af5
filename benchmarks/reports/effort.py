"""What more runs cost: by the time that runs of the ledger took, else by the rule of thumb of :mod:`costs`.

Under a protocol that has runs, a network takes what its own runs took, and one that has none what the others took,
scaled by MACs. All of this comes from committed files, so that a report says the same on every machine.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from typing import NamedTuple

from benchmarks.complexity.records import format_input
from benchmarks.published import Table
from benchmarks.reports import costs
from benchmarks.reports.sources import Counter, Run

CONVENTION = "conv-linear"


class Work(NamedTuple):
    """So many trainings of one network."""

    dataset: str
    protocol: str
    model: str
    runs: int = 1


class Effort:
    """Tells how long trainings take; ``tables`` say of what size a data set's images are."""

    def __init__(self, runs: Iterable[Run], counter: Counter, tables: Iterable[Table]) -> None:
        self._counter = counter
        self._images: dict[str, tuple[str, int | None]] = {}
        for table in tables:
            self._images.setdefault(table.dataset, (table.input, table.classes))
        self._times: dict[tuple[str, str], dict[str, dict[str, float]]] = {}
        for run in runs:
            if run.trained and run.finished and run.provenance:
                models = self._times.setdefault((run.dataset, run.protocol), {})
                models.setdefault(run.model, {})[run.path] = run.provenance.wall_time_s

    def words(self, work: Iterable[Work]) -> str:
        """Return "about 3 hours on 2 CPU cores"; empty where one of the trainings is unknown.

        Without a place it is as long as the runs here took.
        """
        wanted = [one for one in work if one.runs]
        found = [self.seconds(one) for one in wanted]
        known = [seconds for seconds in found if seconds is not None]
        if not wanted or len(known) < len(found):
            return ""
        places = " and ".join(dict.fromkeys(filter(None, map(self._place, wanted))))
        return f"about {costs.duration(math.fsum(known))}{places and f' on {places}'}"

    def seconds(self, work: Work) -> float | None:
        """Return the seconds of these trainings; None where neither runs nor a rule tell."""
        times = self._times.get((work.dataset, work.protocol), {})
        if own := times.get(work.model):
            return work.runs * statistics.fmean(own.values())
        macs = self._macs(work.dataset, work.model)
        if macs is None:
            return None
        counted = [
            statistics.fmean(own.values()) / known
            for model, own in times.items()
            if (known := self._macs(work.dataset, model))
        ]
        if counted:
            return work.runs * macs * statistics.fmean(counted)
        rule = costs.protocols().get(f"{work.dataset}/{work.protocol}")
        return work.runs * rule.seconds(macs) if rule else None

    def counts(self, dataset: str, model: str) -> tuple[int, int] | None:
        """Return #MUL and MACs of one image of the data set, all networks by one convention; None for unknown ones."""
        if model not in self._counter.models():
            return None
        size, classes = self._images.get(dataset) or (_own_input(model), None)
        found = self._counter(model, size, CONVENTION, classes)
        return found.mul, found.macs

    def _macs(self, dataset: str, model: str) -> int | None:
        counts = self.counts(dataset, model)
        return counts[1] if counts else None

    def _place(self, work: Work) -> str:
        """The hardware of the rule of thumb; empty where runs tell."""
        if (work.dataset, work.protocol) in self._times:
            return ""
        rule = costs.protocols().get(f"{work.dataset}/{work.protocol}")
        return rule.hardware if rule else ""


def _own_input(model: str) -> str:
    import backbones

    return format_input(backbones.model_spec(model).input_size)
