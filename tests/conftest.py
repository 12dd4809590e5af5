"""What all tests share: no GPU, few threads, reproducible draws."""

from __future__ import annotations

import os
import sys

# Before torch is imported anywhere: two workers on two cores, and the tests' tensors are tiny.
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings

# The same shapes in every run, whatever the machine's load: a failure is repeated by running the test again.
settings.register_profile(
    "slimbench", deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
settings.load_profile("slimbench")


@pytest.fixture(autouse=True)
def _no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """No width is told unless a test tells one: runners and other tests' libraries leave COLUMNS behind."""
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.delenv("LINES", raising=False)


@pytest.fixture(autouse=True)
def _no_default_scope() -> None:
    """A runner leaves the scope behind in which later tests of the same process would look for what they build."""
    if "mmengine.registry" in sys.modules:
        from mmengine.registry import DefaultScope

        DefaultScope._instance_dict.clear()
