"""What is stored with every result about where it was computed: versions, hardware, commit."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

#: x86 and ARM: what decides how fast products are added up
_VECTOR = re.compile(r"(avx|amx|fma|f16c|sse4|asimd|sve|bf16|i8mm|sme(?!p))\w*")


class GitState(BaseModel):
    """The commit of the checkout and whether tracked files differed from it; both None outside a checkout."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    commit: str | None = Field(default=None, pattern=r"^[0-9a-f]{7,64}$")
    dirty: bool | None = None


class Environment(BaseModel):
    """Versions and hardware. `gpu` is None on a CPU; `precision`, `memory_format` and `compile` are a run's only.

    compile: the mode or backend of torch.compile, "no" without it.
    processes: how many ran together, as under torchrun, with a GPU each if there are any ("NAME x8"); the other fields
    are the main one's.
    packages: versions of what else a run used, as {"mmdet": "3.5.1"}; a run's only.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    python: str
    torch: str | None
    torchvision: str | None
    mmengine: str | None
    slimbench: str | None
    platform: str
    cpu: str
    cpu_threads: int = Field(ge=1)
    gpu: str | None = None
    precision: str | None = None
    memory_format: str | None = None
    compile: str | None = None
    processes: int = Field(default=1, ge=1)
    packages: dict[str, str] = {}

    @property
    def device(self) -> str:
        return self.gpu or self.cpu


def version_of(*distributions: str) -> str | None:
    """Version of the first of these distributions that is installed, or None."""
    for name in distributions:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def cpu_name() -> str:
    """The processor's marketing name where the system tells it, else its architecture."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return " ".join(line.split(":", 1)[1].split())
    except OSError:
        pass
    return platform.processor() or platform.machine() or "unknown"


def cpu_flags() -> tuple[str, ...]:
    """The processor's vector and matrix extensions as Linux names them ("avx2", "avx512f"), sorted; empty elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ()
    found = next((line.partition(":")[2].split() for line in lines if line.startswith(("flags", "Features"))), [])
    return tuple(sorted({flag for flag in found if _VECTOR.fullmatch(flag)}))


def collect(**run: Any) -> Environment:
    """Describe this process's environment; keyword arguments fill `precision` and its like. Imports torch."""
    import torch

    several = torch.distributed.is_available() and torch.distributed.is_initialized()
    processes = torch.distributed.get_world_size() if several else 1
    gpu = None
    if torch.cuda.is_available():
        gpu = torch.cuda.get_device_name() + (f" x{processes}" if processes > 1 else "")
    return Environment(
        python=platform.python_version(),
        torch=torch.__version__,
        torchvision=version_of("torchvision"),
        mmengine=version_of("onedl-mmengine", "mmengine", "mmengine-lite"),
        slimbench=version_of("slimbench"),
        platform=f"{platform.system()} {platform.machine()}",
        cpu=cpu_name(),
        cpu_threads=torch.get_num_threads(),
        gpu=gpu,
        processes=processes,
        **run,
    )


def git_state(folder: str | os.PathLike[str] | None = None) -> GitState:
    """Commit and dirtiness of the checkout this package runs from. Untracked files do not count as dirt."""
    root = Path(folder) if folder else Path(__file__).resolve().parents[1]
    if folder is None and not (root / "mmconfigs").is_dir():
        return GitState()

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()

    try:
        if folder is None and Path(git("rev-parse", "--show-toplevel")).resolve() != root:
            return GitState()  # an installed copy inside somebody else's repository
        return GitState(commit=git("rev-parse", "HEAD"), dirty=bool(git("status", "--porcelain", "-uno")))
    except (OSError, subprocess.SubprocessError):
        return GitState()


def executable() -> str:
    """How this program is called, for messages that name a command."""
    return "slimbench" if Path(sys.argv[0]).name.startswith("slimbench") else "python -m benchmarks"
