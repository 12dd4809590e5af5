"""Public networks at widths that their libraries do not offer: what equal-cost controls are made of."""

from __future__ import annotations

from typing import Any

from torch import nn
from torchvision.models import MobileNetV2, ShuffleNetV2
from torchvision.models.efficientnet import EfficientNet, MBConvConfig

from backbones.nets.vdsr import VDSR


def thin_mobilenet_v2(width: float, **kwargs: Any) -> nn.Module:
    """Return torchvision's MobileNetV2, ``width`` times as wide, to the channel and not to multiples of 8."""
    net: nn.Module = MobileNetV2(width_mult=width, round_nearest=1, **kwargs)
    return net


def thin_shufflenet_v2(width: int, **kwargs: Any) -> nn.Module:
    """Return torchvision's ShuffleNetV2 with ``width`` channels in its second stage, doubled in those that follow."""
    net: nn.Module = ShuffleNetV2([4, 8, 4], [24, width, 2 * width, 4 * width, 1024], **kwargs)
    return net


def thin_efficientnet_b0(widths: tuple[int, ...], **kwargs: Any) -> nn.Module:
    """Return torchvision's EfficientNet-B0 with other widths of the stem and the seven stages, multiples of 8."""
    expand, kernel, stride, depth = (1, *[6] * 6), (3, 3, 5, 3, 5, 5, 3), (1, 2, 2, 2, 1, 2, 1), (1, 2, 2, 3, 3, 4, 1)
    stages = [
        MBConvConfig(*settings) for settings in zip(expand, kernel, stride, widths[:-1], widths[1:], depth, strict=True)
    ]
    net: nn.Module = EfficientNet(stages, dropout=0.2, **kwargs)
    return net


def thin_vdsr22(width: int, wider: int) -> VDSR:
    """Return VDSR with 22 layers, ``wider`` of them with one channel more."""
    return VDSR(22, [width + 1] * wider + [width] * (21 - wider))
