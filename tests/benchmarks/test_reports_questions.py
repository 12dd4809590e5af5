"""Questions of ours: which pairs have an answer, under which protocol, and what the masks did."""

from __future__ import annotations

import pytest
import report_samples as samples

from benchmarks.reports import questions
from benchmarks.reports.questions import QUESTIONS, Pair, Question, answers, mask_lines
from benchmarks.training import experiments

ASKED = Question("Is small better?", "Nobody said so.", (Pair("cifar10", "small", "base"),), masks=True)


def seeds(model, values, protocol="paper-400e", **more):
    return [samples.run(model, value, protocol, seed=seed, **more) for seed, value in enumerate(values)]


def only(runs):
    (found,) = answers(ASKED, runs)
    return found


@pytest.mark.parametrize(
    ("values", "answer"),
    [([94.0, 94.1, 94.2], "better"), ([92.0, 92.1, 92.2], "worse"), ([93.3, 93.8, 93.9], "undecided")],
)
def test_the_interval_of_the_difference_answers(values, answer):
    found = only([*seeds("base", [93.4, 93.5, 93.6]), *seeds("small", values)])
    assert (found.answer, found.n, found.protocol, found.proxy) == (answer, (3, 3), "paper-400e", False)
    assert (found.measured.low > 0, found.measured.high < 0) == (answer == "better", answer == "worse")
    assert (found.seeds is not None) == (answer == "undecided")


def test_one_run_a_side_answers_nothing_however_large_the_difference():
    found = only([*seeds("base", [93.4]), *seeds("small", [10.0])])
    assert (found.answer, found.seeds, found.measured.low) == ("undecided", None, None)


def test_every_protocol_with_both_sides_answers_for_itself_and_proxies_come_last():
    runs = [
        *seeds("base", [80.0, 80.1], "proxy-2e", epochs=2),
        *seeds("small", [85.0, 85.1], "proxy-2e", epochs=2),
        *seeds("base", [88.0, 88.1], "proxy-10e", epochs=10),
        *seeds("small", [87.0, 88.9], "proxy-10e", epochs=10),
        *seeds("base", [93.4, 93.5]),
        *seeds("small", [93.5, 93.4]),
    ]
    found = list(answers(ASKED, runs))
    assert [(one.protocol, one.proxy) for one in found] == [
        ("paper-400e", False), ("proxy-10e", True), ("proxy-2e", True),
    ]  # fmt: skip
    assert [one.answer for one in found] == ["undecided", "undecided", "better"]
    assert [one.protocol for one in answers(ASKED, runs[1:-2])] == ["proxy-10e", "proxy-2e"]


def test_one_side_alone_tested_weights_and_other_data_are_no_answer():
    lost = samples.run("small", 93.0, status="diverged", metric="")
    runs = [
        *seeds("base", [93.4, 93.5]),
        samples.run("small", 93.0, "released"),
        samples.run("small", 93.0, dataset="cifar100"),
        lost,
    ]
    assert only(runs).answer == "not measured"
    assert only([]).protocol == ""


def test_masks_tell_how_many_of_their_entries_changed():
    curves = {"epoch": (1, 2), "masks_changed": (0.02, 0.01), "share_of_ones": (0.5, 0.52)}
    results = [("a", samples.result("small", curves=curves)), ("b", samples.result("base", curves=curves))]
    (line,) = mask_lines(ASKED, results)  # the second network is there to be compared with
    assert line.startswith("`small`, cifar10/proxy-2e (1 run): at most 3.00 % of the mask entries changed")
    assert "50.0 % were ones after the first epoch, 52.0 % at the end" in line
    assert mask_lines(ASKED, [("a", samples.result("small"))]) == []  # nothing was logged
    assert mask_lines(Question("", "", ASKED.pairs), results) == []


def test_all_questions_are_about_networks_and_experiments_that_there_are():
    pairs = [pair for question in QUESTIONS for pair in question.pairs]
    for dataset in {pair.dataset for pair in pairs}:
        protocol = "paper-90e" if dataset == "imagenet" else "proxy-10e"
        known = set(experiments.list_experiments(f"{dataset}/{protocol}/*"))
        for pair in (pair for pair in pairs if pair.dataset == dataset):
            assert {f"{dataset}/{protocol}/{model}" for model in (pair.model, pair.versus)} <= known
            assert pair.model != pair.versus


def test_what_the_papers_print_is_quoted_right():
    """Against the tables' own data: Tables V, X and XI of SlimConv print errors; a network's first row counts."""
    from benchmarks.published import load_table

    printed = {}
    for name in ("slimconv/table5", "slimconv/table10", "slimconv/table11"):
        table = load_table(name)
        rows = [row for row in reversed(table.rows) if "error" in row.values]
        printed[table.title] = {row.model: float(row.values["error"]) for row in rows}
    said = [pair for question in QUESTIONS for pair in question.pairs if " in Table" in pair.said]
    assert len(said) == 4
    for pair in said:
        gain, _, table = pair.said.partition(" in ")
        assert float(gain) == pytest.approx(printed[table][pair.versus] - printed[table][pair.model])


def test_protocols_are_those_of_trainings():
    runs = [*seeds("base", [1.0], "proxy-10e", epochs=10), *seeds("base", [1.0], "released")]
    assert questions.protocols(runs, "cifar10") == [("proxy-10e", True)]
    assert questions.protocols(runs, "cifar100") == []
