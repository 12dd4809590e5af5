"""Measurements that the ledger keeps beside its runs: `results/<folder>/<name>.json`, one file a measurement.

A name says what was measured, where and when, down to the microsecond, so that the files of several machines merge as
git merges files, and none is written over.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel

from benchmarks import ledger
from benchmarks.atomic import replacing
from benchmarks.errors import UserError

Record = TypeVar("Record", bound=BaseModel)


@dataclass(frozen=True)
class Shelf(Generic[Record]):
    """Records of one kind. folder: of `ledger.OTHER_RECORDS`; name: of a record's file."""

    folder: str
    kind: type[Record]
    name: Callable[[Record], str]

    def path(self, root: str | os.PathLike[str] | None = None) -> Path:
        """Where they lie. root: the ledger, if not its usual place."""
        return ledger.results_dir(root) / self.folder

    def prepare(self, root: str | os.PathLike[str] | None = None) -> Path:
        """Make the folder, before minutes are spent on what belongs there. Raises UserError if it cannot be written."""
        target = self.path(root)
        try:
            target.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot write {target}: {error.strerror}") from error
        if not os.access(target, os.W_OK):
            raise UserError(f"cannot write {target}: no permission")
        return target

    def keep(self, record: Record, root: str | os.PathLike[str] | None = None) -> Path:
        """Write the record under its name. Raises UserError if the folder cannot be written, or has that file."""
        path = self.prepare(root) / self.name(record)
        if path.exists():
            raise UserError(f"{path} is there already")
        try:
            return write(record, path)
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}") from error

    def kept(self, root: str | os.PathLike[str] | None = None) -> list[tuple[str, Record]]:
        """All readable ones with their paths relative to the ledger, sorted by path.

        A broken file, or one whose content belongs to another name, is named in a warning and skipped.
        """
        found: list[tuple[str, Record]] = []
        for path in sorted(self.path(root).glob("[!.]*.json")):
            relative = f"{self.folder}/{path.name}"
            try:
                record = self.kind.model_validate_json(path.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                warnings.warn(f"skipping broken record {relative}: {ledger.first_problem(error)}", stacklevel=2)
                continue
            if path.name != self.name(record):
                warnings.warn(f"skipping record {relative}: it says it is {self.name(record)}", stacklevel=2)
                continue
            found.append((relative, record))
        return found


def write(record: BaseModel, path: str | os.PathLike[str]) -> Path:
    """Validate, and write the file whole or not at all. Raises pydantic.ValidationError, OSError."""
    checked = type(record).model_validate(record.model_dump())
    target = Path(path)
    with replacing(target) as temporary:
        temporary.write_text(checked.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return target


def file_name(*parts: str, device: str, started_at: datetime) -> str:
    """As `resnet50-257x257-b2-intel-xeon-processor-20261122T081131-060421Z.json`, of what was measured and where."""
    plain = re.sub(r"\((R|TM|C)\)", "", device, flags=re.IGNORECASE).lower()
    started = started_at.astimezone(timezone.utc).strftime("%Y%m%dT%H%M%S-%fZ")
    return "-".join(re.sub(r"[^A-Za-z0-9._]+", "-", part).strip("-.") for part in (*parts, plain, started)) + ".json"
