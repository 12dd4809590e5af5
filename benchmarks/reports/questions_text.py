"""The questions of ours in words: what was measured, and for the rest the command and its cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.ledger import RunResult
from benchmarks.reports import claims_text, questions
from benchmarks.reports.cells import Report
from benchmarks.reports.effort import Effort, Work
from benchmarks.reports.findings_claims import NONE, needed, side
from benchmarks.reports.questions import Answered, Pair, Question
from benchmarks.reports.sources import Run


def section(
    question: Question,
    runs: Sequence[Run],
    results: Iterable[tuple[str, RunResult]],
    effort: Effort,
    tables: Sequence[Report],
) -> dict[str, Any]:
    """Return what the page says of a question; ``tables`` tell the papers' protocols."""
    found = list(questions.answers(question, runs))
    return {
        "title": question.title,
        "source": question.source,
        "measured": [_measured(one, effort) for one in found if one.measured],
        "missing": [_missing(one.pair, runs, effort, tables) for one in found if not one.measured],
        "masks": questions.mask_lines(question, results),
        "outcomes": [one.answer for one in found],
    }


def _measured(one: Answered, effort: Effort) -> tuple[str, ...]:
    """Pair, what was said, protocol, both sides, difference, answer, what would decide it."""
    pair, found = one.pair, one.measured
    assert found is not None
    answer = str(one.answer)
    if one.answer == "undecided":
        answer += ": one run has no spread" if found.spread is None else ": the interval holds zero"

    def cost(more: tuple[int, int]) -> str:
        models = zip((pair.model, pair.versus), more, strict=True)
        return effort.words(Work(pair.dataset, one.protocol, model, number) for model, number in models)

    return (
        _named(pair),
        pair.said or NONE,
        f"{pair.dataset}/{one.protocol}{', a proxy' if one.proxy else ''}",
        f"{side(found.a)} against {side(found.b)}",
        claims_text.interval(found),
        answer,
        needed(found, one.seeds, one.n, cost) if one.answer == "undecided" else NONE,
    )


def _missing(pair: Pair, runs: Sequence[Run], effort: Effort, tables: Sequence[Report]) -> str:
    """A pair that no protocol has both sides of: the command of the nearest proxy, and what the full protocol takes."""
    short = [name for name, proxy in questions.protocols(runs, pair.dataset) if proxy][:1]
    full = [report.table.protocol for report in tables if report.table.dataset == pair.dataset][:1]
    words = [f"{_named(pair)}{f' ({pair.said})' if pair.said else ''}:"]
    for index, protocol in enumerate(short + full):
        done = {run.model for run in runs if (run.dataset, run.protocol) == (pair.dataset, protocol) and run.finished}
        models = [model for model in (pair.model, pair.versus) if model not in done]
        cost = effort.words(Work(pair.dataset, protocol, model) for model in models) or "unknown"
        if index == 0:
            names = " ".join(f"{pair.dataset}/{protocol}/{model}" for model in models)
            words.append(f"`slimbench train {names} --seeds 0-1`{', a proxy' if short else ''}; a seed: {cost}.")
        else:
            words.append(f"A seed under the paper's `{protocol}`: {cost}.")
    return " ".join(words)


def _named(pair: Pair) -> str:
    return f"`{pair.model}` against `{pair.versus}`"
