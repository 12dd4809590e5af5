"""Checkpoints on disk: written whole or not at all, found newest first, never fewer good ones than before.

`epoch_3.pth` is the state after three epochs, `epoch_3_batch_120.pth` that after 120 batches more.
"""

from __future__ import annotations

import io
import os
import re
from pathlib import Path
from typing import Any

import torch

from benchmarks.atomic import replacing
from benchmarks.errors import UserError
from benchmarks.training.safe_loading import load_safely

FORMAT = 2
READABLE_FORMATS = (1, 2)  # 1 knew ends of epochs only
_NAME = re.compile(r"epoch_(\d+)(?:_batch_(\d+))?\.pth")


def checkpoint_name(epoch: int, batch: int = 0) -> str:
    """The file name of the state after `epoch` whole epochs and `batch` batches of the next."""
    return f"epoch_{epoch}_batch_{batch}.pth" if batch else f"epoch_{epoch}.pth"


def progress_of(path: Path) -> tuple[int, int] | None:
    """(epochs done, batches done in the next) by a checkpoint's name; None for other files."""
    match = _NAME.fullmatch(path.name)
    return None if match is None else (int(match[1]), int(match[2] or 0))


def checkpoint_files(work_dir: str | os.PathLike[str]) -> list[Path]:
    """The checkpoints of a run, newest first."""
    found = [(progress_of(path), path) for path in Path(work_dir).glob("epoch_*.pth")]
    return [path for done, path in sorted((done, path) for done, path in found if done is not None)][::-1]


def save_atomically(content: dict[str, Any], path: Path) -> None:
    """Write to a temporary file beside `path`, flush it, then rename: a reader sees all of it or nothing.

    Raises UserError if the disk does not take it; what stood at `path` is then still there.
    """
    stream = io.BytesIO()  # so that a failure to write is the file system's own error, and is told apart from torch's
    torch.save(content, stream)
    try:
        with replacing(path) as temporary, temporary.open("wb") as file:
            file.write(stream.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        _remember_name(path.parent)
    except OSError as error:
        size = f"{stream.getbuffer().nbytes / 1e6:.1f} MB"
        raise UserError(
            f"cannot save checkpoint {path} ({size}): {error.strerror or error}; the checkpoints before it are kept, "
            f"so that the same command goes on from them once there is room"
        ) from error


def remove_leftovers(work_dir: str | os.PathLike[str]) -> None:
    """Remove temporary files of a process that was killed while it wrote; the caller holds the folder's lock."""
    for path in Path(work_dir).glob(".epoch_*.tmp"):
        path.unlink(missing_ok=True)


def prune(work_dir: str | os.PathLike[str], keep: int) -> None:
    """Remove all but the newest `keep` checkpoints. Unreadable ones have been set aside and do not count."""
    for path in checkpoint_files(work_dir)[keep:]:
        path.unlink(missing_ok=True)


def newest_readable(work_dir: str | os.PathLike[str]) -> tuple[Path, dict[str, Any], list[str]] | None:
    """The newest checkpoint that can be read, its content, and a line for each newer one that could not.

    Those are renamed to `<name>.unreadable`. None if there is no checkpoint at all. Raises UserError if there are some
    and none can be read, or if the newest that can be read is not ours.
    """
    complaints: dict[Path, str] = {}
    for path in checkpoint_files(work_dir):
        try:
            content = load_safely(path)
        except UserError as error:
            complaints[path] = str(error)
            continue
        if content.get("slimbench_checkpoint") not in READABLE_FORMATS:
            raise UserError(f"{path} is no checkpoint of slimbench train; give another --work-dir")
        for broken in complaints:
            broken.replace(broken.with_name(f"{broken.name}.unreadable"))
        return path, content, list(complaints.values())
    if complaints:
        first = next(iter(complaints.values()))
        raise UserError(f"{first}; nor is there another to go on from: remove {work_dir} to start anew")
    return None


def _remember_name(folder: Path) -> None:
    """Flush the folder itself, which holds the new name, where the system can (not on Windows)."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
