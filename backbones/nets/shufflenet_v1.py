"""ShuffleNet (Zhang et al., 2018), which Versatile Filters compare with in Tables 7 and 8."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones.nets.initialisation import initialise

WIDTHS = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}
"""Groups -> channels of the second stage, doubled in each stage that follows (its Table 1)."""


class ShuffleUnit(nn.Module):
    """Grouped 1x1, BN, ReLU, shuffle, depthwise 3x3, BN, grouped 1x1, BN; + or beside the shortcut; ReLU.

    Where the size halves, the shortcut is a 3x3 average pool and lies before the new channels.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, groups: int, first_groups: int) -> None:
        super().__init__()
        hidden = out_channels // 4
        new = out_channels if stride == 1 else out_channels - in_channels
        self.conv1 = nn.Conv2d(in_channels, hidden, 1, groups=first_groups, bias=False)
        self.bn1 = nn.BatchNorm2d(hidden)
        self.conv2 = nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False)
        self.bn2 = nn.BatchNorm2d(hidden)
        self.conv3 = nn.Conv2d(hidden, new, 1, groups=groups, bias=False)
        self.bn3 = nn.BatchNorm2d(new)
        self.relu = nn.ReLU(inplace=True)
        self.stride = stride
        self.first_groups = first_groups

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        if self.first_groups > 1:
            out = F.channel_shuffle(out, self.first_groups)
        out = self.bn3(self.conv3(self.bn2(self.conv2(out))))
        out = out + x if self.stride == 1 else torch.cat((F.avg_pool2d(x, 3, self.stride, 1), out), 1)
        activated: Tensor = self.relu(out)
        return activated


class ShuffleNetV1(nn.Module):
    """3x3/2 stem, pool; stages of 4, 8, 4 units; global average; linear.

    Takes ``(N, 3, H, W)``, gives ``(N, num_classes)``. The very first 1x1 convolution is not grouped.

    Args:
        groups: 1, 2, 3, 4 or 8.
        width: factor of all channels but the stem's 24.
    """

    def __init__(self, groups: int = 3, width: float = 1.0, num_classes: int = 1000) -> None:
        super().__init__()
        channels = 24
        self.stem = nn.Sequential(
            nn.Conv2d(3, channels, 3, 2, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, 1),
        )  # fmt: skip
        stages = []
        for i, depth in enumerate((4, 8, 4)):
            out_channels = round(WIDTHS[groups] * width) * 2**i
            units = [ShuffleUnit(channels, out_channels, 2, groups, groups if i else 1)]
            units += [ShuffleUnit(out_channels, out_channels, 1, groups, groups) for _ in range(depth - 1)]
            stages.append(nn.Sequential(*units))
            channels = out_channels
        self.stages = nn.Sequential(*stages)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages(self.stem(x))
        logits: Tensor = self.fc(self.avgpool(x).flatten(1))
        return logits
