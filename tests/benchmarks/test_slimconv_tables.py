"""SlimConv's tables as data: complete, transcribed as its own text says, each difference from our counts explained."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

import pytest
from report_samples import write_table

from benchmarks.digits import NOT_PRINTED, at_scale, is_number
from benchmarks.errors import UserError
from benchmarks.metrics import METRICS
from benchmarks.published import list_tables, load_table
from benchmarks.reports import costs, text
from benchmarks.reports.cells import Report, build, unit_of
from benchmarks.reports.sources import ComplexityCounter, Run
from benchmarks.reports.summary import summarize

# Table -> rows, and cells with printed digits, counted in the paper.
PRINTED = {
    "table1": (17, 51), "table2": (4, 12), "table3": (7, 21), "table4": (3, 9), "table5": (8, 24), "table6": (10, 30),
    "table7": (6, 18), "table8": (2, 6), "table9": (2, 6), "table10": (7, 21), "table11": (4, 12),
    "figure6": (8, 16), "figure7": (6, 0), "figure8": (8, 5),
}  # fmt: skip
TABLES = [name for name in list_tables() if name.startswith("slimconv/")]


def value(table: str, row: str, column: str) -> float:
    return float(next(r for r in load_table(f"slimconv/{table}").rows if r.name == row).values[column])


def fewer(table: str, thin: str, wide: str, column: str) -> float:
    return 100 * (1 - value(table, thin, column) / value(table, wide, column))


def test_every_table_is_there_with_all_rows_and_printed_cells():
    found = {}
    for name in TABLES:
        rows = [row for row in load_table(name).rows if not row.ours]
        found[name.removeprefix("slimconv/")] = (
            len(rows),
            sum(is_number(v) for row in rows for v in row.values.values()),
        )
    assert found == PRINTED


SC101, SC56 = "Sc-ResNet-101(ours)", "Sc-ResNet-56(ours)"
DLA, SCDLA = "DLA-46-C", "Sc-DLA-46-C(ours)"
BL, SCBL = "bL-ResNet-50(α=2, β=4)", "Sc-bL-ResNet-50(α=2, β=4)(ours)"
OCT, SCOCT = "Oct-ResNet-50(α=0.5)", "Sc-Oct-ResNet-50(α=0.5)(ours)"


@pytest.mark.parametrize(
    ("table", "thin", "wide", "column", "stated"),
    [
        ("table2", SCBL, BL, "macs", 24.2),
        ("table2", SCBL, BL, "params", 33.4),  # "over one-third fewer"
        ("table3", SCDLA, DLA, "macs", 18.1),
        ("table3", SCDLA, "Squeezenet-B", "macs", 32.9),
        ("table3", SCDLA, "Squeezenet-B", "params", 19.2),
        ("table3", "1.0 Sc-MobileNet(v2,k=8/3)(ours)", "1.0 MobileNet(v2)", "macs", 20.3),  # "20%"; "over 20%"
        ("table5", SC56, "ResNet-56", "params", 46.5),  # "nearly half"
        ("table6", "Sc-ResNet-50(ours)", "ResNet-50", "macs", 35.9),  # "almost 36%"
        ("table6", "Sc-ResNet-50(ours)", "ResNet-50", "params", 37.1),
        ("table6", SCOCT, OCT, "params", 15.5),
        ("table6", "Sc-ResNeXt-50(ours)", "SKNet-50", "macs", 22.1),  # "over 22%"
        ("table6", "Sc-ResNeXt-50(ours)", "SKNet-50", "params", 26.7),
        ("table6", "Sc-SE-ResNet-50(ours)", "SE-ResNet-50", "macs", 35.7),
        ("table6", "Sc-SE-ResNet-50(ours)", "SE-ResNet-50", "params", 33.5),
        ("table6", "Sc-SE-ResNet-101(ours)", "SE-ResNet-101", "macs", 38.4),
        ("table6", "Sc-SE-ResNet-101(ours)", "SE-ResNet-101", "params", 34.9),
        ("table7", "Sc-ResNet-50(ours)", "ResNet-50", "params", 22.1),  # "over 22%"
        ("table7", SC101, "ResNet-101", "macs", 25.2),
        ("table7", SC101, "ResNet-101", "params", 28.2),
        ("table8", SC101, "ResNet-101", "macs", 34.1),
        ("table8", SC101, "ResNet-101", "params", 35.0),
        ("table9", SC101, "ResNet-101", "params", 34.5),
        ("table10", "Sc-ResNet-50@256", "ResNet-50@256", "macs", 35.0),  # "almost 35%"
    ],
)
def test_costs_are_reduced_as_the_text_states(table, thin, wide, column, stated):
    assert fewer(table, thin, wide, column) == pytest.approx(stated, abs=0.051)


@pytest.mark.parametrize(
    ("table", "row", "other", "column", "stated"),
    [
        ("table2", SCBL, "Oct-ResNet-50 (printed Sc-bL)", "error", 0.26),  # "almost 0.3%"
        ("table3", "1.0 Sc-MobileNet(v2,k=8/3)(ours)", "1.0 MobileNet(v2)", "error", 0.28),  # 71.7 %, 0.3 % higher
        ("table5", "1.0 Sc-ShuffleNet(v2)(ours)", "1.0 ShuffleNet(v2)", "error", 1.72),  # "over 1%"
        ("table6", "Sc-SE-ResNet-101(ours)", "SE-ResNet-101", "error", 0.79),  # "almost 0.8%"
        ("table7", "Sc-ResNet-50(ours)", "ResNet-50", "miou", -0.4),
        ("table7", SC101, "ResNet-101", "miou", -0.7),
        ("table8", SC101, "ResNet-101", "map50", -0.2),
        ("table9", SC101, "ResNet-101", "map", -1.4),
        ("table9", SC101, "ResNet-101", "macs", 52.23),  # "over 52G"
        ("table10", "Sc-ResNet-50(w/o flipping)", "ResNet-50", "error", 0.14),
        ("table10", "Sc-ResNet-50@256", "ResNet-50@256", "error", 0.76),
        ("table11", "Sc-ResNet-50", "Sc-ResNet-50-sf", "error", 0.62),  # "about 0.6%"
    ],
)
def test_rows_differ_as_the_text_states(table, row, other, column, stated):
    assert value(table, other, column) - value(table, row, column) == pytest.approx(stated, abs=1e-6)


def test_tables_that_print_the_same_network_agree():
    assert value("table4", "Sc-ResNet-50(k=8/3)(ours)", "compressed") == pytest.approx(
        fewer("table1", "Sc-ResNet-50(k=8/3)(ours)", "ResNet-50", "params"), abs=0.05
    )
    assert value("table4", "Sc-ResNet-50(k=4/3)(ours)", "compressed") == pytest.approx(
        fewer("table1", "Sc-ResNet-50(ours)", "ResNet-50", "params"), abs=0.05
    )
    figure, table = load_table("slimconv/figure6"), load_table("slimconv/table1")
    errors = {row.model: row.values["error"] for row in table.rows if not row.ours}
    for row in figure.rows:
        if row.group == "sc" and not row.protocol:
            assert Decimal(row.values["accuracy"]) + Decimal(errors[row.model]) == 100
    pruned = {row.label: row for row in figure.rows if row.group == "pruning"}
    assert {name.split(" [")[0] for name in pruned} == {"SSS", "Taylor-FO-BN", "Slimmable 0.5×", "MetaPruning"}
    assert all(row.quoted_from and not row.model for row in pruned.values())


def test_figure8_has_the_seven_k_and_the_one_number_that_the_text_states():
    rows = [row for row in load_table("slimconv/figure8").rows if not row.ours]
    assert [row.attributes["k"] for row in rows[1:]] == ["4/3", "2", "8/3", "10/3", "4", "14/3", "16/3"]
    stated = [row.values["compressed"] for row in rows]
    assert [v for v in stated if v != NOT_PRINTED] == ["56.77"]
    assert stated[3] == "56.77"


@pytest.mark.parametrize("name", TABLES)
def test_a_control_of_ours_is_thinned_to_a_method_of_its_table(name):
    # The controls' names end in their budget; the label shows the same one.
    table = load_table(name)
    for row in table.rows:
        if row.ours:
            number, unit = row.label.rpartition(" at ")[2].split()
            assert row.kind == "control"
            assert row.model.endswith(f"_at_{number}{unit.lower()}")


@pytest.mark.parametrize("name", TABLES)
def test_whoever_would_fill_an_open_cell_is_told_what_its_protocol_is(name):
    table = load_table(name)
    for row in table.rows:
        runs = [column.id for column in table.columns if METRICS[column.metric].run and not row.quoted_from]
        if any(not (column in row.cells and row.cells[column].blocked) for column in runs):
            assert f"{table.dataset}/{row.protocol or table.protocol}" in costs.protocols()


def test_the_units_of_tables_8_and_9_are_binary_and_say_so():
    table = load_table("slimconv/table8")
    report = Report(table, ())
    params, macs = table.column("params"), table.column("macs")
    assert unit_of(table, table.rows[0], params) == "2^20 parameters"
    assert unit_of(table, table.rows[0], macs) == "2^30 MACs"
    assert text.heading(report, params) == "Params (2²⁰)"
    assert at_scale(47_461_105, table.scale(table.rows[0], params)).quantize(Decimal("0.01")) == Decimal("45.26")
    assert load_table("slimconv/table9").column("params").scale == 2**20
    assert load_table("slimconv/table7").column("params").scale == 10**6


@dataclass(frozen=True)
class Parameters:
    params: int
    macs: int = 1
    mul: int = 1
    add: int = 1
    weight_bytes: int = 1


class Known:
    """A counter that knows three networks and needs no torch."""

    PARAMS: ClassVar = {"resnet50": 25_557_032, "sc_resnet50": 16_758_744, "sc_resnet50_k8_3": 12_097_880}

    def __call__(self, model, input_size, convention, classes):
        return Parameters(self.PARAMS[model])

    def models(self):
        return [*self.PARAMS, "sc_resnet50_noflip", "sc_resnet50_onlyflip"]


def test_a_compressed_ratio_is_counted_from_two_networks():
    cells = [cell for cell in build(load_table("slimconv/table4"), Known(), []).cells if cell.column == "compressed"]
    assert [cell.status for cell in cells] == ["counted"] * 3
    assert [round(float(cell.ours), 2) for cell in cells] == [0.0, 34.43, 52.66]
    assert all(cell.agrees and cell.within for cell in cells)
    assert cells[1].sources[0].count("slimbench complexity") == 2


def test_latency_on_the_papers_card_is_blocked_and_says_why():
    cells = [cell for cell in build(load_table("slimconv/table4"), Known(), []).cells if cell.column == "latency"]
    assert {cell.status for cell in cells} == {"blocked"}
    assert all("1080 Ti" in cell.reason for cell in cells)


def test_a_reduction_needs_the_network_that_it_starts_from(tmp_path):
    column = {"id": "c", "label": "c", "metric": "params_reduction", "better": "higher"}
    raw = {
        "number": "1", "caption": "c", "where": "here", "dataset": "d", "protocol": "p", "input": "3x8x8",
        "columns": [column], "rows": [{"label": "a", "kind": "method", "model": "m", "values": {"c": "1"}}],
    }  # fmt: skip
    for change in ({}, {"metric": "params", "baseline": "resnet50"}):
        write_table(tmp_path, raw | {"columns": [column | change]})
        with pytest.raises(UserError, match=r"column 'c'.*(needs a|takes no) baseline"):
            load_table("sample/table1", tmp_path)


def run(protocol: str, *, proxy: bool, trained: bool, value: float) -> Run:
    return Run("imagenet", protocol, proxy, trained, "sc_resnet50", 0, "top1_accuracy", value, 16, "results/x.json")


def test_a_run_fills_only_the_rows_that_mean_it():
    table = load_table("slimconv/table10").model_copy(update={"columns": load_table("slimconv/table10").columns[:1]})
    small = table.model_copy(update={"rows": [row for row in table.rows if row.model == "sc_resnet50"]})
    status = lambda *runs: {cell.row: cell.status for cell in build(small, Known(), list(runs)).cells}  # noqa: E731
    plain, cosine, large = "Sc-ResNet-50", "Sc-ResNet-50(cosine)", "Sc-ResNet-50@256"
    proxied = status(run("proxy-16e", proxy=True, trained=True, value=70))
    assert proxied == {plain: "proxy", cosine: "open", large: "open"}
    released = status(run("released", proxy=False, trained=False, value=76.7))
    assert released == {plain: "evaluated", cosine: "open", large: "open"}
    trained = status(run("paper-cosine-90e", proxy=False, trained=True, value=77.2))
    assert trained == {plain: "open", cosine: "measured", large: "open"}


@pytest.mark.slow
def test_every_counted_number_has_the_printed_digits_or_an_explanation():
    counter = ComplexityCounter()
    cells = [cell for name in TABLES for cell in build(load_table(name), counter, []).cells]
    differing = [cell for cell in cells if cell.compared and not cell.agrees]
    assert not [(cell.table, cell.row, cell.column, cell.ours) for cell in differing if not cell.explanation]
    stale = [cell for cell in cells if cell.compared and cell.agrees and cell.explanation]
    assert not [(cell.table, cell.row, cell.column, cell.ours) for cell in stale]
    summary = summarize(cells)
    assert summary.compared == 141
    assert summary.agree >= 130
    assert summary.within >= 139
