"""Questions that the papers raise and do not answer, each with the pairs of networks that would answer it.

A pair is answered under every protocol that has runs of both sides: by the difference of their means with its 95 %
interval, which tells whether the first is better *beyond noise*. These are comparisons of ours; the verdicts on what
the papers claim stand in :mod:`benchmarks.reports.claims`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.ledger import RunResult
from benchmarks.reports.claims import compared
from benchmarks.reports.sources import Run, by_seed
from benchmarks.statistics import Difference, seeds_needed

Answer = Literal["better", "worse", "undecided", "not measured"]


@dataclass(frozen=True)
class Pair:
    """Two networks of one data set. ``said``: what the source says of the difference, in its words."""

    dataset: str
    model: str
    versus: str
    said: str = ""
    metric: str = "top1_accuracy"


@dataclass(frozen=True)
class Question:
    """A question, where it comes from, and its pairs. ``masks``: what the masks of its runs did is a part of it."""

    title: str
    source: str
    pairs: tuple[Pair, ...]
    masks: bool = False


@dataclass(frozen=True)
class Answered:
    """A pair under one protocol; ``protocol`` is empty where no protocol has runs of both sides.

    ``seeds``: as many a side would tell the difference from zero; None where that is not known or too many.
    """

    pair: Pair
    protocol: str
    proxy: bool
    n: tuple[int, int]
    measured: Difference | None
    answer: Answer
    seeds: int | None


def _cifar10(model: str, versus: str, said: str = "") -> Pair:
    return Pair("cifar10", model, versus, said)


def _cifar100(model: str, versus: str, said: str = "") -> Pair:
    return Pair("cifar100", model, versus, said)


_SEPARATE, _SHARED = (f"{kind}_l_versatile_resnet56_cifar_s2" for kind in ("separate", "shared"))
QUESTIONS = (
    Question(
        "Does SlimConv lose on small networks?",
        "A user of the released code reported 90.55 % with SlimConv and 92.04 % without, for ResNet-20 on CIFAR-10. "
        "The paper trains no ResNet-20; for ResNet-56 on CIFAR-100 its Table V prints a gain.",
        (
            _cifar10("sc_resnet20_cifar", "resnet20_cifar", "−1.49 by the user"),
            _cifar100("sc_resnet56_cifar", "resnet56_cifar", "+0.12 in Table V"),
        ),
    ),
    Question(
        "Does the flip matter beyond noise?",
        "SlimConv's Table XI shuffles the weights (sf) in place of flipping them, or adds a third branch with shuffled "
        "weights (3b\\_sf); Table X flips none (noflip). Both print one number for each, without a spread. ResNet-20 "
        "is in no table; it is small enough for several seeds.",
        (
            _cifar100("sc_resnet50_cifar", "sc_resnet50_cifar_sf", "+0.62 in Table XI"),
            _cifar100("sc_resnet50_cifar", "sc_resnet50_cifar_3b_sf", "+0.10 in Table XI"),
            Pair("imagenet", "sc_resnet50", "sc_resnet50_noflip", "+0.42 in Table X"),
            _cifar10("sc_resnet20_cifar", "sc_resnet20_cifar_sf"),
            _cifar10("sc_resnet20_cifar", "sc_resnet20_cifar_noflip"),
        ),
    ),
    Question(
        "Do learned masks beat random ones?",
        'Section 5.1.3 of Versatile Filters compares with random masks "in Table 1", which has no such rows.',
        (_cifar10(_SEPARATE, f"{_SEPARATE}_rand"), _cifar10(_SHARED, f"{_SHARED}_rand")),
        masks=True,
    ),
    Question(
        "Does the paper's literal mask update learn at all?",
        "By Eq. 22 to 25 of Versatile Filters to the letter, masks restart from 0 or 1 before every step "
        "([why that is not our default](../docs/masks.md)).",
        (_cifar10(f"{_SEPARATE}_literal", f"{_SEPARATE}_rand"), _cifar10(f"{_SEPARATE}_literal", _SEPARATE)),
        masks=True,
    ),
    Question(
        "Does a thinner plain network of equal cost do as well?",
        "No table of either paper has one on CIFAR. These are plain ResNets, thinned to the method's multiplications.",
        (
            _cifar10("s_versatile_resnet56_cifar", "resnet56_cifar_at_63m"),
            _cifar10(_SEPARATE, "resnet56_cifar_at_67m"),
            _cifar10("s_c_versatile_resnet56_cifar", "resnet56_cifar_at_31m"),
            _cifar10("sc_resnet20_cifar", "resnet20_cifar_at_20m"),
            _cifar100("sc_resnet56_cifar", "resnet56_cifar_at_66m"),
            _cifar100("sc_resnet50_cifar", "resnet50_cifar_at_829m"),
        ),
    ),
)


def answers(question: Question, runs: Sequence[Run]) -> Iterator[Answered]:
    """Yield each pair under each protocol that has runs of both sides, full ones first, or once as not measured."""
    for pair in question.pairs:
        mine = [run for run in runs if run.trained and run.dataset == pair.dataset and run.metric == pair.metric]
        found = [_answered(pair, mine, protocol, proxy) for protocol, proxy in protocols(mine, pair.dataset)]
        both = [one for one in found if one.measured]
        yield from both or [Answered(pair, "", False, (0, 0), None, "not measured", None)]


def protocols(runs: Iterable[Run], dataset: str) -> list[tuple[str, bool]]:
    """Return the protocols of a data set's trainings and whether each is a proxy: proxies last, long to short."""
    epochs: dict[tuple[str, bool], int] = {}
    for run in runs:
        if run.trained and run.dataset == dataset:
            key = run.protocol, run.proxy
            epochs[key] = max(run.epochs, epochs.get(key, 0))
    return sorted(epochs, key=lambda key: (key[1], -epochs[key], key[0]))


def mask_lines(question: Question, results: Iterable[tuple[str, RunResult]]) -> list[str]:
    """Say what the masks of each pair's first network did in training, one line a network and protocol."""
    models = {pair.model for pair in question.pairs}
    groups: dict[tuple[str, str], list[RunResult]] = {}
    for _, result in results:
        told = all(_known(result, name) for name in ("masks_changed", "share_of_ones"))
        if question.masks and told and result.model in models:
            groups.setdefault((result.model, f"{result.dataset.name}/{result.protocol.name}"), []).append(result)
    return [_mask_line(model, protocol, found) for (model, protocol), found in sorted(groups.items())]


def _answered(pair: Pair, runs: Sequence[Run], protocol: str, proxy: bool) -> Answered:
    sides, found = compared(runs, ((pair.model, protocol), (pair.versus, protocol)), pair.metric, proxy)
    answer: Answer = "not measured"
    seeds = None
    if found is not None:
        answer = "undecided"
        if found.low is not None and found.high is not None:
            answer = "better" if found.low > 0 else "worse" if found.high < 0 else "undecided"
        if answer == "undecided" and found.spread is not None:
            seeds = seeds_needed(found, 0.0)
    return Answered(pair, protocol, proxy, (len(by_seed(sides[0])), len(by_seed(sides[1]))), found, answer, seeds)


def _mask_line(model: str, protocol: str, results: Sequence[RunResult]) -> str:
    """Means over the runs. An entry that flips twice counts twice: the sum is the most that can have changed."""
    changed = [math.fsum(_known(result, "masks_changed")) for result in results]
    first, last = ([_known(result, "share_of_ones")[index] for result in results] for index in (0, -1))
    mean = [100 * math.fsum(values) / len(values) for values in (changed, first, last)]
    runs = f"{len(results)} run{'s' * (len(results) > 1)}"
    return (
        f"`{model}`, {protocol} ({runs}): at most {mean[0]:.2f} % of the mask entries changed in training; "
        f"{mean[1]:.1f} % were ones after the first epoch, {mean[2]:.1f} % at the end."
    )


def _known(result: RunResult, name: str) -> list[float]:
    return [float(value) for value in result.curves.get(name, ()) if value is not None]
