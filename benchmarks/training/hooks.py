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
    """Raises DivergedError at the first loss that is not finite.

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


@HOOKS.register_module(force=True)
class CurveHook(Hook):
    """Keeps one dictionary an epoch in `runner.curve` and the wall time in `runner.wall_time_s`.

    `train_loss` is the mean over the epoch's batches without the masks' penalty, which is `mask_penalty`.
    A run that was stopped between the end of an epoch and its validation makes up for the validation on resuming.
    """

    priority = "LOW"

    def before_train(self, runner: Any) -> None:
        runner.curve = getattr(runner, "curve", [])
        runner.wall_time_s = getattr(runner, "wall_time_s", 0.0)
        self._tick = time.monotonic()
        loop = runner.train_loop
        if runner.curve and "top1_accuracy" not in runner.curve[-1] and runner.val_loop is not None:
            due = loop.epoch % loop.val_interval == 0 or loop.epoch == loop.max_epochs
            if due and loop.epoch >= loop.val_begin:
                runner.val_loop.run()

    def before_train_epoch(self, runner: Any) -> None:
        self._sums: dict[str, Any] = {}
        self._batches = 0
        self._epoch_start = time.monotonic()

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        for name in ("loss", "loss_masks"):
            if name in (outputs or {}):
                self._sums[name] = self._sums.get(name, 0.0) + (outputs or {})[name].detach()
        self._batches += 1

    def after_train_epoch(self, runner: Any) -> None:
        means = processes.means({name: float(total) / max(self._batches, 1) for name, total in self._sums.items()})
        penalty = means.get("loss_masks")
        point: dict[str, Any] = {
            "epoch": runner.epoch + 1,
            "train_loss": round(means.get("loss", math.nan) - (penalty or 0.0), 5),
            "lr": float(f"{runner.optim_wrapper.optimizer.param_groups[0]['lr']:.4g}"),
            "seconds": round(time.monotonic() - self._epoch_start, 2),
        }
        if penalty is not None:
            point["mask_penalty"] = round(penalty, 5)
        scalars = runner.message_hub.log_scalars
        for name in ("share_of_ones", "masks_changed"):
            if f"train/{name}" in scalars:
                point[name] = round(float(scalars[f"train/{name}"].current()), 6)
        runner.curve.append(point)
        self._add_time(runner)

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        if getattr(runner, "curve", None) and metrics:
            runner.curve[-1].update({name: round(value, 4) for name, value in metrics.items()})
            self._add_time(runner)

    def _add_time(self, runner: Any) -> None:
        now = time.monotonic()
        runner.wall_time_s += now - self._tick
        self._tick = now
