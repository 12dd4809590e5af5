"""A network's weights out of anybody's checkpoint, loaded without a key left over."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.errors import UserError
from benchmarks.training.safe_loading import load_safely


def read_weights(path: str | os.PathLike[str]) -> dict[str, torch.Tensor]:
    """The network's own state dict out of a file of any kind that `read_checkpoint` takes. Raises UserError."""
    return network_weights(read_checkpoint(path))


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """A checkpoint of ours or MMEngine's, a bare state dict, or the weights that VDSR's authors released for MATLAB.

    Raises UserError, one line that names the file, if it is missing, unreadable or holds other things.
    """
    from backbones.adapters import vdsr_matlab
    from backbones.adapters.official import CheckpointError

    path = Path(path)
    if not vdsr_matlab.is_matlab_file(path):
        return load_safely(path, mmengine=True)
    try:
        return {"state_dict": vdsr_matlab.read_vdsr(path)}
    except CheckpointError as error:
        raise UserError(str(error)) from error


def network_weights(content: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The network's own state dict, from our checkpoint, MMEngine's, or a bare state dict; prefixes removed.

    Where the run kept an exponential moving average, these are the averaged weights: MMEngine's EMAHook exchanges them
    on saving.
    """
    weights = content.get("state_dict", content)
    for prefix in ("module.", "network."):
        if weights and all(key.startswith(prefix) for key in weights if not key.startswith("data_preprocessor.")):
            weights = {key.removeprefix(prefix): value for key, value in weights.items()}
    return dict(weights)


def load_strictly(network: nn.Module, weights: dict[str, Any], source: str, name: str) -> None:
    """Load every key and leave none over. Raises UserError that names the first keys which do not fit."""
    expected = network.state_dict()
    problems = {
        "missing": [key for key in expected if key not in weights],
        "unexpected": [key for key in weights if key not in expected],
        "of another shape": [
            f"{key} {tuple(weights[key].shape)} instead of {tuple(tensor.shape)}"
            for key, tensor in expected.items()
            if isinstance(weights.get(key), torch.Tensor) and weights[key].shape != tensor.shape
        ],
    }
    told = [
        f"{len(keys)} {kind} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
        for kind, keys in problems.items()
        if keys
    ]
    if told:
        raise UserError(f"checkpoint {source} does not fit {name}: {'; '.join(told)}")
    network.load_state_dict(weights, strict=True)
