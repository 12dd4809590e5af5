"""``python -m backbones.kernels``: compile the library in a checkout, say which code will be in use."""

from __future__ import annotations

import sys
from pathlib import Path

from backbones.kernels import build, library

try:
    sys.stdout.write(f"{build.build(Path(build.__file__).parent / build.NAME)}\n")
except build.BuildError as problem:
    raise SystemExit(str(problem)) from None
sys.stdout.write(f"{library.in_use()}\n")
