"""What a checkpoint holds, when it is written, and how a run goes on from it.

MMEngine's own checkpoints hold pickled objects and the state at the ends of epochs only. Ours hold tensors and plain
values, read with `torch.load(weights_only=True)`, and the whole state at any iteration: a run that goes on from one
equals a run that was never stopped.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from backbones.adapters.mmengine import unwrap
from benchmarks.training import processes
from benchmarks.training.checkpoint_files import FORMAT, checkpoint_name, prune, save_atomically
from benchmarks.training.hooks import DivergedError
from benchmarks.training.random_state import random_state
from benchmarks.training.stopping import stopper_of


@HOOKS.register_module(force=True)
class AtomicCheckpointHook(Hook):
    """Saves after each epoch, again once that epoch's accuracy is known, every `interval_s` seconds and before a stop.

    keep: how many of the newest checkpoints stay, at least 1; a run that is killed while it writes needs none more,
    one whose newest file the disk spoils needs 2. No checkpoint is written from a loss or weights that are not finite.
    """

    priority = "VERY_LOW"

    def __init__(self, keep: int = 2, interval_s: float = 300.0) -> None:
        if keep < 1:
            raise ValueError(f"keep must be at least 1, not {keep}")
        if interval_s < 0:
            raise ValueError(f"interval_s must be 0 or more seconds, not {interval_s}")
        self.keep = keep
        self.interval_s = interval_s

    def before_train(self, runner: Any) -> None:
        self._saved_at = time.monotonic()

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        if self.end_of_epoch(runner.train_dataloader, batch_idx):
            return  # after_train_epoch saves
        if (batch_idx + 1) % processes.steps_between_talks():
            return
        stopper, due = stopper_of(runner), time.monotonic() - self._saved_at >= self.interval_s
        stop, save = processes.anyone(stopper.wants_to_stop(), due)
        if stop or save:
            self.save(runner, runner.epoch, runner.iter + 1, batch_idx + 1, (outputs or {}).get("loss"))
        if stop:
            stopper.stop(runner.epoch, runner.iter + 1)

    def after_train_epoch(self, runner: Any) -> None:
        self.save(runner, runner.epoch + 1, runner.iter, validation_missing=True)
        stopper_of(runner).stop_if_wanted(runner.epoch + 1, runner.iter)

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        if runner.epoch > 0:
            self.save(runner, runner.epoch, runner.iter)

    def save(
        self,
        runner: Any,
        epoch: int,
        iteration: int,
        batches_done: int = 0,
        loss: Any = None,
        validation_missing: bool = False,
    ) -> None:
        """Write the state after `epoch` epochs and `batches_done` batches. Raises DivergedError, UserError (disk)."""
        check_finite(unwrap(runner.model), loss, f"epoch {epoch + 1 if batches_done else epoch}")
        begin = time.monotonic()
        content = snapshot(runner, epoch, iteration, batches_done, validation_missing)
        if processes.is_main_process():
            save_atomically(content, Path(runner.work_dir) / checkpoint_name(epoch, batches_done))
            prune(runner.work_dir, self.keep)
        self._saved_at = time.monotonic()
        stopper_of(runner).saving_took(self._saved_at - begin)


def check_finite(model: torch.nn.Module, loss: Any, when: str) -> None:
    """Raise DivergedError, in all processes, if in one of them the loss or a weight is NaN or infinite."""
    tensors = [parameter.detach() for parameter in model.parameters()]
    if isinstance(loss, torch.Tensor):
        tensors.append(loss.detach())
    finite = torch.stack([torch.isfinite(tensor).all() for tensor in tensors]).all().item()
    if processes.anyone(not finite)[0]:
        raise DivergedError(f"the loss or a weight became NaN or infinite in {when}")


def snapshot(
    runner: Any, epoch: int, iteration: int, batches_done: int = 0, validation_missing: bool = False
) -> dict[str, Any]:
    """The whole state of a run as tensors and plain values; all processes call it together.

    epoch: whole epochs done; batches_done: of the next one; validation_missing: the last epoch's is still to come.
    Hooks add their own part through MMEngine's `before_save_checkpoint`: EMAHook the averaged weights, CurveHook the
    curve and the sums of the running epoch, VersatileMaskHook the masks that the epoch began with.
    """
    states = processes.every_ones(random_state())
    content = {
        "slimbench_checkpoint": FORMAT,
        "experiment": runner.cfg.get("experiment", ""),
        "seed": runner.seed,
        "epoch": epoch,
        "iteration": iteration,
        "batches_done": batches_done,
        "validation_missing": validation_missing,
        "random_state": states[0],
        "random_states_of_others": states[1:],
        "state_dict": unwrap(runner.model).state_dict(),
        "optimizer": runner.optim_wrapper.state_dict(),
        "param_schedulers": [scheduler.state_dict() for scheduler in runner.param_schedulers or []],
        "started_at": getattr(runner, "started_at", ""),
        "resumptions": getattr(runner, "resumptions", 0),
    }
    runner.call_hook("before_save_checkpoint", checkpoint=content)
    return content


def restore(runner: Any, content: dict[str, Any]) -> None:
    """Bring a runner, whose loop, optimizer and schedulers are built, to the state of `snapshot`."""
    runner.call_hook("after_load_checkpoint", checkpoint=content)
    unwrap(runner.model).load_state_dict(content["state_dict"], strict=True)
    runner.optim_wrapper.load_state_dict(content["optimizer"])
    for scheduler, state in zip(runner.param_schedulers or [], content["param_schedulers"], strict=True):
        scheduler.load_state_dict(state)
    states = [content["random_state"], *content.get("random_states_of_others", [])]
    rank = processes.get_rank()
    curve = content.get("curve", [])  # format 1 knew no `validation_missing`
    missing = content.get("validation_missing", bool(curve) and "top1_accuracy" not in curve[-1])
    runner.train_loop.go_on(
        content["epoch"],
        content["iteration"],
        content.get("batches_done", 0),
        states[rank] if rank < len(states) else random_state(),  # there were fewer processes
        validation_missing=missing,
    )
    runner.started_at = content["started_at"]
    runner.resumptions = content.get("resumptions", 0) + 1
