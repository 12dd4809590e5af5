"""An exponential moving average of the weights that the final test uses, too."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import EMAHook
from mmengine.registry import HOOKS


@HOOKS.register_module(force=True)
class WeightAverageHook(EMAHook):
    """MMEngine's EMAHook for runs that train and then test.

    Validation, test and checkpoints see the averaged weights. MMEngine's hook makes its copy of the model anew before
    every run, a test after training included, so that the accuracy which is recorded would be the last weights'.
    momentum: weight of the newest weights in the average, 1 - decay.
    """

    def before_run(self, runner: Any) -> None:
        if getattr(self, "ema_model", None) is None:
            super().before_run(runner)
