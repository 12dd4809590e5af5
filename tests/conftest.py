"""What all tests share: no GPU, few threads, reproducible draws."""

from __future__ import annotations

import os

# Before torch is imported anywhere: two workers on two cores, and the tests' tensors are tiny.
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import HealthCheck, settings

# The same shapes in every run, whatever the machine's load: a failure is repeated by running the test again.
settings.register_profile(
    "slimbench", deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
settings.load_profile("slimbench")
