"""Where our numbers come from: a counter for what is counted, the ledger's runs for what is trained and tested."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

_TEST_SPLITS = ("test", "val")


class Counts(Protocol):
    """What a counter returns: the numbers of ``benchmarks.complexity.Complexity``."""

    @property
    def params(self) -> int: ...
    @property
    def macs(self) -> int: ...
    @property
    def mul(self) -> int: ...
    @property
    def add(self) -> int: ...
    @property
    def weight_bytes(self) -> int: ...


class Counter(Protocol):
    """Counts a named model.

    ``counter(model, input, convention, classes)``; a model that fails raises :class:`UserError`.
    """

    def __call__(self, model: str, input_size: str, convention: str, classes: int | None) -> Counts: ...

    def models(self) -> Sequence[str]:
        """Return the names of all models that there are."""
        ...


class ComplexityCounter:
    """The real counter: ``benchmarks.complexity``, imported when first asked, each answer kept."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, str, int | None], Counts | UserError] = {}

    def __call__(self, model: str, input_size: str, convention: str, classes: int | None) -> Counts:
        """Count ``model`` for an input such as ``3x224x224``."""
        asked = (model, input_size, convention, classes)
        if asked not in self._kept:
            self._kept[asked] = self._count(*asked)
        answer = self._kept[asked]
        if isinstance(answer, UserError):
            raise answer
        return answer

    def models(self) -> Sequence[str]:
        """Return the names of all models of ``backbones``."""
        import backbones

        return list(backbones.list_models())

    @staticmethod
    def _count(model: str, input_size: str, convention: str, classes: int | None) -> Counts | UserError:
        from benchmarks.complexity import count, parse_input

        try:
            return count(model, parse_input(input_size), convention, num_classes=classes)
        except UserError as error:
            return error
        except Exception as error:  # noqa: BLE001 (one model's failure must not stop the other tables)
            return UserError(f"counting {model} failed: {type(error).__name__}: {error}")


@dataclass(frozen=True)
class Run:
    """One metric of one finished run, as the ledger's frame holds it."""

    dataset: str
    protocol: str
    proxy: bool
    trained: bool
    model: str
    seed: int
    metric: str
    value: float
    epochs: int
    path: str


def runs_of(frame: pd.DataFrame) -> list[Run]:
    """Return the finished runs of a ledger frame, in a fixed order; training-set metrics are left out."""
    rows: list[dict[str, Any]] = [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]
    runs = [
        Run(
            dataset=str(row["dataset"]),
            protocol=str(row["protocol"]),
            proxy=bool(row["proxy"]),
            trained=row["origin"] == "train",
            model=str(row["model"]),
            seed=int(row["seed"]),
            metric=str(row["metric"]),
            value=float(row["value"]),
            epochs=int(row["epochs"]),
            path=str(row["path"]),
        )
        for row in rows
        if row["status"] == "finished" and row["split"] in _TEST_SPLITS
    ]
    return sorted(runs, key=lambda run: (run.path, run.metric))


def ledger_runs(results: Path | None, warn: Callable[[str], None]) -> Sequence[Run]:
    """Read the ledger under ``results`` (its usual place if None); broken files go to ``warn`` as one line each.

    Raises:
        UserError: ``results`` is given and no folder.
    """
    from benchmarks import ledger

    if results is not None and not results.is_dir():
        raise UserError(f"no folder {results} with results")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        frame = ledger.load(results)
    for warning in caught:
        warn(str(warning.message))
    return runs_of(frame)
