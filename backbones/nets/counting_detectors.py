"""Two-stage detectors reduced to their layers: they exist to be counted, not to be trained.

See :mod:`backbones.nets.counting_standins`. The regions of the second stage are not proposed: each is the whole image
pooled, which costs the same.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from backbones.nets.counting_standins import WholeNetwork, resnet_stages

REGION = 7
"""Height and width of a region's features, as both papers' detectors pool them."""


class TwoStage(WholeNetwork):
    """A detector whose second stage runs on ``proposals`` regions of 7x7 an image."""

    proposals: int

    def remarks(self) -> tuple[str, ...]:
        return (
            f"the second stage runs on {self.proposals:,} regions of {REGION}x{REGION}",
            "not counted: choosing the proposals, pooling the regions, non-maximum suppression",
        )


class FasterRCNNC4(TwoStage):
    """For counting only: Faster R-CNN whose head is the fourth stage of the ResNet (SlimConv, Tables VIII and IX).

    ``(N, 3, H, W)`` -> objectness ``(N, 2A, h, w)`` and boxes ``(N, 4A, h, w)`` of the A anchors at stride 16;
    scores ``(N R, num_classes)`` and boxes ``(N R, 4 * num_classes)`` of the second stage, R being
    ``proposals``.

    Args:
        resnet: with torchvision's names.
        anchors: A, 9 for VOC and 12 for COCO.
        num_classes: background included, 21 and 81.
        proposals: R, regions of an image in the second stage.
    """

    counted_parts: Mapping[str, tuple[str, ...]] = {
        "backbone": ("stem", "layer1", "layer2", "layer3"),
        "rpn_head": ("rpn_conv", "rpn_score", "rpn_box"),
        "roi_head.shared_head": ("shared_head",),
        "roi_head.bbox_head": ("score", "box"),
    }

    def __init__(self, resnet: nn.Module, anchors: int = 9, num_classes: int = 21, proposals: int = 300) -> None:
        super().__init__()
        self.stem, self.layer1, self.layer2, self.layer3, self.shared_head = resnet_stages(resnet)
        self.rpn_conv = nn.Conv2d(1024, 512, 3, padding=1)
        self.rpn_score = nn.Conv2d(512, 2 * anchors, 1)
        self.rpn_box = nn.Conv2d(512, 4 * anchors, 1)
        self.score = nn.Linear(2048, num_classes)
        self.box = nn.Linear(2048, 4 * num_classes)
        self.proposals = proposals

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        c4 = self.layer3(self.layer2(self.layer1(self.stem(x))))
        sought = F.relu(self.rpn_conv(c4))  # a function, as in the counted code: the convention sees it not
        features = self.shared_head(_regions(c4, self.proposals)).mean((2, 3))
        return self.rpn_score(sought), self.rpn_box(sought), self.score(features), self.box(features)


class FasterRCNNFPN(TwoStage):
    """For counting only: Faster R-CNN on a feature pyramid, layer by layer that of MMDetection.

    ``(N, 3, H, W)`` -> objectness ``(N, A, h, w)`` and boxes ``(N, 4A, h, w)`` at each of the strides 4, 8, 16, 32 and
    64; scores ``(N R, num_classes)`` and boxes ``(N R, 4 * (num_classes - 1))`` of the second stage, R being
    ``proposals``.

    Args:
        resnet: with torchvision's names.
        anchors: A, of each level.
        num_classes: background included, which has no boxes here.
        proposals: R, regions of an image in the second stage.
    """

    counted_parts: Mapping[str, tuple[str, ...]] = {
        "backbone": ("stem", "layer1", "layer2", "layer3", "layer4"),
        "neck": ("lateral", "smooth"),
        "rpn_head": ("rpn_conv", "rpn_score", "rpn_box"),
        "roi_head.bbox_head": ("fc1", "fc2", "relu", "score", "box"),
    }

    def __init__(self, resnet: nn.Module, anchors: int = 3, num_classes: int = 81, proposals: int = 1000) -> None:
        super().__init__()
        self.stem, self.layer1, self.layer2, self.layer3, self.layer4 = resnet_stages(resnet)
        self.lateral = nn.ModuleList(nn.Conv2d(width, 256, 1) for width in (256, 512, 1024, 2048))
        self.smooth = nn.ModuleList(nn.Conv2d(256, 256, 3, padding=1) for _ in range(4))
        self.rpn_conv = nn.Conv2d(256, 256, 3, padding=1)
        self.rpn_score = nn.Conv2d(256, anchors, 1)
        self.rpn_box = nn.Conv2d(256, 4 * anchors, 1)
        self.fc1 = nn.Linear(256 * REGION**2, 1024)
        self.fc2 = nn.Linear(1024, 1024)
        self.relu = nn.ReLU(inplace=True)
        self.score = nn.Linear(1024, num_classes)
        self.box = nn.Linear(1024, 4 * (num_classes - 1))
        self.proposals = proposals

    def pyramid(self, x: Tensor) -> list[Tensor]:
        """Return 256 channels at strides 4 to 64 of an image ``(N, 3, H, W)``."""
        bottom_up = [self.layer1(self.stem(x))]
        for stage in (self.layer2, self.layer3, self.layer4):
            bottom_up.append(stage(bottom_up[-1]))
        levels = [lateral(features) for lateral, features in zip(self.lateral, bottom_up, strict=True)]
        for i in (2, 1, 0):
            levels[i] = levels[i] + F.interpolate(levels[i + 1], size=levels[i].shape[-2:])
        levels = [smooth(level) for smooth, level in zip(self.smooth, levels, strict=True)]
        return [*levels, F.max_pool2d(levels[-1], 1, stride=2)]

    def forward(self, x: Tensor) -> tuple[list[Tensor], list[Tensor], Tensor, Tensor]:
        levels = self.pyramid(x)
        sought = [F.relu(self.rpn_conv(level)) for level in levels]
        regions = _regions(levels[0], self.proposals).flatten(1)
        features = self.relu(self.fc2(self.relu(self.fc1(regions))))
        scores, boxes = [self.rpn_score(y) for y in sought], [self.rpn_box(y) for y in sought]
        return scores, boxes, self.score(features), self.box(features)


def _regions(features: Tensor, number: int) -> Tensor:
    """``(N, C, h, w) -> (N * number, C, 7, 7)``: the whole image, again and again."""
    return F.adaptive_max_pool2d(features, REGION).repeat_interleave(number, 0)
