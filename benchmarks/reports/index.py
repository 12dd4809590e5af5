"""The way in: ``index.md`` lists the reports of a folder, ``all-tables.tex`` sets their tables in one document.

Both are made from the CSVs in the folder and nothing is counted again, so they are right whichever tables were made
last, and the same folder gives the same bytes.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from benchmarks import digits
from benchmarks.errors import UserError
from benchmarks.ledger import ITERATION_COSTS, LATENCY
from benchmarks.published import Table, list_tables, load_paper, load_table, natural
from benchmarks.reports import render
from benchmarks.reports.cells import STATUSES, Cell, Status
from benchmarks.reports.summary import Summary, summarize

COMBINED = "combined"
FINDINGS = "findings"
_SUFFIXES = (".md", ".tex", ".csv", ".claims.csv", ".png", ".pdf")
_VERDICTS = ("holds", "does not hold", "undecided", "open")


@dataclass(frozen=True)
class Entry:
    """A table or figure whose CSV stands in the folder; ``table`` is None if its YAML file cannot be read today."""

    name: str
    table: Table | None
    cells: tuple[Cell, ...]
    files: tuple[str, ...]

    @property
    def title(self) -> str:
        """What the paper calls it."""
        return self.table.title if self.table else self.name.rpartition("/")[2]

    @property
    def summary(self) -> Summary:
        """Its cells by status."""
        return summarize(self.cells)


def entries(output: Path, root: Path | None = None) -> list[Entry]:
    """Return the tables that have a CSV below ``output``, in the papers' order; a paper's figures follow its tables.

    Raises:
        UserError: A CSV that cannot be read or is none of ours; names the file.
    """
    names = sorted(list_tables(root), key=lambda name: (name.partition("/")[0], "/figure" in name))
    return [_entry(output, name, root) for name in names if (output / f"{name}.csv").is_file()]


def markdown(output: Path, root: Path | None = None) -> str:
    """Return ``index.md`` for the reports below ``output``."""
    found = entries(output, root)
    papers = []
    for folder in dict.fromkeys(entry.name.partition("/")[0] for entry in found):
        mine = [entry for entry in found if entry.name.startswith(f"{folder}/")]
        papers.append((_title(folder, root), _all(mine), _verdicts(output, mine), mine))
    context: dict[str, Any] = {
        "papers": papers,
        "total": _all(found),
        "statuses": STATUSES,
        "combined": sorted(file.stem for file in (output / COMBINED).glob("*.csv")),
        "folder": COMBINED,
        "verdicts": _verdicts(output, found),
        "curves": sorted((file.stem for file in (output / render.CURVES).glob("*.md")), key=natural),
        "curves_folder": render.CURVES,
        "findings": FINDINGS if (output / f"{FINDINGS}.md").is_file() else "",
        "latency": LATENCY if (output / f"{LATENCY}.md").is_file() else "",
        "iteration_costs": ITERATION_COSTS if (output / f"{ITERATION_COSTS}.md").is_file() else "",
    }
    return render.environment().get_template("index.md.j2").render(context)


def latex(output: Path, root: Path | None = None) -> str:
    """Return ``all-tables.tex``, a document that inputs every ``.tex`` below ``output``; compile it in that folder."""
    names = [entry.name for entry in entries(output, root) if f"{entry.name}.tex" in entry.files]
    return render.environment().get_template("all-tables.tex.j2").render(names=names)


def _entry(output: Path, name: str, root: Path | None) -> Entry:
    try:
        table = load_table(name, root)
    except UserError:  # whoever reproduces that table is told; what was made of it before still stands here
        table = None
    files = tuple(f"{name}{suffix}" for suffix in _SUFFIXES if (output / f"{name}{suffix}").is_file())
    return Entry(name, table, _cells(output / f"{name}.csv"), files)


def _cells(file: Path) -> tuple[Cell, ...]:
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            return tuple(_cell(row) for row in csv.DictReader(lines))
    except (OSError, UnicodeDecodeError, KeyError, ArithmeticError) as error:
        raise UserError(f"{file} is no report that slimbench wrote ({error!r}); reproduce its table again") from error


def _cell(row: dict[str, str]) -> Cell:
    ours = Decimal(row["ours"]) if row["ours"] else None
    compared = ours is not None and bool(row["rel_diff"])
    return Cell(
        table=row["table"],
        row=row["row"],
        column=row["metric"],
        metric=row["metric"],
        unit=row["unit"],
        paper=row["paper"],
        status=cast("Status", row["status"]),
        ours=ours,
        # Of all digits: the column has six, and a table's own status line must say the same.
        rel_diff=digits.relative_difference(row["paper"], ours) if compared and ours is not None else None,
        agrees={"true": True, "false": False}.get(row["agrees"]),
    )


def _verdicts(output: Path, found: Sequence[Entry]) -> str:
    """The claimed gains of tables by verdict, in words; figures repeat those of tables."""
    counted: Counter[tuple[bool, str]] = Counter()
    for entry in found:
        file = output / f"{entry.name}.claims.csv"
        if "/figure" not in entry.name and file.is_file():
            with file.open(encoding="utf-8", newline="") as lines:
                counted.update((row["proxy"] == "true", row["verdict"]) for row in csv.DictReader(lines))

    def listed(proxy: bool) -> str:
        return ", ".join(f"{counted[proxy, verdict]} {verdict}" for verdict in _VERDICTS if counted[proxy, verdict])

    full, short = listed(proxy=False), listed(proxy=True)
    if not full and not short:
        return ""
    proxies = f" Under shortened protocols, which say nothing final: {short}." if short else ""
    return f"Claimed gains under the papers' protocols: {full or 'none'}.{proxies}"


def _all(found: Sequence[Entry]) -> Summary:
    return summarize(cell for entry in found for cell in entry.cells)


def _title(folder: str, root: Path | None) -> str:
    try:
        paper = load_paper(folder, root)
    except UserError:
        return folder
    return f"{paper.short} ({paper.authors}, *{paper.title}*, {paper.year})"
