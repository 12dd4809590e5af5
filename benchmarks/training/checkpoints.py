"""Checkpoints that a crash cannot spoil and that carry nothing but tensors and plain values.

MMEngine's own checkpoints contain pickled objects, which cannot be read back without trusting the file. Ours are read
with `torch.load(weights_only=True)`, always: an unreadable one falls back to the one before, never to full unpickling.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from torch import nn

from benchmarks.errors import UserError

FORMAT = 1


def save_atomically(content: dict[str, Any], path: Path) -> None:
    """Write to a temporary file beside `path`, flush it, then rename: a reader sees all of it or nothing."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            torch.save(content, stream)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load_safely(path: str | os.PathLike[str], map_location: Any = "cpu") -> dict[str, Any]:
    """Read a checkpoint of tensors and plain values. Raises UserError if it is missing, unreadable or holds objects."""
    if not Path(path).is_file():
        raise UserError(f"no checkpoint file {path}")
    try:
        content = torch.load(path, map_location=map_location, weights_only=True)
    except Exception as error:  # torch raises a dozen kinds for a truncated or foreign file
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(f"cannot read checkpoint {path} (tensors and plain values only): {reason[0]}") from error
    if not isinstance(content, dict):
        raise UserError(f"checkpoint {path} holds a {type(content).__name__}, not a dictionary of tensors")
    return content


def checkpoint_files(work_dir: str | os.PathLike[str]) -> list[Path]:
    """The checkpoints of a run, newest first."""
    found = Path(work_dir).glob("epoch_*.pth")
    numbered = [(int(path.stem.split("_")[1]), path) for path in found if path.stem.split("_")[1].isdigit()]
    return [path for _, path in sorted(numbered, reverse=True)]


def newest_readable(work_dir: str | os.PathLike[str]) -> tuple[Path, dict[str, Any], list[str]] | None:
    """The newest checkpoint that can be read, its content, and a line for each newer one that could not.

    None if there is no checkpoint at all. Raises UserError if there are some and none can be read.
    """
    complaints: list[str] = []
    for path in checkpoint_files(work_dir):
        try:
            content = load_safely(path)
        except UserError as error:
            complaints.append(str(error))
            continue
        if content.get("slimbench_checkpoint") == FORMAT:
            return path, content, complaints
        complaints.append(f"{path} is no checkpoint of slimbench")
    if complaints:
        raise UserError(f"{complaints[0]}; nor is there another to go on from: remove {work_dir} to start anew")
    return None


def network_weights(content: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The network's own state dict, from our checkpoint, MMEngine's, or a bare state dict; prefixes removed."""
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


@HOOKS.register_module(force=True)
class AtomicCheckpointHook(Hook):
    """Saves `epoch_N.pth` after each epoch and again once that epoch's accuracy is known; keeps the newest `keep`."""

    priority = "VERY_LOW"

    def __init__(self, keep: int = 2) -> None:
        if keep < 1:
            raise ValueError(f"keep must be at least 1, not {keep}")
        self.keep = keep

    def after_train_epoch(self, runner: Any) -> None:
        self.save(runner, runner.epoch + 1)

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        if runner.epoch > 0:
            self.save(runner, runner.epoch)

    def save(self, runner: Any, epoch: int) -> None:
        if not is_main_process():
            return
        work_dir = Path(runner.work_dir)
        iteration = epoch * len(runner.train_dataloader)
        save_atomically(snapshot(runner, epoch, iteration), work_dir / f"epoch_{epoch}.pth")
        for old in checkpoint_files(work_dir)[self.keep :]:
            old.unlink(missing_ok=True)


def snapshot(runner: Any, epoch: int, iteration: int) -> dict[str, Any]:
    """The whole state of a run at the end of an epoch, as tensors and plain values."""
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {
        "slimbench_checkpoint": FORMAT,
        "experiment": runner.cfg.get("experiment", ""),
        "seed": runner.seed,
        "epoch": epoch,
        "iteration": iteration,
        "state_dict": model.state_dict(),
        "optimizer": runner.optim_wrapper.state_dict(),
        "param_schedulers": [scheduler.state_dict() for scheduler in runner.param_schedulers],
        "curve": getattr(runner, "curve", []),
        "wall_time_s": getattr(runner, "wall_time_s", 0.0),
        "started_at": getattr(runner, "started_at", ""),
        "random_state": {
            "torch": torch.get_rng_state(),
            "cuda": cuda,
        },
    }


def restore(runner: Any, content: dict[str, Any]) -> None:
    """Bring a runner, whose loop, optimizer and schedulers are built, to the state of `snapshot`."""
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    model.load_state_dict(content["state_dict"], strict=True)
    runner.optim_wrapper.load_state_dict(content["optimizer"])
    for scheduler, state in zip(runner.param_schedulers, content["param_schedulers"], strict=True):
        scheduler.load_state_dict(state)
    runner.train_loop._epoch = content["epoch"]
    runner.train_loop._iter = content["iteration"]
    runner.curve = list(content["curve"])
    runner.wall_time_s = float(content["wall_time_s"])
    runner.started_at = content["started_at"]
    torch.set_rng_state(content["random_state"]["torch"])
    if content["random_state"]["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(content["random_state"]["cuda"])
