"""MMEngine's Runner with safe checkpoints and a quiet console."""

from __future__ import annotations

import logging
import warnings
from datetime import datetime, timezone
from typing import Any

from mmengine.logging import MMLogger
from mmengine.runner import Runner

from benchmarks.errors import UserError
from benchmarks.training.checkpoints import newest_readable, restore


class BenchmarkRunner(Runner):
    """Runner whose `resume` reads our checkpoints (never unpickling objects) and whose log goes to its file only.

    After training: `curve` (one dictionary an epoch), `wall_time_s` (training and validation, over all resumptions),
    `started_at` (ISO, UTC) and `resumed_from` (epochs that were done when this process took over).
    """

    curve: list[dict[str, Any]]
    wall_time_s: float
    started_at: str
    resumed_from: int
    _has_loaded: bool

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        logger: MMLogger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if type(handler) is logging.StreamHandler:
                handler.setLevel(logging.CRITICAL)
        return logger

    def load_or_resume(self) -> None:
        if self._has_loaded:
            return
        self.curve, self.wall_time_s, self.resumed_from = [], 0.0, 0
        self.started_at = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self._has_loaded = True
        found = newest_readable(self.work_dir) if self._resume else None
        if found is None:
            return
        path, content, complaints = found
        experiment, seed = self.cfg.get("experiment", ""), self.seed
        if (content["experiment"], content["seed"]) != (experiment, seed):
            theirs = f"{content['experiment']} seed {content['seed']}"
            raise UserError(f"{path} belongs to {theirs}, not to {experiment} seed {seed}; give another --work-dir")
        for complaint in complaints:
            warnings.warn(f"{complaint}; going on from {path.name}", stacklevel=2)
        restore(self, content)
        self.resumed_from = int(content["epoch"])
