"""Whose turn it is, and what the clock says.

A *round* gives each entrant one run, in an order that is drawn anew for each round (from a fixed seed), so that neither
a machine which slowly changes its speed nor a neighbour that heats the core favours any. A *run* is one call whose time
is not taken, after which caches hold what this entrant needs and nothing of its neighbour, and then as many calls as
make a time that the clock can tell.
"""

from __future__ import annotations

import gc
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

MIN_ROUNDS = 11  # the 95 % interval of a median of so many runs from the second to the second largest
MAX_ROUNDS = 301
SHORTEST = 0.02  # seconds of a run's timed calls, at least
WARM_UP = {"cpu": (3, 0.2), "cuda": (10, 1.0)}  # calls and seconds at least, of each entrant

Clock = Callable[[], float]
Nothing = Callable[[], None]


@dataclass
class Turns:
    """An entrant's share of the rounds. call: one call; wait: until the device is done; seconds: of one, run by run."""

    call: Nothing
    wait: Nothing
    calls: int
    seconds: list[float]


def warm_up(call: Nothing, wait: Nothing, device: str, clock: Clock = perf_counter) -> float:
    """Call until caches, clocks and the device's own searches have settled; seconds of one call, the last ones' least.

    What compiles at the first call must have compiled before.
    """
    calls, seconds = WARM_UP[device]
    found: list[float] = []
    began = clock()
    while len(found) < calls or clock() - began < seconds:
        start = clock()
        call()
        wait()
        found.append(clock() - start)
    return min(found[-3:])


def take_turns(
    entrants: Sequence[tuple[Nothing, float]], seconds: float, wait: Nothing, clock: Clock = perf_counter
) -> list[Turns]:
    """Rounds of about `seconds` an entrant; MIN_ROUNDS at least and MAX_ROUNDS at most, as many for all.

    entrants: a call, and about how many seconds it takes.
    """
    turns = [Turns(call, wait, max(1, math.ceil(SHORTEST / expected)), []) for call, expected in entrants]
    a_round = sum((1 + one.calls) * expected for one, (_, expected) in zip(turns, entrants, strict=True))
    rounds = max(MIN_ROUNDS, min(MAX_ROUNDS, int(seconds * len(turns) / a_round)))
    draw = random.Random(0)
    collects = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for one in draw.sample(turns, len(turns)):
                one.seconds.append(_run(one, clock))
    finally:
        if collects:
            gc.enable()
    return turns


def _run(one: Turns, clock: Clock) -> float:
    """Seconds of one call, to the nanosecond."""
    one.call()
    one.wait()
    start = clock()
    for _ in range(one.calls):
        one.call()
    one.wait()
    return round((clock() - start) / one.calls, 9)
