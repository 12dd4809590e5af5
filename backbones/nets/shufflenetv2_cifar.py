"""ShuffleNetV2 for 32x32 images."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones.nets.initialisation import initialise


class ShuffleUnit(nn.Module):
    """Split; 1x1, BN, ReLU, depthwise 3x3, BN, 1x1, BN, ReLU on one half; concatenate; shuffle the two halves."""

    def __init__(self, in_channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, groups=width, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        kept, rest = x.chunk(2, 1)
        return shuffle(kept, self.branch(rest))

    def branch(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(self.bn3(self.conv3(out)))


class DownUnit(ShuffleUnit):
    """The same branch with stride 2 on all channels, beside depthwise 3x3 of stride 2, BN, 1x1, BN, ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels // 2, stride=2)
        self.shortcut = nn.Sequential(
            nn.Conv2d(in_channels, in_channels, 3, 2, 1, groups=in_channels, bias=False),
            nn.BatchNorm2d(in_channels),
            nn.Conv2d(in_channels, out_channels // 2, 1, bias=False),
            nn.BatchNorm2d(out_channels // 2),
        )

    def forward(self, x: Tensor) -> Tensor:
        return shuffle(F.relu(self.shortcut(x)), self.branch(x))


def shuffle(first: Tensor, second: Tensor) -> Tensor:
    """Interleave the channels of two ``(N, C, H, W)``."""
    return torch.stack((first, second), 2).flatten(1, 2)


class ShuffleNetV2Cifar(nn.Module):
    """3x3, BN, ReLU; stages of 4, 8, 4 units, each halving the size; 1x1, BN, ReLU; global average; linear.

    Takes ``(N, 3, H, W)``, gives ``(N, num_classes)``; H = W = 32 in the paper. The stem neither strides nor pools. The
    ReLUs are functions: the counter of SlimConv's CIFAR-100 tables does not see them.
    """

    def __init__(self, num_classes: int = 100, widths: tuple[int, int, int, int] = (116, 232, 464, 1024)) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 24, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(24)
        self.layer1 = _stage(24, widths[0], 4)
        self.layer2 = _stage(widths[0], widths[1], 8)
        self.layer3 = _stage(widths[1], widths[2], 4)
        self.conv2 = nn.Conv2d(widths[2], widths[3], 1, bias=False)
        self.bn2 = nn.BatchNorm2d(widths[3])
        self.fc = nn.Linear(widths[3], num_classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits


def _stage(in_channels: int, out_channels: int, depth: int) -> nn.Sequential:
    half = out_channels // 2
    return nn.Sequential(DownUnit(in_channels, out_channels), *(ShuffleUnit(half, half) for _ in range(depth - 1)))


def shufflenetv2_cifar(num_classes: int = 100) -> ShuffleNetV2Cifar:
    """ShuffleNetV2 1.0 for CIFAR (SlimConv, Table V)."""
    return ShuffleNetV2Cifar(num_classes)
