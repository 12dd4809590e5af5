"""Claims of a table: who is compared with whom, by which runs, and what comes of it."""

from __future__ import annotations

import csv
import io
import math
from decimal import Decimal

import pytest
import report_samples as samples

from benchmarks.published import list_tables, load_table
from benchmarks.reports import cells, claims_text, costs
from benchmarks.reports.claims import baseline_of, claims

LOST = {"status": "diverged", "metric": "", "value": math.nan}


@pytest.fixture(autouse=True)
def protocols(monkeypatch):
    monkeypatch.setattr(costs, "protocols", lambda: samples.PROTOCOLS)


def build(tmp_path, runs, raw=None):
    table = load_table("sample/table1", samples.write_table(tmp_path, raw or samples.table()))
    return cells.build(table, samples.SampleCounter(), runs)


def seeds(model, values, protocol="paper-400e", **more):
    return [samples.run(model, value, protocol, seed=seed, **more) for seed, value in enumerate(values)]


def claim(found, row, protocol="paper-400e", against="baseline"):
    (one,) = (c for c in found if (c.row, c.protocol, c.against) == (row, protocol, against))
    return one


def test_a_claim_is_the_difference_of_two_printed_numbers_in_points_of_accuracy(tmp_path):
    found = claims(build(tmp_path, []))
    # Locked cannot be measured, Theirs is quoted, and Random is ours and has the baseline's own network
    assert [(c.row, c.versus, c.gain, c.least) for c in found] == [
        ("S_1 (32×4d)", "Baseline", Decimal("-0.3"), pytest.approx(-0.5)),
        ("Odd", "Baseline", Decimal("-0.5"), pytest.approx(-0.7)),
        ("Tested", "Baseline", Decimal("-0.60"), pytest.approx(-0.8)),
        ("Later", "Baseline", Decimal("1.5"), pytest.approx(0.75)),
    ]
    assert {(c.outcome, c.measured, c.n) for c in found} == {("open", None, (0, 0))}


def test_runs_of_both_sides_give_an_interval_and_a_verdict(tmp_path):
    runs = [*seeds("base", [93.4, 93.5, 93.6]), *seeds("small", [93.5, 93.6, 93.7]), *seeds("odd", [91.0, 91.1, 91.2])]
    found = claims(build(tmp_path, runs))
    small, odd = claim(found, "S_1 (32×4d)"), claim(found, "Odd")
    assert (small.outcome, small.n, small.seeds) == ("holds", (3, 3), None)
    assert small.measured.mean == pytest.approx(0.1)  # accuracy, although the column prints errors
    assert small.measured.high - small.measured.mean == pytest.approx(2.776 * math.sqrt(2 * 0.01 / 3), rel=1e-3)
    assert odd.outcome == "does not hold"
    assert len(odd.sources) == 6
    assert claim(found, "Later").outcome == "open"


def test_an_undecided_claim_says_how_many_seeds_would_decide_it(tmp_path):
    runs = [*seeds("base", [93.2, 93.8]), *seeds("small", [93.0, 93.5])]
    small = claim(claims(build(tmp_path, runs)), "S_1 (32×4d)")
    assert small.outcome == "undecided"
    assert 2 < small.seeds < 100
    assert claims_text.would_decide(small) == str(small.seeds)
    far = [*seeds("base", [93.2, 93.8]), *seeds("small", [92.7, 93.3])]  # just at the threshold
    assert claims_text.would_decide(claim(claims(build(tmp_path, far)), "S_1 (32×4d)")) == "more than 100"


def test_one_run_decides_nothing_and_borrows_the_spread_of_others_by_name(tmp_path):
    single = [samples.run("base", 93.5), samples.run("small", 80.0)]
    alone = claim(claims(build(tmp_path, single)), "S_1 (32×4d)")
    assert (alone.outcome, alone.measured.low) == ("undecided", None)
    assert claims_text.fields(alone)[5:] == ("−13.50 (no interval)", "1 / 1", "undecided", "unknown: no spread")
    lent = claims(build(tmp_path, [*single, *seeds("elsewhere", [90.0, 90.1, 90.2])]))
    small = claim(lent, "S_1 (32×4d)")
    assert (small.outcome, small.measured.pooled.groups, small.measured.pooled.df) == ("does not hold", 1, 2)
    (section,) = claims_text.sections(lent)
    assert "[−14.11, −12.89] pooled" in section.rows[0][5]
    assert any("spread is that of the 1 network with several seeds" in note for note in section.notes)


def test_another_protocols_spread_is_not_borrowed(tmp_path):
    runs = [samples.run("base", 93.5), samples.run("small", 80.0), *seeds("base", [88.0, 88.1], "proxy-10e")]
    assert claim(claims(build(tmp_path, runs)), "S_1 (32×4d)").measured.low is None


def test_a_proxy_has_claims_of_its_own_and_never_enters_the_papers(tmp_path):
    runs = [
        *seeds("base", [88.0, 88.1], "proxy-10e", epochs=10),
        *seeds("small", [90.0, 90.1], "proxy-10e", epochs=10),
        samples.run("base", 93.5),
        samples.run("small", 60.0, "proxy-2e", epochs=2),
    ]
    found = claims(build(tmp_path, runs))
    assert claim(found, "S_1 (32×4d)").outcome == "open"
    assert claim(found, "S_1 (32×4d)").n == (0, 1)
    assert claim(found, "S_1 (32×4d)", "proxy-10e").proxy
    assert "proxy-2e" not in {c.protocol for c in found}  # nobody to compare with
    headings = [(section.heading, bool(section.remark)) for section in claims_text.sections(found)]
    assert headings == [
        ("Under paper-400e, the paper's protocol", False),
        ("Under proxy-10e, a shortened protocol of 10 epochs", True),
    ]


def test_the_authors_weights_are_no_training_of_ours(tmp_path):
    runs = [*seeds("base", [93.4, 93.5]), samples.run("tested", 92.8, "released"), samples.run("base", 9.0, "released")]
    tested = claim(claims(build(tmp_path, runs)), "Tested")
    assert (tested.outcome, tested.n) == ("open", (0, 2))


def test_diverged_runs_are_named_and_change_no_mean(tmp_path):
    runs = [
        *seeds("base", [93.4, 93.5]),
        *seeds("small", [93.5, 93.6]),
        samples.run("small", seed=2, **LOST),
    ]
    found = claims(build(tmp_path, runs))
    small = claim(found, "S_1 (32×4d)")
    assert (small.diverged, small.n) == ((1, 0), (2, 2))
    assert "S_1 (32×4d): 1 run diverged and is in no mean." in claims_text.sections(found)[0].notes


def test_a_row_may_name_its_baseline_and_more_to_be_compared_with(tmp_path):
    raw = samples.table()
    raw["rows"][1] |= {"baseline": "Odd", "compared_with": ["Later"]}
    found = claims(build(tmp_path, [], raw))
    mine = [(c.versus, c.against, c.gain) for c in found if c.row == "S_1 (32×4d)"]
    assert mine == [("Odd", "baseline", Decimal("0.2")), ("Later", "variant", Decimal("-1.8"))]


def test_a_row_of_another_protocol_says_so_and_has_no_proxies(tmp_path):
    raw = samples.table()
    raw["rows"][1]["protocol"] = "paper-cosine"
    runs = [samples.run("base", 88.0, "proxy-10e"), samples.run("small", 88.0, "proxy-10e")]
    (only,) = (c for c in claims(build(tmp_path, runs, raw)) if c.row == "S_1 (32×4d)")
    assert (only.protocol, only.versus_protocol) == ("paper-cosine", "paper-400e")
    assert claims_text.fields(only)[1] == "Baseline (paper-400e)"


def test_the_csv_is_tidy(tmp_path):
    runs = [*seeds("base", [93.4, 93.5, 93.6]), *seeds("small", [93.5, 93.6, 93.7])]
    rows = list(csv.DictReader(io.StringIO(claims_text.tidy_csv(claims(build(tmp_path, runs))))))
    assert tuple(rows[0]) == claims_text.CSV_COLUMNS
    first = rows[0]
    assert (first["verdict"], first["n"], first["versus_n"], first["spread_from"]) == ("holds", "3", "3", "own")
    assert float(first["difference"]) == pytest.approx(float(first["mean"]) - float(first["versus_mean"]), abs=1e-4)
    assert float(first["low"]) < float(first["difference"]) < float(first["high"])
    assert first["sources"].split()[0] == "results/cifar10/paper-400e/small/seed0-x.json"
    assert rows[1]["difference"] == ""


def test_signs_are_typeset_and_a_zero_has_none():
    assert [claims_text.signed(value, 2) for value in (1.234, -0.5, 0.0, -0.001)] == ["+1.23", "−0.50", "0.00", "0.00"]


def real(table, row):
    loaded = load_table(table)
    found = baseline_of(loaded, next(one for one in loaded.rows if one.name == row))
    return found.name if found else None


@pytest.mark.parametrize(
    ("table", "row", "baseline"),
    [
        ("versatile/table1", "Separate L-Versatile (s=4)", "Baseline"),  # the catalogue's, in another group
        ("versatile/table3", "S-Versatile AlexNet", "Vanilla [34]"),
        ("slimconv/table1", "Sc-ResNeXt-101(32×3d,k=2)(ours)", "ResNeXt-101(32×4d)"),  # not of 32x3d, as slimmed
        ("slimconv/table2", "Sc-bL-ResNet-50(α=2, β=4)(ours)", "bL-ResNet-50(α=2, β=4)"),  # not the table's first
        ("slimconv/table6", "Sc-ResNeXt-50(ours)", "SKNet-50"),  # the only one of its group
        ("slimconv/table6", "Sc-SE-ResNet-101(ours)", "SE-ResNet-101"),  # one of two in its group
        ("slimconv/table10", "Sc-ResNet-50@256", "ResNet-50@256"),  # named by the row
        ("versatile/table8", "Separate L-Versatile (s=4, MobileNet-v2 1.0×)", None),  # the table has none
    ],
)
def test_the_baseline_is_the_row_that_the_paper_compares_with(table, row, baseline):
    assert real(table, row) == baseline


@pytest.mark.parametrize("name", list_tables())
def test_every_method_with_a_printed_quality_has_a_claim_or_a_reason(name):
    table = load_table(name)
    report = cells.Report(table, ())
    claimed = {c.row for c in claims(report) if c.against == "baseline"}
    without = {row.name for row in table.rows if row.kind == "method"} - claimed
    quality = {column.id for column in table.columns if cells.METRICS[column.metric].gain}
    for row in (row for row in table.rows if row.name in without):
        printed = {column for column in quality if row.values.get(column, "-") != "-"}
        assert not printed or baseline_of(table, row) is None, row.name


def test_what_the_paper_does_not_compare_has_a_difference_and_no_verdict():
    numbers = {
        "resnet56_cifar": [88.8, 88.9],
        "resnet56_cifar_at_67m": [87.0, 87.1],
        "separate_l_versatile_resnet56_cifar_s2": [87.5, 87.6],
        "separate_l_versatile_resnet56_cifar_s2_rand": [87.4, 87.6],
    }
    runs = [run for model, values in numbers.items() for run in seeds(model, values, "proxy-10e")]
    found = [c for c in claims(cells.Report(load_table("versatile/table1"), (), tuple(runs))) if c.proxy]
    learned = "Separate L-Versatile (s=2)"
    assert [(c.row, c.versus, c.against, c.outcome) for c in found] == [
        (learned, "Baseline", "baseline", "does not hold"),
        (learned, "ResNet-56 at 67 M", "equal cost", "no claim"),
        (learned, "Separate L-Versatile-Rand (s=2)", "random masks", "no claim"),
        ("Separate L-Versatile-Rand (s=2)", "Baseline", "baseline", "no claim"),
        ("ResNet-56 at 67 M", "Baseline", "baseline", "no claim"),
    ]
    assert claims_text.fields(found[1])[1:] == (
        "ResNet-56 at 67 M (of equal cost)", "accuracy", "", "", "+0.50 [+0.20, +0.80]", "2 / 2", "", "",
    )  # fmt: skip


def test_a_proxy_that_varies_something_is_none_of_a_row_that_does_not():
    learned = [f"separate_l_versatile_resnet56_cifar_s2{suffix}" for suffix in ("", "_rand")]
    runs = [samples.run(model, 87.0, name) for model in learned for name in ("proxy-10e", "proxy-10e-lambda0")]
    found = claims(cells.Report(load_table("versatile/table1"), (), tuple(runs)))
    assert {c.protocol for c in found if c.proxy} == {"proxy-10e"}
