"""Means over seeds, the difference of two of them with an interval, and the verdict on a claimed gain.

The sample is the training: another seed gives another network, tested on the same images. An interval here says what
other seeds would give and nothing of other test images. Runs of equal seeds are not taken as pairs, since two
networks share no weights to start from.

A claim is judged against the paper's own numbers. With ``gain = printed(method) - printed(baseline)`` in points of the
metric (the sign of an error turned), the claim stands for a difference above :func:`threshold`: half of a positive
gain; a gain of zero or less claims to lose no more than printed, give or take a tolerance. It *holds* where the whole
interval of the measured difference lies above the threshold, *does not hold* where it lies below, and is *undecided*
otherwise.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Verdict = Literal["holds", "does not hold", "undecided"]
LEVEL = 0.95
POWER = 0.8
MOST_SEEDS = 100


@dataclass(frozen=True)
class Sample:
    """What is known of one side: the number of runs, their mean and their standard deviation (None at n = 1)."""

    n: int
    mean: float
    sd: float | None


@dataclass(frozen=True)
class Pooled:
    """The common standard deviation of several groups of runs, from ``df`` degrees of freedom in ``groups`` groups."""

    sd: float
    df: int
    groups: int


@dataclass(frozen=True)
class Difference:
    """``mean`` of a minus mean of b, and its interval.

    Attributes:
        mean: The difference of the means.
        low: The interval's lower end; None where there is no interval, then ``reason`` says why.
        high: Its upper end.
        level: How often an interval made in this way holds the true difference.
        df: Degrees of freedom of the interval.
        a: The first side.
        b: The second side.
        pooled: The standard deviation behind the interval where a side's own cannot be had.
        reason: Why there is no interval.
    """

    mean: float
    low: float | None
    high: float | None
    level: float
    df: float | None
    a: Sample
    b: Sample
    pooled: Pooled | None = None
    reason: str = ""

    @property
    def spread(self) -> tuple[float, float] | None:
        """The two standard deviations behind the interval; None where there is none."""
        if self.low is None:
            return None
        if self.pooled:
            return self.pooled.sd, self.pooled.sd
        assert self.a.sd is not None
        assert self.b.sd is not None
        return self.a.sd, self.b.sd


def sample(values: Sequence[float]) -> Sample:
    """Return n, mean and standard deviation (with n - 1) of ``values``.

    Raises:
        ValueError: No values, or one that is no finite number.
    """
    if not values or not all(math.isfinite(value) for value in values):
        raise ValueError(f"needs finite values, got {list(values)}")
    return Sample(len(values), statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)


def pooled(groups: Iterable[Sequence[float]]) -> Pooled | None:
    """Return the common standard deviation within ``groups``, each with a mean of its own; None if none has two."""
    samples = [sample(group) for group in groups if len(group) > 1]
    df = sum(one.n - 1 for one in samples)
    squares = sum((one.n - 1) * one.sd**2 for one in samples if one.sd is not None)
    return Pooled(math.sqrt(squares / df), df, len(samples)) if squares else None


def difference(
    a: Sequence[float], b: Sequence[float], level: float = LEVEL, spread: Pooled | None = None
) -> Difference:
    """Return mean(a) - mean(b) with Welch's t interval (Welch, Biometrika 34, 1947).

    One run has no spread, and a spread of exactly zero is a coincidence of the digits and no certainty. Where a side
    has either, the interval comes from ``spread``, the pooled standard deviation of runs of the same kind; without
    that there is no interval.

    Raises:
        ValueError: An empty side, or ``level`` outside (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"level {level} is outside (0, 1)")
    first, second = sample(a), sample(b)
    mean = first.mean - second.mean
    if first.sd and second.sd:
        spread, sds, df = None, (first.sd, second.sd), welch_df(first.sd, second.sd, first.n, second.n)
    elif spread is not None:
        sds, df = (spread.sd, spread.sd), float(spread.df)
    else:
        reason = (
            "one run has no spread" if None in {first.sd, second.sd} else "the runs of a side agree to the last digit"
        )
        return Difference(mean, None, None, level, None, first, second, reason=reason)
    half = t_quantile((1 + level) / 2, df) * math.hypot(sds[0] / math.sqrt(first.n), sds[1] / math.sqrt(second.n))
    return Difference(mean, mean - half, mean + half, level, df, first, second, spread)


def threshold(gain: float, tolerance: float) -> float:
    """Return the least true difference that a claim of ``gain`` stands for, in the gain's unit.

    More than half of a positive gain must be there. A gain of zero or less is the claim that a cheaper network loses
    no more than printed; ``tolerance`` is what one training may scatter by, which the papers do not print.
    """
    return gain / 2 if gain > 0 else gain - tolerance


def verdict(measured: Difference, least: float) -> Verdict:
    """Judge the claim that the true difference is above ``least``."""
    if measured.low is not None and measured.low > least:
        return "holds"
    if measured.high is not None and measured.high < least:
        return "does not hold"
    return "undecided"


def seeds_needed(measured: Difference, least: float, power: float = POWER, most: int = MOST_SEEDS) -> int | None:
    """Return how many seeds a side decide the claim with probability ``power``; None if more than ``most``.

    Assumes that the true difference and standard deviations are those measured: the smallest n with
    (t of the interval + t of the power) x standard error <= distance to the threshold. A distance of zero needs
    infinitely many.

    Raises:
        ValueError: ``measured`` has no interval, hence no spread to go by.
    """
    if measured.spread is None:
        raise ValueError(f"no number of seeds without a spread: {measured.reason}")
    return seeds_to_tell(abs(measured.mean - least), *measured.spread, measured.level, power, most)


def seeds_to_tell(
    distance: float, s1: float, s2: float, level: float = LEVEL, power: float = POWER, most: int = MOST_SEEDS
) -> int | None:
    """Return how many seeds a side tell a true difference from a limit ``distance`` away; None if more than ``most``.

    ``s1`` and ``s2`` are the standard deviations of the sides, not both zero. So many seeds give an interval of
    ``level`` that lies on the right side of the limit with probability ``power``.
    """

    def enough(n: int) -> bool:
        df = welch_df(s1, s2, n, n)
        reach = t_quantile((1 + level) / 2, df) + t_quantile(power, df)
        return reach * math.hypot(s1, s2) / math.sqrt(n) <= distance

    # Both the quantiles and the standard error fall with n, so that the first n that is enough can be bisected.
    n = bisect_left(range(2, most + 1), True, key=enough) + 2
    return n if n <= most else None


def welch_df(s1: float, s2: float, n1: int, n2: int) -> float:
    """Return the degrees of freedom of Welch and Satterthwaite for two standard deviations, not both zero."""
    v1, v2 = s1**2 / n1, s2**2 / n2
    return max(1.0, (v1 + v2) ** 2 / (v1**2 / (n1 - 1) + v2**2 / (n2 - 1)))  # 1 is the least, but for rounding


def median_interval(values: Sequence[float], level: float = LEVEL) -> tuple[float, float]:
    """Return the interval of the median from order statistics: the narrowest that is sure enough.

    If the values are independent, the k-th smallest and the k-th largest of n enclose the true median with probability
    1 - 2 P(B < k), B binomial of n tosses of a fair coin, whatever the distribution. The largest k is taken for which
    that is at least ``level``.

    Raises:
        ValueError: too few values for that even with the smallest and the largest (5 at 95 %), or no finite ones.
    """
    n = sample(values).n
    outside, k = 0.0, 0
    while k < n and (outside := outside + math.comb(n, k) / 2**n) <= (1 - level) / 2:
        k += 1
    if k == 0:
        raise ValueError(f"{n} values have no interval of their median at level {level}")
    ordered = sorted(values)
    return ordered[k - 1], ordered[n - k]


def t_quantile(p: float, df: float) -> float:
    """Return the quantile of Student's t distribution, for ``df`` >= 1 that need not be whole.

    Neither numpy nor torch has it. t = sqrt(df) tan(angle) turns the density into a constant times
    cos(angle)^(df - 1), which is smooth on a finite interval; the quantile is found by bisecting the angle.
    """
    if not 0 < p < 1 or not df >= 1:
        raise ValueError(f"needs 0 < p < 1 and df >= 1, got p = {p}, df = {df}")
    constant = math.exp(math.lgamma((df + 1) / 2) - math.lgamma(df / 2)) / math.sqrt(math.pi)
    angle = _root(lambda upper: constant * _integral(upper, df) - abs(p - 0.5), 0.0, math.pi / 2)
    return math.copysign(math.sqrt(df) * math.tan(angle), p - 0.5)


_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)


def _integral(upper: float, df: float) -> float:
    """The integral of cos(angle)^(df - 1) from 0 to ``upper``."""
    angles = upper * (_NODES + 1) / 2
    return float(upper / 2 * (_WEIGHTS @ np.cos(angles) ** (df - 1)))


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """The zero of an increasing function between ``low`` and ``high``, by bisection."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) < 0 else (low, middle)
    return (low + high) / 2
