"""Bottleneck ResNets and ResNeXts for 32x32 images: ImageNet's stages behind a 3x3 stem without pooling.

Only a block's second ReLU is a module, because the counter of SlimConv's CIFAR-100 tables sees modules only
(docs/counting.md): so, and not with all or none of them, ResNet-50 and all its Sc- forms come to the printed digits.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from backbones.nets.initialisation import initialise


class Bottleneck(nn.Module):
    """1x1, BN, ReLU, 3x3, BN, ReLU, 1x1, BN; + shortcut; ReLU. The 3x3 takes the stride and the groups.

    The shortcut is a 1x1 and BN where the shape changes.
    """

    def __init__(self, in_channels: int, width: int, out_channels: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.shortcut = nn.Sequential()
        if stride > 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        return F.relu(self.bn3(self.conv3(out)) + self.shortcut(x))


class BottleneckResNetCifar(nn.Module):
    """3x3, BN, ReLU; four stages with 256, 512, 1024, 2048 channels and strides 1, 2, 2, 2; global average; linear.

    Takes ``(N, 3, H, W)``, gives ``(N, num_classes)``; H = W = 32 in the paper.

    Args:
        depths: blocks of each stage.
        num_classes: width of the classifier.
        groups: of every 3x3.
        width_per_group: channels of a group in the first stage's 3x3; each stage doubles them.
    """

    def __init__(
        self,
        depths: Sequence[int] = (3, 4, 6, 3),
        num_classes: int = 100,
        groups: int = 1,
        width_per_group: int = 64,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        width = groups * width_per_group
        self.layer1 = self._stage(64, width, 256, depths[0], 1, groups)
        self.layer2 = self._stage(256, 2 * width, 512, depths[1], 2, groups)
        self.layer3 = self._stage(512, 4 * width, 1024, depths[2], 2, groups)
        self.layer4 = self._stage(1024, 8 * width, 2048, depths[3], 2, groups)
        self.fc = nn.Linear(2048, num_classes)
        initialise(self)

    def _stage(
        self, in_channels: int, width: int, out_channels: int, depth: int, stride: int, groups: int
    ) -> nn.Sequential:
        first = self._block(in_channels, width, out_channels, stride, groups)
        rest = (self._block(out_channels, width, out_channels, 1, groups) for _ in range(depth - 1))
        return nn.Sequential(first, *rest)

    def _block(self, in_channels: int, width: int, out_channels: int, stride: int, groups: int) -> nn.Module:
        return Bottleneck(in_channels, width, out_channels, stride, groups)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits


def resnet50_cifar(num_classes: int = 100) -> BottleneckResNetCifar:
    """ResNet-50 for CIFAR: 23,705,252 parameters with 100 classes (SlimConv, Tables VI and XI, Figure 8)."""
    return BottleneckResNetCifar(num_classes=num_classes)


def resnext50_cifar(num_classes: int = 100) -> BottleneckResNetCifar:
    """ResNeXt-50 32x4d for CIFAR (what SlimConv's Sc-ResNeXt-50 of Table VI is made of)."""
    return BottleneckResNetCifar(num_classes=num_classes, groups=32, width_per_group=4)
