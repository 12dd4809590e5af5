"""The VDSR authors' released weights, a MATLAB file, as a state dict of our VDSR.

The file holds a struct `model` of two cells, `weight` and `bias`, with an entry a layer: weights height x width x in x
out, of which MATLAB drops trailing dimensions of 1, and biases (out, 1). Filters are correlated, as PyTorch does it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from backbones.adapters.official import CheckpointError, M, compare

KERNEL = (3, 3)
_SIGNATURE = b"MATLAB "  # how MATLAB's files begin since version 5


def is_matlab_file(path: str | Path) -> bool:
    """Whether the name or the first bytes say that MATLAB wrote it."""
    path = Path(path)
    if path.suffix.lower() == ".mat":
        return True
    try:
        with path.open("rb") as file:
            return file.read(len(_SIGNATURE)) == _SIGNATURE
    except OSError:
        return False


def read_vdsr(path: str | Path) -> dict[str, Tensor]:
    """The file's layers as `convs.<layer>.weight` (out, in, 3, 3) and `convs.<layer>.bias` (out,), float32.

    As many layers as the file has, from one channel to one channel, each of which takes what the one before it gives.

    Raises:
        CheckpointError: for a file that is missing, unreadable, of MATLAB's version 7.3, or of other contents.
    """
    path = Path(path)
    weights, biases = _layers(path)
    if len(weights) != len(biases) or not weights:
        raise CheckpointError(f"checkpoint {path}: {len(weights)} layers have weights and {len(biases)} have biases")
    state: dict[str, Tensor] = {}
    channels = 1
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        for part in (weight, bias):
            if getattr(part, "dtype", None) is None or part.dtype.kind != "f":
                raise CheckpointError(f"checkpoint {path}: layer {layer + 1} holds other things than real numbers")
        out = 1 if layer == len(weights) - 1 else bias.size
        shape = (*KERNEL, channels, out)
        if _squeezed(weight.shape) != _squeezed(shape):
            raise CheckpointError(
                f"checkpoint {path}: the weights of layer {layer + 1} of {len(weights)} are {_sides(weight.shape)}, "
                f"not {_sides(shape)} (height x width x in x out)"
            )
        if _squeezed(bias.shape) != _squeezed((out,)):
            raise CheckpointError(
                f"checkpoint {path}: the biases of layer {layer + 1} of {len(weights)} are {_sides(bias.shape)}, "
                f"not {out}x1"
            )
        state[f"convs.{layer}.weight"] = _tensor(weight.reshape(shape)).permute(3, 2, 0, 1).contiguous()
        state[f"convs.{layer}.bias"] = _tensor(bias.reshape(out))
        channels = out
    return state


def load_official_vdsr(model: M, path: str | Path) -> M:
    """Load the weights that VDSR's authors released into our ``vdsr20``; return the model.

    Strict: every layer of the file is used and none of the model is missing.

    Raises:
        CheckpointError: as `read_vdsr`, and for another number of layers or other shapes than the model's.
    """
    state = read_vdsr(path)
    compare(Path(path), type(model).__name__, state, model.state_dict())
    model.load_state_dict(state)
    return model


def _layers(path: Path) -> tuple[list[Any], list[Any]]:
    """The contents of the cells `weight` and `bias`."""
    from scipy.io import loadmat

    try:
        with path.open("rb") as file:
            content = loadmat(file, variable_names=["model"])
    except FileNotFoundError:
        raise CheckpointError(f"checkpoint {path}: no such file") from None
    except NotImplementedError:
        raise CheckpointError(
            f"checkpoint {path}: a MATLAB file of version 7.3 (HDF5), which is not read; "
            "load it in MATLAB and save it again with -v7"
        ) from None
    except Exception as error:  # noqa: BLE001  a damaged file can make the reader stumble over anything
        first_line = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise CheckpointError(f"checkpoint {path}: not a MATLAB file, or damaged: {first_line}") from None
    model = content.get("model")
    if model is None:
        raise CheckpointError(f"checkpoint {path}: a MATLAB file without a variable `model`")
    fields = getattr(model.dtype, "names", None) or ()
    if not {"weight", "bias"} <= set(fields) or model.size != 1:
        raise CheckpointError(f"checkpoint {path}: `model` is no struct of `weight` and `bias`")
    weights, biases = (model[field].item() for field in ("weight", "bias"))
    if not all(getattr(getattr(cell, "dtype", None), "kind", "") == "O" for cell in (weights, biases)):
        raise CheckpointError(f"checkpoint {path}: `weight` and `bias` of `model` are no cells with an entry a layer")
    return list(weights.flat), list(biases.flat)


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(side for side in shape if side != 1)


def _sides(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _tensor(values: Any) -> Tensor:
    return torch.from_numpy(values.astype("float32"))
