"""Octave ResNet-50 for 32x32 images (Chen et al., Drop an Octave, 2019), with half of the channels at half the size.

No published code gives the multiply-accumulates of SlimConv's Table VI. This definition does, truncated: octave
convolutions from the last 1x1 of the first block to the first 1x1 of stage 4, the stride inside the convolutions,
low-frequency channels enlarged before they are convolved into high-frequency ones, and every ReLU a module.
"""

from __future__ import annotations

from torch import Tensor, nn

from backbones.nets.initialisation import initialise

Octave = tuple[Tensor, Tensor | None]
"""``(N, C_high, H, W)`` and, where there are low-frequency channels, ``(N, C_low, ceil(H / 2), ceil(W / 2))``."""


class OctaveConv(nn.Module):
    """high -> high, pool high -> low, enlarge low -> high, low -> low; the sums of what ends at the same size.

    With stride 2 the low input has the size of the high output already and is not enlarged.

    Args:
        in_channels, out_channels: of both frequencies together.
        kernel_size, stride: of all four convolutions.
        low_in, low_out: whether the input and the output have low-frequency channels, half of all.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int, low_in: bool, low_out: bool
    ) -> None:
        super().__init__()
        high_in, low_in_channels = split(in_channels, low_in)
        high_out, low_out_channels = split(out_channels, low_out)

        def conv(inputs: int, outputs: int, stride: int) -> nn.Conv2d | None:
            if not (inputs and outputs):
                return None
            return nn.Conv2d(inputs, outputs, kernel_size, stride, kernel_size // 2, bias=False)

        self.high_to_high = nn.Conv2d(high_in, high_out, kernel_size, stride, kernel_size // 2, bias=False)
        self.high_to_low = conv(high_in, low_out_channels, stride)
        self.low_to_high = conv(low_in_channels, high_out, 1)
        self.low_to_low = conv(low_in_channels, low_out_channels, stride)
        self.pool = nn.AvgPool2d(2, ceil_mode=True)
        self.enlarge = nn.Upsample(scale_factor=2) if stride == 1 else nn.Identity()

    def forward(self, x: Octave) -> Octave:
        high, low = x
        new_high = self.high_to_high(high)
        if low is not None and self.low_to_high is not None:
            enlarged = self.enlarge(low)[:, :, : new_high.shape[2], : new_high.shape[3]]
            new_high = new_high + self.low_to_high(enlarged)
        new_low = None if self.high_to_low is None else self.high_to_low(self.pool(high))
        if low is not None and self.low_to_low is not None:
            new_low = new_low + self.low_to_low(low)
        return new_high, new_low


class OctaveNorm(nn.Module):
    """BN [, ReLU] of each frequency."""

    def __init__(self, channels: int, low: bool, relu: bool = True) -> None:
        super().__init__()
        high_channels, low_channels = split(channels, low)
        self.high = nn.BatchNorm2d(high_channels)
        self.low = nn.BatchNorm2d(low_channels) if low else None
        self.relu = nn.ReLU(inplace=True) if relu else nn.Identity()

    def forward(self, x: Octave) -> Octave:
        high, low = x
        return self.relu(self.high(high)), None if low is None or self.low is None else self.relu(self.low(low))


class OctaveBottleneck(nn.Module):
    """Octave 1x1, BN, ReLU, octave 3x3, BN, ReLU, octave 1x1, BN; + shortcut; ReLU.

    ``low`` tells whether the input, the middle and the output have low-frequency channels.
    """

    def __init__(
        self, in_channels: int, width: int, out_channels: int, stride: int, low: tuple[bool, bool, bool]
    ) -> None:
        super().__init__()
        before, middle, after = low
        self.conv1 = OctaveConv(in_channels, width, 1, 1, before, middle)
        self.norm1 = OctaveNorm(width, middle)
        self.conv2 = OctaveConv(width, width, 3, stride, middle, middle)
        self.norm2 = OctaveNorm(width, middle)
        self.conv3 = OctaveConv(width, out_channels, 1, 1, middle, after)
        self.norm3 = OctaveNorm(out_channels, after, relu=False)
        self.shortcut = nn.Sequential()
        if stride > 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                OctaveConv(in_channels, out_channels, 1, stride, before, after),
                OctaveNorm(out_channels, after, relu=False),
            )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Octave) -> Octave:
        out = self.norm1(self.conv1(x))
        out = self.norm2(self.conv2(out))
        high, low = self.norm3(self.conv3(out))
        shortcut_high, shortcut_low = self.shortcut(x)
        return self.relu(high + shortcut_high), None if low is None else self.relu(low + shortcut_low)


class PlainBottleneck(nn.Module):
    """1x1, BN, ReLU, 3x3, BN, ReLU, 1x1, BN; + input; ReLU: the last two blocks, which have one frequency."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Octave) -> Octave:
        out = self.relu(self.bn1(self.conv1(x[0])))
        out = self.relu(self.bn2(self.conv2(out)))
        return self.relu(self.bn3(self.conv3(out)) + x[0]), None


class OctResNet50Cifar(nn.Module):
    """3x3, BN, ReLU; four stages with 256, 512, 1024, 2048 channels and strides 1, 2, 2, 2; global average; linear.

    Takes ``(N, 3, H, W)``, gives ``(N, num_classes)``; H = W = 32 in the paper.
    """

    def __init__(self, num_classes: int = 100) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        octave = (True, True, True)
        self.layer1 = nn.Sequential(
            OctaveBottleneck(64, 64, 256, 1, (False, False, True)),
            *(OctaveBottleneck(256, 64, 256, 1, octave) for _ in range(2)),
        )
        self.layer2 = nn.Sequential(
            OctaveBottleneck(256, 128, 512, 2, octave),
            *(OctaveBottleneck(512, 128, 512, 1, octave) for _ in range(3)),
        )
        self.layer3 = nn.Sequential(
            OctaveBottleneck(512, 256, 1024, 2, octave),
            *(OctaveBottleneck(1024, 256, 1024, 1, octave) for _ in range(5)),
        )
        self.layer4 = nn.Sequential(
            OctaveBottleneck(1024, 512, 2048, 2, (True, False, False)),
            *(PlainBottleneck(2048, 512) for _ in range(2)),
        )
        self.fc = nn.Linear(2048, num_classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        high, _ = self.layer4(self.layer3(self.layer2(self.layer1((x, None)))))
        logits: Tensor = self.fc(high.mean((2, 3)))
        return logits


def split(channels: int, low: bool) -> tuple[int, int]:
    """Return the channels of the high and of the low frequency: alpha is 0.5 or 0."""
    return (channels - channels // 2, channels // 2) if low else (channels, 0)


def oct_resnet50_cifar(num_classes: int = 100) -> OctResNet50Cifar:
    """Oct-ResNet-50, alpha = 0.5, for CIFAR (SlimConv, Table VI)."""
    return OctResNet50Cifar(num_classes)
