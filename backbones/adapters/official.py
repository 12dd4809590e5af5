"""The SlimConv authors' released checkpoints, loaded into our models."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)

#: their name of a part of the SlimConv module -> ours; the indices inside are the same
_PARTS = {"conv2_1": "top", "conv2_2": "bottom", "fc": "gate"}
_KEY = re.compile(r"^(?P<block>layer\d+\.\d+\.conv2)\.(?P<part>conv2_1|conv2_2|fc)\.(?P<rest>.+)$")


class CheckpointError(ValueError):
    """The file cannot be read, or is no checkpoint of this network."""


def official_to_ours(key: str) -> str:
    """Translate one key of a released checkpoint; outside SlimConv modules names are torchvision's."""
    key = key.removeprefix("module.")
    match = _KEY.match(key)
    return f"{match['block']}.{_PARTS[match['part']]}.{match['rest']}" if match else key


def load_official_slimconv(model: M, path: str | Path) -> M:
    """Load a checkpoint released by SlimConv's authors into a model of ours; return the model.

    For ``sc_resnet50``, ``sc_resnet101`` and ``sc_resnext101_32x3d_k2``. Strict: every key of the file is used
    and no key of the model is missing. Keys may start with ``module.`` and lie under ``state_dict``. Only tensors
    and plain values are unpickled. Counters of batches seen (``num_batches_tracked``), which files of old PyTorch
    versions lack, may be absent.

    Raises:
        CheckpointError: for a missing or unreadable file; for keys or shapes that do not fit, naming them.
    """
    content = _read(Path(path))
    state = {official_to_ours(key): value for key, value in content.items()}
    if len(state) != len(content):
        raise CheckpointError(f"checkpoint {path}: holds keys twice, with and without 'module.'")
    expected = model.state_dict()
    for key, value in expected.items():
        if key.endswith("num_batches_tracked"):
            state.setdefault(key, value)
    compare(Path(path), type(model).__name__, state, expected)
    model.load_state_dict(state)
    return model


def _read(path: Path) -> dict[str, Tensor]:
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"checkpoint {path}: no such file") from None
    except pickle.UnpicklingError:
        # Its text advises to load the file unsafely.
        raise CheckpointError(
            f"checkpoint {path}: not a file of tensors and plain values: it is damaged or holds other objects"
        ) from None
    except Exception as error:  # noqa: BLE001  a damaged file can make the unpickler stumble over anything
        first_line = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise CheckpointError(f"checkpoint {path}: not a file of tensors and plain values: {first_line}") from None
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()
    ):
        raise CheckpointError(f"checkpoint {path}: holds no state_dict (a mapping of names to tensors)")
    return dict(content)


def compare(path: Path, network: str, state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raise CheckpointError, which names the first keys, unless names and shapes are those that are expected."""
    missing = sorted(expected.keys() - state.keys())
    left_over = sorted(state.keys() - expected.keys())
    misshapen = [
        f"{key} {tuple(state[key].shape)} instead of {tuple(expected[key].shape)}"
        for key in sorted(expected.keys() & state.keys())
        if state[key].shape != expected[key].shape
    ]
    problems = [
        f"{len(keys)} {what} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
        for what, keys in (("missing", missing), ("left over", left_over), ("of another shape", misshapen))
        if keys
    ]
    if problems:
        raise CheckpointError(f"checkpoint {path} is not one of this {network}: keys {'; '.join(problems)}")
