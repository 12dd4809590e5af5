"""The papers' claims for the findings: those that have runs, and a line a table for those that wait."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from benchmarks import digits
from benchmarks.metrics import METRICS
from benchmarks.published import Row, Table
from benchmarks.reports import claims_text
from benchmarks.reports.cells import Report
from benchmarks.reports.claims import Claim, claims, groups
from benchmarks.reports.effort import Effort, Work
from benchmarks.reports.render import escape_markdown
from benchmarks.reports.sources import Run
from benchmarks.statistics import MOST_SEEDS, Difference, Sample, pooled, seeds_to_tell

NONE = "–"
_ENDLESS = MOST_SEEDS + 1


@dataclass(frozen=True)
class Judged:
    """A claim with its table, so that a reader may be led there."""

    table: Table
    claim: Claim

    def row(self, name: str) -> Row:
        """Return one of the table's rows."""
        return next(row for row in self.table.rows if row.name == name)

    def work(self, runs: tuple[int, int]) -> list[Work]:
        """Return so many trainings of the row and of the other, under the claim's protocols."""
        claim, dataset = self.claim, self.table.dataset
        sides = ((claim.row, claim.protocol), (claim.versus, claim.versus_protocol))
        return [
            Work(dataset, protocol, self.row(name).model, number)
            for (name, protocol), number in zip(sides, runs, strict=True)
        ]


def judged(reports: Iterable[Report]) -> list[Judged]:
    """Return the claims of all tables, without the comparisons that no paper makes."""
    return [
        Judged(report.table, claim) for report in reports for claim in claims(report) if claim.outcome != "no claim"
    ]


def sections(found: Iterable[Judged], effort: Effort, curves: Collection[str]) -> list[dict[str, Any]]:
    """Return the claims that have runs by data set and protocol, the papers' own first.

    ``curves``: the data sets and protocols, joined by a hyphen, whose learning curves are drawn.
    """
    ordered: dict[tuple[bool, str, str], list[Judged]] = {}
    for one in found:
        if one.claim.measured:
            ordered.setdefault((one.claim.proxy, one.table.dataset, one.claim.protocol), []).append(one)
    return [
        {
            "name": f"{dataset}/{protocol}",
            "proxy": proxy,
            "epochs": mine[0].claim.epochs,
            "paper": mine[0].table.protocol,
            "rows": [_claim_row(one, effort) for one in mine],
            "spread": _spread(mine),
            "diverged": _diverged(mine),
            "curves": f"{dataset}-{protocol}" if f"{dataset}-{protocol}" in curves else "",
        }
        for (proxy, dataset, protocol), mine in sorted(ordered.items(), key=lambda item: item[0])
    ]


def waiting(
    tables: Iterable[Report], found: Sequence[Judged], runs: Sequence[Run], effort: Effort
) -> list[tuple[str, ...]]:
    """Return a line a table: its claims, those without runs under the paper's protocol, and what these would take."""
    lines: list[tuple[str, ...]] = []
    for table in (report.table for report in tables):
        mine = [one for one in found if one.table is table]
        own = [one.claim for one in mine if not one.claim.proxy]
        if not own:
            continue
        still = [one for one in mine if one.claim.outcome == "open"]
        short = {(one.claim.row, one.claim.versus, one.claim.column) for one in mine if one.claim.proxy}
        work = {item for one in still for item in one.work((1, 1))}
        lines.append(
            (
                f"[{table.name}]({table.name}.md)",
                str(len(own)),
                _gains(own),
                str(len(still)),
                str(len(short)) if short else "",
                _seeds_range(still, runs),
                effort.words(sorted(work)).removeprefix("about ") or (NONE if still else ""),
            )
        )
    return lines


def side(found: Sample, metric: str = "") -> str:
    """Return ``88.81 ± 0.10 (n = 2)``, or ``88.81 (n = 1)``; for ``metric`` an error, the error of an accuracy."""
    spread = "" if found.sd is None else f" ± {found.sd:.2f}"
    mean = METRICS[metric].from_run(found.mean) if metric else found.mean
    return f"{mean:.2f}{spread} (n = {found.n})"


def needed(measured: Difference, seeds: int | None, n: tuple[int, int], cost: Callable[[tuple[int, int]], str]) -> str:
    """Say how many seeds a side would decide, and what the missing ones cost by ``cost(more of each side)``.

    Where the spread is borrowed, as many as there are may be named; then one more of each is the next step.
    """
    if measured.spread is None:
        wanted, words = 2, "two seeds a side, for a spread"
    elif seeds is None:
        return f"more than {MOST_SEEDS} seeds a side"
    else:
        wanted, words = seeds, f"{seeds} seeds a side"
    more = max(0, wanted - n[0]), max(0, wanted - n[1])
    if not any(more):
        more, words = (1, 1), "one more seed a side"
    price = cost(more)
    number = sum(more)
    return f"{words} ({number} more run{'s' * (number > 1)}{f', {price}' if price else ''})"


def link(table: Table) -> str:
    """Return the table's page as a link."""
    return f"[{table.title}]({table.name}.md)"


def _claim_row(one: Judged, effort: Effort) -> tuple[str, ...]:
    """Claim, paper, threshold, measured sides, difference, verdict, what would decide it."""
    claim = one.claim
    assert claim.measured is not None
    _, versus, _, gain, least, *_ = claims_text.fields(claim)
    return (
        f"{link(one.table)}: {escape_markdown(f'{claim.row} against {versus}')}",
        f"{_printed(one)} ({gain})",
        least.removeprefix("> "),
        " against ".join(side(one, claim.metric) for one in (claim.measured.a, claim.measured.b)),
        claims_text.measured(claim),
        claim.outcome,
        _would_decide(one, effort),
    )


def _printed(one: Judged) -> str:
    claim = one.claim
    versus = one.row(claim.versus)
    printed = one.row(versus.stands_for) if versus.stands_for else versus
    own, other = (row.values.get(claim.column, "") for row in (one.row(claim.row), printed))
    return f"{METRICS[claim.metric].label} {own} against {other}"


def _would_decide(one: Judged, effort: Effort) -> str:
    claim = one.claim
    if claim.outcome != "undecided" or claim.measured is None:
        return f"`{one.table.protocol}`" if claim.proxy else NONE
    return needed(claim.measured, claim.seeds, claim.n, lambda more: effort.words(one.work(more)))


def _spread(found: Iterable[Judged]) -> str:
    """What pooled intervals rest on: "0.06 dB of PSNR (1 degree of freedom)"."""
    told: dict[str, None] = {}
    for claim in (one.claim for one in found):
        if claim.measured and claim.measured.pooled:
            spread = claim.measured.pooled
            freedom = f"{spread.df} degree{'s' * (spread.df > 1)} of freedom"
            told[f"{spread.sd:.2f} {claim.unit} of {METRICS[claim.metric].label} ({freedom})"] = None
    return ", ".join(told)


def _diverged(found: Iterable[Judged]) -> list[str]:
    lost: dict[str, None] = {}
    for claim in (one.claim for one in found):
        for row, number in zip((claim.row, claim.versus), claim.diverged, strict=True):
            if number:
                lost[f"{row}: {number} diverged and {'is' if number == 1 else 'are'} in no mean."] = None
    return list(lost)


def _gains(found: Iterable[Claim]) -> str:
    """From the least to the largest gain that the paper prints, by unit."""
    units: dict[str, set[Decimal]] = {}
    for claim in found:
        if claim.gain is not None:
            units.setdefault(claim.unit, set()).add(claim.gain)
    return ", ".join(f"{' to '.join(_ends(gains))} {unit}" for unit, gains in units.items())


def _ends(gains: Collection[Decimal]) -> list[str]:
    ends = dict.fromkeys((min(gains), max(gains)))
    return [claims_text.signed(gain, digits.decimals(str(gain))) for gain in ends]


def _seeds_range(still: Sequence[Judged], runs: Sequence[Run]) -> str:
    """Seeds a side for these claims if the paper's numbers are the truth and the spread is the one measured here."""
    numbers: set[int] = set()
    for one in still:
        known = [run for run in runs if run.trained and run.finished and run.dataset == one.table.dataset]
        spread = pooled(groups(known, {run.protocol for run in known}, METRICS[one.claim.metric].run))
        if spread is None or one.claim.gain is None or one.claim.least is None:
            return NONE
        distance = abs(float(one.claim.gain) - one.claim.least)
        numbers.add(seeds_to_tell(distance, spread.sd, spread.sd) or _ENDLESS)
    ends = dict.fromkeys((min(numbers), max(numbers))) if numbers else {}
    return " to ".join(f"more than {MOST_SEEDS}" if number == _ENDLESS else str(number) for number in ends)
