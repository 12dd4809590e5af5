"""The order of the images in an epoch, dealt out to the processes of a run so that they do together what one would."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmengine.dataset import DefaultSampler
from mmengine.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module(force=True)
class EpochSampler(DefaultSampler):
    """MMEngine's DefaultSampler (order drawn from seed and epoch) that also tells the data set seed and epoch.

    The order is dealt out in turn: with W processes that take b images a step each, step t of all of them sees exactly
    the images of step t of one process that takes W * b. The images left over at the end of an epoch are dealt out in
    turn too, unevenly if they must be; a process that gets none of them takes one image again, so that all processes
    make the same number of steps, and `weight` says how much each one's loss must count. Where `batch_size` is not
    known (a Runner without `DistributedHook`), the last round is filled with images again, as DefaultSampler does.

    batch_size: images that a process takes in a step. `start_at` leaves out steps that are done, in one epoch.
    """

    batch_size: int | None = None
    _first_step = 0

    def start_at(self, step: int, batch_size: int) -> None:
        """Begin the next epoch at this step, on any number of processes: the steps before it were done earlier.

        The length stays that of the whole epoch. batch_size: images that a process takes in a step.
        """
        self._first_step, self.batch_size = step, batch_size

    def set_epoch(self, epoch: int) -> None:
        super().set_epoch(epoch)
        tell: Any = getattr(self.dataset, "set_epoch", None)
        if tell is not None:
            tell(self.seed, epoch)

    def __iter__(self) -> Iterator[int]:
        mine = list(super().__iter__())
        last = self.rank + self.world_size * (len(mine) - 1)  # its place in the order of all processes
        filling = last >= len(self.dataset)
        if filling and self.batch_size is not None and (len(mine) - 1) % self.batch_size:
            mine.pop()  # the process has other images in that step
        done, self._first_step = self._first_step * (self.batch_size or 0), 0
        return iter(mine[done:])

    def weight(self, step: int) -> float:
        """This process's share of the images of a step, times the number of processes: 1 but in the last step.

        The mean over the processes of (weight * mean loss of a process's images) is the mean loss of all images.
        """
        if self.batch_size is None:
            return 1.0
        together = self.batch_size * self.world_size
        images = min(together, len(self.dataset) - step * together)
        mine = max(0, -((self.rank - images) // self.world_size))
        return float(mine * self.world_size / images)
