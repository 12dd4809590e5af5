"""``slimbench reproduce`` and ``slimbench status`` from the command line, with counts that need no torch."""

from __future__ import annotations

import json

import pytest
import report_samples as samples

from benchmarks import cli
from benchmarks.reports import costs, sources


@pytest.fixture
def papers(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "ComplexityCounter", samples.SampleCounter)
    monkeypatch.setattr(costs, "protocols", lambda: samples.PROTOCOLS)
    monkeypatch.setenv("SLIMBENCH_RESULTS", str(tmp_path / "results"))
    return samples.write_table(tmp_path / "papers", plain())


def plain():
    """The sample table without its figure, which takes longer than all the rest."""
    return {key: value for key, value in samples.table().items() if key != "figure"}


def reproduce(papers, tmp_path, *arguments):
    return cli.main(["reproduce", *arguments, "--papers", str(papers), "--output", str(tmp_path / "out")])


def test_reproduce_writes_six_files_and_prints_the_table(papers, tmp_path, capsys):
    samples.write_table(papers, samples.table())
    assert reproduce(papers, tmp_path, "sample/table1") == 0
    assert {file.name for file in (tmp_path / "out" / "sample").iterdir()} == {
        f"table1.{s}" for s in ("md", "tex", "csv", "claims.csv", "png", "pdf")
    }
    shown = capsys.readouterr().out
    assert "Sample, Table 1" in shown
    assert "table1.{md,tex,csv,claims.csv,png,pdf}" in shown


def test_running_twice_changes_no_byte(papers, tmp_path):
    reproduce(papers, tmp_path, "table1")
    first = {file: file.read_bytes() for file in (tmp_path / "out").rglob("*.*")}
    reproduce(papers, tmp_path, "table1")
    assert {file: file.read_bytes() for file in (tmp_path / "out").rglob("*.*")} == first


def test_a_broken_table_is_named_and_the_others_are_written(papers, tmp_path, capsys):
    broken = plain()
    broken["rows"][1]["model"] = "nosuch"
    samples.write_table(papers, broken, "broken/table1")
    samples.write_table(papers, "rows: [", "malformed/table1")
    assert reproduce(papers, tmp_path, "all") == 1
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2
    assert errors[0].startswith("error: ")
    assert "broken/table1.yaml: row 'S_1 (32×4d)': no model 'nosuch'" in errors[0]
    assert "malformed/table1.yaml, line" in errors[1]
    assert (tmp_path / "out" / "sample" / "table1.md").exists()
    assert not (tmp_path / "out" / "broken" / "table1.md").exists()
    assert "24 cells" in (tmp_path / "out" / "index.md").read_text()


def test_all_also_writes_the_combined_view_and_one_table_adds_to_the_index(papers, tmp_path, capsys):
    samples.write_table(papers, plain(), "sample/table2")
    out = tmp_path / "out"
    assert reproduce(papers, tmp_path, "sample/table2") == 0
    assert not (out / "combined").exists()
    assert "sample/table1" not in (out / "index.md").read_text()
    assert reproduce(papers, tmp_path, "sample/table1") == 0
    one_by_one = {name: (out / name).read_bytes() for name in ("index.md", "all-tables.tex")}
    assert b"sample/table1" in one_by_one["index.md"]
    assert b"sample/table2" in one_by_one["index.md"]
    assert reproduce(papers, tmp_path, "all") == 0
    assert {file.name for file in (out / "combined").iterdir()} == {"cifar10.csv"} | {
        f"cifar10_{cost}.{suffix}" for cost in ("macs", "params") for suffix in ("png", "pdf")
    }
    assert (out / "all-tables.tex").read_bytes() == one_by_one["all-tables.tex"]
    document = (out / "index.md").read_bytes()
    first, _, rest = document.partition(b"\n**What was claimed")
    assert (first + rest.partition(b"**\n")[2]).startswith(one_by_one["index.md"])  # and then the combined view
    assert f"wrote {out / 'combined'}\n" in capsys.readouterr().out


def test_findings_read_all_tables_and_write_none(papers, tmp_path, capsys):
    samples.write_table(papers, plain(), "sample/table2")
    out = tmp_path / "out"
    assert reproduce(papers, tmp_path, "findings") == 0
    assert {file.name for file in out.iterdir()} == {"findings.md", "index.md", "all-tables.tex"}
    assert f"wrote {out / 'findings.md'}\n" in capsys.readouterr().out
    page = (out / "findings.md").read_text()
    assert "[sample/table1](sample/table1.md)" in page
    assert "[sample/table2](sample/table2.md)" in page
    assert "(findings.md)" in (out / "index.md").read_text()
    assert reproduce(papers, tmp_path, "all") == 0
    assert (out / "findings.md").read_text() == page


def test_findings_of_a_broken_table_say_so(papers, tmp_path, capsys):
    samples.write_table(papers, "rows: [", "malformed/table1")
    assert reproduce(papers, tmp_path, "findings") == 1
    assert "malformed/table1.yaml" in capsys.readouterr().err
    assert "sample/table1" in (tmp_path / "out" / "findings.md").read_text()


def test_an_unknown_table_is_one_line_and_exit_code_2(papers, tmp_path, capsys):
    assert reproduce(papers, tmp_path, "sample/tabel1") == 2
    assert capsys.readouterr().err == "error: no table 'sample/tabel1'; did you mean sample/table1?\n"


@pytest.mark.parametrize("verb", ["reproduce", "status"])
@pytest.mark.parametrize("option", ["--papers", "--results"])
def test_a_folder_that_is_none_is_one_line_and_exit_code_2(papers, tmp_path, capsys, verb, option):
    assert cli.main([verb, "all", "--papers", str(papers), option, str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err.startswith(f"error: no folder {tmp_path / 'nowhere'} with ")


def test_strict_fails_only_where_nobody_has_said_why(papers, tmp_path, capsys):
    assert reproduce(papers, tmp_path, "table1", "--strict") == 0
    raw = plain()
    raw["rows"][2]["cells"].pop("params")
    samples.write_table(papers, raw)
    assert reproduce(papers, tmp_path, "table1") == 0
    capsys.readouterr()
    assert reproduce(papers, tmp_path, "table1", "--strict") == 1
    assert capsys.readouterr().err == (
        "strict: sample/table1, row 'Odd', params: ours 1.81834, printed 2.2 (-17.35%), "
        "and no explanation is recorded\n"
    )


def test_an_output_that_cannot_be_written_is_one_line(papers, tmp_path, capsys):
    (tmp_path / "out").write_text("a file, no folder")
    assert reproduce(papers, tmp_path, "table1") == 1
    assert capsys.readouterr().err.startswith("error: cannot write ")


def test_a_broken_result_is_a_warning_and_stops_nothing(papers, tmp_path, capsys):
    file = tmp_path / "results" / "cifar10" / "paper-400e" / "base" / "seed0-x.json"
    file.parent.mkdir(parents=True)
    file.write_text("{")
    assert reproduce(papers, tmp_path, "table1") == 0
    assert "seed0-x.json" in capsys.readouterr().err


def test_status_counts_cells_a_table_a_paper_and_in_all(papers, capsys):
    samples.write_table(papers, plain(), "sample/table2")
    assert cli.main(["status", "--json", "--papers", str(papers)]) == 0
    counts = json.loads(capsys.readouterr().out)
    assert list(counts) == ["sample/table1", "sample/table2", "sample", "all"]
    assert counts["sample/table1"]["cells"] == 24
    assert counts["all"]["cells"] == 48
    assert counts["all"] == counts["sample"]
    # no result in the ledger: measured, evaluated and proxy cells are open
    assert counts["sample/table1"]["by_status"] == {
        "counted": 12, "measured": 0, "evaluated": 0, "proxy": 0, "quoted": 3, "open": 8, "blocked": 1,
    }  # fmt: skip
    assert (counts["sample"]["compared"], counts["sample"]["agree"], counts["sample"]["explained"]) == (20, 18, 2)


def test_status_prints_a_table_and_names_broken_ones(papers, capsys):
    samples.write_table(papers, "rows: [", "malformed/table1")
    assert cli.main(["status", "--papers", str(papers)]) == 1
    captured = capsys.readouterr()
    assert "sample/table1" in captured.out
    assert "9/10" in captured.out
    assert "malformed/table1.yaml" in captured.err
