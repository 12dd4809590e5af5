"""SPConv-ResNet-50 (Zhang et al., "Split to be slim", IJCAI 2020): a dear 3x3 on some channels, a 1x1 on the rest."""

from __future__ import annotations

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck, ResNet

from backbones.nets.initialisation import initialise


class SPConv2d(nn.Module):
    """Split; 3x3 in two groups + 1x1, BN of one part; 1x1, BN of the other; sum weighted by their global averages.

    The first ``alpha`` of the channels are the representative part. A channel's two weights are the softmax of the two
    global averages. With a stride the 1x1s read their input pooled. Takes ``(N, C, H, W)``, gives
    ``(N, C, H / stride, W / stride)``.
    """

    def __init__(self, channels: int, stride: int = 1, alpha: float = 0.5) -> None:
        super().__init__()
        self.representative = int(alpha * channels)
        redundant = channels - self.representative
        self.groupwise = nn.Conv2d(self.representative, channels, 3, stride, 1, groups=2, bias=False)
        self.pointwise = nn.Conv2d(self.representative, channels, 1, bias=False)
        self.bn_representative = nn.BatchNorm2d(channels)
        self.cheap = nn.Conv2d(redundant, channels, 1, bias=False)
        self.bn_redundant = nn.BatchNorm2d(channels)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        pooled = x if self.stride == 1 else F.avg_pool2d(x, self.stride, ceil_mode=True)
        kept, rest = pooled[:, : self.representative], pooled[:, self.representative :]
        dear = self.bn_representative(self.groupwise(x[:, : self.representative]) + self.pointwise(kept))
        cheap = self.bn_redundant(self.cheap(rest))
        # The softmax of two numbers is the sigmoid of their difference.
        weight = torch.sigmoid((dear - cheap).mean((2, 3), keepdim=True))
        out: Tensor = cheap + weight * (dear - cheap)
        return out


def spconv_resnet50(num_classes: int = 1000, alpha: float = 0.5) -> ResNet:
    """ResNet-50 of torchvision with SPConv for every 3x3.

    18.34 M parameters with alpha 1/2, 16.22 M with 1/8 (SlimConv, Table I).

    The authors' file has a bias in the cheap 1x1, in front of a norm, where it does nothing; it is left out, and the
    parameters are the printed ones.
    """
    net: ResNet = torchvision.models.resnet50(num_classes=num_classes)
    for block in net.modules():
        if isinstance(block, Bottleneck):
            block.conv2 = SPConv2d(block.conv2.in_channels, block.conv2.stride[0], alpha)
            initialise(block.conv2)
    return net
