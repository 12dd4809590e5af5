"""One thread a worker, and the seed of every test is its own."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True)
def quiet_machine() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
