"""How the networks of this package start."""

from __future__ import annotations

from torch import nn


def initialise(model: nn.Module) -> None:
    """Draw the weights of convolutions anew (Kaiming normal, fan-out of a group) and set their biases to zero.

    The fan-out of a grouped convolution is that of one group, so that depthwise layers keep the scale of their input.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.weight[:, 0].numel() / module.groups
            nn.init.normal_(module.weight, std=(2 / fan_out) ** 0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
