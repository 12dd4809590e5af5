"""Claims in words: what stands in each field, their sections by protocol, and the CSV beside a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from benchmarks import digits
from benchmarks.metrics import METRICS
from benchmarks.reports.claims import Claim
from benchmarks.statistics import MOST_SEEDS, POWER, Difference

CSV_COLUMNS = (
    "table", "row", "versus", "against", "metric", "unit", "claimed_gain", "stands_for_more_than", "protocol",
    "versus_protocol", "proxy", "epochs", "n", "versus_n", "mean", "sd", "versus_mean", "versus_sd", "difference",
    "low", "high", "level", "spread_from", "verdict", "seeds_needed", "diverged", "versus_diverged", "sources",
)  # fmt: skip
HEADINGS = ("Row", "Against", "Metric", "Claimed", "Stands for", "Measured", "n", "Verdict", "Seeds to decide")
_TIES = {
    "baseline": "",
    "variant": "",
    "equal cost": "of equal cost",
    "random masks": "masks that do not learn",
}


@dataclass(frozen=True)
class Section:
    """The claims of one protocol: a heading, a remark (empty for the paper's protocol), rows, and notes on them."""

    heading: str
    remark: str
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def sections(claims: Iterable[Claim]) -> list[Section]:
    """Return the claims by protocol, each a row of ``HEADINGS``."""
    groups: dict[tuple[bool, str], list[Claim]] = {}
    for claim in claims:
        groups.setdefault((claim.proxy, claim.protocol), []).append(claim)
    return [
        Section(_heading(found[0]), _remark(found[0]), tuple(map(fields, found)), tuple(_notes(found)))
        for found in groups.values()
    ]


def fields(claim: Claim) -> tuple[str, ...]:
    """Return a claim as the fields of ``HEADINGS``."""
    words = [_TIES[claim.against], claim.versus_protocol if claim.versus_protocol != claim.protocol else ""]
    tie = ", ".join(filter(None, words))
    return (
        claim.row,
        f"{claim.versus} ({tie})" if tie else claim.versus,
        METRICS[claim.metric].label.replace("error", "accuracy"),
        signed(claim.gain, digits.decimals(str(claim.gain))) if claim.gain is not None else "",
        f"> {signed(claim.least, _places(claim))}" if claim.least is not None else "",
        measured(claim),
        "{} / {}".format(*claim.n) if any(claim.n) else "",
        "" if claim.outcome == "no claim" else claim.outcome,
        would_decide(claim),
    )


def measured(claim: Claim) -> str:
    """Return ``+0.61 [+0.20, +1.02]``, or the difference alone where there is no interval, or "open"."""
    return "open" if claim.measured is None else interval(claim.measured, _places(claim))


def interval(found: Difference, places: int = 2) -> str:
    """Return a difference with its interval, marked where its spread is that of other networks."""
    text = signed(found.mean, places)
    if found.low is None or found.high is None:
        return f"{text} (no interval)"
    whole = f"{text} [{signed(found.low, places)}, {signed(found.high, places)}]"
    return f"{whole} pooled" if found.pooled else whole


def would_decide(claim: Claim) -> str:
    """Return how many seeds a side would decide an undecided claim, or why that is not known."""
    if claim.outcome != "undecided" or claim.measured is None:
        return ""
    if claim.measured.spread is None:
        return "unknown: no spread"
    return str(claim.seeds) if claim.seeds else f"more than {MOST_SEEDS}"


def signed(value: float | Decimal, places: int) -> str:
    """Return ``value`` with its sign, a real minus, and ``places`` digits; a zero has no sign."""
    text = f"{float(value):+.{places}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def line(claim: Claim) -> str:
    """Return a measured claim as one line for the terminal."""
    _, versus, metric, claimed, stands, found, n, verdict, seeds = fields(claim)
    words = [f"{claim.row} against {versus}, {metric} in {claim.unit}, {claim.protocol}: {found}, n = {n}"]
    if claimed:
        more = f"; seeds to decide: {seeds}" if seeds else ""
        words.append(f"claimed {claimed}, stands for {stands}: {verdict}{more}")
    return "; ".join(words)


def tidy_csv(claims: Sequence[Claim]) -> str:
    """Return the claims as CSV, one comparison a line, with the columns of ``CSV_COLUMNS``."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    writer.writerows(_csv_row(claim) for claim in claims)
    return out.getvalue()


def _csv_row(claim: Claim) -> list[str]:
    found = claim.measured
    a, b = (found.a, found.b) if found else (None, None)
    return [
        claim.table,
        claim.row,
        claim.versus,
        claim.against,
        claim.metric,
        claim.unit,
        "" if claim.gain is None else str(claim.gain),
        _plain(claim.least),
        claim.protocol,
        claim.versus_protocol,
        str(claim.proxy).lower(),
        "" if claim.epochs is None else str(claim.epochs),
        *map(str, claim.n),
        *(_plain(value) for side in (a, b) for value in ((side.mean, side.sd) if side else (None, None))),
        *(_plain(value) for value in ((found.mean, found.low, found.high, found.level) if found else (None,) * 4)),
        "" if found is None or found.low is None else "pooled" if found.pooled else "own",
        "" if claim.outcome == "no claim" else claim.outcome,
        str(claim.seeds or ""),
        *map(str, claim.diverged),
        " ".join(claim.sources),
    ]


def _heading(claim: Claim) -> str:
    if not claim.proxy:
        return f"Under {claim.protocol}, the paper's protocol"
    return f"Under {claim.protocol}, a shortened protocol of {claim.epochs} epochs"


def _remark(claim: Claim) -> str:
    if not claim.proxy:
        return ""
    return "A verdict here is one on networks trained that briefly. It says nothing final of the paper's numbers."


def _notes(claims: Sequence[Claim]) -> list[str]:
    notes: dict[str, None] = {}
    for claim in claims:
        for row, lost in zip((claim.row, claim.versus), claim.diverged, strict=True):
            if lost:
                words = "run diverged and is" if lost == 1 else "runs diverged and are"
                notes[f"{row}: {lost} {words} in no mean."] = None
        found = claim.measured
        if found and found.pooled:
            groups = found.pooled.groups
            notes[
                f"Pooled: where a side has one run, the spread is that of the {groups} "
                f"{'network' if groups == 1 else 'networks'} with several seeds under this protocol, "
                f"{found.pooled.sd:.2f} {claim.unit} from {found.pooled.df} degrees of freedom."
            ] = None
        elif found and found.low is None:
            notes[f"No interval: {found.reason}, so that nothing can be decided."] = None
    if any(claim.seeds for claim in claims):
        notes[
            f"Seeds to decide: as many a side decide the claim with probability {POWER:.0%} if the true difference "
            "and spread are those measured so far."
        ] = None
    return list(notes)


def _places(claim: Claim) -> int:
    return max(2, digits.decimals(str(claim.gain or 0)))


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
