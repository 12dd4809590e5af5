"""Several processes for one run, started from outside by torchrun, Slurm's srun or mpirun, as in OpenMMLab.

    torchrun --nproc-per-node 4 -m benchmarks train EXPERIMENT --launcher pytorch
    srun --ntasks 4 --gpus-per-node 4 --kill-on-bad-exit=1 slimbench train EXPERIMENT --launcher slurm

The config stays as it is: `total_batch` deals its batch out to the processes. The main process alone prints and
writes. If a process fails, so do the others: torchrun ends them at once, as srun does with --kill-on-bad-exit; without
these, the next exchange fails, over gloo at once, over NCCL after `TIMEOUT_S` at the latest.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from mmengine.config import Config

from benchmarks.errors import UserError, did_you_mean

LAUNCHERS = ("none", "pytorch", "slurm", "mpi")
TIMEOUT_S = 600
_MAIN_SPEAKS_FIRST_S = 5.0
_EXAMPLES = {
    "pytorch": "torchrun --nproc-per-node 2 -m benchmarks train EXPERIMENT --launcher pytorch",
    "slurm": "srun --ntasks 2 slimbench train EXPERIMENT --launcher slurm",
    "mpi": "mpirun -n 2 slimbench train EXPERIMENT --launcher mpi",
}
_NEEDED = {
    "pytorch": ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"),
    "slurm": ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_NODELIST"),
    "mpi": ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"),
}
_LOCAL_SIZE = {"pytorch": "LOCAL_WORLD_SIZE", "mpi": "OMPI_COMM_WORLD_LOCAL_SIZE"}


@dataclass(frozen=True)
class Place:
    """Process `rank` of `world`; on its machine it is number `local_rank` of `local_world` (None: not known)."""

    launcher: str = "none"
    rank: int = 0
    world: int = 1
    local_rank: int = 0
    local_world: int | None = 1

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def __str__(self) -> str:
        return f"process {self.rank} of {self.world}"


def find_place(launcher: str, environ: Mapping[str, str] = os.environ) -> Place:
    """Where this process stands, from its launcher's environment variables. Raises UserError if they do not fit."""
    if launcher not in LAUNCHERS:
        known = ", ".join(LAUNCHERS)
        raise UserError(f"no launcher {launcher!r}{did_you_mean(launcher, LAUNCHERS) or f'; there are {known}'}")
    if launcher == "none":
        if several := _started_by_torchrun(environ):
            raise UserError(
                f"torchrun started {several} processes (WORLD_SIZE) and --launcher is none, so each would train the "
                f"same run: add --launcher pytorch"
            )
        return Place()
    needed = _NEEDED[launcher]
    missing = [name for name in needed if name not in environ]
    if missing:
        raise UserError(
            f"--launcher {launcher} needs the environment variables of its launcher, and {missing[0]} is not set: "
            f"start with `{_EXAMPLES[launcher]}`"
        )
    try:
        rank, world, local_rank = (int(environ[name]) for name in needed[:3])
        local_size = environ.get(_LOCAL_SIZE.get(launcher, ""))
        place = Place(launcher, rank, world, local_rank, None if local_size is None else int(local_size))
    except ValueError as error:
        raise UserError(f"--launcher {launcher}: {', '.join(needed[:3])} must be whole numbers; {error}") from None
    if launcher == "slurm" and world > 1 and "SLURM_STEP_ID" not in environ:
        raise UserError(
            f"--launcher slurm waits for {world} processes (SLURM_NTASKS), and this one was not started by srun: "
            f"start with `{_EXAMPLES[launcher]}`"
        )
    return place


def refuse_several(verb: str, environ: Mapping[str, str] = os.environ) -> None:
    """For a verb that one process does alone. Raises UserError under torchrun with several."""
    if several := _started_by_torchrun(environ):
        raise UserError(
            f"slimbench {verb} takes one process, and torchrun started {several} (WORLD_SIZE): call it without torchrun"
        )


def _started_by_torchrun(environ: Mapping[str, str]) -> str:
    """How many processes torchrun says there are; empty for one and without torchrun."""
    several = environ.get("WORLD_SIZE", "1")
    return several if several not in ("", "0", "1") and "LOCAL_RANK" in environ else ""


def gpu_index(place: Place, gpus: int, environ: Mapping[str, str] = os.environ) -> int:
    """Which of the `gpus` that this process can see is its own. Raises UserError if there are more processes."""
    if gpus == 1 and "SLURM_GPUS_PER_TASK" in environ:
        return 0  # Slurm shows each process its own GPU only
    here = max(place.local_rank + 1, place.local_world or 1)
    if here > gpus:
        raise UserError(
            f"{here} processes on a machine with {gpus} GPU{'s' if gpus != 1 else ''}: start at most {gpus} there "
            f"(or train on the CPU with CUDA_VISIBLE_DEVICES=)"
        )
    return place.local_rank


@contextlib.contextmanager
def processes(launcher: str = "none", device: str | None = None) -> Iterator[Place]:
    """Connects the processes of a run for the time of a `with` block; with launcher "none" there is only this one.

    Inside, MMEngine's Runner (given the same launcher) finds the group made, and only the main process prints. At the
    end all wait for each other, so that none is ended while the main process writes. Within another such block it does
    nothing. device: "cpu" or "cuda"; None takes GPUs where there are some.
    Raises UserError, also where another process of the run ended.
    """
    import torch.distributed as torch_dist

    place = find_place(launcher)
    if launcher != "none" and device not in (None, "cpu", "cuda"):
        raise UserError(f"--device {device} with --launcher {launcher}: give cuda, of which each process takes its own")
    if launcher == "none" or torch_dist.is_initialized():
        yield place
        return
    with contextlib.ExitStack() as stack:
        if not place.is_main:
            nowhere = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
        try:
            _connect(place, device)
            yield place
            _part()
        except Exception as error:
            lost = _others_ended(error)
            if not place.is_main and (lost or isinstance(error, UserError)):
                # The main process mostly has the same to say, and the launcher then ends this one.
                sys.stderr.flush()
                time.sleep(_MAIN_SPEAKS_FIRST_S)
            if lost:
                raise UserError(f"{place} lost another one, which ended or hangs: {lost}") from error
            if isinstance(error, UserError) and not place.is_main:
                raise UserError(f"{place}: {error}") from error
            raise


def configure(config: Config, launcher: str, device: str | None = None) -> None:
    """Tell MMEngine's Runner, through its config, how the processes were started and what they talk over."""
    if launcher == "none":
        return
    config.launcher = launcher
    chosen = backend(device)
    config.env_cfg = {**(config.get("env_cfg") or {}), "dist_cfg": {"backend": chosen, "timeout": TIMEOUT_S}}
    wrapper: dict[str, Any] = {"type": "MMDistributedDataParallel", "broadcast_buffers": False}
    wrapper.update(config.get("model_wrapper_cfg") or {})
    if chosen == "gloo":
        wrapper["device_ids"] = None  # MMEngine would name a GPU
    config.model_wrapper_cfg = wrapper
    if config.get("sync_bn") and chosen == "gloo":
        raise UserError("--sync-bn needs GPUs: torch's SyncBatchNorm does not run on a CPU")


def backend(device: str | None = None) -> str:
    """What torch.distributed talks over: "nccl" between GPUs, "gloo" between CPUs."""
    import torch

    cuda = torch.cuda.is_available() if device is None else device.startswith("cuda")
    return "nccl" if cuda else "gloo"


def _connect(place: Place, device: str | None) -> None:
    import torch
    import torch.distributed as torch_dist

    chosen = backend(device)
    index = place.local_rank
    if chosen == "nccl":
        index = gpu_index(place, torch.cuda.device_count())
        torch.cuda.set_device(index)
    if place.launcher != "pytorch":
        os.environ.setdefault("MASTER_ADDR", _first_machine(place))
        os.environ.setdefault("MASTER_PORT", str(_port()))
    # LOCAL_RANK is the GPU's index to MMEngine
    os.environ.update(RANK=str(place.rank), WORLD_SIZE=str(place.world), LOCAL_RANK=str(index))
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):  # as MMEngine would set them, with a warning
        os.environ.setdefault(name, "1")
    _let_gloo_find_itself()
    try:
        torch_dist.init_process_group(chosen, timeout=timedelta(seconds=TIMEOUT_S))
    except (RuntimeError, ValueError) as error:
        address = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"{place} cannot meet the others at {address} (MASTER_ADDR, MASTER_PORT): {reason}") from error


def _part() -> None:
    import torch.distributed as torch_dist

    from benchmarks.training.processes import barrier

    if torch_dist.is_initialized():
        barrier()
        torch_dist.destroy_process_group()


def _first_machine(place: Place) -> str:
    if place.launcher == "mpi":
        if place.local_world == place.world:
            return "127.0.0.1"
        raise UserError("--launcher mpi on several machines needs MASTER_ADDR, the name of the first one")
    nodes = os.environ["SLURM_NODELIST"]
    if not any(character in nodes for character in ",["):
        return nodes
    try:
        found = subprocess.run(
            ["scontrol", "show", "hostnames", nodes], capture_output=True, text=True, check=True, timeout=60
        )
        return found.stdout.split()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        raise UserError(f"`scontrol show hostnames {nodes}` names no machine: set MASTER_ADDR to the first") from None


def _port() -> int:
    """One that two jobs, or two steps of a job, on one machine do not share."""
    job, step = (int(os.environ.get(name, "0") or 0) for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
    return 20_000 + (job * 37 + step) % 20_000 if job else 29_500


def _let_gloo_find_itself() -> None:
    """Gloo looks for its network by the machine's name; where that has no address, one machine can do without."""
    local = os.environ["MASTER_ADDR"] in ("127.0.0.1", "localhost", "::1")
    if local and "GLOO_SOCKET_IFNAME" not in os.environ and sys.platform == "linux":
        try:
            socket.getaddrinfo(socket.gethostname(), None)
        except OSError:
            os.environ["GLOO_SOCKET_IFNAME"] = "lo"


def _others_ended(error: Exception) -> str:
    """The first line of an error that says so; empty for any other error."""
    import torch

    signs = ("connection closed by peer", "connection reset by peer", "timed out", "timeout", "aborted", "broken pipe")
    text = (str(error).strip().splitlines() or [""])[0]
    from_torch = isinstance(error, torch.distributed.DistError) or "gloo" in str(error) or "NCCL" in str(error)
    return text if from_torch and any(sign in str(error).lower() for sign in signs) else ""
