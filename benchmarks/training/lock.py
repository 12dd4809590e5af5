"""One process a work folder: two that trained there at once would spoil each other's checkpoints."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from benchmarks.errors import UserError

NAME = ".lock"


@contextlib.contextmanager
def locked(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Hold the folder's lock within the block, making the folder if need be. Raises UserError if another process does.

    The system lets go of the lock when the process ends, however it ends; the file that stays behind means nothing.
    Where files cannot be locked (Windows, some network drives), nothing is locked.
    """
    path = Path(folder) / NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:
        yield
        return
    # Not flock: its locks pass on to forked data loading workers, which outlive a killed process for some seconds.
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise UserError(f"{folder} is in use by {holder}; wait for it, or give another --work-dir") from None
        except OSError:
            yield
            return
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield


def in_use(folder: str | os.PathLike[str]) -> bool:
    """Whether another process holds the folder's lock now. To be asked by processes that hold none themselves."""
    try:
        import fcntl

        with (Path(folder) / NAME).open("r+", encoding="utf-8") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return True
    except (ImportError, OSError):  # there is no lock, or there are none
        pass
    return False
