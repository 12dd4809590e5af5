from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import digits


@pytest.mark.parametrize(
    ("printed", "ours", "agree"),
    [
        ("4.09", "4.089184256", True),  # rounded
        ("1.1", "1.15", True),  # truncated; rounding gives 1.2 (or 1.2)
        ("1.2", "1.15", True),  # half up
        ("75.6", "75.67", True),
        ("3.0", "3.08", True),
        ("2.2", "1.70", False),
        ("2.65", "2.66", False),
        ("2.65", "2.6449", False),
        ("5.0", "4.96", True),
        ("5", "4.96", True),
        ("0.3", "0.2999", True),
        ("0.3", "0.4", False),
        ("16.76", "16.75874", True),
        ("-1.5", "-1.55", True),
    ],
)
def test_agrees_when_ours_rounds_or_truncates_to_the_printed_digits(printed, ours, agree):
    assert digits.agrees(printed, Decimal(ours)) is agree


def test_a_binary_fraction_decides_no_tie():
    assert digits.agrees("2.68", digits.at_scale(2_675_000, 1e6))  # float: 2.675 is 2.67499999...
    assert digits.at_scale(0.1 + 0.2) != Decimal(0.1 + 0.2)  # the decimal that Python prints, not the stored one


@given(st.integers(1, 10**12), st.integers(0, 6))
def test_every_number_agrees_with_its_own_rounding_and_truncation(count, places):
    ours = digits.at_scale(count, 1e6)
    rounded, truncated = f"{ours:.{places}f}", str(ours)
    whole, _, fraction = f"{ours:f}".partition(".")
    truncated = f"{whole}.{fraction[:places].ljust(places, '0')}" if places else whole
    assert digits.agrees(rounded, ours)
    assert digits.agrees(truncated, ours)


@given(st.integers(1, 10**9), st.integers(0, 4))
def test_two_units_in_the_last_place_never_agree(count, places):
    ours = digits.at_scale(count, 1e5)
    step = Decimal(1).scaleb(-places)
    far = (ours + 2 * step).quantize(step)
    assert not digits.agrees(f"{far:f}", ours)


def test_scaling_is_exact():
    assert digits.at_scale(4_089_184_256, 1e9) == Decimal("4.089184256")
    assert digits.at_scale(1_048_576, 1_048_576) == 1
    assert digits.at_scale(0, 1e6) == 0


@pytest.mark.parametrize(
    ("text", "number"), [("23.85", True), ("-", False), ("2,65", False), ("4.3e5", False), ("", False)]
)
def test_only_plain_decimal_numbers_are_numbers(text, number):
    assert digits.is_number(text) is number


def test_relative_difference():
    assert digits.relative_difference("2.0", Decimal("2.1")) == pytest.approx(0.05)
    assert digits.relative_difference("0", Decimal(1)) is None


def test_numbers_are_shown_without_exponents_or_a_signed_zero():
    assert digits.show(Decimal("4.089184256"), 4) == "4.0892"
    assert digits.show_exact(Decimal("1E+3")) == "1000"
    assert digits.show_exact(Decimal("2.50")) == "2.5"
    assert digits.show_percent(-0.00001, 2) == "0.00%"
    assert digits.show_percent(0.0123, 1) == "+1.2%"
