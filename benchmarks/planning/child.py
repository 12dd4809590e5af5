"""Run ``slimbench`` as somebody's child: ``python -m benchmarks.planning.child VERB ...``, its standard input a pipe.

The pipe's other end is the parent's. It closes when the parent dies, however it dies, and then this process stops as if
it had been asked to (SIGTERM: a training saves and ends), so that no orphan trains for ever.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

# A process that cannot even save in this time hangs.
GRACE_S = 300.0


def watch(descriptor: int, grace_s: float = GRACE_S) -> threading.Thread:
    """Send this process SIGTERM when `descriptor` is at its end, and end it if it still lives after `grace_s`."""

    def wait() -> None:
        while os.read(descriptor, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace_s)
        os._exit(1)

    thread = threading.Thread(target=wait, name="parent watch", daemon=True)
    thread.start()
    return thread


def main() -> int:
    """Watch the parent, then be ``slimbench``, or ``torchrun`` if that is the verb, with this process's arguments."""
    if hasattr(signal, "SIGUSR2"):
        # Slurm tells a whole job that its time is nearly up; only the parent should act on it.
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    watch(sys.stdin.fileno())
    if sys.argv[1:2] == ["torchrun"]:
        from torch.distributed.run import main as torchrun

        torchrun(sys.argv[2:])
        return 0
    from benchmarks.cli import main as slimbench

    return slimbench(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
