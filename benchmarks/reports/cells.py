"""The join: a published table, what we count and what the ledger holds -> one cell each, with a status.

A cell never mixes origins. Its status says which of them its number has:

* counted: exact, no training;
* measured: trained here under the paper's protocol (mean, standard deviation, n);
* evaluated: tested here and not trained: the authors' released weights, or a method that has none;
* proxy: a shortened protocol, named; the value is shown and never compared with the paper's;
* quoted: the paper cites it from another work;
* open: measurable and not measured yet;
* blocked: cannot be measured, with the reason.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter as Counted
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from benchmarks import digits
from benchmarks.digits import NOT_PRINTED
from benchmarks.errors import UserError, did_you_mean
from benchmarks.metrics import METRICS
from benchmarks.published import CellData, Column, Crop, Row, StandIn, Table
from benchmarks.reports import costs
from benchmarks.reports.sources import Counter, Run, by_seed

if TYPE_CHECKING:
    from benchmarks.reports.latencies import Group

Status = Literal["counted", "measured", "evaluated", "proxy", "quoted", "open", "blocked"]
STATUSES: dict[str, str] = {
    "counted": "exact, no training",
    "measured": "trained here under the paper's protocol (mean, standard deviation, n)",
    "evaluated": "tested here and not trained: the authors' released weights, or a method that has none",
    "proxy": "trained here under a shortened protocol, which is named; not compared with the paper",
    "quoted": "the paper cites it from another work",
    "open": "measurable, not yet measured",
    "blocked": "cannot be measured",
}
WITHIN = 0.01
# The protocol of what needs no network (``Row.recorded_as``).
UNTRAINED = "no training"
_WEIGHTS = {"params", "weight_bytes"}
_SAME = 0.005


@dataclass(frozen=True)
class Cell:
    """One published value beside ours.

    ``ours`` and ``sd`` are at the printed scale; ``paper`` holds the printed digits, "-" or, for a row of ours,
    nothing. ``rel_diff`` and ``agrees`` are None unless both values mean the same thing. ``n`` counts seeds;
    ``diverged`` counts the trainings of the same protocol that have no value because their loss was no number.
    ``parts``: how much of ``ours`` each part of a whole detector or segmentor takes (backbone, heads), and for how many
    ``proposals`` of the second stage.
    """

    table: str
    row: str
    column: str
    metric: str
    unit: str
    paper: str
    status: Status
    ours: Decimal | None = None
    sd: Decimal | None = None
    rel_diff: float | None = None
    agrees: bool | None = None
    convention: str = ""
    protocol: str = ""
    epochs: int | None = None
    n: int | None = None
    diverged: int = 0
    sources: tuple[str, ...] = ()
    reference: str = ""
    fill: str = ""
    reason: str = ""
    note: str = ""
    explanation: str = ""
    parts: tuple[tuple[str, Decimal], ...] = ()
    proposals: int | None = None

    @property
    def compared(self) -> bool:
        """Counted, and the paper prints a number to compare with."""
        return self.status == "counted" and self.agrees is not None

    @property
    def within(self) -> bool:
        """At most 1 % away from the printed number."""
        return self.rel_diff is not None and abs(self.rel_diff) <= WITHIN

    @property
    def unexplained(self) -> bool:
        """Counted, does not agree, further than 1 % away, and nobody has said why."""
        return self.compared and not self.agrees and not self.within and not self.explanation


@dataclass(frozen=True)
class Report:
    """A table and its cells, row by row in the order of the columns; and all runs of its data set.

    ``stand_ins``: for each of the table's that has runs, a report of the rows that they measured.
    ``latencies``: times of the table's networks that were measured here, and fill no cell of the paper's machines.
    """

    table: Table
    cells: tuple[Cell, ...]
    runs: tuple[Run, ...] = ()
    stand_ins: tuple[Report, ...] = ()
    latencies: tuple[Group, ...] = ()

    def row(self, row: Row) -> tuple[Cell, ...]:
        """Return the cells of one row, in the order of the columns."""
        return tuple(cell for cell in self.cells if cell.row == row.name)

    def cell(self, row: Row, column_id: str) -> Cell:
        """Return one cell."""
        return next(cell for cell in self.cells if cell.row == row.name and cell.column == column_id)


def build(table: Table, counter: Counter, runs: Sequence[Run]) -> Report:
    """Join ``table`` with the counter's numbers and the ledger's runs.

    Raises:
        UserError: A model that does not exist or cannot be counted; names the file and the row.
    """
    cells = []
    for row in table.rows:
        try:
            _check_model(row, counter)
            cells += [_cell(table, row, column, counter, runs) for column in table.columns]
        except UserError as error:
            raise UserError(f"{table.file}: row {row.name!r}: {error}") from error
    stand_ins = [_stand_in(table, other, counter, runs) for other in table.stand_ins]
    own = tuple(run for run in runs if run.dataset == table.dataset)
    return Report(table, tuple(cells), own, tuple(filter(None, stand_ins)))


def _stand_in(table: Table, other: StandIn, counter: Counter, runs: Sequence[Run]) -> Report | None:
    """The report of a stand-in's runs, with the pictures that they kept; None if it has no run of the table's rows."""
    found = [run for run in runs if (run.dataset, run.protocol, run.proxy) == (other.dataset, other.protocol, True)]
    measured = {run.model for run in found if run.finished and run.trained}
    rows = [row for row in table.rows if row.model in measured]
    kept = sorted({sample.picture for run in found for sample in run.samples})
    if not rows:
        return None
    names = [row.name for row in rows]
    changes = {
        "dataset": other.dataset,
        "protocol": other.protocol,
        "rows": [row.model_copy(update={"baseline": row.baseline if row.baseline in names else ""}) for row in rows],
        "crops": [Crop(column=table.columns[0].id, picture=picture) for picture in kept],
        "stand_ins": [],
    }
    return build(table.model_copy(update=changes), counter, found)


def unit_of(table: Table, row: Row, column: Column) -> str:
    """Return the unit of the printed digits: ``%``, ``1e9 MACs``."""
    scale, noun = table.scale(row, column), METRICS[column.metric].noun
    power = "" if scale == 1 else f"1e{len(str(int(scale))) - 1}" if _is_power_of_ten(scale) else f"{scale:g}"
    if scale >= 1024 and math.log2(scale).is_integer():  # Tables VIII and IX of SlimConv: mega is 2^20
        power = f"2^{int(math.log2(scale))}"
    return column.unit or " ".join(filter(None, (power, noun)))


def _cell(table: Table, row: Row, column: Column, counter: Counter, runs: Sequence[Run]) -> Cell:
    extra = row.cells.get(column.id, CellData())
    base = Cell(
        table=table.name,
        row=row.name,
        column=column.id,
        metric=column.metric,
        unit=unit_of(table, row, column),
        paper=row.values.get(column.id, ""),
        status="open",
        note=extra.note or row.note,
        explanation=extra.explanation,
    )
    if quoted := extra.quoted_from or row.quoted_from:
        nothing = "the paper prints no value" if base.paper == NOT_PRINTED else ""
        return replace(base, status="quoted", reference=quoted, reason=nothing)
    if blocked := extra.blocked or row.blocked:
        return replace(base, status="blocked", reason=blocked)
    if METRICS[column.metric].counted:
        return _counted(base, table, row, column, counter)
    return _run(base, table, row, column, counter, runs)


def _counted(base: Cell, table: Table, row: Row, column: Column, counter: Counter) -> Cell:
    convention = row.cells.get(column.id, CellData()).convention or row.convention or column.convention
    base = replace(base, convention=convention)
    if row.recorded_as:
        if METRICS[column.metric].counted not in _WEIGHTS:
            return replace(base, status="blocked", reason="it is no network")
        return replace(base, status="counted", ours=Decimal(0))
    if row.planned and not _exists(row, counter):
        return replace(base, reason=row.planned)
    size, classes = row.input or table.input, row.classes or table.classes
    metric, models = METRICS[column.metric], [_model(row, column), *filter(None, [column.baseline])]
    found = [counter(model, size, convention, classes) for model in models]
    counts = [getattr(counted, metric.counted) for counted in found]
    commands = (f"slimbench complexity {model} --input {size} --convention {convention}" for model in models)
    ours = digits.at_scale(metric.from_counts(*counts), table.scale(row, column))
    if len(found) == 1 and metric.counted not in _WEIGHTS:  # not every counter knows of parts
        scale, parts = table.scale(row, column), getattr(found[0], "parts", ())
        shares = tuple((part.name, digits.at_scale(getattr(part, metric.counted), scale)) for part in parts)
        base = replace(base, parts=shares, proposals=getattr(found[0], "proposals", None))
    return _compared(replace(base, status="counted", ours=ours, sources=(" and ".join(commands),)))


def _run(base: Cell, table: Table, row: Row, column: Column, counter: Counter, runs: Sequence[Run]) -> Cell:
    metric, protocol = METRICS[column.metric], row.protocol or table.protocol
    extra, model = row.cells.get(column.id, CellData()), _model(row, column)
    if row.recorded_as:
        return _untrained(base, table, row, column, runs)
    own = [run for run in runs if (run.dataset, run.model) == (table.dataset, model)]
    mine = [run for run in own if run.finished and run.metric == metric.run]
    trained = [run for run in mine if run.trained]
    if extra.tested:
        return _tested(base, [run for run in mine if not run.trained], table, row, column)
    diverged = Counted(run.protocol for run in own if run.trained and run.status == "diverged")
    origins: tuple[tuple[Status, list[Run]], ...] = (
        ("measured", [run for run in trained if run.protocol == protocol and not run.proxy]),
        ("evaluated", [run for run in mine if not run.trained and run.protocol == _released(row)]),
        ("proxy", _longest([run for run in trained if run.proxy and stands_in(run.protocol, table, row)])),
    )
    for status, found in origins:
        if found:
            base = replace(base, status=status, diverged=diverged[found[0].protocol])
            return _from_runs(base, found, column, table.scale(row, column))
    base = replace(base, protocol=protocol, diverged=diverged[protocol])
    macs = None
    if _exists(row, counter):
        macs = counter(row.model, row.input or table.input, "conv-linear", row.classes or table.classes).macs
    fill = costs.training(table.dataset, protocol, row.model, macs)
    if row.released:
        fill = f"{costs.evaluation(table.dataset, row.model, _released(row))} or {fill}"
    return replace(base, fill=fill, reason=row.planned if macs is None else "")


def _tested(base: Cell, runs: Sequence[Run], table: Table, row: Row, column: Column) -> Cell:
    """A cell that only a test of released weights fills."""
    extra = row.cells[column.id]
    found = [run for run in runs if run.protocol == extra.tested and extra.checkpoint in {"", run.checkpoint}]
    if found:
        return _from_runs(replace(base, status="evaluated"), found, column, table.scale(row, column))
    fill = costs.evaluation(table.dataset, _model(row, column), extra.tested)
    return replace(base, protocol=extra.tested, fill=fill)


def _untrained(base: Cell, table: Table, row: Row, column: Column, runs: Sequence[Run]) -> Cell:
    """A cell of what needs no network: one number, which every run of the data set has recorded."""
    name = f"{row.recorded_as}_{METRICS[column.metric].run}"
    found = [run for run in runs if run.dataset == table.dataset and run.finished and run.metric == name]
    if not found:
        return replace(base, protocol=UNTRAINED, fill=f"any run on {table.dataset} records it")
    values = [run.value for run in found]
    apart = max(values) - min(values)
    first = replace(found[0], protocol=UNTRAINED, epochs=0)
    cell = _from_runs(replace(base, status="evaluated"), [first], column, table.scale(row, column))
    said = f"The runs differ in it by {apart:.2g}." if apart > _SAME else ""
    return replace(cell, note=" ".join(filter(None, (base.note, said))))


def stands_in(proxy: str, table: Table, row: Row) -> bool:
    """Whether the shortened protocol ``proxy`` varies what the row's own protocol varies of the table's."""
    return _variant(proxy) == _changed(table, row)


def _variant(proxy: str) -> str:
    """What a proxy varies: "lambda0.01" of ``proxy-10e-lambda0.01``, nothing of ``proxy-10e``."""
    return proxy.removeprefix("proxy-").partition("-")[2]


def _changed(table: Table, row: Row) -> str | None:
    """What a row's own protocol varies of the table's; None for another protocol altogether.

    The row is there for what its protocol changes, so only a proxy that changes the same says something about it.
    """
    if not row.protocol:
        return ""
    base = f"{table.protocol}-"
    return row.protocol.removeprefix(base) if row.protocol.startswith(base) else None


def _released(row: Row) -> str:
    """The protocol that tests the weights which the authors released for this row; "" if they did not."""
    return row.released if isinstance(row.released, str) else costs.RELEASED if row.released else ""


def _from_runs(base: Cell, runs: list[Run], column: Column, scale: float) -> Cell:
    values = [METRICS[column.metric].from_run(value) for value in by_seed(runs)]
    mean = digits.at_scale(round(statistics.fmean(values), 6), scale)
    sd = digits.at_scale(round(statistics.stdev(values), 6), scale) if len(values) > 1 else None
    cell = replace(
        base,
        ours=mean,
        sd=sd,
        protocol=runs[0].protocol,
        epochs=runs[0].epochs,
        n=len(values),
        sources=tuple(f"results/{run.path}" for run in runs),
    )
    return cell if base.status == "proxy" else _compared(cell)


def _check_model(row: Row, counter: Counter) -> None:
    planned = {row.model} if row.planned else set[str]()
    for model in models_of(row):
        if model not in planned and model not in counter.models():
            raise UserError(f"no model {model!r}{did_you_mean(model, counter.models())}")


def models_of(row: Row) -> list[str]:
    """The models whose numbers stand in a row: its own, and those of single cells."""
    return list(dict.fromkeys(filter(None, (row.model, *(cell.model for cell in row.cells.values())))))


def _model(row: Row, column: Column) -> str:
    """The model of a cell: its own, or the row's."""
    return row.cells.get(column.id, CellData()).model or row.model


def _exists(row: Row, counter: Counter) -> bool:
    return row.model in counter.models()


def _compared(cell: Cell) -> Cell:
    if cell.ours is None or not digits.is_number(cell.paper):
        return cell
    return replace(
        cell,
        rel_diff=digits.relative_difference(cell.paper, cell.ours),
        agrees=digits.agrees(cell.paper, cell.ours),
    )


def _longest(runs: list[Run]) -> list[Run]:
    """Of several proxies keep one protocol: the one with the most epochs."""
    if not runs:
        return []
    best = max((run.epochs, run.protocol) for run in runs)
    return [run for run in runs if (run.epochs, run.protocol) == best]


def _is_power_of_ten(scale: float) -> bool:
    return scale >= 1 and set(f"{scale:.0f}"[1:]) <= {"0"} and f"{scale:.0f}"[0] == "1"
