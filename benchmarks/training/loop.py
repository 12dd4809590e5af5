"""MMEngine's epoch loop, able to begin in the middle of an epoch."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from mmengine.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop
from torch import nn

from benchmarks.training.random_state import restore_random_state


@LOOPS.register_module(force=True)
class ResumableTrainLoop(EpochBasedTrainLoop):
    """EpochBasedTrainLoop that goes on at any batch of an epoch and makes up for a validation that was cut off.

    BenchmarkRunner takes it wherever a config says EpochBasedTrainLoop; uninterrupted, both do the same.
    """

    _batches_done = 0
    _validation_missing = False

    def go_on(
        self, epoch: int, iteration: int, batches_done: int, random_state: dict[str, Any], validation_missing: bool
    ) -> None:
        """Continue after `epoch` whole epochs and `batches_done` batches of the next, drawing from `random_state`."""
        self._epoch, self._iter, self._batches_done = epoch, iteration, batches_done
        self._validation_missing = validation_missing
        restore_random_state(random_state)

    def run(self) -> nn.Module:
        self.runner.call_hook("before_train")
        if self._validation_missing and self.validates_after(self._epoch):
            self.runner.val_loop.run()
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            if self.validates_after(self._epoch):
                self.runner.val_loop.run()
        self.runner.call_hook("after_train")
        model: nn.Module = self.runner.model
        return model

    def run_epoch(self) -> None:
        begin, self._batches_done = self._batches_done, 0
        self.runner.call_hook("before_train_epoch")
        self.runner.model.train()
        for index, batch in enumerate(self._batches(begin), begin):
            self.run_iter(index, batch)
        self.runner.call_hook("after_train_epoch")
        self._epoch += 1

    def validates_after(self, epoch: int) -> bool:
        """Whether a validation follows the epoch that ends now, the `epoch`-th."""
        self._decide_current_val_interval()
        due = epoch % self.val_interval == 0 or epoch == self._max_epochs
        return self.runner.val_loop is not None and epoch >= self.val_begin and due

    def _batches(self, begin: int) -> Iterator[Any]:
        """The rest of the epoch, from batch `begin` on."""
        skip = begin
        in_order = self.dataloader.batch_size is not None  # else images are grouped, and the groups must fill again
        if begin and in_order and hasattr(self.dataloader.sampler, "start_at"):
            self.dataloader.sampler.start_at(begin, self.dataloader.batch_size)
            skip = 0
        return islice(self.dataloader, skip, None)
