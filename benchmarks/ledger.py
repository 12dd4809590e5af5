"""The ledger: one small JSON file a run under `results/`, read as one tidy pandas frame.

    results/<dataset>/<protocol>/<model>/seed<seed>-<run_id>.json

A run's identity is data set / protocol / model, never a table of a paper: a table's cell refers to it, and one run may
serve three tables. Files are written atomically and never rewritten by another run, so that the results of two machines
merge as git merges files. They are validated on writing and on reading. `OTHER_RECORDS` names folders that hold other
things than runs.
"""

from __future__ import annotations

import json
import math
import os
import re
import warnings
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from benchmarks import sample_files
from benchmarks.atomic import replacing
from benchmarks.environment import Environment, GitState
from benchmarks.sample_files import Sample

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 1
ENVIRONMENT_VARIABLE = "SLIMBENCH_RESULTS"
#: `benchmarks.iteration_cost.keeping`
ITERATION_COSTS = "iteration-costs"
#: `benchmarks.latency.keeping`
LATENCY = "latency"
#: Folders of the ledger, beside those of data sets, that have a schema and a reader of their own.
OTHER_RECORDS = frozenset({ITERATION_COSTS, LATENCY})
COLUMNS = (
    "run", "dataset", "protocol", "proxy", "model", "seed", "metric", "value", "unit", "split", "epochs", "status",
    "origin", "commit", "dirty", "device", "wall_time_s", "finished_at", "path",
)  # fmt: skip
_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Dataset(_Strict):
    """checksum: "sha256:..." over pixels and labels (ImageNet: its files' names and sizes); splits: images a split."""

    name: str = Field(pattern=_NAME)
    checksum: str = Field(pattern=r"^(sha256|md5):[0-9a-f]+$")
    splits: dict[str, int]

    @field_validator("name")
    @classmethod
    def _no_other_record(cls, value: str) -> str:
        if value in OTHER_RECORDS:
            raise ValueError(f"{value!r} is the ledger's folder of other records")
        return value


class Protocol(_Strict):
    """A training recipe by name; `proxy` says that it is shorter than the paper's."""

    name: str = Field(pattern=_NAME)
    proxy: bool
    epochs: int = Field(ge=0)
    description: str


class Metric(_Strict):
    """One number that was measured, with its unit and the split it was measured on."""

    name: str = Field(pattern=_NAME)
    value: float
    unit: str
    split: str

    @model_validator(mode="after")
    def _percentages(self) -> Metric:
        if self.unit == "%" and not 0 <= self.value <= 100:
            raise ValueError(f"{self.name} = {self.value} % is outside 0..100")
        return self


class RunResult(_Strict):
    """One run: trained here (`origin` "train"), or a checkpoint tested here (`origin` "test", `checkpoint` its sha256).

    trained_as: where a protocol only tests, the experiment whose finished training left the checkpoint, if it says so.
    curves: a list a quantity, one entry an epoch, None where it was not measured in that epoch.
    num_classes: 0 where the task has none.
    total_batch: images a step of training, of all `environment.processes` together; None where it was not noted.
    samples: pictures in the folder that is named like the file, without its suffix.
    """

    schema_version: Literal[1] = 1
    origin: Literal["train", "test"] = "train"
    run_id: str = Field(pattern=_NAME)
    dataset: Dataset
    protocol: Protocol
    model: str = Field(pattern=_NAME)
    input_size: tuple[int, int, int]
    num_classes: int = Field(ge=0)
    seed: int = Field(ge=0)
    status: Literal["finished", "diverged", "failed"]
    metrics: tuple[Metric, ...] = ()
    epochs_done: int = Field(ge=0)
    wall_time_s: float = Field(ge=0)
    started_at: datetime
    finished_at: datetime
    environment: Environment
    git: GitState
    total_batch: int | None = Field(default=None, ge=1)
    checkpoint: str | None = Field(default=None, pattern=r"^sha256:[0-9a-f]{64}$")
    trained_as: str = ""
    curves: dict[str, tuple[int | float | None, ...]] = {}
    samples: tuple[Sample, ...] = ()
    notes: tuple[str, ...] = ()

    @field_validator("started_at", "finished_at")
    @classmethod
    def _with_zone(cls, value: datetime) -> datetime:
        if value.utcoffset() is None:
            raise ValueError("needs a time zone (UTC)")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> RunResult:
        lengths = {len(column) for column in self.curves.values()}
        if len(lengths) > 1:
            raise ValueError(f"curves differ in length: {sorted(lengths)}")
        if self.status == "finished" and not self.metrics:
            raise ValueError("a finished run needs at least one metric")
        if self.origin == "test" and self.checkpoint is None:
            raise ValueError("a test of a checkpoint needs the checkpoint's sha256")
        return self

    @property
    def identity(self) -> str:
        return identity(self.dataset.name, self.protocol.name, self.model)

    @property
    def relative_path(self) -> Path:
        return Path(self.identity) / f"seed{self.seed}-{self.run_id}.json"


def identity(dataset: str, protocol: str, model: str) -> str:
    """What a run is a run of: "cifar10/paper-400e/resnet56_cifar"."""
    return f"{dataset}/{protocol}/{model}"


def results_dir(root: str | os.PathLike[str] | None = None) -> Path:
    """The ledger: `root`, else SLIMBENCH_RESULTS, else the checkout's `results/`, else the user's data folder."""
    chosen = root or os.environ.get(ENVIRONMENT_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    checkout = Path(__file__).resolve().parents[1]
    if (checkout / "pyproject.toml").is_file() and (checkout / "mmconfigs").is_dir():
        return checkout / "results"
    from platformdirs import user_data_path

    return user_data_path("slimbench") / "results"


def dumps(result: RunResult) -> str:
    """The file's text: keys in the schema's order, lists of numbers on one line, a newline at the end."""
    text = json.dumps(result.model_dump(mode="json"), indent=2, allow_nan=False, ensure_ascii=False)
    number = r"(?:null|-?\d[\d.eE+-]*)"
    one_line = re.compile(rf"\[\s*{number}(?:,\s*{number})*\s*\]")
    return one_line.sub(lambda match: re.sub(r"\s+", " ", match[0]).replace("[ ", "[").replace(" ]", "]"), text) + "\n"


def write(result: RunResult, root: str | os.PathLike[str] | None = None, samples: Path | None = None) -> Path:
    """Validate and write a result atomically, its pictures first; return its path.

    samples: the folder that holds the pictures which the result lists; None where they stand beside it already.
    Raises pydantic.ValidationError, and ValueError if a listed picture is not there.
    """
    result = RunResult.model_validate(result.model_dump())
    path = results_dir(root) / result.relative_path
    beside = sample_files.folder_of(path)
    sample_files.copy(result.samples, samples or beside, beside)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(dumps(result))
        stream.flush()
        os.fsync(stream.fileno())
    return path


def read(path: str | os.PathLike[str]) -> RunResult:
    """Read and validate one file. Raises OSError, ValueError or pydantic.ValidationError (a ValueError)."""
    return RunResult.model_validate_json(Path(path).read_text(encoding="utf-8"))


def runs(root: str | os.PathLike[str] | None = None) -> list[tuple[str, RunResult]]:
    """All readable runs with their paths relative to the ledger, sorted by path.

    A broken file, or one that lies where its own content says it does not belong, is named in a warning and skipped.
    A picture that is missing or altered is named in a warning, and its run is kept.
    """
    folder = results_dir(root)
    found: list[tuple[str, RunResult]] = []
    for path in sorted(folder.rglob("*.json")):
        relative = path.relative_to(folder)
        if relative.parts[0] in OTHER_RECORDS or any(part.startswith(".") for part in relative.parts):
            continue
        try:
            result = read(path)
        except (OSError, ValueError) as error:
            warnings.warn(f"skipping broken result {relative}: {first_problem(error)}", stacklevel=2)
            continue
        if result.relative_path != relative:
            warnings.warn(f"skipping result {relative}: it says it is {result.relative_path.as_posix()}", stacklevel=2)
            continue
        for problem in sample_files.problems(result.samples, sample_files.folder_of(path)):
            warnings.warn(f"result {relative}: {problem}", stacklevel=2)
        found.append((relative.as_posix(), result))
    return found


def load(root: str | os.PathLike[str] | None = None) -> pd.DataFrame:
    """The ledger as a tidy frame, one metric of one run a row, with the columns `COLUMNS`.

    A run without metrics (diverged, failed) is one row whose metric and value are missing.
    """
    import pandas as pd

    rows: list[dict[str, object]] = []
    for path, result in runs(root):
        common = {
            "run": result.identity, "dataset": result.dataset.name, "protocol": result.protocol.name,
            "proxy": result.protocol.proxy, "model": result.model, "seed": result.seed, "epochs": result.epochs_done,
            "status": result.status, "origin": result.origin, "commit": result.git.commit, "dirty": result.git.dirty,
            "device": result.environment.device, "wall_time_s": result.wall_time_s,
            "finished_at": result.finished_at, "path": path,
        }  # fmt: skip
        measured: list[dict[str, object]] = [metric.model_dump() for metric in result.metrics]
        none: dict[str, object] = {"name": None, "value": math.nan, "unit": None, "split": None}
        rows.extend({**common, "metric": metric.pop("name"), **metric} for metric in measured or [none])
    frame: pd.DataFrame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame


def first_problem(error: Exception) -> str:
    """What is wrong with a file, in one line."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        return f"{place + ': ' if place else ''}{first['msg']}"
    return (str(error).splitlines() or [type(error).__name__])[0]
