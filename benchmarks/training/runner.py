"""MMEngine's Runner with safe checkpoints, exact resumption and a quiet console."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from datetime import datetime, timezone
from functools import partial
from typing import Any

import torch
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.runner import BaseLoop, Runner
from mmengine.visualization import Visualizer
from torch import nn
from torch.utils.data import DataLoader

from benchmarks.errors import UserError
from benchmarks.precision import without_tf32
from benchmarks.training import processes
from benchmarks.training.checkpoint_files import newest_readable, remove_leftovers
from benchmarks.training.checkpoints import restore
from benchmarks.training.loop import ResumableTrainLoop
from benchmarks.training.stopping import Stopper, outlive_signals


class BenchmarkRunner(Runner):
    """Runner whose `resume` reads our checkpoints (never unpickling objects) and whose log goes to its file only.

    After training: `curve` (one dictionary an epoch), `wall_time_s` (training and validation, over all resumptions),
    `started_at` (ISO, UTC), `resumptions` (how often) and `resumed_from` ((epochs, batches) that were done when this
    process took over).
    `stopper` says when to stop early; it also is one of the hooks.
    """

    curve: list[dict[str, Any]]
    wall_time_s: float
    started_at: str
    resumed_from: tuple[int, int]
    resumptions: int
    stopper: Stopper
    _has_loaded: bool
    _resume: bool
    _has_begun = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stopper = Stopper()

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        logger: MMLogger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if type(handler) is logging.StreamHandler:
                handler.setLevel(logging.CRITICAL)
        return logger

    def wrap_model(self, model_wrapper_cfg: dict[str, Any] | None, model: nn.Module) -> nn.Module:
        # Networks of the toolboxes; ours see to it themselves. Not later: DistributedDataParallel notes the order.
        if self.cfg.get("toolbox"):
            model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        wrapped: nn.Module = super().wrap_model(model_wrapper_cfg, model)
        return wrapped

    def build_train_loop(self, loop: BaseLoop | dict[str, Any]) -> BaseLoop:
        plain = isinstance(loop, dict) and (loop.get("type") == "EpochBasedTrainLoop" or loop.get("by_epoch", False))
        if plain and isinstance(loop, dict):
            settings = {key: value for key, value in loop.items() if key not in {"type", "by_epoch"}}
            loop = {"type": ResumableTrainLoop.__name__, **settings}
        return super().build_train_loop(loop)

    def call_hook(self, fn_name: str, **kwargs: Any) -> None:
        # `test` after `train` calls before_run again, where EMAHook forgets its average and would test other weights.
        if fn_name == "before_run":
            if self._has_begun:
                return
            self._has_begun = True
        super().call_hook(fn_name, **kwargs)

    @staticmethod
    def build_dataloader(dataloader: DataLoader[Any] | dict[str, Any], *args: Any, **kwargs: Any) -> DataLoader[Any]:
        loader: DataLoader[Any] = Runner.build_dataloader(dataloader, *args, **kwargs)
        # Starting workers draws a number, and a resumed run starts them more often: not from the global generator.
        loader.generator = loader.generator or torch.Generator()
        if loader.num_workers and loader is not dataloader:
            loader.worker_init_fn = partial(outlive_signals, loader.worker_init_fn)
        return loader

    def load_or_resume(self) -> None:
        if self._has_loaded:
            return
        self._has_loaded = True
        self.curve, self.wall_time_s, self.resumed_from, self.resumptions = [], 0.0, (0, 0), 0
        self.started_at = processes.from_main(datetime.now(timezone.utc).isoformat(timespec="seconds"))
        content = processes.tensors_from_main(self._newest_checkpoint()) if self._resume else None
        self._resume = content is not None  # what EMAHook takes for "resumed"
        if content is not None:
            restore(self, content)
            self.resumed_from = (int(content["epoch"]), int(content.get("batches_done", 0)))
        elif self._load_from is not None:
            self.load_checkpoint(self._load_from)

    def test(self) -> dict[str, float]:
        """Test the last weights in float32, without TF32."""
        with without_tf32():
            metrics: dict[str, float] = super().test()
        return metrics

    def close(self) -> None:
        """Close the log's files and what MMEngine keeps of a run for the rest of the process, where others follow."""
        for handler in self.logger.handlers:
            handler.close()
        with contextlib.suppress(AttributeError):  # a visualizer that was never used
            self.visualizer.close()
        for registry in (MMLogger, MessageHub, Visualizer, DefaultScope):
            registry._instance_dict.pop(self.experiment_name, None)

    def _newest_checkpoint(self) -> dict[str, Any] | None:
        """The newest checkpoint in the work folder, read by the main process; None if there is none."""
        if not processes.is_main_process():
            return None
        remove_leftovers(self.work_dir)
        found = newest_readable(self.work_dir)
        if found is None:
            return None
        path, content, complaints = found
        experiment, seed = self.cfg.get("experiment", ""), self.seed
        if (content["experiment"], content["seed"]) != (experiment, seed):
            theirs = f"{content['experiment']} seed {content['seed']}"
            raise UserError(f"{path} belongs to {theirs}, not to {experiment} seed {seed}; give another --work-dir")
        for complaint in complaints:
            warnings.warn(f"{complaint}; going on from {path.name}", stacklevel=2)
        return content


@contextlib.contextmanager
def closing(runner: BenchmarkRunner) -> Iterator[BenchmarkRunner]:
    """Close the runner at the end of the block."""
    try:
        yield runner
    finally:
        runner.close()
