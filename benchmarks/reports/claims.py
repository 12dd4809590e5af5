"""What a table claims, and whether our runs bear it out: one :class:`Claim` a comparison, as data.

A method is compared with the row that the paper measures it by, its baseline, and with the variants that its row
names. Where the paper prints both numbers, their difference is the claimed gain and gets a verdict by the rule of
:mod:`benchmarks.statistics`. Beside these stand comparisons that the paper does not make, with a difference and no
verdict: a method against the plain network of its cost, learned masks against random ones, our controls against the
baseline.

Each comparison is made within one protocol. The paper's own comes first, also where nothing was run yet; a proxy has
claims of its own where both sides have runs, and they are verdicts on networks trained that briefly.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from benchmarks import digits
from benchmarks.metrics import METRICS
from benchmarks.published import CellData, Column, Row, Table
from benchmarks.reports.cells import Report, stands_in
from benchmarks.reports.sources import Run, by_seed
from benchmarks.statistics import Difference, Verdict, difference, pooled, seeds_needed, threshold, verdict

# What a row may lose beyond what is printed and still keep its quality, by the unit of the gain. Our choice, meant as
# what one training scatters by: the papers print no spread, so that they cannot tell a smaller loss from none.
TOLERANCE = {"points": 0.2, "dB": 0.05}

Against = Literal["baseline", "variant", "equal cost", "random masks"]
Outcome = Literal[Verdict, "open", "no claim"]


@dataclass(frozen=True)
class Claim:
    """One row compared with another under one protocol.

    All differences are of the higher-is-better quantity: for an error, of the accuracy.

    Attributes:
        table: ``slimconv/table1``.
        row: The row's name.
        versus: The name of the row that it is compared with.
        against: What that row is to it.
        column: The column's id, with its ``metric`` and the ``unit`` of a gain.
        gain: The paper's difference, in its printed digits; None where it prints none.
        least: The difference that the claim stands for; None without a claim.
        protocol: Of the row's runs; ``versus_protocol`` of the other row's.
        proxy: Whether it is a shortened one.
        epochs: Of the runs; None where there is none.
        n: Seeds of the row and of the other.
        measured: Our difference; None unless both rows have runs.
        outcome: The verdict; open where a claim has no runs, "no claim" where the paper makes none.
        seeds: How many seeds a side would decide an undecided claim; None where that is unknown or too many.
        diverged: Trainings of the row and of the other that diverged and are in no mean.
        sources: The result files behind it.
    """

    table: str
    row: str
    versus: str
    against: Against
    column: str
    metric: str
    unit: str
    gain: Decimal | None
    least: float | None
    protocol: str
    versus_protocol: str
    proxy: bool
    epochs: int | None
    n: tuple[int, int]
    measured: Difference | None
    outcome: Outcome
    seeds: int | None
    diverged: tuple[int, int]
    sources: tuple[str, ...]


def claims(report: Report) -> list[Claim]:
    """Return the comparisons of a table, row by row: the paper's protocol first, then proxies from long to short.

    A comparison without a claim is returned where both rows have runs, a claim in any case under the paper's protocol.
    """
    table = report.table
    found: list[Claim] = []
    for row, versus, against in _pairs(table):
        for column in (column for column in table.columns if METRICS[column.metric].gain):
            if _runnable(row, column) and _runnable(versus, column):
                found += _under_each_protocol(report, column, row, versus, against)
    return sorted(found, key=lambda claim: (claim.proxy, -(claim.epochs or 0) if claim.proxy else 0))


def compared(
    known: Sequence[Run], sides: tuple[tuple[str, str], tuple[str, str]], metric: str, proxy: bool
) -> tuple[tuple[list[Run], list[Run]], Difference | None]:
    """Return the runs of two sides, each (model, protocol), and the difference of their means over seeds.

    ``known`` are trainings of one data set and ``metric`` the ledger's; the difference is None unless both sides have
    runs. Where a side has one, the spread is that of all networks with several seeds under these protocols.
    """
    first, second = (
        [run for run in known if (run.model, run.protocol, run.metric, run.proxy) == (*side, metric, proxy)]
        for side in sides
    )
    if not (first and second):
        return (first, second), None
    spread = pooled(groups(known, {protocol for _, protocol in sides}, metric))
    return (first, second), difference(by_seed(first), by_seed(second), spread=spread)


def groups(known: Iterable[Run], protocols: Collection[str], metric: str) -> list[list[float]]:
    """Return the values of each model under these protocols, one list a model, for the spread that they share."""
    runs: dict[tuple[str, str], list[Run]] = {}
    for run in known:
        if run.protocol in protocols and run.metric == metric:
            runs.setdefault((run.protocol, run.model), []).append(run)
    return [by_seed(found) for found in runs.values()]


def baseline_of(table: Table, row: Row) -> Row | None:
    """Return the row that ``row`` is measured by: the one it names; that of its model's baseline in the catalogue.

    Where the catalogue knows none, or one that the table does not show: the only baseline of the row's group, or of
    the table. None if there is no such row.
    """
    rows = [other for other in table.rows if other is not row]
    if row.baseline:
        return next(other for other in rows if other.name == row.baseline)
    bases = [other for other in rows if other.kind == "baseline"]
    mine = [other for other in bases if other.group == row.group]
    if known := _catalogue_baseline(row.model):
        for other in (*mine, *bases):
            if other.model == known:
                return other
    return next((found[0] for found in (mine, bases) if len(found) == 1), None)


def _pairs(table: Table) -> Iterator[tuple[Row, Row, Against]]:
    """Yield what is compared: row, other row, and what the other is to it."""
    from backbones.catalogue.controls import CONTROLS

    ours = {row.model: row for row in table.rows if row.kind == "control"}
    for row in table.rows:
        if row.kind not in {"method", "control"} or not row.model:
            continue
        base = baseline_of(table, row)
        if base and (base.model, base.protocol) != (row.model, row.protocol):
            yield row, base, "baseline"
        for name in row.compared_with:
            yield row, next(other for other in table.rows if other.name == name), "variant"
        if row.kind == "method" and (control := ours.get(CONTROLS.get(row.model, ""))):
            yield row, control, "equal cost"
        if row.kind == "method" and (random := ours.get(f"{row.model}_rand")):
            yield row, random, "random masks"


def _under_each_protocol(report: Report, column: Column, row: Row, versus: Row, against: Against) -> Iterator[Claim]:
    table = report.table
    gain = _claimed(column, row, _as_printed(table, versus)) if against in {"baseline", "variant"} else None
    own, other = (one.protocol or table.protocol for one in (row, versus))
    known = [run for run in report.runs if run.trained]
    proxies = dict.fromkeys(
        run.protocol
        for run in known
        if run.proxy and stands_in(run.protocol, table, row) and stands_in(run.protocol, table, versus)
    )
    for protocols, proxy in [((own, other), False), *(((name, name), True) for name in proxies)]:
        claim = _claim(table.name, column, (row, versus), against, gain, protocols, proxy, known)
        if claim.measured is not None or (gain is not None and not proxy):
            yield claim


def _claim(
    table: str,
    column: Column,
    rows: tuple[Row, Row],
    against: Against,
    gain: Decimal | None,
    protocols: tuple[str, str],
    proxy: bool,
    known: Sequence[Run],
) -> Claim:
    metric = METRICS[column.metric]
    pair = (rows[0].model, protocols[0]), (rows[1].model, protocols[1])
    sides, measured = compared(known, pair, metric.run, proxy)
    least = None if gain is None else threshold(float(gain), TOLERANCE[metric.gain])
    outcome: Outcome = "no claim"
    seeds = None
    if least is not None:
        outcome = "open" if measured is None else verdict(measured, least)
        if measured is not None and outcome == "undecided" and measured.spread is not None:
            seeds = seeds_needed(measured, least)
    return Claim(
        table=table,
        row=rows[0].name,
        versus=rows[1].name,
        against=against,
        column=column.id,
        metric=column.metric,
        unit=metric.gain,
        gain=gain,
        least=least,
        protocol=protocols[0],
        versus_protocol=protocols[1],
        proxy=proxy,
        epochs=max((run.epochs for run in (*sides[0], *sides[1])), default=None),
        n=(len(by_seed(sides[0])), len(by_seed(sides[1]))),
        measured=measured,
        outcome=outcome,
        seeds=seeds,
        diverged=(_diverged(known, pair[0]), _diverged(known, pair[1])),
        sources=tuple(f"results/{run.path}" for run in (*sides[0], *sides[1])),
    )


def _claimed(column: Column, row: Row, versus: Row) -> Decimal | None:
    """The paper's gain in its own digits; None unless it prints both numbers."""
    printed = [one.values.get(column.id, "") for one in (row, versus)]
    if not all(map(digits.is_number, printed)):
        return None
    own, other = map(Decimal, printed)
    return other - own if column.better == "lower" else own - other


def _as_printed(table: Table, row: Row) -> Row:
    """The row that has the printed values of what this one trains: itself, or the row that it stands for."""
    return next((other for other in table.rows if other.name == row.stands_for), row)


def _runnable(row: Row, column: Column) -> bool:
    """Whether the number is the paper's own and can be measured."""
    cell = row.cells.get(column.id, CellData())
    return not (row.quoted_from or row.blocked or cell.quoted_from or cell.blocked)


def _diverged(known: Iterable[Run], side: tuple[str, str]) -> int:
    return sum(run.status == "diverged" and (run.model, run.protocol) == side for run in known)


def _catalogue_baseline(model: str) -> str:
    import backbones

    try:
        return backbones.model_spec(model).baseline
    except backbones.UnknownModelError:
        return ""
