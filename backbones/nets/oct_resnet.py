"""Octave ResNet (Chen et al., ICCV 2019): half of the channels, the low frequencies, live at half resolution."""

from __future__ import annotations

from torch import Tensor, nn

#: High frequencies ``(N, C_H, H, W)`` and low ones ``(N, C_L, ceil(H / 2), ceil(W / 2))``; None where alpha is 0.
Octave = tuple[Tensor, "Tensor | None"]


class OctConv2d(nn.Module):
    """high: kxk(high) + enlarged kxk(low); low: kxk(low) + kxk(pooled high); BN each[; ReLU each] (Eq. 2 to 7).

    A stride of two pools first (section 3.3), which spares the enlarging and keeps the two frequencies aligned.

    Args:
        in_channels: of both frequencies together.
        out_channels: of both frequencies together.
        kernel_size: odd.
        stride: 1 or 2.
        alpha_in: share of low-frequency channels that come in; 0 for none.
        alpha_out: share of low-frequency channels that go out; 0 for none.
        relu: rectify what comes out.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        *,
        alpha_in: float = 0.5,
        alpha_out: float = 0.5,
        relu: bool = True,
    ) -> None:
        super().__init__()
        low_in, low_out = int(alpha_in * in_channels), int(alpha_out * out_channels)
        high_in, high_out = in_channels - low_in, out_channels - low_out

        def path(channels: int, width: int) -> nn.Conv2d | None:
            wanted = channels > 0 and width > 0
            return nn.Conv2d(channels, width, kernel_size, padding=kernel_size // 2, bias=False) if wanted else None

        self.high_to_high = nn.Conv2d(high_in, high_out, kernel_size, padding=kernel_size // 2, bias=False)
        self.high_to_low = path(high_in, low_out)
        self.low_to_low = path(low_in, low_out)
        self.low_to_high = path(low_in, high_out)
        self.high_norm = nn.BatchNorm2d(high_out)
        self.low_norm = nn.BatchNorm2d(low_out) if low_out else None
        self.relu = nn.ReLU(inplace=True) if relu else nn.Identity()
        # A last row or column that is left over is kept, as by a strided convolution.
        self.halve = nn.AvgPool2d(2, ceil_mode=True)
        self.enlarge = nn.Upsample(scale_factor=2)
        self.stride = stride

    def forward(self, x: Octave) -> Octave:
        high, low = x
        if self.stride > 1:
            high = self.halve(high)
        out = self.high_to_high(high)
        if self.low_to_high is not None:
            raised = self.low_to_high(low)
            if self.stride == 1:
                raised = self.enlarge(raised)[:, :, : out.shape[2], : out.shape[3]]
            out = out + raised
        out = self.relu(self.high_norm(out))
        if self.high_to_low is None or self.low_norm is None:
            return out, None
        out_low = self.high_to_low(self.halve(high))
        if self.low_to_low is not None and low is not None:
            out_low = out_low + self.low_to_low(self.halve(low) if self.stride > 1 else low)
        return out, self.relu(self.low_norm(out_low))


class OctBottleneck(nn.Module):
    """1x1, 3x3, 1x1 octave convolutions; + shortcut; ReLU. The first 1x1 changes alpha."""

    def __init__(
        self, in_channels: int, width: int, stride: int = 1, alpha_in: float = 0.5, alpha_out: float = 0.5
    ) -> None:
        super().__init__()
        out_channels = 4 * width
        self.conv1 = OctConv2d(in_channels, width, 1, alpha_in=alpha_in, alpha_out=alpha_out)
        self.conv2 = OctConv2d(width, width, 3, stride, alpha_in=alpha_out, alpha_out=alpha_out)
        self.conv3 = OctConv2d(width, out_channels, 1, alpha_in=alpha_out, alpha_out=alpha_out, relu=False)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: OctConv2d | None = None
        if stride > 1 or in_channels != out_channels:
            self.downsample = OctConv2d(
                in_channels, out_channels, 1, stride, alpha_in=alpha_in, alpha_out=alpha_out, relu=False
            )

    def forward(self, x: Octave) -> Octave:
        high, low = self.conv3(self.conv2(self.conv1(x)))
        kept_high, kept_low = x if self.downsample is None else self.downsample(x)
        high = self.relu(high + kept_high)
        return high, None if low is None or kept_low is None else self.relu(low + kept_low)


class OctResNet(nn.Module):
    """7x7 / 2, BN, ReLU, max pool; four stages; global average; linear.

    The first stage splits the frequencies, the last joins them in its first convolutions (section 3.3). Takes
    ``(N, 3, H, W)``, gives ``(N, num_classes)``. Weights start as in torchvision's ResNets (Kaiming normal, fan-out).
    """

    def __init__(
        self, depths: tuple[int, int, int, int] = (3, 4, 6, 3), alpha: float = 0.5, num_classes: int = 1000
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = _stage(64, 64, depths[0], 1, 0, alpha)
        self.layer2 = _stage(256, 128, depths[1], 2, alpha, alpha)
        self.layer3 = _stage(512, 256, depths[2], 2, alpha, alpha)
        self.layer4 = _stage(1024, 512, depths[3], 2, alpha, 0)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(2048, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        high, _ = self.layer4(self.layer3(self.layer2(self.layer1((x, None)))))
        logits: Tensor = self.fc(self.avgpool(high).flatten(1))
        return logits


def _stage(in_channels: int, width: int, depth: int, stride: int, alpha_in: float, alpha_out: float) -> nn.Sequential:
    first = OctBottleneck(in_channels, width, stride, alpha_in, alpha_out)
    rest = (OctBottleneck(4 * width, width, 1, alpha_out, alpha_out) for _ in range(depth - 1))
    return nn.Sequential(first, *rest)


def oct_resnet50(num_classes: int = 1000, alpha: float = 0.5) -> OctResNet:
    """Octave ResNet-50: parameters of ResNet-50, 2.40 G MACs with alpha = 0.5 (SlimConv, Table II)."""
    return OctResNet((3, 4, 6, 3), alpha, num_classes)
