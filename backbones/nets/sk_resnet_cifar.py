"""SKNet-50 for 32x32 images (Li et al., Selective Kernel Networks, 2019)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from backbones.nets.bottleneck_resnet_cifar import BottleneckResNetCifar


class SelectiveKernel(nn.Module):
    """Branches of 3x3 and 5x5, BN, ReLU; gate of their sum; branches weighted and summed.

    The gate is global average, linear C -> d without bias, BN, ReLU, linear d -> 2C, softmax over the branches, with
    d = max(C / 16, 32). The 5x5 is a real one, not a dilated 3x3: only so Table VI's digits come out.
    """

    def __init__(self, channels: int, stride: int = 1, groups: int = 32) -> None:
        super().__init__()
        hidden = max(channels // 16, 32)
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=groups, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(inplace=True),
            )
            for kernel in (3, 5)
        )
        self.squeeze = nn.Linear(channels, hidden, bias=False)
        self.bn = VectorNorm(hidden)
        self.relu = nn.ReLU(inplace=True)
        self.select = nn.Linear(hidden, 2 * channels)

    def forward(self, x: Tensor) -> Tensor:
        small, large = (branch(x) for branch in self.branches)
        z = self.squeeze((small + large).mean((2, 3)))
        w = self.select(self.relu(self.bn(z))).unflatten(1, (2, -1)).softmax(1)[..., None, None]
        out: Tensor = w[:, 0] * small + w[:, 1] * large
        return out


class VectorNorm(nn.BatchNorm1d):
    """Batch norm of ``(N, C)`` that takes its running statistics for a training batch of one, and leaves them."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.shape[0] == 1:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        return super().forward(x)


class SKBottleneck(nn.Module):
    """1x1, BN, ReLU, selective kernel, 1x1, BN; + shortcut; ReLU."""

    def __init__(self, in_channels: int, width: int, out_channels: int, stride: int, groups: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = SelectiveKernel(width, stride, groups)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.shortcut = nn.Sequential()
        if stride > 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv2(F.relu(self.bn1(self.conv1(x))))
        return F.relu(self.bn3(self.conv3(out)) + self.shortcut(x))


class SKResNetCifar(BottleneckResNetCifar):
    """A ResNeXt whose 3x3 are selective kernels."""

    def _block(self, in_channels: int, width: int, out_channels: int, stride: int, groups: int) -> nn.Module:
        return SKBottleneck(in_channels, width, out_channels, stride, groups)


def sknet50_cifar(num_classes: int = 100) -> SKResNetCifar:
    """SKNet-50 32x4d for CIFAR (SlimConv, Table VI)."""
    return SKResNetCifar(num_classes=num_classes, groups=32, width_per_group=4)
