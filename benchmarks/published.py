"""What the papers say: published tables as validated data, one YAML file a table.

``benchmarks/papers/<paper>/<table>.yaml`` holds a table's caption, columns, rows and values exactly as printed (as
strings, so that the printed digits are known). A table's name is ``<paper>/<table>``, e.g. ``slimconv/table1``.
Everything that is wrong in a file is reported as one :class:`UserError` that names the file and, where there is one,
the row.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from benchmarks.digits import NOT_PRINTED, is_number
from benchmarks.errors import UserError, did_you_mean
from benchmarks.metrics import METRICS

Model = TypeVar("Model", bound=BaseModel)
PAPERS = Path(__file__).parent / "papers"
_NOT_TABLES = {"paper"}


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Column(_Data):
    """One column.

    ``scale`` multiplies the printed digits (1e9 for "FLOPs (10^9)"); ``baseline`` is the model whose count a metric
    such as ``params_reduction`` starts from.
    """

    id: str
    label: str
    metric: str
    unit: str = ""
    scale: float = Field(default=1.0, gt=0)
    better: Literal["lower", "higher"]
    convention: str = "conv-linear"
    baseline: str = ""

    @field_validator("metric")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in METRICS:
            raise ValueError(f"unknown metric {value!r}{did_you_mean(value, METRICS) or _one_of(METRICS)}")
        return value

    @model_validator(mode="after")
    def _compares(self) -> Column:
        if METRICS[self.metric].reduction != bool(self.baseline):
            raise ValueError(f"metric {self.metric!r} {'takes no' if self.baseline else 'needs a'} baseline")
        return self


class Group(_Data):
    """Rows that stand together; ``scales`` overrides a column's scale within the group."""

    id: str
    label: str
    scales: dict[str, float] = {}


class Crop(_Data):
    """A picture of a figure: what its column measures is the enlargement of this picture at this scale.

    Scale 1: the whole picture with predicted boxes or masks; the column is measured on all test images.
    """

    column: str
    picture: str
    scale: int = Field(default=1, ge=1)


class StandIn(_Data):
    """A shortened protocol on another data set, whose runs a figure shows under a heading of their own."""

    dataset: str
    protocol: str


class CellData(_Data):
    """What one cell has beyond its row and its column.

    ``model``: another model than the row's. ``tested``: only a test of released weights under this protocol fills the
    cell; ``checkpoint``: their file's SHA-256.
    """

    model: str = ""
    tested: str = ""
    checkpoint: str = Field(default="", pattern=r"^(sha256:[0-9a-f]{64})?$")
    quoted_from: str = ""
    convention: str = ""
    blocked: str = ""
    note: str = ""
    explanation: str = ""


class Row(_Data):
    """One row.

    Attributes:
        key: The row's name in reports, unique in its table; the label unless several rows bear the same.
        label: As printed.
        kind: baseline, method (the paper's own), other (somebody else's method, run or counted by the paper),
            quoted (taken from another work) or control (a row of ours).
        model: A name of ``backbones.list_models()``.
        planned: Why the model cannot be built yet; ignored as soon as it can.
        ours: The row is ours and not the paper's, so it has no printed values.
        released: The authors released a checkpoint for this row's model; or the protocol that tests it, where they
            released another for the same model under ``released``.
        baseline: The row (its key, or its label) that this row's gain is over, where it is not the row of the
            baseline that the catalogue names for the model; see ``benchmarks.reports.claims``.
        compared_with: More rows that the paper compares this one with, such as the variants of an ablation.
        stands_for: A row of ours that trains what the paper prints under another row: what is claimed against this
            row is claimed of that one's printed values.
        recorded_as: The row needs no network, and every run records its numbers under this prefix, as
            ``bicubic_psnr_x2`` beside ``psnr_x2``.
        attributes: Columns that describe the row and are no measurement (c - ĉ, g), as printed.
        values: Column id -> value as printed; "-" where the paper prints a dash.
    """

    key: str = ""
    label: str
    group: str = ""
    kind: Literal["baseline", "method", "other", "quoted", "control"]
    model: str = ""
    planned: str = ""
    protocol: str = ""
    input: str = ""
    classes: int | None = None
    convention: str = ""
    quoted_from: str = ""
    blocked: str = ""
    ours: bool = False
    released: bool | str = False
    baseline: str = ""
    compared_with: list[str] = []
    stands_for: str = ""
    recorded_as: str = ""
    note: str = ""
    attributes: dict[str, str] = {}
    values: dict[str, str] = {}
    cells: dict[str, CellData] = {}

    @property
    def name(self) -> str:
        """The row's unique name in its table."""
        return self.key or self.label


class FigureData(_Data):
    """The table's figure: column ids for the axes and for the area of the markers."""

    x: str
    y: str
    size: str = ""
    caption: str


class Table(_Data):
    """One published table.

    ``crops``: the pictures of a figure that shows what every row makes of them. ``stand_ins``: runs that show the
    figure's networks at work, and never fill its cells. ``everything``: the report also lists all that was measured of
    its models, by protocol.
    """

    name: str
    file: str
    paper: str
    number: str
    caption: str
    where: str
    dataset: str
    protocol: str
    input: str = Field(pattern=r"^\d+x\d+x\d+$")
    classes: int | None = None
    attributes: list[str] = []
    columns: list[Column] = Field(min_length=1)
    groups: list[Group] = []
    rows: list[Row] = Field(min_length=1)
    notes: list[str] = []
    figure: FigureData | None = None
    crops: list[Crop] = []
    stand_ins: list[StandIn] = []
    everything: bool = False

    @property
    def title(self) -> str:
        """What the paper calls it: ``Table IV``, or ``Figure 6`` for a file ``figure6.yaml``."""
        stem = self.name.rpartition("/")[2]
        return f"{'Figure' if stem.startswith('figure') else 'Table'} {self.number}"

    def column(self, column_id: str) -> Column:
        """Return the column called ``column_id``."""
        return next(column for column in self.columns if column.id == column_id)

    def scale(self, row: Row, column: Column) -> float:
        """Return what the printed digits of this cell are multiplied with."""
        group = next((group for group in self.groups if group.id == row.group), None)
        return group.scales.get(column.id, column.scale) if group else column.scale

    @model_validator(mode="after")
    def _consistent(self) -> Table:
        ids = [column.id for column in self.columns]
        _unique("column", ids)
        _unique("group", [group.id for group in self.groups])
        _unique("row", [row.name for row in self.rows])
        names = [row.name for row in self.rows]
        for row in self.rows:
            self._check_row(row, ids)
            for other in filter(None, (row.baseline, *row.compared_with, row.stands_for)):
                if other not in names or other == row.name:
                    hint = did_you_mean(other, names) or _one_of(names)
                    raise ValueError(f"row {row.name!r}: cannot be compared with {other!r}{hint}")
        if self.figure:
            for name in filter(None, (self.figure.x, self.figure.y, self.figure.size)):
                _known_column("figure", name, ids)
        for crop in self.crops:
            _known_column("crops", crop.column, ids)
        return self

    def _check_row(self, row: Row, ids: list[str]) -> None:
        where = f"row {row.name!r}"
        if row.group not in {group.id for group in self.groups} | ({""} if not self.groups else set()):
            raise ValueError(f"{where}: unknown group {row.group!r}{_one_of(g.id for g in self.groups)}")
        for name in (*row.values, *row.cells):
            _known_column(where, name, ids)
        for name, printed in row.values.items():
            if printed != NOT_PRINTED and not is_number(printed):
                raise ValueError(f"{where}, column {name!r}: {printed!r} is no number (digits, or '-' for none)")
        missing = [name for name in ids if name not in row.values]
        if missing and not row.ours:
            raise ValueError(f"{where}: no value for {', '.join(missing)} ('-' where the paper prints none)")
        known = row.model or row.recorded_as or row.quoted_from or row.blocked
        unsourced = [name for name in ids if not (known or _sourced(row, name))]
        if unsourced:
            raise ValueError(f"{where}: needs model, quoted_from or blocked for {', '.join(unsourced)}")
        if set(row.attributes) - set(self.attributes):
            raise ValueError(f"{where}: attributes must be among {self.attributes}, not {sorted(row.attributes)}")


class Paper(_Data):
    """A paper: how it is cited, and the works that its tables quote."""

    short: str
    title: str
    authors: str
    venue: str
    year: int
    doi: str = ""
    references: dict[str, str] = {}


def list_tables(root: Path | None = None) -> list[str]:
    """Return the names of all published tables, in the papers' order (table2 before table10)."""
    if root is not None and not root.is_dir():
        raise UserError(f"no folder {root} with tables")
    files = (root or PAPERS).glob("*/*.yaml")
    names = [f"{file.parent.name}/{file.stem}" for file in files if file.stem not in _NOT_TABLES]
    return sorted(names, key=natural)


def select_tables(patterns: Iterable[str], root: Path | None = None) -> list[str]:
    """Return the tables meant by ``slimconv/table1``, ``table1`` (every paper's), ``slimconv`` or ``all``.

    Raises:
        UserError: A name that means no table.
    """
    known = list_tables(root)
    short = {part for name in known for part in name.split("/")}
    chosen: set[str] = set()
    for pattern in patterns:
        found = [name for name in known if pattern in (name, *name.split("/"), "all")]
        if not found:
            hint = did_you_mean(pattern, known if "/" in pattern else [*sorted(short), "all"]) or _one_of(
                [*known, "all"]
            )
            raise UserError(f"no table {pattern!r}{hint}")
        chosen.update(found)
    return [name for name in known if name in chosen]


def load_table(name: str, root: Path | None = None) -> Table:
    """Read and validate one table.

    Raises:
        UserError: An unknown table, or a file that is malformed; names the file and the row.
    """
    known = list_tables(root)
    if name not in known:
        raise UserError(f"no table {name!r}{did_you_mean(name, known) or _one_of(known)}")
    file = (root or PAPERS) / f"{name}.yaml"
    paper, _, _ = name.partition("/")
    raw = _read_yaml(file)
    return _validated(Table, {"name": name, "file": _shown(file), "paper": paper} | raw, file)


def load_paper(paper: str, root: Path | None = None) -> Paper:
    """Read ``<paper>/paper.yaml``."""
    file = (root or PAPERS) / paper / "paper.yaml"
    return _validated(Paper, _read_yaml(file), file)


class _UniqueKeys(yaml.SafeLoader):
    """YAML without silent overwriting: a key that stands twice in one mapping is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = [key for key, count in Counter(keys).items() if count > 1]
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"key {twice[0]!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        data = yaml.load(file.read_text(encoding="utf-8"), Loader=_UniqueKeys)  # noqa: S506 (a SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{_shown(file)}{line}: malformed YAML: {error.problem}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{_shown(file)}: cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise UserError(f"{_shown(file)}: malformed: expected a mapping, got {type(data).__name__}")
    return data


def _validated(model: type[Model], raw: dict[str, Any], file: Path) -> Model:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        place = _place(first["loc"], raw)
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise UserError(f"{_shown(file)}: {place}{message}{more}") from error


def _place(loc: tuple[int | str, ...], raw: dict[str, Any]) -> str:
    """Turn pydantic's ("rows", 3, "values", "macs") into "row 'Sc-ResNet-50', values.macs: "."""
    parts = list(loc)
    words = []
    if len(parts) > 1 and isinstance(parts[0], str) and isinstance(parts[1], int):
        item = raw[parts[0]][parts[1]]
        named = item if isinstance(item, dict) else {}
        name = named.get("key") or named.get("id") or named.get("label")
        words.append(f"{parts[0].removesuffix('s')} {repr(name) if name else parts[1] + 1}")
        parts = parts[2:]
    if parts:
        words.append(".".join(map(str, parts)))
    return f"{', '.join(words)}: " if words else ""


def _sourced(row: Row, column: str) -> bool:
    cell = row.cells.get(column)
    return cell is not None and bool(cell.model or cell.quoted_from or cell.blocked)


def _unique(what: str, names: list[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"{what} {twice[0]!r} stands twice (give one of them another key)")


def _known_column(where: str, name: str, ids: list[str]) -> None:
    if name not in ids:
        raise ValueError(f"{where}: unknown column {name!r}{did_you_mean(name, ids) or _one_of(ids)}")


def _one_of(names: Iterable[str]) -> str:
    return f"; known: {', '.join(names)}"


def natural(name: str) -> list[str | int]:
    """Return the key that sorts numbers within names by their size: table2 before table10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _shown(file: Path) -> str:
    """The file as a reader of an error message finds it: from the current folder where it lies below it."""
    here = Path.cwd()
    return file.relative_to(here).as_posix() if file.is_relative_to(here) else str(file)
