"""What the user sees of a run: a progress bar in a terminal, one line an epoch elsewhere."""

from __future__ import annotations

import time
from typing import Any

from mmengine.hooks import Hook
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from backbones.adapters.mmengine import unwrap
from benchmarks.training.hooks import passes

# what is shown of a validation, the first that was measured
HEADLINES = {"top1_accuracy": "accuracy", "map": "AP", "map50_11point": "AP50", "miou": "mIoU"}
REFRESH_S = 0.5  # reading the loss waits for the device, so it is not read more often than this


class ProgressHook(Hook):
    """Epoch, loss, accuracy and time left. Not in a config: the command line registers it."""

    priority = "LOWEST"

    def __init__(self, name: str, console: Console | None = None) -> None:
        self.name = name
        self.console = console or Console()
        self.bar: Progress | None = None
        self._shown = 0.0
        self._begin, self._begin_iteration = time.monotonic(), 0

    def before_train(self, runner: Any) -> None:
        self._begin, self._begin_iteration = time.monotonic(), runner.iter
        if getattr(unwrap(runner.model), "compiled_mode", None):
            self.console.print("compiling the network, which takes a minute or more", highlight=False)
        if not self.console.is_terminal:
            return
        self.console.print(f"[bold]{self.name}", highlight=False, soft_wrap=True)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[numbers]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("left"),
            console=self.console,
            refresh_per_second=2,
        )
        self.bar.start()
        self._task = self.bar.add_task("epoch 1", total=runner.max_iters, completed=runner.iter, numbers="")

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        now = time.monotonic()
        if self.bar is None or now - self._shown < REFRESH_S:
            return
        self._shown = now
        losses = outputs or {}
        loss = float((losses["loss"] - losses.get("loss_masks", 0.0)).detach())  # without the penalty of the masks
        self.bar.update(
            self._task,
            description=f"epoch {runner.epoch + 1}/{runner.max_epochs}",
            completed=runner.iter + 1,
            numbers=f"loss {loss:.3f}{self._accuracy(runner)}",
        )

    def after_train_epoch(self, runner: Any) -> None:
        if self.bar is not None:
            self.bar.update(self._task, completed=runner.iter)
        if not runner.train_loop.validates_after(runner.epoch + 1):
            self._line(runner)

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        if getattr(runner, "curve", None):
            self._line(runner)

    def after_train(self, runner: Any) -> None:
        self.close()

    def seconds_left(self, runner: Any, iteration: int) -> float | None:
        """Estimated seconds from this iteration to the end; None where nothing was trained yet."""
        done = iteration - self._begin_iteration
        return (time.monotonic() - self._begin) / done * (runner.max_iters - iteration) if done > 0 else None

    def close(self) -> None:
        """Give the terminal back; harmless if there is no bar."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def _line(self, runner: Any) -> None:
        point = runner.curve[-1]
        parts = [f"epoch {point['epoch']}/{passes(runner, runner.max_epochs)}", f"loss {point['train_loss']:.4f}"]
        parts += _quality(point)
        if "share_of_ones" in point:
            parts.append(f"ones {point['share_of_ones']:.3f}")
            parts.append(f"masks changed {100 * point.get('masks_changed', 0.0):.2f} %")
        parts.append(f"{point['seconds']:.0f} s")
        left = self.seconds_left(runner, runner.iter)
        if left:
            parts.append(f"{left / 60:.1f} min left")
        self.console.print(", ".join(parts), highlight=False, soft_wrap=True)

    @staticmethod
    def _accuracy(runner: Any) -> str:
        known = [told for point in runner.curve for told in _quality(point)]
        return f"  {known[-1]}" if known else ""


def _quality(point: dict[str, Any]) -> list[str]:
    """The one number that tells how good the network is, if it was measured in this epoch."""
    return [f"{title} {point[name]:.2f} %" for name, title in HEADLINES.items() if name in point][:1]
