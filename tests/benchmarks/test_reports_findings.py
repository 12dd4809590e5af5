"""The page of findings: what it says of claims with runs, of those that wait, and of runs that came to no number."""

from __future__ import annotations

import math
import re

import pytest
import report_samples as samples
from latency_samples import BASE, HALF, entrant, measurement

from benchmarks.published import load_table
from benchmarks.reports import cells, costs, findings, findings_claims, findings_figure, findings_times
from benchmarks.reports.latencies import of_table
from benchmarks.statistics import Sample, difference


@pytest.fixture(autouse=True)
def protocols(monkeypatch):
    monkeypatch.setattr(costs, "protocols", lambda: samples.PROTOCOLS)


def result(model, value, seed=0, *, proxy=True, **more):
    """A run of the ledger with its path; by default one of the proxy's."""
    name = "proxy-2e" if proxy else "paper-400e"
    protocol = {"name": name, "proxy": proxy, "epochs": 2, "description": "two epochs"}
    one = samples.result(model, seed, [("test", value)], protocol=protocol, **more)
    return one.relative_path.as_posix(), one


def page(tmp_path, results=(), raw=None, latencies=()):
    root = samples.write_table(tmp_path, raw or samples.table())
    samples.write_table(tmp_path, samples.table(), "sample/figure9")
    counter = samples.SampleCounter()
    runs = findings.runs_of(results)
    reports = [cells.build(load_table(f"sample/{name}", root), counter, runs) for name in ("table1", "figure9")]
    text, points = findings.page(reports, counter, results, latencies)
    return text, points


def row(text, start):
    """The cells of the only line of a table that starts so."""
    (line,) = (line for line in text.splitlines() if line.startswith(f"| {start}"))
    return [cell.strip() for cell in line.strip("|").split(" | ")]


BOTH = [
    result("base", 88.0), result("base", 88.2, 1), result("small", 80.0), result("small", 80.4, 1),
]  # fmt: skip


def test_without_runs_everything_waits_and_a_figure_repeats_no_claim(tmp_path):
    text, points = page(tmp_path)
    assert "Of the gains that the papers' tables print, 4 can be tested by training." in text
    assert "none of them has runs here" in text
    assert "None yet." in text
    assert "None: every training in the ledger finished." in text
    assert "figure9" not in text
    assert points.empty
    assert ".png" not in text
    cells_ = row(text, "[sample/table1]")
    assert cells_[1:6] == ["4", "−0.60 to +1.5 points", "4", "", "–"]


def test_a_proxy_is_called_one_wherever_its_numbers_stand(tmp_path):
    text, _ = page(tmp_path, BOTH)
    assert "### cifar10/proxy-2e: a proxy of 2 epochs in place of `paper-400e`" in text
    assert "| Verdict on the proxy |" in text
    assert "none of them has runs here" in text  # under the paper's protocol
    assert (
        "Under a *proxy*, a protocol of ours that is far shorter than the paper's, 1 has runs: 0 hold, 1 does not"
        in text
    )
    assert row(text, "[sample/table1]")[3:5] == ["4", "1"]


def test_a_claim_says_what_was_printed_measured_and_decided(tmp_path):
    text, _ = page(tmp_path, BOTH)
    claim, paper, least, here, gap, verdict, more = row(text, "[Table 1](sample/table1.md): S")
    assert claim.endswith(r"S\_1 (32×4d) against Baseline")
    assert (paper, least) == ("top-1 error 6.8 against 6.5 (−0.3)", "−0.50")
    assert here == "19.80 ± 0.28 (n = 2) against 11.90 ± 0.14 (n = 2)"  # errors, as the table prints them
    assert re.fullmatch(r"−7\.90 \[−\d+\.\d\d, −\d\.\d\d\]", gap)  # of the accuracy
    assert (verdict, more) == ("does not hold", "`paper-400e`")  # the paper's own is still to decide


def test_the_papers_own_protocol_comes_first_and_has_the_last_word(tmp_path):
    own = [
        result(model, value, seed, proxy=False)
        for model, values in (("base", (93.4, 93.5)), ("small", (93.4, 93.6)))
        for seed, value in enumerate(values)
    ]
    text, _ = page(tmp_path, [*BOTH, *own])
    headings = [line for line in text.splitlines() if line.startswith("### cifar10/p")]
    assert headings[0] == "### cifar10/paper-400e, the paper's protocol"
    assert headings[1].startswith("### cifar10/proxy-2e: a proxy")
    assert "1 of them has runs here: " in text
    assert row(text, "[sample/table1]")[3] == "3"


def test_runs_that_came_to_no_number_are_listed_and_counted(tmp_path):
    path, one = result("small", 0.0, 7)
    lost = path, one.model_copy(update={"status": "diverged", "metrics": (), "epochs_done": 1})
    text, _ = page(tmp_path, [*BOTH, lost])
    assert row(text, "[cifar10/proxy-2e/small]")[1:] == ["7", "diverged", "1 of 2"]
    assert "5 trainings" in text
    assert "[1 failed or diverged]" in text
    assert r"S_1 (32×4d): 1 diverged and is in no mean." in text


def test_equal_input_gives_equal_bytes_in_any_order_of_the_files(tmp_path):
    first, points = page(tmp_path / "a", BOTH)
    again, others = page(tmp_path / "b", sorted(BOTH))
    assert first == again
    assert findings_figure.tidy_csv(points) == findings_figure.tidy_csv(others)


def needed(measured, seeds, n):
    asked = []
    words = findings_claims.needed(measured, seeds, n, lambda more: asked.append(more) or "a day")
    return words, asked


def test_what_would_decide_counts_only_the_runs_that_lack():
    spread = difference([1.0, 1.2], [0.8, 1.1])
    assert needed(spread, 5, (2, 3)) == ("5 seeds a side (5 more runs, a day)", [(3, 2)])
    assert needed(spread, 3, (2, 3)) == ("3 seeds a side (1 more run, a day)", [(1, 0)])
    assert needed(spread, None, (2, 2)) == ("more than 100 seeds a side", [])
    assert needed(spread, 2, (2, 2)) == ("one more seed a side (2 more runs, a day)", [(1, 1)])
    alone = difference([1.0], [0.8])
    assert needed(alone, None, (1, 1)) == ("two seeds a side, for a spread (2 more runs, a day)", [(1, 1)])
    assert findings_claims.needed(alone, None, (1, 4), lambda _: "") == "two seeds a side, for a spread (1 more run)"


def test_sides_have_a_spread_from_the_second_seed_on():
    assert findings_claims.side(Sample(1, 88.8, None)) == "88.80 (n = 1)"
    assert findings_claims.side(Sample(3, 88.8, 0.123)) == "88.80 ± 0.12 (n = 3)"
    assert findings_claims.side(Sample(1, 88.8, None), "top1_error") == "11.20 (n = 1)"


# --- Time -------------------------------------------------------------------------------------------------


def timed(*found):
    kept = [(f"latency/{number}.json", one) for number, one in enumerate(found)]
    table = load_table("slimconv/table4")
    report = cells.Report(table, (), latencies=of_table(table, kept))
    return findings_times.lines([report]), findings_times.targets(kept)


def test_a_claim_about_time_is_a_ratio_beside_the_papers(tmp_path):
    (line,), _ = timed(measurement())
    assert line[0] == r"[Table IV](slimconv/table4.md): Sc-ResNet-50(k=4/3)(ours) against ResNet-50"
    assert line[1:] == (
        "deployed against compiled, batch 1",
        "0.94",  # 205 ms / 218 ms
        "**2.00** (1.33 to 2.00)",
        "faster than printed",
    )


def test_a_time_says_what_differs_from_one_thread_of_a_cpu_in_fp32():
    one = measurement()
    for changes, threads, said in (
        ({}, 2, "batch 1, 2 threads"),
        ({"dtype": "bf16"}, 1, "batch 1, bf16"),
        ({"device": "cuda", "batch": 128, "task": "training"}, 2, "batch 128, on cuda, training"),
    ):
        machine = one.environment.model_copy(update={"cpu_threads": threads})
        (line,), _ = timed(one.model_copy(update={**changes, "environment": machine}))
        assert line[1] == f"deployed against compiled, {said}"


@pytest.mark.parametrize(
    ("ratio", "follows"),
    [(1.0, "as fast as printed"), (1.2, "slower than the baseline"), (1.063, "as fast as printed")],
)
def test_what_follows_is_by_the_interval(ratio, follows):
    about = tuple(ratio * (1 + shift) * one for shift, one in zip((-0.08, 0.08, 0, 0, 0, 0, 0), BASE, strict=True))
    (line,), _ = timed(measurement((entrant("resnet50", BASE, "compiled"), entrant("sc_resnet50", about, "deployed"))))
    assert line[4] == follows


def test_beside_an_eager_baseline_targets_are_told_and_no_claim_is_tested(tmp_path):
    eager = measurement((entrant("resnet50", BASE), entrant("sc_resnet50", HALF, "deployed")))
    lines, told = timed(eager)
    assert lines == []
    assert ("`sc_resnet50:deployed`", "`resnet50:eager`, batch 1", "1.33", "2.00", "met") in told
    text, _ = page(tmp_path, latencies=[("latency/0.json", eager)])
    assert "1 of 10 targets for deployed networks are met" in text
    assert row(text, "`sc_resnet50:deployed` | `resnet50:eager`")[2:] == ["1.33", "2.00", "met"]
    assert "targets" not in page(tmp_path / "none")[0]


# --- The figure -------------------------------------------------------------------------------------------


def test_points_are_means_over_seeds_and_one_run_has_no_spread(tmp_path):
    _, points = page(tmp_path, [*BOTH, result("odd", 70.0)])
    assert list(points.columns) == list(findings_figure.COLUMNS)
    base, odd = (points[points["model"] == name].iloc[0] for name in ("base", "odd"))
    assert (base["n"], base["mean"], base["macs"]) == (2, pytest.approx(88.1), samples.SampleCounter.KNOWN["base"].macs)
    assert base["sd"] == pytest.approx(0.1414, abs=1e-4)
    assert math.isnan(odd["sd"])
    assert len(findings_figure.panels(points)) == 1
    assert findings_figure.panels(points[points["model"] == "odd"]) == []


def test_the_figure_has_a_panel_a_protocol_and_a_name_a_network(tmp_path):
    _, points = page(tmp_path, [*BOTH, *(result(m, 93.0, proxy=False) for m in ("base", "small", "odd"))])
    figure = findings_figure.draw(points)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["cifar10/paper-400e", "cifar10/proxy-2e, a proxy"]
    assert sorted(text.get_text() for text in figure.axes[0].texts) == ["base", "odd", "small"]
    assert sorted(text.get_text() for text in figure.axes[1].texts) == ["base (n=2)", "small (n=2)"]
    with pytest.raises(ValueError, match="no panel"):
        findings_figure.draw(points[points["model"] == "odd"])


@pytest.mark.parametrize(
    ("model", "series", "short"),
    [
        ("resnet56_cifar", "baseline", "resnet56"),
        ("sc_resnet56_cifar", "slimconv", "sc resnet56"),
        ("s_c_versatile_resnet56_cifar", "versatile", "S+C"),
        ("separate_l_versatile_resnet56_cifar_s2", "versatile", "separate L s2"),
        ("separate_l_versatile_resnet56_cifar_s2_rand", "control", "separate L s2 rand"),
        ("c_versatile_resnet56_cifar_8_8", "versatile", "C 8 8"),
        ("resnet56_cifar_at_63m", "control", "resnet56 at 63m"),
        ("nowhere", "baseline", "nowhere"),
    ],
)
def test_a_network_has_its_papers_colour_and_a_short_name(model, series, short):
    assert findings_figure.series(model) == series
    assert findings_figure.short(model) == short
