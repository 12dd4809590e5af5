from __future__ import annotations

import pytest
import report_samples as samples

from benchmarks.errors import UserError
from benchmarks.published import list_tables, load_paper, load_table, select_tables


def value(table: str, row: str, column: str) -> float:
    return float(next(r for r in load_table(table).rows if r.name == row).values[column])


def test_every_table_that_comes_with_slimbench_is_valid_and_cites_what_it_quotes():
    names = list_tables()
    assert {"slimconv/table1", "versatile/table1", "versatile/table2"} <= set(names)
    for name in names:
        table = load_table(name)
        references = load_paper(table.paper).references
        quoted = {r.quoted_from for r in table.rows} | {c.quoted_from for r in table.rows for c in r.cells.values()}
        assert quoted - {""} <= set(references), name


def saved(table: str, row: str, baseline: str, column: str) -> float:
    return 1 - value(table, row, column) / value(table, baseline, column)


def test_slimconv_table1_bears_out_what_the_paper_says_in_its_text():
    table, slim = "slimconv/table1", "Sc-ResNet-50(k=8/3)(ours)"
    # The text claims 54 and 53 percent less for k = 8/3 ...
    assert saved(table, slim, "ResNet-50", "macs") == pytest.approx(0.54, abs=0.005)
    assert saved(table, slim, "ResNet-50", "params") == pytest.approx(0.53, abs=0.005)
    # ... the abstract 77.84 percent accuracy with 27.96 million parameters ...
    assert 100 - value(table, "Sc-ResNet-101(ours)", "error") == pytest.approx(77.84)
    assert value(table, "Sc-ResNet-101(ours)", "params") == 27.96
    # ... and the text more than 42 and 46.4 percent less for ResNeXt-101.
    thin, wide = "Sc-ResNeXt-101(32×3d,k=2)(ours)", "ResNeXt-101(32×4d)"
    assert saved(table, thin, wide, "params") == pytest.approx(0.464, abs=0.0005)
    assert 0.42 < saved(table, thin, wide, "macs") < 0.43


def test_versatile_tables_bear_out_what_the_paper_says_in_its_text():
    # ResNet-56 has 0.85 million parameters and 93.5 percent; windows of 8 with stride 8 are the best, 93.4 percent.
    assert value("versatile/table1", "Baseline", "params") == 8.5
    assert value("versatile/table1", "Baseline", "accuracy") == 93.5
    accuracies = {r.name: float(r.values["accuracy"]) for r in load_table("versatile/table2").rows[1:] if not r.ours}
    assert max(accuracies.items(), key=lambda item: item[1]) == ("C-Versatile (8, 8)", 93.4)
    # Compression of about 2 and 1.9 for shared and separate masks with s = 2, about 4 for S+C.
    for row, ratio in (("Shared L-Versatile (s=2)", 2.0), ("Separate L-Versatile (s=2)", 1.9), ("S+C-Versatile", 3.9)):
        assert 1 / (1 - saved("versatile/table1", row, "Baseline", "params")) == pytest.approx(ratio, abs=0.05)


def test_the_tables_have_all_their_cells():
    assert [
        sum(not row.ours for row in load_table(n).rows) * len(load_table(n).columns)
        for n in ("slimconv/table1", "versatile/table1", "versatile/table2")
    ] == [51, 52, 24]


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["slimconv/table1"], ["slimconv/table1"]),
        (["table1"], ["slimconv/table1", "versatile/table1"]),
        (["table1", "versatile/table1"], ["slimconv/table1", "versatile/table1"]),
    ],
)
def test_a_name_means_a_table_a_number_or_a_paper(patterns, expected):
    assert select_tables(patterns) == expected


def test_a_paper_means_all_its_tables():
    chosen = select_tables(["versatile"])
    assert chosen == [name for name in list_tables() if name.startswith("versatile/")]
    assert {"versatile/table1", "versatile/table11", "versatile/figure5"} <= set(chosen)


def test_all_means_all_and_tables_come_in_the_papers_order(tmp_path):
    for name in ("b/table10", "b/table2", "a/table1"):
        samples.write_table(tmp_path, samples.table(), name)
    assert select_tables(["all"], tmp_path) == ["a/table1", "b/table2", "b/table10"]


def test_an_unknown_table_gets_the_nearest_name():
    with pytest.raises(UserError, match=r"no table 'slimconv/tabel1'; did you mean slimconv/table1"):
        select_tables(["slimconv/tabel1"])
    with pytest.raises(UserError, match=r"known: .*slimconv/table1.*all"):
        select_tables(["xyz"])


def rows(raw):
    return raw["rows"]


BROKEN = {
    "unknown metric": (
        lambda t: t["columns"][1].update(metric="mac"),
        r"column 'macs', metric: unknown metric 'mac'; did you mean macs",
    ),
    "duplicated row": (lambda t: rows(t)[1].update(label="Baseline"), r"row 'Baseline' stands twice"),
    "no number": (
        lambda t: rows(t)[2]["values"].update(macs="0,5"),
        r"row 'Odd', column 'macs': '0,5' is no number",
    ),
    "not a string": (
        lambda t: rows(t)[2]["values"].update(macs=0.5),
        r"row 'Odd', values.macs: Input should be a valid string",
    ),
    "missing value": (lambda t: rows(t)[2]["values"].pop("macs"), r"row 'Odd': no value for macs"),
    "unknown column": (
        lambda t: rows(t)[2]["values"].update(mac="1"),
        r"row 'Odd': unknown column 'mac'; did you mean macs",
    ),
    "unknown group": (lambda t: rows(t)[2].update(group="h"), r"row 'Odd': unknown group 'h'; known: g, q"),
    "unknown field": (lambda t: rows(t)[2].update(modle="odd"), r"row 'Odd', modle: Extra inputs"),
    "no source": (
        lambda t: rows(t)[2].pop("model"),
        r"row 'Odd': needs model, quoted_from or blocked for error, macs, params",
    ),
    "bad input": (lambda t: t.update(input="224"), r"input: String should match"),
    "figure": (lambda t: t["figure"].update(x="flops"), r"figure: unknown column 'flops'"),
    "attribute": (lambda t: rows(t)[2].update(attributes={"g": "8"}), r"row 'Odd': attributes must be among"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_mistake_is_one_line_with_file_and_row(tmp_path, case):
    change, message = BROKEN[case]
    raw = samples.table()
    change(raw)
    samples.write_table(tmp_path, raw)
    with pytest.raises(UserError, match=message) as caught:
        load_table("sample/table1", tmp_path)
    assert str(caught.value).startswith(str(tmp_path / "sample" / "table1.yaml"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rows: [a, b", r"table1.yaml, line \d+: malformed YAML"),
        ("caption: a\ncaption: b\n", r"key 'caption' stands twice"),
        ("- a list\n", "expected a mapping, got list"),
        ("number: !!python/object:os.system x\n", "malformed YAML"),
        ("a: \x00", "cannot be read"),
    ],
)
def test_malformed_yaml_is_one_line_with_the_file(tmp_path, text, message):
    samples.write_table(tmp_path, text)
    with pytest.raises(UserError, match=message) as caught:
        load_table("sample/table1", tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("field", [{"baseline": "Basline"}, {"compared_with": ["Odd", "Basline"]}])
def test_a_row_is_compared_with_rows_that_there_are(tmp_path, field):
    raw = samples.table()
    raw["rows"][1] |= field
    with pytest.raises(UserError, match=r"cannot be compared with 'Basline'; did you mean Baseline\?"):
        load_table("sample/table1", samples.write_table(tmp_path, raw))
