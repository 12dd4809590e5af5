"""Which run is worth the most now: a pure function from what is missing to the order of work.

The rule, best first:

1. A run that has begun is finished before a new one begins, the one that is furthest along first.
2. An experiment that failed when it was last tried waits behind all others.
3. Each data set and protocol is worked through in rounds, so that every row of its tables has its first seed before any
   has its second. Of two protocols, the one goes first whose next round fills more cells an hour; a seed after n others
   counts 1/(n + 1), since the first fills a cell and the others only narrow its interval.
4. Within a round, a baseline and the rows that are compared with it stand together: the baseline first, since without
   it a method's number says little, then the paper's other rows, then the controls of ours. Of two baselines, the one
   goes first whose rows fill more cells an hour; of two methods or two controls likewise.

Whatever is equal stands in the order of names and seeds, so that the same work gives the same list everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby


@dataclass(frozen=True)
class Use:
    """One row of a published table that an experiment fills, with the number of its cells that need the run.

    released: the experiment that tests the weights which the authors released for this row; "" if they did not.
    """

    table: str
    row: str
    kind: str
    cells: int
    released: str = ""


@dataclass(frozen=True)
class Estimate:
    """Hours that one seed takes; `measured` here, or by a rule of thumb. `basis` says on what, in a few words."""

    hours: float
    measured: bool
    basis: str


@dataclass(frozen=True)
class Experiment:
    """An experiment that lacks seeds.

    baseline: the experiment that it is compared with in its tables; its own name if it is a baseline itself.
    wanted, done: seeds that are asked for; seeds in the ledger, finished or diverged (which is a result, too).
    begun: epochs that are done, by seed, of runs with a checkpoint in the work folder. failed: the last error, by seed.
    running: seeds that another process trains just now; there is nothing to do for them.
    """

    name: str
    uses: tuple[Use, ...]
    baseline: str
    epochs: int
    wanted: tuple[int, ...]
    done: frozenset[int] = frozenset()
    begun: tuple[tuple[int, int], ...] = ()
    failed: tuple[tuple[int, str], ...] = ()
    running: tuple[int, ...] = ()
    estimate: Estimate | None = None

    @property
    def family(self) -> str:
        """Data set and protocol."""
        return self.name.rpartition("/")[0]

    @property
    def cells(self) -> int:
        """Published cells that a run of this experiment serves."""
        return sum(use.cells for use in self.uses)

    @property
    def missing(self) -> tuple[int, ...]:
        """Wanted seeds without a result, in the order in which they are asked for."""
        return tuple(seed for seed in self.wanted if seed not in self.done)

    def share_left(self, seed: int) -> float:
        """What is left of a run: 1 before it began."""
        return 1 - dict(self.begun).get(seed, 0) / self.epochs if self.epochs else 1.0

    def hours_left(self, seed: int) -> float | None:
        """Estimated hours until this seed is finished; None where nothing is known."""
        return None if self.estimate is None else self.estimate.hours * self.share_left(seed)


@dataclass(frozen=True)
class Run:
    """One run to do: an experiment and a seed. `round` counts the seeds that stand before it."""

    experiment: Experiment
    seed: int
    round: int

    @property
    def name(self) -> str:
        return self.experiment.name

    @property
    def hours(self) -> float | None:
        return self.experiment.hours_left(self.seed)

    @property
    def worth(self) -> float:
        """Cells that it fills, less for a later seed."""
        return self.experiment.cells / (self.round + 1)


def best_first(experiments: Iterable[Experiment]) -> list[Run]:
    """All missing runs of the experiments in the order of the rule above."""
    runs = [run for experiment in experiments for run in missing_runs(experiment)]
    failed = [run for run in runs if run.seed in dict(run.experiment.failed)]
    sound = [run for run in runs if run.seed not in dict(run.experiment.failed)]
    begun = [run for run in sound if run.seed in dict(run.experiment.begun)]
    fresh = [run for run in sound if run.seed not in dict(run.experiment.begun)]
    return sorted(begun, key=_furthest) + _by_value(fresh) + _by_value(failed)


def missing_runs(experiment: Experiment) -> list[Run]:
    """The runs that an experiment lacks and nobody trains, its rounds counted from the wanted seeds that are there."""
    there = sum(seed in experiment.done for seed in experiment.wanted)
    runs = [Run(experiment, seed, there + index) for index, seed in enumerate(experiment.missing)]
    return [run for run in runs if run.seed not in experiment.running]


def _by_value(runs: Iterable[Run]) -> list[Run]:
    queues: list[list[list[Run]]] = []
    for _, family in groupby(sorted(runs, key=lambda run: (run.experiment.family, run.round)), _family):
        queues.append([list(members) for _, members in groupby(family, lambda run: run.round)])
    ordered: list[Run] = []
    while queues:
        # A family's rounds stay in their order, so only the heads compete; the first of equals is the first by name.
        best = max(queues, key=lambda queue: _rate(queue[0]))
        ordered += _round(best.pop(0))
        queues = [queue for queue in queues if queue]
    return ordered


def _round(runs: Sequence[Run]) -> list[Run]:
    compared: dict[str, list[Run]] = {}
    for run in runs:
        compared.setdefault(run.experiment.baseline or run.name, []).append(run)
    clusters = sorted(compared.items(), key=lambda item: (-_rate(item[1]), item[0]))
    return [run for _, cluster in clusters for run in sorted(cluster, key=_within)]


def _within(run: Run) -> tuple[bool, bool, float, str, int]:
    ours = all(use.kind == "control" for use in run.experiment.uses)
    return run.name != run.experiment.baseline, ours, -_rate([run]), run.name, run.seed


def _rate(runs: Sequence[Run]) -> float:
    """Worth an hour, of those whose hours are known; 0 where none are, so that they wait."""
    known = [(run.worth, run.hours) for run in runs if run.hours is not None]
    return sum(worth for worth, _ in known) / max(sum(hours for _, hours in known), 1e-9)


def _family(run: Run) -> str:
    return run.experiment.family


def _furthest(run: Run) -> tuple[float, str, int]:
    return run.experiment.share_left(run.seed), run.name, run.seed
