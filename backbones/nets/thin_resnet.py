"""ResNets and ResNeXts of any width: torchvision's blocks with every number of channels scaled."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck


class ThinResNet(nn.Module):
    """torchvision's ResNet of bottlenecks, ``width`` times as wide everywhere, the stem included.

    Takes ``(N, 3, H, W)``, gives ``(N, num_classes)``; layers have torchvision's names and initialisation. With
    ``width=1`` it is torchvision's network. Width 0.5 is the thinner of the slimmable networks that Versatile
    Filters compare with (Table 4).

    Args:
        depths: blocks in each of the four stages.
        width: factor; channels are rounded to whole numbers.
        groups: of the 3x3 convolutions. With more than one, ``width`` scales the residual stream only and the
            3x3 convolutions have ``groups * group_width`` channels, doubled in each stage.
        group_width: channels of a group in the first stage.
        small_images: a 3x3 stem that keeps the size, and no pooling, as the papers' networks for CIFAR have it.
    """

    def __init__(
        self,
        depths: tuple[int, int, int, int],
        width: float = 1.0,
        num_classes: int = 1000,
        groups: int = 1,
        group_width: int = 4,
        small_images: bool = False,
    ) -> None:
        super().__init__()
        stem = round(64 * width)
        self.conv1 = (
            nn.Conv2d(3, stem, 3, 1, 1, bias=False) if small_images else nn.Conv2d(3, stem, 7, 2, 3, bias=False)
        )
        self.bn1 = nn.BatchNorm2d(stem)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.Identity() if small_images else nn.MaxPool2d(3, 2, 1)
        planes = [round(64 * width * 2**i) for i in range(4)]
        inner = [group_width * 2**i for i in range(4)] if groups > 1 else planes
        self.layer1 = _stage(stem, planes[0], depths[0], 1, groups, inner[0])
        self.layer2 = _stage(4 * planes[0], planes[1], depths[1], 2, groups, inner[1])
        self.layer3 = _stage(4 * planes[1], planes[2], depths[2], 2, groups, inner[2])
        self.layer4 = _stage(4 * planes[2], planes[3], depths[3], 2, groups, inner[3])
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(4 * planes[3], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: Tensor = self.fc(self.avgpool(x).flatten(1))
        return logits


def _stage(in_channels: int, planes: int, depth: int, stride: int, groups: int, group_width: int) -> nn.Sequential:
    out_channels = 4 * planes
    # The block computes its inner width as int(planes * base_width / 64) * groups; half a channel more keeps the
    # division from falling below the whole number that is meant.
    options: dict[str, Any] = {"groups": groups, "base_width": (group_width + 0.5) * 64 / planes}
    shortcut = None
    if stride > 1 or in_channels != out_channels:
        shortcut = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
        )
    first = Bottleneck(in_channels, planes, stride, shortcut, **options)
    return nn.Sequential(first, *(Bottleneck(out_channels, planes, **options) for _ in range(depth - 1)))
