"""Hooks of every run: the curve, the stop on a loss that is no number, and what the user sees."""

from __future__ import annotations

import math
import time
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from benchmarks.training import processes


class DivergedError(Exception):
    """The loss is NaN or infinite: further training is pointless, the run is recorded as diverged."""


@HOOKS.register_module(force=True)
class StopOnDivergenceHook(Hook):
    """Raises DivergedError at the first loss that is not finite, and where a validation or a test measures NaN.

    On a GPU it looks every `interval` iterations and at the end of an epoch only, since reading the loss waits for
    the device; checkpoints, written after an epoch, are good in any case.
    """

    priority = "HIGH"

    def __init__(self, interval: int = 50) -> None:
        self.interval = interval

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        loss = (outputs or {}).get("loss")
        if not isinstance(loss, torch.Tensor):
            return
        last = batch_idx + 1 == len(runner.train_dataloader)
        due = loss.device.type == "cpu" or last or self.every_n_inner_iters(batch_idx, self.interval)
        if due and processes.anyone(not math.isfinite(loss.item()))[0]:
            where = f"epoch {runner.epoch + 1}, batch {batch_idx + 1}"
            loss_of_all = processes.means({"loss": loss.item()})["loss"]
            raise DivergedError(f"the loss became {loss_of_all} in {where}")

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        _refuse_nan(metrics, f"in the validation after epoch {runner.epoch}")

    def after_test_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        _refuse_nan(metrics, "in the test")


def passes(runner: Any, epochs: int) -> int | float:
    """How often all training images were seen in so many of the loop's epochs, which may be rounds of any length."""
    length = getattr(runner.train_dataloader.sampler, "length", None)
    if length is None:
        return epochs
    found = round(epochs * length / len(runner.train_dataloader.dataset), 2)
    return int(found) if found.is_integer() else found


def _refuse_nan(metrics: dict[str, float] | None, where: str) -> None:
    # Weights that the last step spoilt may be finite, and a PSNR of what they make of a picture none.
    for name, value in (metrics or {}).items():
        if math.isnan(value):
            raise DivergedError(f"{name} became nan {where}")


@HOOKS.register_module(force=True)
class CurveHook(Hook):
    """Keeps one dictionary an epoch in `runner.curve` and the wall time in `runner.wall_time_s`.

    `train_loss` is the mean over the epoch's batches without the masks' penalty, which is `mask_penalty`. Checkpoints
    carry the curve and the sums of the running epoch, so that a run that was stopped has the same curve in the end.
    """

    priority = "LOW"

    def __init__(self) -> None:
        self._sums: dict[str, Any] = {}
        self._batches = 0
        self._seconds = 0.0  # of the running epoch, in the processes before this one
        self._resumed = False

    def before_train(self, runner: Any) -> None:
        runner.curve = getattr(runner, "curve", [])
        runner.wall_time_s = getattr(runner, "wall_time_s", 0.0)
        self._tick = self._epoch_start = time.monotonic()

    def before_train_epoch(self, runner: Any) -> None:
        self._epoch_start = time.monotonic()
        if not self._resumed:
            self._start_anew()
        self._resumed = False

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        for name in ("loss", "loss_masks"):
            if name in (outputs or {}):
                self._sums[name] = self._sums.get(name, 0.0) + (outputs or {})[name].detach()
        self._batches += 1

    def after_train_epoch(self, runner: Any) -> None:
        means = self.means()
        point: dict[str, Any] = {
            "epoch": passes(runner, runner.epoch + 1),
            "train_loss": round(means["train_loss"], 5),
            "lr": float(f"{runner.optim_wrapper.optimizer.param_groups[0]['lr']:.4g}"),
            "seconds": round(self._seconds + time.monotonic() - self._epoch_start, 2),
        }
        if "mask_penalty" in means:
            point["mask_penalty"] = round(means["mask_penalty"], 5)
        scalars = runner.message_hub.log_scalars
        for name in ("share_of_ones", "masks_changed"):
            if f"train/{name}" in scalars:
                point[name] = round(float(scalars[f"train/{name}"].current()), 6)
        runner.curve.append(point)
        self._start_anew()
        self._add_time(runner)

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        if getattr(runner, "curve", None) and metrics:
            whole = {name: round(value, 4) for name, value in metrics.items() if "." not in name}  # not of each class
            runner.curve[-1].update(whole)
            self._add_time(runner)

    def means(self) -> dict[str, float]:
        """`train_loss` and, with learnable masks, `mask_penalty` of the running epoch so far; waits for the device."""
        means = processes.means({name: float(total) / max(self._batches, 1) for name, total in self._sums.items()})
        penalty = means.get("loss_masks")
        found = {"train_loss": means.get("loss", math.nan) - (penalty or 0.0)}
        return found if penalty is None else {**found, "mask_penalty": penalty}

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        self._add_time(runner)
        so_far = self._seconds + time.monotonic() - self._epoch_start if self._batches else 0.0
        checkpoint["curve"] = runner.curve
        checkpoint["wall_time_s"] = runner.wall_time_s
        checkpoint["epoch_so_far"] = {"sums": processes.means(self._sums), "batches": self._batches, "seconds": so_far}

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        if not (runner._resume and "curve" in checkpoint):
            return
        runner.curve = list(checkpoint["curve"])
        runner.wall_time_s = float(checkpoint["wall_time_s"])
        so_far = checkpoint.get("epoch_so_far")  # absent in format 1, which knew ends of epochs only
        if so_far is not None and so_far["batches"]:
            device = next(runner.model.parameters()).device
            self._sums = {name: torch.as_tensor(total, device=device) for name, total in so_far["sums"].items()}
            self._batches, self._seconds = so_far["batches"], so_far["seconds"]
            self._resumed = True

    def _start_anew(self) -> None:
        self._sums, self._batches, self._seconds = {}, 0, 0.0

    def _add_time(self, runner: Any) -> None:
        now = time.monotonic()
        runner.wall_time_s += now - self._tick
        self._tick = now
