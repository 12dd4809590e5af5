"""What a run leaves to read beside its record: a JSON log, its curve as a picture, on request TensorBoard's files."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import time
import warnings
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.hooks import Hook

from benchmarks import ledger
from benchmarks.errors import UserError
from benchmarks.training import processes

LOG = "log.jsonl"
PICTURE = "curve.png"


class JsonLogHook(Hook):
    """Appends to `log.jsonl` in the work folder, one JSON object a line, `pandas.read_json(..., lines=True)` reads it.

    Each line has `event` and `time` (UTC); `epoch` counts from 1, `iteration` from 1 over all epochs:

    - start: `epochs_done`, `batches_done`, `iterations_done`; a process takes over here, and what was logged beyond
      (between the last checkpoint and a kill) is done again.
    - progress: every `interval` iterations: `loss` of that batch, `lr`, `iterations_per_s` since the last such line.
    - epoch: the curve's point of that epoch, accuracy included where the epoch was validated.
    - end: written by the engine, `status` and the recorded metrics, or why the run stopped.
    """

    priority = "LOWEST"  # after CurveHook has finished the epoch's point

    def __init__(self, interval: int = 100) -> None:
        self.interval = interval

    def before_train(self, runner: Any) -> None:
        epochs, batches = runner.resumed_from
        write_line(
            runner.work_dir, "start", epochs_done=epochs, batches_done=batches, iterations_done=runner.iter,
            iterations=runner.max_iters, process=os.getpid(),
        )  # fmt: skip
        self._at, self._iteration = time.monotonic(), runner.iter

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        if not self.every_n_inner_iters(batch_idx, self.interval) or "loss" not in (outputs or {}):
            return
        loss, now = (outputs or {})["loss"].item(), time.monotonic()  # waits for the device
        done = runner.iter + 1
        speed = (done - self._iteration) / max(now - self._at, 1e-9)
        self._at, self._iteration = now, done
        lr = runner.optim_wrapper.optimizer.param_groups[0]["lr"]
        write_line(
            runner.work_dir, "progress", epoch=runner.epoch + 1, iteration=done, loss=round(loss, 5), lr=lr,
            iterations_per_s=round(speed, 2),
        )  # fmt: skip

    def after_train_epoch(self, runner: Any) -> None:
        if not runner.train_loop.validates_after(runner.epoch + 1):
            write_line(runner.work_dir, "epoch", iteration=runner.iter, **runner.curve[-1])

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        if getattr(runner, "curve", None):
            write_line(runner.work_dir, "epoch", iteration=runner.iter, **runner.curve[-1])


def write_line(work_dir: str | os.PathLike[str], event: str, **values: Any) -> None:
    """Append a line to the run's JSON log, from the main process. A full disk costs the line, not the run."""
    if not processes.is_main_process():
        return
    line = {"event": event, "time": datetime.now(timezone.utc).isoformat(timespec="seconds"), **values}
    plain = {key: None if _not_finite(value) else value for key, value in line.items()}  # JSON has no NaN
    try:
        with (Path(work_dir) / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps(plain) + "\n")
    except OSError as error:
        warnings.warn(f"cannot write to {Path(work_dir) / LOG}: {error}", stacklevel=2)


def _not_finite(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def log_to_tensorboard(config: Config) -> None:
    """Have MMEngine's visualiser write TensorBoard's files to `<work folder>/tensorboard`. Raises UserError."""
    if importlib.util.find_spec("tensorboard") is None:
        raise UserError("--tensorboard needs the package tensorboard: pip install 'slimbench[tensorboard]'")
    folder = str(Path(config.work_dir) / "tensorboard")
    config.visualizer = {
        "type": "Visualizer",
        "vis_backends": [{"type": "LocalVisBackend"}, {"type": "TensorboardVisBackend", "save_dir": folder}],
    }


def draw_curve(result: ledger.RunResult, work_dir: str | os.PathLike[str]) -> Path | None:
    """Save the learning curve as `curve.png` in the work folder. A picture that fails costs a warning, not the run."""
    path = Path(work_dir) / PICTURE
    try:
        from benchmarks.reports import curves

        curves.learning_curves(curves.frame([result])).savefig(path)
    except Exception as error:  # noqa: BLE001 (whatever goes wrong in drawing, the run is finished)
        warnings.warn(f"cannot draw {path}: {error}", stacklevel=2)
        return None
    return path
