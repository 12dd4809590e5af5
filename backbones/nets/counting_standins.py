"""Detectors and segmentors reduced to their layers: they exist to be counted, not to be trained.

The parameters and operations of SlimConv's Tables VII to IX are those of whole networks. These modules hold exactly
the layers that were counted and run them on the right shapes; they have no losses, no proposals and no
post-processing, and what they predict means nothing. Their parts are called as OpenMMLab calls them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class WholeNetwork(nn.Module):
    """A network that tells what it is made of when it is counted.

    Attributes:
        counted_parts: name of a part -> the modules that it consists of; in the order in which they are shown.
        proposals: regions of an image that the second stage classifies, where there is one.
    """

    counted_parts: Mapping[str, tuple[str, ...]] = {}
    proposals: int | None = None

    def remarks(self) -> tuple[str, ...]:
        """Return, in a line each, what a reader of the counts must know: regions, and what is not counted."""
        return ()


def resnet_stages(resnet: Any) -> tuple[nn.Sequential, nn.Module, nn.Module, nn.Module, nn.Module]:
    """Return stem and four stages of a network with torchvision's ResNet names; its classifier stays behind."""
    stem = nn.Sequential(resnet.conv1, resnet.bn1, resnet.relu, resnet.maxpool)
    return stem, resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4


class Backbone(nn.Module):
    """A ResNet without its classifier: ``(N, 3, H, W) -> (N, 2048, H / 32, W / 32)`` (Versatile Filters, Table 10)."""

    def __init__(self, resnet: nn.Module) -> None:
        super().__init__()
        self.stem, self.layer1, self.layer2, self.layer3, self.layer4 = resnet_stages(resnet)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(self.stem(x)))))
        return features


class DeepLabV3Plus(WholeNetwork):
    """For counting only: DeepLabv3+ with the head of SlimConv's Table VII, which is not OpenMMLab's.

    ``(N, 3, H, W) -> (N, num_classes, H, W)``. Atrous pyramid of 256 channels with dilations 6, 12, 18 on the last
    features, 48 channels of the early ones, a dense 3x3 on both, a biased 1x1.

    Args:
        early: the backbone up to the features that the decoder reads as well (a quarter of the image's size).
        late: what follows in the backbone.
        channels: of the two.
    """

    counted_parts: Mapping[str, tuple[str, ...]] = {
        "backbone": ("early", "late"),
        "decode_head.pyramid": ("pyramid", "image", "merge"),
        "decode_head.decoder": ("project", "classifier"),
    }

    def __init__(self, early: nn.Module, late: nn.Module, channels: tuple[int, int], num_classes: int = 21) -> None:
        super().__init__()
        self.early = early
        self.late = late
        self.project = _conv_bn_relu(channels[0], 48, 1)
        pyramid = [_conv_bn_relu(channels[1], 256, 1)]
        pyramid += [_conv_bn_relu(channels[1], 256, 3, dilation) for dilation in (6, 12, 18)]
        self.pyramid = nn.ModuleList(pyramid)
        self.image = nn.Sequential(nn.AdaptiveAvgPool2d(1), *_conv_bn_relu(channels[1], 256, 1))
        self.merge = nn.Sequential(*_conv_bn_relu(5 * 256, 256, 1), nn.Dropout(0.1))
        self.classifier = nn.Sequential(*_conv_bn_relu(304, 256, 3), nn.Conv2d(256, num_classes, 1))

    @classmethod
    def of_resnet(cls, resnet: nn.Module, num_classes: int = 21) -> DeepLabV3Plus:
        """Take the stages of a ResNet; dilate its last one (output stride 16) when building it."""
        stem, *stages = resnet_stages(resnet)
        return cls(nn.Sequential(stem, stages[0]), nn.Sequential(*stages[1:]), (256, 2048), num_classes)

    @classmethod
    def of_mobilenet_v2(cls, mobilenet: Any, num_classes: int = 21) -> DeepLabV3Plus:
        """Take torchvision's MobileNetV2 up to its 320 channels, undilated (output stride 32)."""
        layers = list(mobilenet.features)
        return cls(nn.Sequential(*layers[:4]), nn.Sequential(*layers[4:-1]), (24, 320), num_classes)

    def forward(self, x: Tensor) -> Tensor:
        early = self.early(x)
        late = self.late(early)
        pooled = _resize(self.image(late), late)
        merged = self.merge(torch.cat([*(branch(late) for branch in self.pyramid), pooled], 1))
        logits = self.classifier(torch.cat([self.project(early), _resize(merged, early)], 1))
        return _resize(logits, x)


class SeparableDeepLabV3Plus(DeepLabV3Plus):
    """For counting only: DeepLabv3+ with MMSegmentation's own head, DepthwiseSeparableASPPHead.

    The 3x3 convolutions are depthwise separable, two of them follow the early features, and the pyramid is merged by a
    dense 3x3. SlimConv's Table VII does not count this one.
    """

    def __init__(self, early: nn.Module, late: nn.Module, channels: tuple[int, int], num_classes: int = 21) -> None:
        super().__init__(early, late, channels, num_classes)
        for i, dilation in enumerate((6, 12, 18), 1):
            self.pyramid[i] = _separable(channels[1], 256, dilation)
        self.merge = _conv_bn_relu(5 * 256, 256, 3)
        self.classifier = nn.Sequential(_separable(304, 256), _separable(256, 256), nn.Conv2d(256, num_classes, 1))


def _separable(in_channels: int, out_channels: int, dilation: int = 1) -> nn.Sequential:
    depthwise = _conv_bn_relu(in_channels, in_channels, 3, dilation, groups=in_channels)
    return nn.Sequential(depthwise, _conv_bn_relu(in_channels, out_channels, 1))


def _conv_bn_relu(
    in_channels: int, out_channels: int, kernel_size: int, dilation: int = 1, groups: int = 1
) -> nn.Sequential:
    padding = dilation * (kernel_size // 2)
    conv = nn.Conv2d(
        in_channels, out_channels, kernel_size, padding=padding, dilation=dilation, groups=groups, bias=False
    )
    nn.init.kaiming_normal_(conv.weight)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))


def _resize(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)
