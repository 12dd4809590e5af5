"""The page of latencies, the section beneath a table, the figure, and the command that makes them."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timezone

import pytest
from latency_samples import BASE, HALF, entrant, measurement

from benchmarks import latency
from benchmarks.cli import main
from benchmarks.latency.targets import TARGETS
from benchmarks.published import load_table
from benchmarks.reports import index, latencies, latency_figure
from benchmarks.reports.write import write_latencies, write_overview

G = 1_000_000_000
MOBILE = "separate_l_versatile_mobilenet_v2_s4"


def times(ratio):
    return tuple(ratio * one for one in BASE)


def kept(*found):
    return [(f"latency/{number}.json", one) for number, one in enumerate(found)]


def later(minutes):
    return datetime(2026, 1, 2, 3, 4 + minutes, 5, tzinfo=timezone.utc)


def many(ratios, mode="eager"):
    """A baseline of 4 GMACs and networks of 5, 6, 7, ... GMACs with these ratios."""
    others = (entrant(f"net{number}", times(ratio), mode, macs=(5 + number) * G) for number, ratio in enumerate(ratios))
    return measurement((entrant("resnet50", BASE, mode), *others))


def rows_of(document, section="Inference"):
    """Lines of the tables from a section on."""
    _, _, document = document.partition(f"\n## {section}")
    return [line for line in document.splitlines() if line.startswith("|")]


def test_ratios_stand_first_and_beneath_the_table_what_it_was_measured_on():
    document = latencies.markdown(kept(measurement(kernel="avx2")))
    heading, _, base, half = rows_of(document)
    assert heading.startswith("| Network | Mode | GMAC | MACs / baseline | time / baseline | ms | GMAC/s |")
    assert base == r"| resnet50 | compiled | 4 | 1.000 | 1 | 400 (400 to 400) | 10.0 | 1000 % | 5 | 1.00 |"
    assert half == (
        r"| sc\_resnet50 | deployed | 4 | 1.000 | **0.500** (0.500 to 0.750) | 200 (200 to 250) | 20.0 | 2000 % | 5 "
        "| 0.50 |"
    )
    for words in (
        "## Inference, batch 1, fp32, Some(R) CPU @ 2.0GHz, 1 thread\n",
        "Baseline: resnet50:compiled.\n",
        "- Some(R) CPU @ 2.0GHz, 1 thread, AVX2 of avx2 fma; Python 3.12.1, torch 2.11.0.\n",
        "- Product of matrices, the peak: 1 GMAC/s.\n",
        "- Code of the deployed convolutions: avx2.\n",
        "- Load of the machine: 0.5 to 1.2.\n",
        "[2026-01-02 03:04](../results/latency/0.json) (commit 0123456789).\n",
    ):
        assert words in document
    assert "Rank correlation" not in document
    assert "![" not in document


def test_each_target_has_its_newest_ratio_and_a_verdict():
    old = measurement((entrant("resnet50", BASE, "compiled"), entrant("sc_resnet50", BASE, "deployed")))
    new = measurement(started_at=later(1), kernel="avx512")
    threads = new.environment.model_copy(update={"cpu_threads": 2})
    newest = measurement(started_at=later(2), environment=threads)  # of another setting
    slow = (entrant("mobilenet_v2", BASE, "compiled"), entrant(MOBILE, tuple(2 * one for one in BASE), "deployed"))
    document = latencies.markdown(kept(new, old, newest, measurement(slow)))
    told = rows_of(document.partition("\n## Inference")[0], "Targets")[2:]
    assert len(told) == len(TARGETS)
    assert told[5] == (
        r"| sc\_resnet50:deployed (SlimConv, k = 4/3; Table IV) | resnet50:compiled | 1 | at most 0.70 of the time "
        "| 0.700 | **0.500** (0.500 to 0.750) | 2.00 | met, uncertain "
        "| [2026-01-02 03:05](../results/latency/0.json) (commit 0123456789; avx512) |"
    )
    missed, *others = [line for line in told if "| missed |" in line]
    assert others == []
    assert "| faster | 1.000 | **2.000** (2.000 to 2.000) | 0.50 | missed | [2026-01-02 03:04]" in missed
    assert [line.endswith("|  |  | not measured |  |") for line in told].count(True) == len(TARGETS) - 2
    assert "Targets" not in latencies.markdown(kept(new, old)), "one of six networks that take turns"


def test_measurements_of_one_machine_and_setting_are_pooled_and_the_last_one_holds():
    first = measurement()
    again = measurement(
        (entrant("resnet50", BASE, "compiled"), entrant("sc_resnet50", BASE, "deployed"),
         entrant("thin", HALF, macs=G)), started_at=later(1),
    )  # fmt: skip
    threads = measurement(environment=first.environment.model_copy(update={"cpu_threads": 2}))
    gpu = measurement(device="cuda", environment=first.environment.model_copy(update={"gpu": "NVIDIA H100"}))
    one, two, three = sorted(latencies.groups(kept(again, first, threads, gpu)), key=lambda group: -len(group.lines))
    assert [(line.entrant.model, line.path[8]) for line in one.lines] == [
        ("thin", "0"),
        ("resnet50", "0"),
        ("sc_resnet50", "0"),
    ]
    assert one.found is again
    assert {len(two.lines), len(three.lines)} == {2}
    for change in ({"batch": 2}, {"dtype": "bf16"}, {"layout": "nhwc"}, {"input_size": (3, 64, 64)}):
        entrants = [entrant("resnet50", BASE, batch=change.get("batch", 1))]
        assert len(latencies.groups(kept(first, measurement(entrants, **change)))) == 2


def test_the_baseline_against_itself_is_a_remark_and_no_line():
    again = entrant("resnet50", HALF, "compiled")
    document = latencies.markdown(kept(measurement((*measurement().entrants, again))))
    base = rows_of(document)[2]
    assert len(rows_of(document)) == 4
    assert base.startswith("| resnet50 | compiled | 4 | 1.000 | 1 | 400 ")
    assert "- The baseline against itself: **0.500** (0.500 to 0.750).\n" in document
    assert "against itself" not in latencies.markdown(kept(measurement()))


def test_rank_correlations_are_of_each_mode_and_need_enough_networks():
    rising = latencies.groups(kept(many([1.1, 1.2, 1.3, 9.0])))[0]
    ((mode, number, macs, mul),) = latencies.correlations(rising)
    assert (mode, number) == ("eager", 5)
    assert (macs, mul) == (pytest.approx(1), pytest.approx(1))
    turned = latencies.groups(kept(many([0.9, 0.8, 0.7, 0.6])))[0]
    assert latencies.correlations(turned)[0][2] == pytest.approx(-1)
    # ranks 1 2 3 4 5 against 1 2 3 5 4: 1 - 6 * 2 / (5 * 24)
    swapped = latencies.groups(kept(many([1.1, 1.2, 1.4, 1.3])))[0]
    assert latencies.correlations(swapped)[0][2] == pytest.approx(0.9)
    assert latencies.correlations(latencies.groups(kept(many([1.1, 1.2, 1.3])))[0]) == []
    document = latencies.markdown(kept(many([1.1, 1.2, 1.4, 1.3])))
    assert "Rank correlation (Spearman) of time, eager: 0.90 with MACs, 0.90 with #MUL (5 networks).\n" in document


def test_time_per_mac_is_one_where_counting_predicts():
    (group,) = latencies.groups(kept(many([5 / 4, 3.0])))
    assert [line.per_mac for line in group.lines] == pytest.approx([1, 1, 2])


@pytest.mark.parametrize(
    ("name", "baseline", "other", "printed"),
    [
        ("slimconv/table4", "resnet50", "sc_resnet50", "1.063"),  # 218 / 205
        ("versatile/table5", "resnet50", "separate_l_versatile_resnet50_s4", "0.400"),  # 162.2 / 405.2
        ("versatile/table8", "mobilenet_v2_x0_75", "separate_l_versatile_mobilenet_v2_s4", "0.734"),  # 27.0 / 36.8
    ],
)
def test_tables_show_the_papers_ratio_beside_ours(name, baseline, other, printed):
    found = measurement((entrant(baseline, BASE, "compiled"), entrant(other, HALF, "deployed"), entrant("x", HALF)))
    (group,) = latencies.of_table(load_table(name), kept(found))
    section = latencies.beside(load_table(name), group)
    lines = {line[1]: line for line in section["lines"]}
    assert set(lines) == {"compiled", "deployed"}, "only networks of the table"
    assert lines["compiled"][2:4] == ("1", "1")
    assert lines["deployed"][2:4] == (printed, "**0.500** (0.500 to 0.750)")
    assert section["remarks"][-1].startswith(
        "Every run is in the file: [2026-01-02 03:04](../../results/latency/0.json)"
    )


def test_a_table_takes_no_measurement_of_other_networks():
    found = kept(measurement())
    assert latencies.of_table(load_table("slimconv/table1"), found) == (), "it prints no latency"
    assert latencies.of_table(load_table("versatile/table8"), found) == (), "another baseline"
    assert latencies.of_table(load_table("versatile/table5"), found) == (), "the baseline only"


def test_the_data_have_every_entrant_of_every_record():
    lines = list(csv.DictReader(io.StringIO(latencies.tidy_csv(kept(measurement(), measurement())))))
    assert len(lines) == 4
    assert tuple(lines[0]) == latencies.CSV_COLUMNS
    assert (lines[1]["ratio"], lines[1]["ms"], lines[1]["gmacs"]) == ("0.5", "200", "20")
    assert (lines[1]["model"], lines[1]["mode"], lines[1]["file"]) == ("sc_resnet50", "deployed", "latency/0.json")
    assert (lines[1]["peak_mib"], lines[1]["threads"], lines[1]["dirty"]) == ("5", "1", "false")


def test_the_figure_shows_every_network_and_the_line_of_the_macs():
    (group,) = latencies.groups(kept(many([1.1, 1.2, 1.4, 1.3])))
    figure = latency_figure.draw(latencies.frame(group), group.title, group.found.baseline.label)
    (axes,) = figure.axes
    (container,) = axes.containers
    assert list(container[0].get_xdata()) == [number * G for number in (4, 5, 6, 7, 8)]
    assert list(container[0].get_ydata()) == pytest.approx([1, 1.1, 1.2, 1.4, 1.3])
    line = axes.lines[-1]
    assert list(line.get_ydata()) == pytest.approx([x / (4 * G) for x in line.get_xdata()])
    assert {text.get_text() for text in axes.texts} == {"resnet50", "net0", "net1", "net2", "net3"}


def test_files_are_written_and_the_index_names_them(tmp_path):
    assert write_latencies([], tmp_path / "none") == []
    written = write_latencies(kept(many([1.1, 1.2, 1.4, 1.3]), measurement()), tmp_path)
    stem = "inference-b1-3x224x224-fp32-nchw-resnet50-eager-some-r--cpu---2.0ghz-1-thread"
    names = ["latency.md", "latency.csv", f"latency/{stem}.png", f"latency/{stem}.pdf"]
    assert [path.relative_to(tmp_path).as_posix() for path in written] == names
    assert f"![Time against MACs](latency/{stem}.png)" in (tmp_path / "latency.md").read_text()
    assert "[latency](latency.md) ([data](latency.csv))" in index.markdown(tmp_path)
    assert "latency.md" not in index.markdown(tmp_path / "none")
    write_overview(tmp_path)


def test_the_command_reproduces_the_page_and_the_tables_section(tmp_path, capsys):
    ledger, reports = tmp_path / "ledger", tmp_path / "reports"
    ledger.mkdir()
    arguments = ["--results", str(ledger), "--output", str(reports)]
    assert main(["reproduce", "latency", *arguments]) == 2
    assert capsys.readouterr().err == (
        "error: the ledger keeps no latencies; slimbench latency MODEL... --keep measures them\n"
    )
    latency.SHELF.keep(measurement(), ledger)
    assert main(["reproduce", "latency", "slimconv/table4", *arguments]) == 0
    capsys.readouterr()
    assert (reports / "latency.md").read_text() == latencies.markdown(latency.SHELF.kept(ledger))
    page = (reports / "slimconv" / "table4.md").read_text()
    assert "\n## Measured here: Inference, batch 1, fp32, Some(R) CPU @ 2.0GHz, 1 thread\n" in page
    assert "| Sc-ResNet-50(k=4/3)(ours) | deployed | 1.063 | **0.500** (0.500 to 0.750) | 200 (200 to 250) |" in page
