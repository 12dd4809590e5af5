"""Means, intervals and verdicts: against printed tables, against simulation, against arithmetic by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks import statistics
from benchmarks.statistics import Difference, Pooled, Sample, difference, seeds_needed, t_quantile, verdict

# Two-sided 95 % points as printed in any table of Student's t.
PRINTED = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 10: 2.228, 20: 2.086, 30: 2.042, 60: 2.000, 120: 1.980}


@pytest.mark.parametrize(("df", "printed"), PRINTED.items())
def test_quantiles_are_those_of_printed_tables(df, printed):
    assert t_quantile(0.975, df) == pytest.approx(printed, abs=5.1e-4)
    assert t_quantile(0.025, df) == -t_quantile(0.975, df)


def test_quantiles_have_closed_forms_for_one_and_two_degrees_of_freedom():
    for p in (0.5, 0.6, 0.8, 0.95, 0.995):
        assert t_quantile(p, 1) == pytest.approx(math.tan(math.pi * (p - 0.5)), abs=1e-9)
        assert t_quantile(p, 2) == pytest.approx((2 * p - 1) / math.sqrt(2 * p * (1 - p)), abs=1e-9)


def test_quantiles_are_scipys_also_between_whole_degrees_of_freedom():
    stats = pytest.importorskip("scipy.stats")
    for df in (1.0, 1.01, 1.3, 1.9, 2.5, 3.7, 11.2, 198.0, 1e4):
        for p in (0.01, 0.8, 0.9, 0.975, 0.995):
            assert t_quantile(p, df) == pytest.approx(float(stats.t.ppf(p, df)), rel=1e-6)


@pytest.mark.parametrize(("p", "df"), [(0.0, 5), (1.0, 5), (0.5, 0.5), (0.5, math.nan)])
def test_quantiles_of_nothing_are_refused(p, df):
    with pytest.raises(ValueError, match="needs 0 < p < 1"):
        t_quantile(p, df)


def test_a_sample_is_described_by_hand():
    assert statistics.sample([1.0, 2.0, 6.0]) == Sample(3, 3.0, math.sqrt(7.0))
    assert statistics.sample([4.0]) == Sample(1, 4.0, None)
    for values in ([], [math.nan], [1.0, math.inf]):
        with pytest.raises(ValueError, match="finite"):
            statistics.sample(values)


def test_welchs_interval_by_hand():
    # variances 1 and 4, three runs each: se^2 = 5/3, df = (5/3)^2 / ((1/9 + 16/9) / 2) = 50/17
    found = difference([9.0, 10.0, 11.0], [6.0, 8.0, 10.0])
    half = t_quantile(0.975, 50 / 17) * math.sqrt(5 / 3)
    assert found.df == pytest.approx(50 / 17)
    assert (found.mean, found.low, found.high) == pytest.approx((2.0, 2.0 - half, 2.0 + half))
    assert found.spread == (1.0, 2.0)
    assert found.pooled is None


def test_welchs_interval_is_scipys():
    stats = pytest.importorskip("scipy.stats")
    a, b = [93.1, 93.4, 92.8, 93.3], [92.7, 92.9]
    theirs = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.9)
    ours = difference(a, b, 0.9)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-6)


def test_one_run_has_no_interval_unless_others_lend_their_spread():
    alone = difference([88.0], [87.0, 87.4])
    assert (alone.low, alone.high, alone.spread) == (None, None, None)
    assert "one run" in alone.reason
    lent = difference([88.0], [87.0, 87.4], spread=Pooled(0.3, 4, 2))
    half = PRINTED[4] * 0.3 * math.sqrt(1 + 1 / 2)
    assert lent.high - lent.mean == pytest.approx(half, rel=1e-3)
    assert lent.spread == (0.3, 0.3)


def test_a_lent_spread_is_not_used_where_both_sides_have_their_own():
    assert difference([1.0, 2.0], [3.0, 5.0], spread=Pooled(9.0, 9, 3)) == difference([1.0, 2.0], [3.0, 5.0])


def test_runs_that_agree_to_the_last_digit_prove_nothing():
    found = difference([88.0, 88.0], [87.0, 87.5])
    assert found.low is None
    assert verdict(found, 0.1) == "undecided"


def test_pooling_weighs_by_degrees_of_freedom_and_leaves_single_runs_out():
    # squares within the groups: 2 and 8 and nothing, from 2 + 1 degrees of freedom
    assert statistics.pooled([[1.0, 2.0, 3.0], [10.0, 14.0], [99.0]]) == Pooled(math.sqrt(10 / 3), 3, 2)
    assert statistics.pooled([[1.0], []]) is None
    assert statistics.pooled([[1.0, 1.0]]) is None


@pytest.mark.parametrize("level", [0.0, 1.0, 95])
def test_a_level_is_a_probability(level):
    with pytest.raises(ValueError, match="level"):
        difference([1.0], [2.0], level)


def _interval(low: float, high: float) -> Difference:
    middle = (low + high) / 2
    return Difference(middle, low, high, 0.95, 4.0, Sample(3, middle, 0.1), Sample(3, 0.0, 0.1))


@pytest.mark.parametrize(
    ("gain", "low", "high", "expected"),
    [
        (1.0, 0.51, 0.9, "holds"),
        (1.0, 0.5, 0.9, "undecided"),  # the whole interval, its ends too
        (1.0, -0.2, 0.49, "does not hold"),
        (1.0, 0.4, 0.6, "undecided"),
        (1.0, 2.0, 3.0, "holds"),  # more than claimed
        (-0.3, -0.49, 0.1, "holds"),  # keeps its accuracy but for what is printed and the tolerance
        (-0.3, -0.9, -0.51, "does not hold"),
        (0.0, -0.19, 0.0, "holds"),
    ],
)
def test_the_rule_of_the_verdict(gain, low, high, expected):
    assert verdict(_interval(low, high), statistics.threshold(gain, 0.2)) == expected


def test_without_an_interval_nothing_is_decided():
    assert verdict(difference([99.0], [1.0]), 0.5) == "undecided"


def test_intervals_hold_the_true_difference_as_often_as_they_say():
    random = np.random.default_rng(0)
    hits = 0
    for _ in range(2000):
        found = difference(list(random.normal(0.5, 0.2, 3)), list(random.normal(0.0, 0.3, 4)))
        hits += found.low < 0.5 < found.high
    assert 0.935 < hits / 2000 < 0.972  # Welch's interval errs to the safe side for few runs


def test_pooled_intervals_hold_the_true_difference_as_often_as_they_say():
    random = np.random.default_rng(1)
    hits = 0
    for _ in range(2000):
        groups = [list(random.normal(mean, 0.25, n)) for mean, n in ((1.0, 1), (0.5, 3), (9.0, 3))]
        found = difference(groups[0], groups[1], spread=statistics.pooled(groups))
        hits += found.low < 0.5 < found.high
    assert 0.935 < hits / 2000 < 0.965


@pytest.mark.parametrize(("distance", "sds"), [(0.5, (0.2, 0.2)), (0.5, (0.4, 0.2)), (0.2, (0.25, 0.15))])
def test_as_many_seeds_as_said_decide_as_often_as_said(distance, sds):
    planned = Difference(distance, 0.0, 1.0, 0.95, 4.0, Sample(3, distance, sds[0]), Sample(3, 0.0, sds[1]))
    n = seeds_needed(planned, 0.0)
    random = np.random.default_rng(2)
    decided = 0
    for _ in range(600):
        found = difference(list(random.normal(distance, sds[0], n)), list(random.normal(0.0, sds[1], n)))
        decided += verdict(found, 0.0) == "holds"
    assert 0.75 < decided / 600 < 0.95


def test_fewer_seeds_decide_what_is_further_away_and_too_many_are_not_promised():
    measured = difference([1.0, 1.4, 1.2], [0.1, 0.5, 0.3])
    assert seeds_needed(measured, -1.0) < seeds_needed(measured, 0.5) < seeds_needed(measured, 0.7)
    assert seeds_needed(measured, measured.mean) is None
    assert seeds_needed(measured, measured.mean - 0.01) is None


def test_one_seed_fewer_would_not_do():
    measured = difference([1.0, 1.4, 1.2], [0.1, 0.5, 0.3])
    n = seeds_needed(measured, 0.6)

    def half_width_and_power(n):
        df = 2 * (n - 1)  # of equal spreads, 0.2 and 0.2
        return (t_quantile(0.975, df) + t_quantile(0.8, df)) * 0.2 * math.sqrt(2 / n)

    assert half_width_and_power(n) <= 0.3 < half_width_and_power(n - 1)


def test_without_a_spread_no_number_of_seeds_is_invented():
    with pytest.raises(ValueError, match="one run has no spread"):
        seeds_needed(difference([1.0], [2.0]), 0.0)
