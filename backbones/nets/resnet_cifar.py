"""ResNets for 32x32 images (He et al., 2016, section 4.2), with parameter-free option-A shortcuts.

The ReLUs are functions: the counter of SlimConv's Table V sees only modules, and its digits contain none of them.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """3x3, BN, ReLU, 3x3, BN; + shortcut; ReLU.

    Option A: where the size halves and the width grows, the shortcut takes every second pixel and pads the new
    channels with zeros, half of them on each side.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.stride = stride
        self.widening = out_channels - in_channels

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = self.bn2(self.conv2(out))
        out += self.shortcut(x)
        return F.relu(out, inplace=True)

    def shortcut(self, x: Tensor) -> Tensor:
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        if self.widening:
            low = self.widening // 2
            x = F.pad(x, (0, 0, 0, 0, low, self.widening - low))
        return x


class CifarResNet(nn.Module):
    """3x3 stem; three stages of ``depth`` blocks with 16, 32, 64 channels; global average; linear.

    Takes ``(N, 3, H, W)``, gives ``(N, num_classes)``; H = W = 32 in the papers. It has 6 ``depth`` + 2 layers.
    Weights start as in torchvision's ResNets (Kaiming normal, fan-out).
    """

    def __init__(self, depth: int = 9, num_classes: int = 10, widths: tuple[int, int, int] = (16, 32, 64)) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.layer1 = _stage(widths[0], widths[0], depth, 1)
        self.layer2 = _stage(widths[0], widths[1], depth, 2)
        self.layer3 = _stage(widths[1], widths[2], depth, 2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(widths[2], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.fc(self.avgpool(x).flatten(1))
        return logits


def _stage(in_channels: int, out_channels: int, depth: int, stride: int) -> nn.Sequential:
    first = BasicBlock(in_channels, out_channels, stride)
    return nn.Sequential(first, *(BasicBlock(out_channels, out_channels) for _ in range(depth - 1)))


def resnet20_cifar(num_classes: int = 10) -> CifarResNet:
    """ResNet-20 with option-A shortcuts: 269,722 parameters with ten classes (He et al., 2016, Table 6: 0.27 M)."""
    return CifarResNet(3, num_classes)


def resnet56_cifar(num_classes: int = 10) -> CifarResNet:
    """ResNet-56 with option-A shortcuts: 853,018 parameters with ten classes (Versatile Filters, section 5.1)."""
    return CifarResNet(9, num_classes)
