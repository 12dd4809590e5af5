"""The index and the document of all tables, made from the files that stand in a folder."""

from __future__ import annotations

import re

import pytest
import report_samples as samples

from benchmarks.errors import UserError
from benchmarks.published import list_tables
from benchmarks.reports import costs, index
from benchmarks.reports.summary import summarize
from benchmarks.reports.write import join, texts, write_curves, write_overview


@pytest.fixture(autouse=True)
def protocols(monkeypatch):
    monkeypatch.setattr(costs, "protocols", lambda: samples.PROTOCOLS)


@pytest.fixture
def papers(tmp_path):
    for name in ("sample/table1", "sample/table2", "sample/figure3"):
        root = samples.write_table(tmp_path / "papers", samples.table(), name)
    return root


def put(papers, output, *names):
    """Write the text files of the tables called ``names``, in that order."""
    found = list(join(names, samples.SampleCounter(), samples.RUNS, pytest.fail, papers))
    for joined in found:
        for suffix, text in texts(joined).items():
            file = output / f"{joined.report.table.name}{suffix}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    return found


def test_the_index_lists_what_stands_in_the_folder_and_every_link_leads_somewhere(papers, tmp_path):
    put(papers, tmp_path / "out", "sample/table2", "sample/table1")
    write_overview(tmp_path / "out", papers)
    document = (tmp_path / "out" / "index.md").read_text()
    assert document.index("sample/table1.md") < document.index("sample/table2.md")
    assert "figure3" not in document  # not made
    links = re.findall(r"\]\(([^)]+)\)", document)
    # the document and the rule; a table's title, md, tex, csv and claims.csv
    assert len(links) == 2 + 2 * 5
    links.remove("../docs/reports.md#claims")
    assert all((tmp_path / "out" / link).is_file() for link in links)


def test_the_index_says_what_the_tables_say(papers, tmp_path):
    (joined,) = put(papers, tmp_path, "sample/table1")
    (entry,) = index.entries(tmp_path, papers)
    ours, theirs = entry.summary, summarize(joined.report.cells)
    assert ours.headline() == theirs.headline()
    assert "24 cells: 12 counted" in ours.headline()
    assert f"**{ours.headline()}**" in index.markdown(tmp_path, papers)
    assert theirs.sentence().startswith(ours.headline()[:-1])


def test_the_order_in_which_tables_are_made_changes_no_byte(papers, tmp_path):
    names = list_tables(papers)
    for folder, order in (("a", names), ("b", names[::-1])):
        for name in order:
            put(papers, tmp_path / folder, name)
            written = write_overview(tmp_path / folder, papers)
    assert len(names) == 3
    assert [file.name for file in written] == ["index.md", "all-tables.tex"]
    for file in written:
        assert file.read_bytes() == (tmp_path / "a" / file.name).read_bytes()


def test_the_document_inputs_every_table_once_and_needs_no_other_file(papers, tmp_path):
    put(papers, tmp_path, "sample/table1", "sample/figure3")
    document = index.latex(tmp_path, papers)
    inputs = re.findall(r"\\input\{([^}]+)\}", document)
    assert inputs == ["sample/table1", "sample/figure3"]  # figures follow the tables
    assert all((tmp_path / f"{name}.tex").is_file() for name in inputs)
    assert document.isascii()
    assert document.index(r"\documentclass") < document.index(r"\usepackage{booktabs}")
    assert document.index(r"\begin{document}") < document.index(r"\input") < document.index(r"\end{document}")


def test_a_table_whose_yaml_broke_keeps_its_counts(papers, tmp_path):
    put(papers, tmp_path, "sample/table1")
    samples.write_table(papers, "rows: [", "sample/table1")
    assert "| [table1](sample/table1.md) |  | 24 |" in index.markdown(tmp_path, papers)


@pytest.mark.parametrize("content", ["a,b\n1,2\n", "\xff\xfe"])
def test_a_csv_of_somebody_else_is_named(papers, tmp_path, content):
    file = tmp_path / "sample" / "table1.csv"
    file.parent.mkdir()
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=r"table1\.csv is no report that slimbench wrote"):
        index.markdown(tmp_path, papers)


def test_the_index_counts_verdicts_of_tables_and_leads_to_the_curves(papers, tmp_path):
    put(papers, tmp_path, "sample/table1", "sample/figure3")
    write_curves([("a.json", samples.result())], tmp_path)
    document = index.markdown(tmp_path, papers)
    words = (
        "Claimed gains under the papers' protocols: 4 open. "
        "Under shortened protocols, which say nothing final: 1 undecided."
    )
    assert document.count(words) == 2  # in all and of the paper; the figure repeats what the table claims
    assert "- [cifar10-proxy-2e](curves/cifar10-proxy-2e.md)" in document
    assert (tmp_path / "curves" / "cifar10-proxy-2e.md").is_file()
