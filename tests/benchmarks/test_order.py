"""Which run comes next: the rule of benchmarks.planning.order, one sentence of it a test."""

from __future__ import annotations

import random

import pytest

from benchmarks.planning.order import Estimate, Experiment, Use, best_first, missing_runs


def experiment(name, hours=1.0, baseline=None, cells=1, kind="method", **more):
    if baseline is None:
        baseline, kind = name, "baseline"
    return Experiment(
        name=name,
        uses=(Use("sample/table1", name, kind, cells),),
        baseline=baseline,
        **{"epochs": 10, "wanted": (0,), "estimate": None if hours is None else Estimate(hours, True, "here"), **more},
    )


def names(experiments):
    return [run.name for run in best_first(experiments)]


def pairs(experiments):
    return [(run.name.rpartition("/")[2], run.seed) for run in best_first(experiments)]


def test_a_baseline_comes_before_what_is_compared_with_it_and_controls_come_last():
    base = experiment("d/p/base", hours=9)
    method = experiment("d/p/method", hours=8, baseline=base.name)
    quick = experiment("d/p/quick", hours=2, baseline=base.name)
    control = experiment("d/p/control", hours=1, baseline=base.name, kind="control")
    assert names([control, method, quick, base]) == ["d/p/base", "d/p/quick", "d/p/method", "d/p/control"]


def test_of_two_baselines_the_one_goes_first_whose_rows_fill_more_cells_an_hour():
    small, large = experiment("d/p/small", hours=5), experiment("d/p/large", hours=4)
    with_small = experiment("d/p/small-method", hours=1, baseline=small.name, cells=4)
    with_large = experiment("d/p/large-method", hours=4, baseline=large.name)
    # alone, large (1 cell in 4 hours) would beat small (1 in 5); together 5 in 6 beat 2 in 8
    assert names([large, with_large, small, with_small]) == [
        "d/p/small", "d/p/small-method", "d/p/large", "d/p/large-method",
    ]  # fmt: skip


def test_every_row_gets_its_first_seed_before_any_gets_its_second():
    cheap = experiment("d/p/cheap", hours=0.1, wanted=(0, 1, 2))
    dear = experiment("d/p/dear", hours=100, wanted=(0, 1, 2))
    assert pairs([cheap, dear]) == [("cheap", 0), ("dear", 0), ("cheap", 1), ("dear", 1), ("cheap", 2), ("dear", 2)]


def test_seeds_that_are_there_count_as_rounds():
    ahead = experiment("d/p/ahead", hours=0.1, wanted=(0, 1, 2), done=frozenset({1}))
    behind = experiment("d/p/behind", hours=1, wanted=(0, 1, 2))
    assert [run.round for run in missing_runs(ahead)] == [1, 2]
    assert pairs([ahead, behind]) == [("behind", 0), ("ahead", 0), ("behind", 1), ("ahead", 2), ("behind", 2)]


def test_seeds_that_nobody_asked_for_do_not_count():
    other = experiment("d/p/x", wanted=(0, 1), done=frozenset({7, 8}))
    assert [(run.seed, run.round) for run in missing_runs(other)] == [(0, 0), (1, 1)]


@pytest.mark.parametrize(("hours", "first"), [(1.5, "b/p/x"), (2.5, "a/p/x")])
def test_a_later_seed_of_a_quick_protocol_and_the_first_of_a_slow_one(hours, first):
    # the second seed of `quick` is worth half a cell an hour
    quick = experiment("a/p/x", hours=1, wanted=(0, 1), done=frozenset({0}))
    slow = experiment("b/p/x", hours=hours)
    assert names([quick, slow])[0] == first


def test_no_round_of_a_protocol_overtakes_an_earlier_one():
    # what is left of the first round is dear, the second round is cheap: still the first comes first
    dear = experiment("a/p/dear", hours=50, wanted=(0, 1))
    cheap = experiment("a/p/cheap", hours=0.01, wanted=(0, 1), done=frozenset({0}))
    other = experiment("b/p/x", hours=10)
    assert pairs([dear, cheap, other]) == [("x", 0), ("dear", 0), ("cheap", 1), ("dear", 1)]


def test_begun_runs_come_first_and_the_furthest_of_them_before_all():
    fresh = experiment("d/p/fresh", hours=0.01)
    begun = experiment("d/p/begun", hours=100, wanted=(0, 1), begun=((0, 2), (1, 9)), baseline=fresh.name)
    assert pairs([fresh, begun]) == [("begun", 1), ("begun", 0), ("fresh", 0)]
    assert begun.hours_left(1) == pytest.approx(10)
    assert begun.hours_left(0) == pytest.approx(80)


def test_what_failed_waits_behind_all_others_even_if_it_has_begun():
    failed = experiment("d/p/failed", hours=0.01, wanted=(0, 1), failed=((0, "out of memory"),), begun=((0, 5),))
    other = experiment("d/p/other", hours=100)
    assert pairs([failed, other]) == [("other", 0), ("failed", 1), ("failed", 0)]


def test_what_another_process_trains_is_not_begun_again():
    shared = experiment("d/p/shared", wanted=(0, 1, 2), begun=((1, 5),), running=(1,))
    assert pairs([shared]) == [("shared", 0), ("shared", 2)]
    assert [run.round for run in missing_runs(shared)] == [0, 2]


def test_unknown_hours_wait_but_do_not_hold_up_their_protocol():
    unknown = experiment("a/p/unknown", hours=None)
    known = experiment("a/p/known", hours=1)
    other = experiment("b/p/x", hours=2)
    assert names([unknown, known, other]) == ["a/p/known", "a/p/unknown", "b/p/x"]
    assert best_first([unknown])[0].hours is None


def test_the_order_does_not_depend_on_the_order_of_the_tables():
    items = [experiment(f"{data}/p/{i}", hours=i % 3 + 1, wanted=(0, 1, 2)) for data in "abc" for i in range(6)]
    expected = pairs(items)
    for seed in range(5):
        random.Random(seed).shuffle(items)
        assert pairs(items) == expected
    assert len(expected) == len(set(names(items))) * 3


def test_nothing_missing_is_no_work():
    assert best_first([experiment("d/p/x", wanted=(0, 1), done=frozenset({0, 1}))]) == []
    assert best_first([]) == []
