"""Ghost-ResNet-50 (Han et al., CVPR 2020): half of each layer's channels are made from the other half."""

from __future__ import annotations

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck, ResNet

from backbones.nets.initialisation import initialise


class GhostConv2d(nn.Module):
    """kxk to half of the channels, BN[, ReLU]; depthwise 3x3 of that, BN[, ReLU]; concatenate (section 3.1, s = 2).

    Takes ``(N, in_channels, H, W)``, gives ``(N, out_channels, H / stride, W / stride)``; ``out_channels`` is even.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, *, relu: bool) -> None:
        super().__init__()
        half = out_channels // 2
        self.primary = nn.Sequential(
            nn.Conv2d(in_channels, half, kernel_size, stride, kernel_size // 2, bias=False), nn.BatchNorm2d(half)
        )
        self.cheap = nn.Sequential(nn.Conv2d(half, half, 3, padding=1, groups=half, bias=False), nn.BatchNorm2d(half))
        self.relu = nn.ReLU() if relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        primary = self.relu(self.primary(x))
        return torch.cat((primary, self.relu(self.cheap(primary))), 1)


def ghost_resnet50(num_classes: int = 1000) -> ResNet:
    """ResNet-50 of torchvision with a Ghost module for every convolution but the stem, shortcuts included.

    13.95 M parameters, 2.15 G MACs (SlimConv, Table I). The modules normalise inside, so the block's own norms go.
    """
    net: ResNet = torchvision.models.resnet50(num_classes=num_classes)
    for block in net.modules():
        if isinstance(block, Bottleneck):
            for i, relu in ((1, True), (2, True), (3, False)):
                block.set_submodule(f"conv{i}", _ghost(block.get_submodule(f"conv{i}"), relu=relu))
                block.set_submodule(f"bn{i}", nn.Identity())
            if block.downsample is not None:
                block.downsample = _ghost(block.downsample[0], relu=False)
    return net


def _ghost(conv: nn.Module, *, relu: bool) -> GhostConv2d:
    assert isinstance(conv, nn.Conv2d)
    ghost = GhostConv2d(conv.in_channels, conv.out_channels, conv.kernel_size[0], conv.stride[0], relu=relu)
    initialise(ghost)
    return ghost
