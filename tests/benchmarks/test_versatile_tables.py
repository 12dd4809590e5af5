"""The Versatile tables as data: complete, transcribed as their own text says, each difference from us explained."""

from __future__ import annotations

import pytest

from benchmarks.digits import is_number
from benchmarks.metrics import METRICS
from benchmarks.published import Table, list_tables, load_table
from benchmarks.reports import costs
from benchmarks.reports.cells import build, unit_of
from benchmarks.reports.sources import ComplexityCounter
from benchmarks.reports.summary import summarize

# Table -> rows, and cells with printed digits, counted in the paper.
PRINTED = {
    "table1": (13, 51), "table2": (8, 24), "table3": (11, 55), "table4": (12, 50), "table5": (5, 15),
    "table6": (6, 16), "table7": (9, 36), "table8": (5, 20), "table9": (10, 39), "table10": (3, 9), "table11": (3, 9),
    "figure4a": (5, 6), "figure4b": (15, 0), "figure5": (10, 20), "figure6": (3, 0), "figure7": (4, 0),
}  # fmt: skip
TABLES = [name for name in list_tables() if name.startswith("versatile/")]
SEPARATE = "Separate L-Versatile (s=4)"


def printed(table: str, row: str, column: str) -> str:
    return next(r for r in load_table(f"versatile/{table}").rows if r.name == row).values[column]


def value(table: str, row: str, column: str) -> float:
    return float(printed(table, row, column))


def test_every_table_is_there_with_all_rows_and_printed_cells():
    found = {}
    for name in TABLES:
        rows = [row for row in load_table(name).rows if not row.ours]
        cells = sum(is_number(digits) for row in rows for digits in row.values.values())
        found[name.removeprefix("versatile/")] = (len(rows), cells)
    assert found == PRINTED


@pytest.mark.parametrize(
    ("table", "small", "large", "column", "stated"),
    [
        ("table3", "S-Versatile AlexNet", "Vanilla [34]", "memory", 1.76),
        ("table3", "S-Versatile AlexNet", "Vanilla [34]", "mul", 2.25),
        ("table5", SEPARATE, "Vanilla ResNet-50", "latency", 2.5),
        ("table7", "C-Versatile (MobileNet-v2 1.0×)", "MobileNet-v2 1.0× [54]", "params", 1.46),  # "over 30%" fewer
        ("table10", SEPARATE, "Vanilla Faster R-CNN [51]", "params", 3.43),  # "3.5x" before rounding
        ("table11", "S-Versatile", "Vanilla VDSR [31]", "memory", 2.0),
    ],
)
def test_costs_are_divided_as_the_text_states(table, small, large, column, stated):
    assert value(table, large, column) / value(table, small, column) == pytest.approx(stated, abs=0.006)


@pytest.mark.parametrize(
    ("table", "row", "column", "stated"),
    [
        ("table3", "S-Versatile ResNet-50", "top5", "7.6"),
        ("table3", "Separate L-Versatile ResNet-50 (s=32)", "top5", "8.7"),  # 0.9 above 7.8
        ("table4", "Sep. L-Versatile (s=4)", "top1", "25.5"),
        ("table9", "Separate L-Versatile (s=2, EfficientNet-B0)", "top1", "22.9"),
        ("table11", SEPARATE, "memory", "0.73"),
        ("figure4a", "Separate L-Versatile (s=6)", "params", "1.5"),
        ("figure4a", "Separate L-Versatile (s=6)", "accuracy", "92.4"),
    ],
)
def test_cells_are_what_the_text_repeats(table, row, column, stated):
    assert printed(table, row, column) == stated


@pytest.mark.parametrize(
    ("first", "second", "columns"),
    [
        ("table4", "figure5", ("mul", "top1")),
        ("table4", "table5", ("mul", "top1")),
        ("table7", "table8", ("add", "mul", "top1")),
        ("table1", "figure4a", ("params", "accuracy")),
    ],
)
def test_tables_that_print_the_same_row_agree(first, second, columns):
    rows = {row.name: row.values for row in load_table(f"versatile/{first}").rows if not row.ours}
    shared = [row for row in load_table(f"versatile/{second}").rows if row.name in rows and not row.ours]
    assert len(shared) >= 2
    for row in shared:
        assert [row.values[c] for c in columns] == [rows[row.name][c] for c in columns]


def runnable(table: Table) -> set[str]:
    """Return the protocols that some cell of the table waits for."""
    wanted = set()
    for row in table.rows:
        for column in table.columns:
            cell = row.cells.get(column.id)
            sourced = row.quoted_from or (cell and (cell.quoted_from or cell.blocked))
            if METRICS[column.metric].run and not sourced:
                wanted.add(f"{table.dataset}/{row.protocol or table.protocol}")
    return wanted


@pytest.mark.parametrize("name", TABLES)
def test_whoever_would_fill_an_open_cell_is_told_what_its_protocol_is(name):
    wanted = runnable(load_table(name))
    assert wanted
    assert wanted <= set(costs.protocols())


def test_units_that_a_group_changes():
    table = load_table("versatile/table3")
    mul, memory = table.column("mul"), table.column("memory")
    units = {row.group: unit_of(table, row, mul) for row in table.rows}
    assert units == {"alexnet": "1e8 MUL", "resnet": "1e9 MUL"}
    assert unit_of(table, table.rows[0], memory) == "2^20 bytes"
    # 8 bits are a quarter of the storage and a sixteenth of the bit operations of 32.
    table = load_table("versatile/table6")
    rows = {row.group: row for row in table.rows}
    for group, bits in (("b8", 8), ("b6", 6), ("b5", 5)):
        assert table.scale(rows[group], table.column("memory")) == pytest.approx(2**20 * 32 / bits)
        assert table.scale(rows[group], table.column("bitops")) == pytest.approx(1e10 / bits**2)


@pytest.mark.slow
def test_every_counted_number_has_the_printed_digits_or_an_explanation():
    counter = ComplexityCounter()
    cells = [cell for name in TABLES for cell in build(load_table(name), counter, []).cells]
    differing = [cell for cell in cells if cell.compared and not cell.agrees]
    assert not [(cell.table, cell.row, cell.column, cell.ours) for cell in differing if not cell.explanation]
    summary = summarize([cell for cell in cells if "/table" in cell.table])
    assert summary.compared == 148
    assert summary.agree >= 129
