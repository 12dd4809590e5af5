"""What runs in every iteration and must not wait for the device: the bookkeeping of losses.

MMEngine's RuntimeInfoHook reads every loss in every iteration (`MessageHub.update_scalar` calls `Tensor.item`), and a
read waits until a GPU has done all that it was given. A small network's GPU then idles while Python prepares the next
iteration. Besides, a HistoryBuffer is copied whenever it grows, up to a million entries: after 150,000 iterations
that is several megabytes an iteration.
"""

from __future__ import annotations

from typing import Any

import torch
from mmengine.hooks import LoggerHook, RuntimeInfoHook
from mmengine.logging import HistoryBuffer
from mmengine.registry import HOOKS


@HOOKS.register_module(force=True)
class DeferredRuntimeInfoHook(RuntimeInfoHook):
    """RuntimeInfoHook that keeps losses on the device and reads them together when they are about to be logged.

        default_hooks = dict(runtime_info=dict(type="DeferredRuntimeInfoHook"))

    The message hub then holds what RuntimeInfoHook would have put there, so the log is the same, means over several
    iterations included. Between two readings the hub lags behind: whatever reads losses from it in each iteration
    finds old ones.

    interval: iterations from one reading to the next; None takes LoggerHook's. A loss is read in any case at the end
    of an epoch. history: entries that are kept of each quantity; None means an epoch's, and at least 1,000 (a
    `log_processor` with `window_size="global"` needs more).
    """

    def __init__(self, interval: int | None = None, history: int | None = None) -> None:
        if interval is not None and interval < 1:
            raise ValueError(f"interval must be at least 1, not {interval}")
        self.interval = interval
        self.history = history
        self._waiting: list[tuple[str, torch.Tensor]] = []

    def before_train(self, runner: Any) -> None:
        super().before_train(runner)
        self._waiting.clear()
        self._every = self.interval or _logging_interval(runner)
        self._length = self.history or max(1000, len(runner.train_dataloader))
        for name in ("time", "data_time", *runner.optim_wrapper.get_lr()):
            self._bound(runner, f"train/{name}")

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        for name, value in (outputs or {}).items():
            if isinstance(value, torch.Tensor):
                self._waiting.append((f"train/{name}", value.detach()))
            else:
                runner.message_hub.update_scalar(f"train/{name}", value)
        if self.every_n_inner_iters(batch_idx, self._every) or self.end_of_epoch(runner.train_dataloader, batch_idx):
            self._read(runner)

    def after_train_epoch(self, runner: Any) -> None:
        self._read(runner)

    def _read(self, runner: Any) -> None:
        """Fetch what is waiting, all quantities of all iterations in one copy from the device."""
        if not self._waiting:
            return
        keys, values = zip(*self._waiting, strict=True)
        self._waiting.clear()
        for key, value in zip(keys, torch.stack([value.float() for value in values]).tolist(), strict=True):
            self._bound(runner, key)
            runner.message_hub.update_scalar(key, value)

    def _bound(self, runner: Any, key: str) -> None:
        runner.message_hub.log_scalars.setdefault(key, HistoryBuffer(max_length=self._length))


def _logging_interval(runner: Any) -> int:
    intervals = [hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)]
    return min(intervals, default=100)
