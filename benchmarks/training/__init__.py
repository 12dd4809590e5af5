"""What the one training engine, MMEngine's Runner, needs and does not have.

Importing this package registers our data sets, model wrapper, metric and hooks, which is what the configs in
`mmconfigs/` ask for with `custom_imports`.
"""

from __future__ import annotations

import backbones.adapters.mmengine
from benchmarks.training import (
    accuracy,
    checkpoints,
    classifier,
    compiling,
    data,
    distributed,
    hooks,
    hotpath,
    super_resolver,
)

__all__ = [
    "accuracy",
    "backbones",
    "checkpoints",
    "classifier",
    "compiling",
    "data",
    "distributed",
    "hooks",
    "hotpath",
    "super_resolver",
]
