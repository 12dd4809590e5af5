"""A view that neither paper has: the networks of both on one plane of accuracy and cost, a data set at a time.

Accuracies are the papers' as printed, and ours where a network was trained under the paper's full protocol; a proxy or
released weights never stand here. Costs are counted by one convention (``conv-linear``) for all networks, whatever
the tables use; the printed cost is taken only where there is no network to count. A network that stands in several
tables with the same accuracy is one point.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from benchmarks import digits
from benchmarks.metrics import METRICS
from benchmarks.published import Column, Row, Table
from benchmarks.reports.cells import Cell, Report
from benchmarks.reports.sources import Counter

if TYPE_CHECKING:
    import pandas as pd

DATASETS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "imagenet": "ImageNet"}
COUNTED, PRINTED, MEASURED = "counted", "printed", "measured"
CONVENTION = "conv-linear"
_ACCURACY = ("top1_error", "top1_accuracy")
_OPERATIONS = ("macs", "mul")
# What a table calls its baseline says nothing beside the rows of other tables.
_NAMELESS = {"Vanilla", "Baseline"}


@dataclass(frozen=True)
class Point:
    """One network with one accuracy.

    Attributes:
        accuracy: Top-1, in percent.
        accuracy_origin: printed (100 minus the error where the paper prints errors) or measured (mean of our runs).
        mul: Multiplications of one image: MACs, or for versatile filters what their arithmetic needs (#MUL).
        macs: What a library executes; more than ``mul`` for versatile filters, None where nothing was counted.
        params: Stored values in units of 32 bits.
        mul_origin: counted or printed; ``params_origin`` likewise.
        tables: Where it stands.
    """

    dataset: str
    paper: str
    label: str
    kind: str
    model: str
    input: str
    accuracy: Decimal
    accuracy_origin: str
    mul: int | None
    mul_origin: str
    macs: int | None
    params: int | None
    params_origin: str
    tables: str


COLUMNS = tuple(field.name for field in fields(Point))


def points(reports: Iterable[Report], counter: Counter) -> pd.DataFrame:
    """Return the points of all ``reports`` whose table has accuracies and a cost on a data set of ``DATASETS``.

    One row a point with the columns of :class:`Point`, by data set and then in the order of the tables; figures come
    after tables, whose numbers they repeat.
    """
    import pandas as pd

    merged: dict[tuple[str, ...], Point] = {}
    for report in sorted(reports, key=lambda report: report.table.title.startswith("Figure")):
        for row in report.table.rows:
            for key, point in _points_of(report, row, counter):
                merged[key] = _merged(merged[key], point) if key in merged else point
    rows = sorted(_named(list(merged.values())), key=lambda point: point.dataset)
    frame: pd.DataFrame = pd.DataFrame([asdict(point) for point in rows], columns=list(COLUMNS)).astype(
        {"mul": "Int64", "macs": "Int64", "params": "Int64"}
    )
    return frame


def tidy_csv(frame: pd.DataFrame) -> str:
    """Return the points as CSV; a cost that is not known is empty."""
    text: str = frame.to_csv(index=False, lineterminator="\n")
    return text


def front(frame: pd.DataFrame, cost: str) -> list[int]:
    """Return the index of the points that no other beats: as accurate or more at no higher ``cost``; cheapest first."""
    best: float | None = None
    found = []
    known = frame.dropna(subset=[cost])
    for index, point in known.sort_values([cost, "accuracy"], ascending=[True, False], kind="stable").iterrows():
        if best is None or float(point["accuracy"]) > best:
            best = float(point["accuracy"])
            found.append(int(str(index)))
    return found


def _points_of(report: Report, row: Row, counter: Counter) -> list[tuple[tuple[str, ...], Point]]:
    table = report.table
    accuracy = _column(table, _ACCURACY)
    if table.dataset not in DATASETS or accuracy is None:
        return []
    operations, parameters = _column(table, _OPERATIONS), _column(table, ("params",))
    if operations is None and parameters is None:
        return []
    mul, params = (_printed(report, row, column) for column in (operations, parameters))
    counts = None
    if row.model in counter.models():
        counts = counter(row.model, row.input or table.input, CONVENTION, row.classes or table.classes)
    # A blocked cost is not the network's own: a fast algorithm changes what is multiplied and not the layers.
    own_mul = counts is not None and not (operations and report.cell(row, operations.id).status == "blocked")
    base = Point(
        dataset=table.dataset,
        paper=table.paper,
        label=_bare(row.name),
        kind=row.kind,
        model=row.model if counts else "",
        input=row.input or table.input,
        accuracy=Decimal(0),
        accuracy_origin="",
        mul=counts.mul if counts and own_mul else mul,
        mul_origin=COUNTED if own_mul else PRINTED if mul else "",
        macs=counts.macs if counts and own_mul else None,
        params=counts.params if counts else params,
        params_origin=COUNTED if counts else PRINTED if params else "",
        tables=table.name,
    )
    if base.mul is None and base.params is None:
        return []
    # Works that a paper quotes go by their name: one table may have a model for them and the next one not.
    name = base.label if row.kind in {"other", "quoted"} else f"{row.model} {base.input}"
    cell = report.cell(row, accuracy.id)
    return [
        ((base.dataset, name, origin, str(value.normalize())), replace(base, accuracy=value, accuracy_origin=origin))
        for value, origin in _accuracies(cell)
    ]


def _accuracies(cell: Cell) -> list[tuple[Decimal, str]]:
    values = [(Decimal(cell.paper), PRINTED)] if digits.is_number(cell.paper) and cell.status != "blocked" else []
    if cell.status == "measured" and cell.ours is not None:
        values.append((cell.ours, MEASURED))
    return [(100 - value if METRICS[cell.metric].complement else value, origin) for value, origin in values]


def _merged(first: Point, second: Point) -> Point:
    """One point of two for the same network: names and numbers that one of them lacks come from the other."""
    kept = replace(
        first,
        label=second.label if first.label in _NAMELESS and first.kind == second.kind else first.label,
        tables=first.tables if second.tables in first.tables.split() else f"{first.tables} {second.tables}",
    )
    if second.mul is not None and (kept.mul is None or (kept.mul_origin, second.mul_origin) == (PRINTED, COUNTED)):
        kept = replace(kept, mul=second.mul, mul_origin=second.mul_origin, macs=second.macs)
    if second.params is not None and (
        kept.params is None or (kept.params_origin, second.params_origin) == (PRINTED, COUNTED)
    ):
        kept = replace(kept, params=second.params, params_origin=second.params_origin, model=second.model)
    return kept


def _named(found: Sequence[Point]) -> list[Point]:
    """Give each point a name: the model's for a nameless baseline."""
    return [replace(point, label=point.model) if point.label in _NAMELESS else point for point in found]


def _bare(label: str) -> str:
    """A row's label without what belongs to its table: citations, "(ours)", "Vanilla" before a name."""
    words = re.sub(r"\s*\[\d+\]", "", label.replace("(ours)", "")).strip()
    return words.removeprefix("Vanilla ")


def _printed(report: Report, row: Row, column: Column | None) -> int | None:
    """The printed cost in ones."""
    printed = report.cell(row, column.id).paper if column else ""
    if column is None or not digits.is_number(printed):
        return None
    return round(Decimal(printed) * digits.exact(report.table.scale(row, column)))


def _column(table: Table, metrics: Sequence[str]) -> Column | None:
    return next((column for metric in metrics for column in table.columns if column.metric == metric), None)
