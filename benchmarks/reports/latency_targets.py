"""The section of `latency.md` that says which targets are met: each with its newest record of the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from benchmarks.latency import Measurement
from benchmarks.latency.targets import TARGETS, Target
from benchmarks.published import natural
from benchmarks.reports import runs


class TargetLine(NamedTuple):
    """A line of the section. ratio, times_as_fast, file, day and kernel are empty where nothing was measured."""

    network: str
    source: str
    baseline: str
    batch: int
    asks: str
    most_ratio: str
    ratio: str
    times_as_fast: str
    verdict: str
    file: str
    day: str
    commit: str
    kernel: str


def lines(found: Sequence[tuple[str, Measurement]], targets: Iterable[Target] = TARGETS) -> list[TargetLine]:
    """A line for each target; none where not even one run's worth of them (`targets.runs`) was measured.

    A ledger of other networks needs no list of what it lacks. `found` are records with their paths, as
    `latency.SHELF.kept` gives them.
    """
    newest_first = sorted(found, key=lambda kept: (kept[1].started_at, natural(kept[0])), reverse=True)
    told = [_line(target, newest_first) for target in targets]
    lacking = {(line.baseline, line.batch) for line in told if not line.file}
    return told if {(line.baseline, line.batch) for line in told} - lacking else []


def _line(target: Target, found: Sequence[tuple[str, Measurement]]) -> TargetLine:
    asked = (target.network, target.source, target.baseline, target.batch, target.asks, f"{target.most_ratio:.3f}")
    for path, record in found:
        if (entrant := target.measured_in(record)) is not None:
            ratio = entrant.ratio
            return TargetLine(
                *asked,
                f"**{ratio.median:.3f}** ({ratio.low:.3f} to {ratio.high:.3f})",
                f"{1 / ratio.median:.2f}",
                target.verdict(ratio),
                path,
                f"{record.started_at:%Y-%m-%d %H:%M}",
                runs.commit(record.git.commit or "", record.git.dirty),
                record.kernel or "",
            )
    return TargetLine(*asked, "", "", target.verdict(None), "", "", "", "")
