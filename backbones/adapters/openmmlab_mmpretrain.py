"""Our networks in MMPretrain's registry. Import `backbones.adapters.openmmlab` instead.

What they take besides the host's arguments: `backbones.adapters.openmmlab_surgery`.
"""

from __future__ import annotations

from mmpretrain.models.backbones import MobileNetV2, ResNet, ResNeXt
from mmpretrain.registry import MODELS

from backbones.adapters.openmmlab_surgery import (
    PretrainableMobileNetV2,
    Slimmed,
    SlimmedMobileNetV2,
    SlimmedResNeXt,
    Versatile,
)


@MODELS.register_module()
class SlimResNet(Slimmed, ResNet):
    """MMPretrain's ResNet with SlimConv in every block."""


@MODELS.register_module()
class SlimResNeXt(SlimmedResNeXt, ResNeXt):
    """MMPretrain's ResNeXt with SlimConv in every block."""


@MODELS.register_module()
class SlimMobileNetV2(SlimmedMobileNetV2, MobileNetV2):
    """MMPretrain's MobileNetV2 with depthwise SlimConv in every block."""


@MODELS.register_module()
class TorchvisionMobileNetV2(PretrainableMobileNetV2, MobileNetV2):
    """MMPretrain's plain MobileNetV2, which reads checkpoints with torchvision's names of the layers, too."""


@MODELS.register_module()
class VersatileResNet(Versatile, ResNet):
    """MMPretrain's ResNet with versatile filters in every convolution."""
