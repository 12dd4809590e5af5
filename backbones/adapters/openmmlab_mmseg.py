"""Our networks in MMSegmentation's registry. Import `backbones.adapters.openmmlab` instead.

What they take besides the host's arguments: `backbones.adapters.openmmlab_surgery`.
"""

from __future__ import annotations

from mmseg.models.backbones import MobileNetV2, ResNet, ResNeXt
from mmseg.registry import MODELS

import backbones.adapters.deeplab_head  # noqa: F401  (registers the decode head of SlimConv's Table VII)
from backbones.adapters.openmmlab_surgery import (
    PretrainableMobileNetV2,
    Slimmed,
    SlimmedMobileNetV2,
    SlimmedResNeXt,
    Versatile,
)


@MODELS.register_module()
class SlimResNet(Slimmed, ResNet):
    """MMSegmentation's ResNet with SlimConv in every block."""


@MODELS.register_module()
class SlimResNeXt(SlimmedResNeXt, ResNeXt):
    """MMSegmentation's ResNeXt with SlimConv in every block."""


@MODELS.register_module()
class SlimMobileNetV2(SlimmedMobileNetV2, MobileNetV2):
    """MMSegmentation's MobileNetV2 with depthwise SlimConv in every block; it ends before the last 1x1 convolution."""


@MODELS.register_module()
class TorchvisionMobileNetV2(PretrainableMobileNetV2, MobileNetV2):
    """MMSegmentation's plain MobileNetV2, which reads checkpoints with torchvision's names of the layers, too."""


@MODELS.register_module()
class VersatileResNet(Versatile, ResNet):
    """MMSegmentation's ResNet with versatile filters in every convolution."""
