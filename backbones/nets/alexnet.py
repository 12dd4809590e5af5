"""AlexNet in two groups (Krizhevsky et al., 2012), the baseline of Versatile Filters' Table 3."""

from __future__ import annotations

from torch import Tensor, nn

Widths = tuple[int, int, int, int, int, int, int]


class AlexNet(nn.Module):
    """11x11/4, LRN, pool; 5x5, LRN, pool; 3x3, 3x3, 3x3, pool; 6x6, 1x1; average; linear. ReLU after each.

    The 2nd, 4th and 5th convolutions have two groups. The first two fully connected layers are the convolutions
    ``fc6`` and ``fc7`` with dropout before them, as Versatile Filters regard them (section 5.2.1), so that versatile
    filters can replace them. Takes ``(N, 3, H, W)`` with H and W at least 223, which leaves ``fc6`` one position and
    a larger image several; their average is classified, ``(N, num_classes)``. The image is padded by two pixels: at
    224 the maps are those of the authors' unpadded 227.

    Local response normalisation is Caffe's; weights start from Kaiming normal (fan-in), biases from zero.

    Args:
        widths: output channels of the first seven layers; the first five must be even.
        dropout: before fc6 and fc7.
    """

    def __init__(
        self, num_classes: int = 1000, widths: Widths = (96, 256, 384, 384, 256, 4096, 4096), dropout: float = 0.5
    ) -> None:
        super().__init__()
        w1, w2, w3, w4, w5, w6, w7 = widths
        self.conv1 = nn.Conv2d(3, w1, 11, stride=4, padding=2)
        self.conv2 = nn.Conv2d(w1, w2, 5, padding=2, groups=2)
        self.conv3 = nn.Conv2d(w2, w3, 3, padding=1)
        self.conv4 = nn.Conv2d(w3, w4, 3, padding=1, groups=2)
        self.conv5 = nn.Conv2d(w4, w5, 3, padding=1, groups=2)
        self.fc6 = nn.Conv2d(w5, w6, 6)
        self.fc7 = nn.Conv2d(w6, w7, 1)
        self.fc8 = nn.Linear(w7, num_classes)
        self.relu = nn.ReLU(inplace=True)
        self.norm = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)
        self.pool = nn.MaxPool2d(3, 2)
        self.dropout = nn.Dropout(dropout)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]  # all have one

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.norm(self.relu(self.conv1(x))))
        x = self.pool(self.norm(self.relu(self.conv2(x))))
        x = self.relu(self.conv4(self.relu(self.conv3(x))))
        x = self.pool(self.relu(self.conv5(x)))
        x = self.relu(self.fc6(self.dropout(x)))
        x = self.relu(self.fc7(self.dropout(x)))
        logits: Tensor = self.fc8(self.avgpool(x).flatten(1))
        return logits
