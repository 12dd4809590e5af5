"""Arithmetic on printed numbers: what "agrees with the printed digits" means.

A paper prints "2.65" and means some number near it. Ours agrees when it rounds *or* truncates to exactly the
printed digits, at the printed scale; authors do both (1.15 -> 1.1 as well as 4.0892 -> 4.09). All of it is decimal
arithmetic, so that no binary fraction decides a tie.
"""

from __future__ import annotations

import re
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal

NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
NOT_PRINTED = "-"
# Significant digits kept when one of our numbers is divided by a scale: more than any count has.
_KEEP = 15


def is_number(printed: str) -> bool:
    """Say whether ``printed`` is a plain decimal number such as ``"23.85"``."""
    return NUMBER.fullmatch(printed) is not None


def decimals(printed: str) -> int:
    """Return how many digits ``printed`` has after its point: ``decimals("2.65") == 2``."""
    return len(printed.partition(".")[2])


def exact(value: float | Decimal) -> Decimal:
    """Return ``value`` as the decimal number that Python prints for it (0.1 is 0.1, not 0.1000000000000000055)."""
    return value if isinstance(value, Decimal) else Decimal(str(value))


def at_scale(value: float | Decimal, scale: float = 1.0) -> Decimal:
    """Return ``value / scale``, e.g. 4,089,184,256 at 1e9 as ``Decimal("4.089184256")``."""
    quotient = exact(value) / exact(scale)
    return quotient if quotient == 0 else round(quotient, _KEEP - 1 - quotient.adjusted())


def agrees(printed: str, ours: Decimal) -> bool:
    """Say whether ``ours`` (at the printed scale) rounds or truncates to the digits of ``printed``.

    >>> agrees("1.1", Decimal("1.15")), agrees("4.09", Decimal("4.0892")), agrees("2.2", Decimal("1.70"))
    (True, True, False)
    """
    step = Decimal(1).scaleb(-decimals(printed))
    target = Decimal(printed)
    return any(ours.quantize(step, mode) == target for mode in (ROUND_HALF_UP, ROUND_HALF_EVEN, ROUND_DOWN))


def relative_difference(printed: str, ours: Decimal) -> float | None:
    """Return ``ours / printed - 1``; where the paper prints zero, 0 if ours is zero too and else None."""
    target = Decimal(printed)
    if target == 0:
        return 0.0 if ours == 0 else None
    return float(ours / target - 1)


def show(value: Decimal, places: int) -> str:
    """Return ``value`` with ``places`` digits after the point, thousands separated by nothing."""
    return f"{value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN):f}"


def show_exact(value: Decimal) -> str:
    """Return all digits of ``value`` without an exponent and without trailing zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def show_percent(ratio: float, places: int = 1) -> str:
    """Return a ratio as a signed percentage, ``+0.1%``; a zero has no sign."""
    text = f"{100 * ratio:+.{places}f}"
    return f"{text.lstrip('+-')}%" if float(text) == 0 else f"{text}%"
