"""A report as Markdown, LaTeX and CSV: pure functions of the report, so that equal input gives equal bytes."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from benchmarks import digits
from benchmarks.published import Paper
from benchmarks.reports import claims, claims_text, costs, crops, everything, latencies, runs, text
from benchmarks.reports.cells import Cell, Report
from benchmarks.reports.summary import summarize

if TYPE_CHECKING:
    from benchmarks.ledger import RunResult

CSV_COLUMNS = (
    "table", "row", "metric", "unit", "paper", "ours", "rel_diff", "agrees", "status", "convention", "protocol", "n",
    "source", "note",
)  # fmt: skip
# The folder of the learning curves, beside those of the papers.
CURVES = "curves"

# What pdfLaTeX cannot set by itself. Mathematics is written with \ensuremath, so the order does not matter.
_TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\ensuremath{<}", ">": r"\ensuremath{>}",
    "×": r"\ensuremath{\times}", "±": r"\ensuremath{\pm}", "−": r"\ensuremath{-}", "–": "--", "—": "---",
    "α": r"\ensuremath{\alpha}", "β": r"\ensuremath{\beta}", "λ": r"\ensuremath{\lambda}",
    "ĉ": r"\ensuremath{\hat{c}}", "⌈": r"\ensuremath{\lceil}", "⌉": r"\ensuremath{\rceil}",
    "✓": r"\ensuremath{\bullet}", "✗": r"\ensuremath{\circ}", "≈": r"\ensuremath{\approx}",
    "“": "``", "”": "''", "’": "'",
}  # fmt: skip
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")


def escape_tex(words: str) -> str:
    """Return ``words`` for LaTeX text: special characters escaped, symbols and superscripts as mathematics."""
    plain = "".join(_TEX.get(character, character) for character in words)
    return re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+", lambda m: rf"\textsuperscript{{{m[0].translate(_SUPERSCRIPTS)}}}", plain)


def escape_markdown(words: str) -> str:
    """Return ``words`` for a cell of a Markdown table."""
    return re.sub(r"([|*_<>\[\]`])", r"\\\1", words)


def markdown(report: Report, paper: Paper) -> str:
    """Return the report as Markdown."""
    return environment().get_template("table.md.j2").render(_context(report, paper))


def latex(report: Report, paper: Paper) -> str:
    """Return the report as one LaTeX table; it needs the package booktabs and nothing else."""
    return environment().get_template("table.tex.j2").render(_context(report, paper))


def curves_markdown(results: Sequence[tuple[str, RunResult]]) -> str:
    """Return the page of the learning curves of one data set and protocol; ``results`` come with their paths."""
    first = results[0][1]
    context = {
        "dataset": first.dataset.name,
        "protocol": first.protocol,
        "stem": f"{first.dataset.name}-{first.protocol.name}",
        "lines": [runs.line_of(path, result) for path, result in results],
        "notes": list(dict.fromkeys(note for _, result in results for note in result.notes)),
        "percent": any("top1_accuracy" in result.curves for _, result in results),
        "masks": any("masks_changed" in result.curves for _, result in results),
    }
    return environment().get_template("curves.md.j2").render(context)


def tidy_csv(report: Report) -> str:
    """Return the report as CSV, one cell a line, with the columns of ``CSV_COLUMNS``."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for cell in report.cells:
        writer.writerow(_csv_row(cell))
    return out.getvalue()


def claims_csv(report: Report) -> str:
    """Return the table's claims as CSV, with the columns of ``claims_text.CSV_COLUMNS``; empty if there is none."""
    found = claims.claims(report)
    return claims_text.tidy_csv(found) if found else ""


def _csv_row(cell: Cell) -> list[str]:
    return [
        cell.table,
        cell.row,
        cell.metric,
        cell.unit,
        cell.paper,
        "" if cell.ours is None else digits.show_exact(cell.ours),
        "" if cell.rel_diff is None else f"{cell.rel_diff:.6f}",
        "" if cell.agrees is None else str(cell.agrees).lower(),
        cell.status,
        cell.convention,
        cell.protocol,
        "" if cell.n is None else str(cell.n),
        text.source(cell),
        text.note(cell),
    ]


def environment() -> Environment:
    """Return the environment of the templates, with the filters ``tex``, ``md`` and ``code``."""
    environment = Environment(  # noqa: S701 (Markdown and LaTeX, escaped by the filters below)
        loader=PackageLoader("benchmarks.reports"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(tex=escape_tex, md=escape_markdown, code=_code)
    return environment


def _context(report: Report, paper: Paper) -> dict[str, Any]:
    table = report.table
    cited = text.footnotes(report, paper.references)
    best = best_printed(report)
    found = claims.claims(report)
    units = dict.fromkeys(claim.unit for claim in found)
    run_lines = runs.lines(report)
    measures, everything_lines = everything.table(report)
    part_names, part_rows, part_remarks = text.parts(report)
    return {
        "report": report,
        "table": table,
        "paper": paper,
        "groups": _groups(report),
        "command": text.command(table.name),
        "stem": table.name.rpartition("/")[2],
        "heading": text.heading,
        "headings": [text.heading(report, column) for column in table.columns],
        "ours": lambda cell: text.ours(report, cell),
        "verdict": text.verdict,
        "label": text.label,
        "is_best": lambda cell: (cell.row, cell.column) in best,
        "link": _link,
        "notes_of": lambda cell: cited[f"{cell.row}/{cell.column}"],
        "footnotes": text.listed(cited),
        "fills": text.fills(report),
        "conventions": text.conventions(report),
        "counted_rows": [
            row for row in table.rows if row.model and any(c.status == "counted" for c in report.row(row))
        ],
        "runs": text.shown_runs(report),
        "bases": _bases(report),
        "claim_headings": claims_text.HEADINGS,
        "claim_sections": claims_text.sections(found),
        "gain_units": list(units),
        "tolerances": [f"{claims.TOLERANCE[unit]} {unit}" for unit in units],
        "crops_caption": crops.caption(report) if table.crops else "",
        "stand_ins": [(other, crops.stand_in_stem(other), runs.lines(other)) for other in report.stand_ins],
        "latencies": [latencies.beside(table, group) for group in report.latencies],
        "part_names": part_names,
        "part_rows": part_rows,
        "part_remarks": part_remarks,
        "measures": measures,
        "everything": everything_lines,
        "run_lines": run_lines,
        "curves": [(name, f"../{CURVES}/{table.dataset}-{name}.md") for name in runs.curves(run_lines)],
        "statuses": text.used_statuses(report.cells),
        "status_line": summarize(report.cells).sentence(),
    }


def best_printed(report: Report) -> set[tuple[str, str]]:
    """Return (row, column) of the best printed value of each group and column, ties included.

    A group of one printed value, or of equal ones, has no best.
    """
    best: set[tuple[str, str]] = set()
    for _, rows in _groups(report):
        for column in report.table.columns:
            printed = {
                row.name: Decimal(row.values[column.id]) * Decimal(report.table.scale(row, column))
                for row in rows
                if digits.is_number(row.values.get(column.id, ""))
            }
            if len(set(printed.values())) > 1:
                leader = (min if column.better == "lower" else max)(printed.values())
                best |= {(name, column.id) for name, value in printed.items() if value == leader}
    return best


def _groups(report: Report) -> list[tuple[str, list[Any]]]:
    """Rows by group in the groups' order; a table without groups is one group without a label."""
    table = report.table
    labels = {group.id: group.label for group in table.groups} or {"": ""}
    return [(labels[key], [row for row in table.rows if row.group == key]) for key in labels]


def _bases(report: Report) -> list[str]:
    protocols = dict.fromkeys(cell.protocol for cell in report.cells if cell.status == "open" and cell.protocol)
    return [words for protocol in protocols if (words := costs.basis(report.table.dataset, protocol))]


def _link(cell: Cell) -> str:
    """Where a measured cell links to, seen from reports/<paper>/: its file, or the folder of its runs."""
    if not cell.n:
        return ""
    target = cell.sources[0] if cell.n == 1 else cell.sources[0].rpartition("/")[0]
    return f"../../{target}"


def _code(how: str) -> str:
    """Set the commands within ``how`` as code."""
    return re.sub(r"slimbench (?:train|test) [\w./-]+(?: --checkpoint FILE)?", lambda m: f"`{m[0]}`", how)
