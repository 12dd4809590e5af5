"""Measurements that the ledger keeps: `results/iteration-costs/<name>.json`, from which a report's page is made.

A name says what was measured, where and when, down to the microsecond, so that the files of several machines merge as
git merges files, and none is written over.
"""

from __future__ import annotations

import os
import re
import warnings
from datetime import timezone
from pathlib import Path

from benchmarks import ledger
from benchmarks.errors import UserError
from benchmarks.iteration_cost import records
from benchmarks.iteration_cost.records import Report, short_name


def folder(root: str | os.PathLike[str] | None = None) -> Path:
    """Where they lie. root: the ledger, if not its usual place."""
    return ledger.results_dir(root) / ledger.ITERATION_COSTS


def file_name(report: Report) -> str:
    """As `deeplabv3plus_resnet50-257x257-b2-intel-xeon-processor-20261122T081131-060421Z.json`."""
    height, width = report.input_size
    device = re.sub(r"\((R|TM|C)\)", "", report.environment.device, flags=re.IGNORECASE).lower()
    started = report.started_at.astimezone(timezone.utc).strftime("%Y%m%dT%H%M%S-%fZ")
    parts = (short_name(report.baseline.name), f"{height}x{width}", f"b{report.batch}", device, started)
    return "-".join(re.sub(r"[^A-Za-z0-9._]+", "-", part).strip("-.") for part in parts) + ".json"


def prepare(root: str | os.PathLike[str] | None = None) -> Path:
    """Make the folder, before minutes are spent on what belongs there. Raises UserError if it cannot be written."""
    target = folder(root)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror}") from error
    if not os.access(target, os.W_OK):
        raise UserError(f"cannot write {target}: no permission")
    return target


def keep(report: Report, root: str | os.PathLike[str] | None = None) -> Path:
    """Write the report under its name. Raises UserError if the folder cannot be written, or has that file."""
    path = prepare(root) / file_name(report)
    if path.exists():
        raise UserError(f"{path} is there already")
    try:
        return records.write(report, path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error


def kept(root: str | os.PathLike[str] | None = None) -> list[tuple[str, Report]]:
    """All readable ones with their paths relative to the ledger, sorted by path.

    A broken file, or one whose content belongs to another name, is named in a warning and skipped.
    """
    found: list[tuple[str, Report]] = []
    for path in sorted(folder(root).glob("[!.]*.json")):
        relative = f"{ledger.ITERATION_COSTS}/{path.name}"
        try:
            report = records.read(path)
        except (OSError, ValueError) as error:
            warnings.warn(f"skipping broken record {relative}: {ledger.first_problem(error)}", stacklevel=2)
            continue
        if path.name != file_name(report):
            warnings.warn(f"skipping record {relative}: it says it is {file_name(report)}", stacklevel=2)
            continue
        found.append((relative, report))
    return found
