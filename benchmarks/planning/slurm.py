"""Runs as Slurm jobs through submitit: a job array, one job a run, that outlives time limits and preemption.

Shortly before a job's time is up, or when it is preempted, Slurm signals it. The job then lets its training save and
stop, and puts itself back into the queue; the training goes on from there when the job is started again.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.errors import UserError

# Between Slurm's signal and the end of the job's time: one iteration, a checkpoint, the way into the queue.
SIGNAL_DELAY_S = 180
SAVING_S = 150.0
# How often a job may run into its time limit and come back: enough for the longest training in the shortest jobs.
REQUEUES = 1000
POLL_S = 0.5
CHILD = (sys.executable, "-m", "benchmarks.planning.child")


class TrainingJob:
    """What submitit calls on the node: `slimbench` with these arguments as a process of its own.

    processes: GPUs that share the run; more than one are started by torchrun. command: what stands before the
    arguments. Raises RuntimeError if the run fails, so that Slurm's accounting knows.
    """

    def __init__(self, arguments: Sequence[str], processes: int = 1, command: Sequence[str] = CHILD) -> None:
        self.arguments = tuple(arguments)
        self.processes = processes
        self.command = tuple(command)
        self._pid: int | None = None

    def __call__(self) -> int:
        process = subprocess.Popen(self.full_command(), stdin=subprocess.PIPE)
        self._pid = process.pid
        # Not `wait`: submitit's signal handler runs within this loop and waits for the same process.
        while (code := process.poll()) is None:
            time.sleep(POLL_S)
        self._pid = None
        if code != 0:
            raise RuntimeError(f"slimbench {' '.join(self.arguments)}: exit code {code}; its output stands above")
        return code

    def full_command(self) -> list[str]:
        """The command of the process."""
        if self.processes == 1:
            return [*self.command, *self.arguments]
        spread = ("torchrun", "--standalone", "--nproc-per-node", str(self.processes))
        return [*self.command, *spread, "-m", CHILD[-1], *self.arguments, "--launcher", "pytorch"]

    def checkpoint(self, *arguments: Any, **options: Any) -> Any:
        """Called by submitit when the time is up or the job is preempted; returns what it should run next time."""
        from submitit.helpers import DelayedSubmission

        if self._pid is not None:
            stop(self._pid, SAVING_S)
        return DelayedSubmission(type(self)(self.arguments, self.processes, self.command), *arguments, **options)


def stop(pid: int, seconds: float) -> bool:
    """Ask a child to stop and wait for it, at most so long; True if it has ended.

    Leaves its exit code to whoever started it, and takes no lock, so that a signal handler may call it at any moment.
    """
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None:
                return True
        except ChildProcessError:
            return True
        time.sleep(0.05)
    return False


@dataclass(frozen=True)
class Request:
    """What to ask the cluster for, a run. hours is a job's time limit, not the run's; memory as Slurm writes it, 32G.

    at_once: jobs of the array that may run at a time; 0 leaves it to the cluster.
    """

    hours: float = 4.0
    partition: str = ""
    gpus: int = 1
    cpus: int = 8
    memory: str = ""
    account: str = ""
    qos: str = ""
    constraint: str = ""
    at_once: int = 0

    def parameters(self) -> dict[str, Any]:
        """The request in the words of `submitit.AutoExecutor.update_parameters`."""
        minutes = max(1, round(self.hours * 60))
        if minutes * 60 <= SIGNAL_DELAY_S + 60:
            shortest = (SIGNAL_DELAY_S + 60) / 3600
            raise UserError(f"--hours {self.hours:g}: too short to train and save; give more than {shortest:.2f}")
        asked: dict[str, Any] = {
            "name": "slimbench",
            "timeout_min": minutes,
            "nodes": 1,
            "tasks_per_node": 1,
            "cpus_per_task": self.cpus,
            "gpus_per_node": self.gpus or None,
            "slurm_signal_delay_s": SIGNAL_DELAY_S,
            "slurm_partition": self.partition or None,
            "slurm_mem": self.memory or None,
            "slurm_account": self.account or None,
            "slurm_qos": self.qos or None,
            "slurm_constraint": self.constraint or None,
            "slurm_array_parallelism": self.at_once or None,
        }
        return {name: value for name, value in asked.items() if value is not None}


def executor(folder: Path, request: Request, cluster: str = "slurm") -> Any:
    """Return submitit's executor for the request. cluster: "slurm", or "local" to try jobs on this machine.

    Raises UserError: submitit is not installed, or this machine does not belong to a Slurm cluster.
    """
    try:
        import submitit
    except ImportError as error:
        raise UserError("Slurm jobs need submitit, which is not installed: pip install 'slimbench[slurm]'") from error
    if cluster not in {"slurm", "local", "debug"}:
        raise UserError(f"no cluster {cluster!r}; there are slurm, local")
    if cluster == "slurm" and shutil.which("sbatch") is None:
        raise UserError("no sbatch on this machine: submit from a login node of a Slurm cluster")
    made = submitit.AutoExecutor(folder=folder, cluster=cluster, slurm_max_num_timeout=REQUEUES)
    made.update_parameters(**request.parameters())
    return made


def submit(jobs: Sequence[TrainingJob], to: Any) -> list[str]:
    """Submit the jobs as one array and return their numbers."""
    with to.batch():
        submitted = [to.submit(job) for job in jobs]
    return [str(job.job_id) for job in submitted]
