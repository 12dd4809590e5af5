"""The most memory that this process held, above what it held at some time before."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
from pathlib import Path

import torch

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of glibc's mallopt
_SMALL, _LARGE = 128 * 1024, 32 * 1024**2  # bytes; the range in which glibc moves the second of them by itself


class Peak:
    """Peak memory in bytes above that at the time of construction, of this process or of its part on a GPU.

    On Linux the kernel's high-water mark of resident memory (VmHWM); not `ru_maxrss`, which a process inherits from the
    one that starts it. Elsewhere `ru_maxrss`, which is in kilobytes or, on macOS, bytes.
    """

    def __init__(self, device: str) -> None:
        self.cuda = device.startswith("cuda")
        self.begin()
        self.before = torch.cuda.memory_allocated() if self.cuda else _resident("VmRSS")

    def begin(self) -> bool:
        """Forget earlier peaks and make the next ones exact; say whether this system can do both.

        glibc keeps freed blocks of up to 32 MiB for later, and which of them fit is chance: the peaks of equal runs
        differed by 12 %. Until `usual` is called, blocks of 128 KiB and more go back to the kernel at once; then such
        peaks agree to 1 %, and are lower.
        """
        if self.cuda:
            torch.cuda.reset_peak_memory_stats()
            return True
        gc.collect()
        exact = _return_blocks_from(_SMALL)
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
            return exact
        return False

    def usual(self) -> None:
        """Keep freed blocks again, as a long run of large tensors comes to do it: giving them back takes time."""
        if not self.cuda:
            _return_blocks_from(_LARGE)

    def bytes(self) -> int:
        """The peak since `begin`."""
        now = torch.cuda.max_memory_allocated() if self.cuda else _resident("VmHWM")
        return max(0, now - self.before)


def _return_blocks_from(size: int) -> bool:
    """Let freed blocks of so many bytes go back to the kernel, those that wait already too; False without glibc."""
    try:
        c = ctypes.CDLL(None)
        done = bool(c.mallopt(_MMAP_THRESHOLD, size)) and bool(c.mallopt(_TRIM_THRESHOLD, 2 * size))
        c.malloc_trim(0)
    except (AttributeError, OSError, TypeError):  # macOS, musl, Windows
        return False
    return done


def _resident(field: str) -> int:
    """In bytes, from the kernel's table (VmRSS: now, VmHWM: at most)."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))
    except (OSError, StopIteration):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
