"""Where a run computes: `--device cpu`, `cuda` or `cuda:1`, which MMEngine has no setting for."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import torch
from mmengine.device import utils as mmengine_device

from benchmarks.errors import UserError


def check(device: str | None) -> str:
    """The device's name; for None, "cuda" where there is a GPU, else "cpu". Raises UserError if it is not there."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device is None:
        return "cuda" if gpus else "cpu"
    match = re.fullmatch(r"cpu|cuda(?::(\d+))?", device)
    if match is None:
        raise UserError(f"--device {device!r}: give cpu, cuda or cuda:0, cuda:1, ...")
    if device != "cpu" and int(match[1] or 0) >= gpus:
        there = f"this machine has {gpus} usable GPU{'s' if gpus != 1 else ''}" if gpus else "no GPU is usable here"
        raise UserError(f"--device {device}: {there} (torch {torch.__version__}); give another, such as cpu")
    return device


@contextlib.contextmanager
def used(device: str) -> Iterator[None]:
    """Within the block MMEngine builds models on this device, and "cuda" without a number means it.

    MMEngine takes a GPU where there is one; its `get_device` reads a module's variable, which is set here.
    """
    kind, _, index = device.partition(":")
    before = mmengine_device.DEVICE
    mmengine_device.DEVICE = kind
    try:
        if kind == "cuda" and index:
            with torch.cuda.device(int(index)):
                yield
        else:
            yield
    finally:
        mmengine_device.DEVICE = before
