"""What makes a run of several processes the run that one process with the whole batch would make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as torch_dist
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from torch import Tensor, nn

from backbones.adapters.mmengine import unwrap
from benchmarks.training import total_batch
from benchmarks.training.processes import alone, get_world_size, separate_random_state
from benchmarks.training.sampler import EpochSampler


@HOOKS.register_module(force=True)
class DistributedHook(Hook):
    """With one process it does nothing. With several, under MMEngine's Runner or ours, it sees to four things.

    - *The learning rate.* The config's batch is the total one; a run in which each process takes all of it is refused.
    - *The last step of an epoch*, whose images do not divide equally: DistributedDataParallel takes the mean of the
      processes' gradients, so each one's losses are multiplied by `EpochSampler.weight`. The same factors make the mean
      of the logged losses right, and leave the masks' penalty, equal on all processes, as it is.
    - *Batch norm's statistics.* Each process normalises with those of its own images (SyncBatchNorm, `--sync-bn`, with
      those of all). For validation and test all take over the main process's running statistics, which are those that
      checkpoints hold; so the accuracy is that of one network, and a resumed run equals an uninterrupted one.
    - *Random numbers* (dropout, drop path) differ between processes; the main one draws as if it were alone.
    """

    priority = "LOWEST"  # before a validation it must come after EMAHook, which puts its own buffers in

    def __init__(self) -> None:
        self._weight = 1.0

    def before_run(self, runner: Any) -> None:
        if not alone():
            separate_random_state(runner.seed)

    def before_train(self, runner: Any) -> None:
        if alone():
            return
        loader = runner.train_dataloader
        batch = loader.batch_size or loader.batch_sampler.batch_size
        total_batch.check(batch, get_world_size(), runner.cfg.get("auto_scale_lr"))
        if isinstance(loader.sampler, EpochSampler):
            loader.sampler.batch_size = loader.batch_size
            model = unwrap(runner.model)
            vars(model)["parse_losses"] = self._weighted(getattr(model, "parse_losses"))  # noqa: B009

    def after_train(self, runner: Any) -> None:
        if not alone():
            vars(unwrap(runner.model)).pop("parse_losses", None)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if not alone() and isinstance(runner.train_dataloader.sampler, EpochSampler):
            self._weight = runner.train_dataloader.sampler.weight(batch_idx)

    def before_val_epoch(self, runner: Any) -> None:
        buffers_from_main(unwrap(runner.model))

    def before_test_epoch(self, runner: Any) -> None:
        buffers_from_main(unwrap(runner.model))

    def _weighted(self, parse_losses: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
        def parse_weighted_losses(losses: dict[str, Any]) -> Any:
            if self._weight == 1.0:
                return parse_losses(losses)
            return parse_losses({name: _times(loss, self._weight) for name, loss in losses.items()})

        return parse_weighted_losses


def buffers_from_main(model: nn.Module) -> None:
    """Give all processes the main one's buffers, batch norm's running statistics among them; in place."""
    if alone():
        return
    with torch.no_grad():
        for buffer in model.buffers():
            torch_dist.broadcast(buffer, src=0)


def _times(loss: Any, weight: float) -> Any:
    if isinstance(loss, Tensor):
        return loss * weight
    return [part * weight for part in loss]
