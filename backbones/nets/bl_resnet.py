"""Big-Little ResNet (Chen et al., ICLR 2019): a deep branch at half resolution, a thin one at full resolution.

Definition: section 3 of the paper and IBM's release; figures in brackets are those of bL-ResNet-50, alpha 2, beta 4.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

_STAGES = (256, 512, 1024, 2048)


class Bottleneck(nn.Module):
    """1x1, BN, ReLU, 3x3, BN, ReLU, 1x1, BN; + shortcut; ReLU unless ``last_relu`` is False.

    The shortcut is [average pool 3x3, stride 2][1x1, BN], each where size or width asks for it.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, *, last_relu: bool = True) -> None:
        super().__init__()
        width = out_channels // 4
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = nn.Sequential()
        if stride > 1:
            self.downsample.append(nn.AvgPool2d(3, stride, 1))
        if in_channels != out_channels:
            self.downsample.append(nn.Conv2d(in_channels, out_channels, 1, bias=False))
            self.downsample.append(nn.BatchNorm2d(out_channels))
        self.last = nn.ReLU(inplace=True) if last_relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        activated: Tensor = self.last(self.bn3(self.conv3(out)) + self.downsample(x))
        return activated


class BigLittle(nn.Module):
    """big, enlarged; + little, 1x1, BN; ReLU; fusion.

    ``depth`` blocks become: depth - 1 in the big branch at half resolution, max(1, depth // beta - 1) with
    1 / alpha of the channels in the little one, and one that fuses them. Takes ``(N, in_channels, H, W)``, gives
    ``(N, out_channels, H / stride, W / stride)``.
    """

    def __init__(self, in_channels: int, out_channels: int, depth: int, stride: int, alpha: int, beta: int) -> None:
        super().__init__()
        thin = out_channels // alpha
        self.big = _stage(in_channels, out_channels, depth - 1, stride=2, last_relu=False)
        self.little = _stage(in_channels, thin, max(1, depth // beta - 1))
        self.little_widen = nn.Sequential(nn.Conv2d(thin, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels))
        self.relu = nn.ReLU(inplace=True)
        self.fusion = Bottleneck(out_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        little = self.little_widen(self.little(x))
        big = F.interpolate(self.big(x), size=little.shape[2:])
        out: Tensor = self.fusion(self.relu(big + little))
        return out


class BigLittleStem(nn.Module):
    """7x7 / 2, BN, ReLU; big: 3x3 / 2, BN; + little: 3x3, BN, ReLU, 3x3 / 2, BN, ReLU, 1x1, BN; ReLU; 1x1, BN, ReLU."""

    def __init__(self, channels: int, alpha: int) -> None:
        super().__init__()
        thin = channels // alpha
        self.first = _conv_bn(3, channels, 7, 2)
        self.big = _conv_bn(channels, channels, 3, 2, relu=False)
        self.little = nn.Sequential(
            _conv_bn(channels, thin, 3), _conv_bn(thin, thin, 3, 2), _conv_bn(thin, channels, 1, relu=False)
        )
        self.relu = nn.ReLU(inplace=True)
        self.fusion = _conv_bn(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        out: Tensor = self.fusion(self.relu(self.big(x) + self.little(x)))
        return out


class BigLittleResNet(nn.Module):
    """Stem; three big-little stages (stride 2, 2, 1); a stage of bottlenecks (stride 2); global average; linear.

    Takes ``(N, 3, H, W)``, gives ``(N, num_classes)``. Weights start as in torchvision's ResNets (Kaiming normal,
    fan-out); ``zero_init_residual`` starts each bottleneck as its shortcut, as the authors do.
    """

    def __init__(
        self,
        depths: tuple[int, int, int, int] = (3, 4, 6, 3),
        alpha: int = 2,
        beta: int = 4,
        num_classes: int = 1000,
        *,
        zero_init_residual: bool = True,
    ) -> None:
        super().__init__()
        self.stem = BigLittleStem(64, alpha)
        self.layer1 = BigLittle(64, _STAGES[0], depths[0], 2, alpha, beta)
        self.layer2 = BigLittle(_STAGES[0], _STAGES[1], depths[1], 2, alpha, beta)
        self.layer3 = BigLittle(_STAGES[1], _STAGES[2], depths[2], 1, alpha, beta)
        self.layer4 = _stage(_STAGES[2], _STAGES[3], depths[3], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(_STAGES[3], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, Bottleneck) and zero_init_residual:
                nn.init.zeros_(module.bn3.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.stem(x)))))
        logits: Tensor = self.fc(self.avgpool(x).flatten(1))
        return logits


def _stage(
    in_channels: int, out_channels: int, depth: int, stride: int = 1, *, last_relu: bool = True
) -> nn.Sequential:
    first = Bottleneck(in_channels, out_channels, stride, last_relu=last_relu or depth > 1)
    rest = (Bottleneck(out_channels, out_channels, last_relu=last_relu or i < depth - 1) for i in range(1, depth))
    return nn.Sequential(first, *rest)


def _conv_bn(
    in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, *, relu: bool = True
) -> nn.Sequential:
    layers = nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False),
        nn.BatchNorm2d(out_channels),
    )
    return layers.append(nn.ReLU(inplace=True)) if relu else layers


def bl_resnet50(num_classes: int = 1000, *, zero_init_residual: bool = True) -> BigLittleResNet:
    """bL-ResNet-50 (alpha = 2, beta = 4): 26.69 M parameters, 2.85 G MACs (SlimConv, Table II)."""
    return BigLittleResNet((3, 4, 6, 3), 2, 4, num_classes, zero_init_residual=zero_init_residual)
