"""MobileNetV2 for 32x32 images."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from backbones.nets.initialisation import initialise

_STAGES = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, output channels, blocks, stride of the first: the paper's, but stage 2 keeps the size."""


class InvertedResidual(nn.Module):
    """1x1, BN, ReLU, depthwise 3x3, BN, ReLU, 1x1, BN; + shortcut where the size stays.

    Two habits of the code that SlimConv's Table V was counted with, both needed for its digits: a shortcut of 1x1 and
    BN where only the width changes (MobileNetV2 has none there), and a 1x1 also where the expansion is 1.
    """

    def __init__(self, in_channels: int, out_channels: int, expansion: int, stride: int) -> None:
        super().__init__()
        width = expansion * in_channels
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, groups=width, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.shortcut: nn.Module | None = None
        if stride == 1:
            self.shortcut = nn.Sequential()
            if in_channels != out_channels:
                self.shortcut = nn.Sequential(
                    nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels)
                )

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.relu(self.bn1(self.conv1(x)))
        hidden = F.relu(self.bn2(self.conv2(hidden)))
        out: Tensor = self.bn3(self.conv3(hidden))
        return out if self.shortcut is None else out + self.shortcut(x)


class MobileNetV2Cifar(nn.Module):
    """3x3, BN, ReLU; 17 inverted residuals, size 32 to 4; 1x1, BN, ReLU; global average; linear.

    Takes ``(N, 3, H, W)``, gives ``(N, num_classes)``; H = W = 32 in the paper. The activations are plain ReLUs, and
    functions: the counter of SlimConv's CIFAR-100 tables does not see them.

    Args:
        num_classes: width of the classifier.
        width: factor of all channels but the last 1280, rounded to whole numbers.
    """

    def __init__(self, num_classes: int = 100, width: float = 1.0) -> None:
        super().__init__()
        channels = round(32 * width)
        self.conv1 = nn.Conv2d(3, channels, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.layers = nn.Sequential()
        for expansion, full_channels, depth, stride in _STAGES:
            out_channels = round(full_channels * width)
            for i in range(depth):
                self.layers.append(InvertedResidual(channels, out_channels, expansion, stride if i == 0 else 1))
                channels = out_channels
        self.conv2 = nn.Conv2d(channels, 1280, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(1280)
        self.fc = nn.Linear(1280, num_classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layers(F.relu(self.bn1(self.conv1(x))))
        x = F.relu(self.bn2(self.conv2(x)))
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits


def mobilenetv2_cifar(num_classes: int = 100) -> MobileNetV2Cifar:
    """MobileNetV2 1.0 for CIFAR (SlimConv, Table V)."""
    return MobileNetV2Cifar(num_classes)
