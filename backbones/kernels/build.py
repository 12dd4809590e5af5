"""Compile the library: when the package is installed, or by ``python -m backbones.kernels``.

Standard library only: the build hook loads this file without the package and its dependencies.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

SOURCES = Path(__file__).parent / "src"
NAME = "_slim_kernels.so"
_FLAGS = ("-O3", "-std=gnu11", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra")
_PLAIN = ("chain.c", "conv.c", "isa.c", "memory.c", "pool.c", "slim.c", "threads.c")
_LANES = ("fold.c", "tile.c")
# These are compiled once for each: name, floats in a register, flags.
_PORTABLE = ("portable", 4, ())
_X86 = (
    ("avx2", 8, ("-mavx2", "-mfma")),
    ("avx512", 16, ("-mavx512f", "-mavx512vl", "-mavx512bw", "-mavx512dq", "-mfma", "-mprefer-vector-width=512")),
)


class BuildError(RuntimeError):
    """There is no compiler, or it refuses."""


def digest() -> str:
    """Of the sources, so that a library from other sources is not taken for theirs."""
    parts = [path.name.encode() + b"\0" + path.read_bytes() for path in sorted(SOURCES.iterdir()) if path.is_file()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def compiler() -> str:
    """Return $CC, or the first C compiler on the path.

    Raises:
        BuildError: if there is none.
    """
    if sys.platform == "win32":
        raise BuildError("the library is not built on Windows")
    for name in (os.environ.get("CC"), "cc", "gcc", "clang"):
        if name and (found := shutil.which(name.split()[0])):
            return " ".join([found, *name.split()[1:]])
    raise BuildError("no C compiler (cc, gcc or clang) on the path")


def build(target: Path, extra: Sequence[str] = ()) -> Path:
    """Compile the library to ``target``, which appears complete or not at all; return it.

    Args:
        extra: more flags for every step, such as those of a sanitizer.

    Raises:
        BuildError: if there is no compiler, or it refuses.
    """
    command = [*compiler().split(), *_FLAGS, *extra, f'-DSLIM_SOURCES="{digest()}"']
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    steps: list[tuple[str, Sequence[str]]] = [(name, ["-DSLIM_X86"] if x86 else []) for name in _PLAIN]
    for isa, width, flags in (_PORTABLE, *(_X86 if x86 else ())):
        steps += [(name, [f"-DSLIM_ISA={isa}", f"-DSLIM_WIDTH={width}", *flags]) for name in _LANES]
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        objects = [f"{folder}/{i}.o" for i in range(len(steps))]
        running = [
            subprocess.Popen(
                [*command, *flags, "-c", str(SOURCES / source), "-o", to], stderr=subprocess.PIPE, text=True
            )
            for (source, flags), to in zip(steps, objects, strict=True)
        ]
        errors = [process.communicate()[1] for process in running]
        for process, error in zip(running, errors, strict=True):
            if process.returncode:
                raise BuildError(f"{command[0]} failed: {' | '.join(error.split(chr(10))[:3])}")
        link = [*compiler().split(), *extra, "-shared", "-o", f"{folder}/{NAME}", *objects, "-pthread", "-lm"]
        done = subprocess.run(link, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BuildError(f"{command[0]} failed to link: {' | '.join(done.stderr.split(chr(10))[:3])}")
        Path(f"{folder}/{NAME}").replace(target)
    return target
