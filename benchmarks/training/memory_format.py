"""channels_last for networks that somebody else wrote."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module(force=True)
class ChannelsLastHook(Hook):
    """Stores the weights of convolutions as channels_last, which what they compute takes over; values stay the same.

    `NetworkModel` does this for classification and super-resolution by itself.
    """

    priority = "VERY_HIGH"

    def before_run(self, runner: Any) -> None:
        runner.model.to(memory_format=torch.channels_last)
