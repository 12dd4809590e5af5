"""NASNet-A for 32x32 images (Zoph et al., Learning Transferable Architectures, 2018)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones.nets.initialisation import initialise


class SeparableConv(nn.Module):
    """ReLU, depthwise kxk, 1x1, BN. Between the two convolutions is no norm: its place stays empty."""

    def __init__(self, channels: int, kernel_size: int, stride: int = 1, bias: bool = True) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.depthwise = nn.Conv2d(
            channels, channels, kernel_size, stride, kernel_size // 2, groups=channels, bias=bias
        )
        self.norm = nn.Identity()
        self.pointwise = nn.Conv2d(channels, channels, 1)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.bn(self.pointwise(self.norm(self.depthwise(self.relu(x)))))
        return out


def separable(channels: int, kernel_size: int, stride: int = 1, bias: bool = True) -> nn.Sequential:
    """Return a branch: the separable convolution twice. The first has the stride; the second always a bias."""
    return nn.Sequential(
        SeparableConv(channels, kernel_size, stride, bias), SeparableConv(channels, kernel_size, bias=True)
    )


def projection(in_channels: int, channels: int, bias: bool = True) -> nn.Sequential:
    """Return ReLU, 1x1, BN."""
    return nn.Sequential(nn.ReLU(), nn.Conv2d(in_channels, channels, 1, bias=bias), nn.BatchNorm2d(channels))


class FactorisedReduction(nn.Module):
    """ReLU; every second pixel, 1x1 | every second pixel of the image moved by one, 1x1; concatenate; BN."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.pool = nn.AvgPool2d(1, 2)  # a 1x1 pool is a subsampling; the counter of Table V sees it
        self.conv1 = nn.Conv2d(in_channels, channels // 2, 1)
        self.conv2 = nn.Conv2d(in_channels, channels // 2, 1)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(x)
        moved = F.pad(x, (-1, 1, -1, 1))
        out: Tensor = self.bn(torch.cat((self.conv1(self.pool(x)), self.conv2(self.pool(moved))), 1))
        return out


class Cell(nn.Module):
    """What both cells share: the last output and the one before it are brought to the cell's size and channels.

    Args:
        in_channels: of the last output.
        previous_channels: of the one before; None in the first cell, whose last output serves as both.
        channels: of each operation of the cell.
        previous_is_larger: the last cell was a reduction, so the output before it has twice the size.
        bias: of the projection of the last output.
    """

    def __init__(
        self, in_channels: int, previous_channels: int | None, channels: int, previous_is_larger: bool, bias: bool
    ) -> None:
        super().__init__()
        self.adapt = projection(in_channels, channels, bias)
        before = previous_channels or in_channels
        adapters: dict[str, nn.Module] = {
            "reduce": FactorisedReduction(before, channels),
            "project": projection(before, channels),
        }
        needed = "reduce" if previous_is_larger else "project" if before != channels else ""
        self.adapt_previous = adapters.pop(needed, nn.Identity())
        # The code that Table V was counted with builds both adapters in every cell and runs one at most. Its 5.22 and
        # 5.05 million parameters include the others; frozen, they disturb neither optimisers nor DDP.
        self.spare = nn.ModuleList(adapters.values()).requires_grad_(False)

    def forward(self, x: Tensor, previous: Tensor) -> Tensor:
        return self.operations(self.adapt(x), self.adapt_previous(previous))

    def operations(self, x: Tensor, previous: Tensor) -> Tensor:
        raise NotImplementedError


class NormalCell(Cell):
    """Five sums of two operations each, beside the previous output: 6 ``channels``.

    The third sum is ``pool(x) + x`` as in that code base (in NASNet's Figure 4 it is ``pool(x) + previous``); no
    count depends on it.
    """

    def __init__(self, in_channels: int, previous: int | None, channels: int, previous_is_larger: bool) -> None:
        super().__init__(in_channels, previous, channels, previous_is_larger, bias=False)
        self.sep3_x = separable(channels, 3, bias=False)
        self.sep3_previous = separable(channels, 3, bias=False)
        self.sep5_x = separable(channels, 5, bias=False)
        self.sep5_previous = separable(channels, 5, bias=False)
        self.sep3_beside = separable(channels, 3, bias=False)
        self.pool = nn.AvgPool2d(3, 1, 1)

    def operations(self, x: Tensor, previous: Tensor) -> Tensor:
        sums = (
            previous,
            self.sep3_x(x) + x,
            self.sep3_previous(previous) + self.sep5_x(x),
            self.pool(x) + x,
            self.pool(previous) + self.pool(previous),
            self.sep5_previous(previous) + self.sep3_beside(previous),
        )
        return torch.cat(sums, 1)


class ReductionCell(Cell):
    """Five sums of two operations each, four of which come out: 4 ``channels``, half the size.

    All its convolutions have biases.
    """

    def __init__(self, in_channels: int, previous: int | None, channels: int, previous_is_larger: bool) -> None:
        super().__init__(in_channels, previous, channels, previous_is_larger, bias=True)
        self.sep5_x = separable(channels, 5, 2)
        self.sep7_beside = separable(channels, 7, 2)
        self.sep7_previous = separable(channels, 7, 2)
        self.sep5_previous = separable(channels, 5, 2)
        self.sep3_first = separable(channels, 3)
        self.max_pool = nn.MaxPool2d(3, 2, 1)
        self.halve = nn.AvgPool2d(3, 2, 1)
        self.pool = nn.AvgPool2d(3, 1, 1)

    def operations(self, x: Tensor, previous: Tensor) -> Tensor:
        first = self.sep7_beside(previous) + self.sep5_x(x)
        second = self.max_pool(x) + self.sep7_previous(previous)
        third = self.halve(x) + self.sep5_previous(previous)
        fourth = self.max_pool(x) + self.sep3_first(first)
        fifth = self.pool(first) + second
        return torch.cat((second, third, fourth, fifth), 1)


class NASNetCifar(nn.Module):
    """3x3, BN; three times four normal cells, with a reduction cell between; ReLU; global average; linear.

    Takes ``(N, 3, H, W)``, gives ``(N, num_classes)``; H = W = 32 in the paper. Every reduction doubles the channels.
    """

    def __init__(self, num_classes: int = 100, channels: int = 44, repeats: int = 4) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels))
        self.cells = nn.ModuleList()
        last, before = channels, None
        reduced = False
        for stage in range(3):
            kinds: list[type[NormalCell | ReductionCell]] = [NormalCell] * repeats
            if stage > 0:
                kinds = [ReductionCell, *kinds]
                channels *= 2
            for kind in kinds:
                self.cells.append(kind(last, before, channels, reduced))
                reduced = kind is ReductionCell
                last, before = channels * (4 if reduced else 6), last
        self.relu = nn.ReLU()
        self.fc = nn.Linear(last, num_classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        x = previous = self.stem(x)
        for cell in self.cells:
            x, previous = cell(x, previous), x
        logits: Tensor = self.fc(self.relu(x).mean((2, 3)))
        return logits


def nasnet_cifar(num_classes: int = 100) -> NASNetCifar:
    """NASNet-A for CIFAR with 4 cells a stage and 44 channels (SlimConv, Table V)."""
    return NASNetCifar(num_classes)
