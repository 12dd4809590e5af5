"""The state of every random number generator that a training may draw from, as tensors and plain values."""

from __future__ import annotations

import random
from typing import Any, cast

import numpy as np
import torch


def random_state() -> dict[str, Any]:
    """States of torch (CPU and the current GPU), NumPy and Python, as `torch.load(weights_only=True)` can read them."""
    name, keys, position, has_gauss, cached = cast("tuple[Any, ...]", np.random.get_state())  # noqa: NPY002
    return {
        "torch": torch.get_rng_state(),
        "cuda": [torch.cuda.get_rng_state()] if torch.cuda.is_available() else [],
        "numpy": [str(name), torch.from_numpy(keys.astype(np.int64)), int(position), int(has_gauss), float(cached)],
        "python": random.getstate(),
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """Go on drawing where `random_state` was taken. Generators that it does not know stay as they are."""
    torch.set_rng_state(state["torch"])
    if state.get("cuda") and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"][0])
    if "numpy" in state:
        name, keys, position, has_gauss, cached = state["numpy"]
        np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))  # noqa: NPY002
    if "python" in state:
        version, internal, gauss = state["python"]
        random.setstate((version, tuple(internal), gauss))
