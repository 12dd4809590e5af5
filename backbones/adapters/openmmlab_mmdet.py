"""Our networks in MMDetection's registry. Import `backbones.adapters.openmmlab` instead.

What they take besides the host's arguments: `backbones.adapters.openmmlab_surgery`.
"""

from __future__ import annotations

from typing import Any

from mmdet.models.backbones import MobileNetV2, ResNet, ResNeXt
from mmdet.models.roi_heads.shared_heads import ResLayer
from mmdet.registry import MODELS

from backbones.adapters.openmmlab_surgery import (
    PretrainableMobileNetV2,
    Slimmed,
    SlimmedMobileNetV2,
    SlimmedResNeXt,
    Versatile,
)
from backbones.adapters.openmmlab_weights import Names


@MODELS.register_module()
class SlimResNet(Slimmed, ResNet):
    """MMDetection's ResNet with SlimConv in every block."""


@MODELS.register_module()
class SlimResNeXt(SlimmedResNeXt, ResNeXt):
    """MMDetection's ResNeXt with SlimConv in every block."""


@MODELS.register_module()
class SlimMobileNetV2(SlimmedMobileNetV2, MobileNetV2):
    """MMDetection's MobileNetV2 with depthwise SlimConv in every block."""

    numbered_convolutions = False


@MODELS.register_module()
class TorchvisionMobileNetV2(PretrainableMobileNetV2, MobileNetV2):
    """MMDetection's plain MobileNetV2, which reads checkpoints with torchvision's names of the layers, too."""

    numbered_convolutions = False


@MODELS.register_module()
class VersatileResNet(Versatile, ResNet):
    """MMDetection's ResNet with versatile filters in every convolution."""


@MODELS.register_module()
class SlimResLayer(Slimmed, ResLayer):
    """One stage of :class:`SlimResNet`, the fourth by default, as the shared head of a C4 detector."""

    def names(self) -> Names:
        return Names(part=True)


@MODELS.register_module()
class VersatileResLayer(Versatile, ResLayer):
    """One stage of :class:`VersatileResNet`, the fourth by default, as the shared head of a C4 detector.

    Channel windows slide in all of its convolutions, as none of them is the network's first.
    """

    def __init__(self, *args: Any, skip_first: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, skip_first=skip_first, **kwargs)

    def names(self) -> Names:
        return Names(part=True)
