"""A SlimConv for inference: batch norms folded, one gate for all orders of the weights, the ReLU taken in."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from backbones.kernels.convolution import activate
from backbones.kernels.module import PackedConv2d, suits
from backbones.ops.slim_conv import SlimConv2d


class DeployedSlimConv2d(nn.Module):
    """What a :class:`SlimConv2d` computes in eval mode, with a ReLU behind it if asked.

    ``(N, C, H, W) -> (N, C // r + C // (2 r), H', W')``. All batch norms are in the convolutions before them. Reversed
    or shuffled weights cost nothing: the gate's last layer (Eq. 1 of SlimConv) is a linear map, so its rows stand in
    every order that a path needs, those of the channels that the split drops nowhere. Each path's Eq. 2 is a running
    sum of weighted chunks, without the full width w * X in memory. The activation follows each path before the
    concatenation, while its output is in the cache.

    Inference only: nothing here trains.

    Raises:
        ValueError: if a norm of the layer has no final statistics (see :func:`obstacle`).
    """

    def __init__(self, layer: SlimConv2d) -> None:
        super().__init__()
        if (why := obstacle(layer)) is not None:
            raise ValueError(why)
        self.in_channels, self.out_channels = layer.in_channels, layer.out_channels
        self.r, self.width = layer.r, layer.width
        self.arrangement = layer.arrangement
        self.activation = "none"
        paths = [path for path in (layer.bottom, layer.third) if path is not None]
        self.squeeze = folded(layer.gate[0], layer.gate[1])
        self.excite = _reordered(cast("nn.Conv2d", layer.gate[3]), _orders(layer))
        self.top = _packed(folded(layer.top[0], layer.top[1]))
        self.narrow = nn.ModuleList(_packed(folded(path[0], path[1]), "relu") for path in paths)
        self.lower = nn.ModuleList(_packed(folded(path[3], path[4])) for path in paths)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W) -> (N, C / k, H', W')``."""
        w = torch.split(self._weights(x), self.width, 1)
        chunks = torch.split(x, self.width, 1)[: self.r]
        outputs = [activate(self.top(fold(chunks, w[: self.r])), self.activation)]
        for i, (narrow, lower) in enumerate(zip(self.narrow, self.lower, strict=True), 1):
            folded_map = fold(chunks, w[i * self.r : (i + 1) * self.r])
            between = narrow(folded_map)
            between = between if isinstance(narrow, PackedConv2d) else F.relu_(between)
            outputs.append(activate(lower(between), self.activation))
        return torch.cat(outputs, 1)

    def convolutions(self) -> list[nn.Module]:
        """The top path's, then the 1x1 and the k x k of each other path."""
        return [self.top, *(conv for path in zip(self.narrow, self.lower, strict=True) for conv in path)]

    def _weights(self, x: Tensor) -> Tensor:
        squeeze, excite = self.squeeze, self.excite
        return gate(x, squeeze.weight, squeeze.bias, excite.weight, excite.bias)

    def extra_repr(self) -> str:
        return (
            f"{self.in_channels}, {self.out_channels}, r={self.r}, arrangement={self.arrangement!r}, "
            f"activation={self.activation!r}"
        )


def gate(x: Tensor, squeeze: Tensor, squeeze_bias: Tensor | None, excite: Tensor, excite_bias: Tensor | None) -> Tensor:
    """Eq. (1) for all paths: ``(N, C, H, W) -> (N, paths * r * (C // r), 1, 1)``; on one pixel a 1x1 is linear."""
    z = F.relu_(F.linear(x.mean((2, 3)), squeeze.flatten(1), squeeze_bias))
    return F.linear(z, excite.flatten(1), excite_bias).sigmoid_()[..., None, None]


def fold(chunks: Sequence[Tensor], w: Sequence[Tensor]) -> Tensor:
    """Eq. (2): ``r x (N, C // r, H, W), r x (N, C // r, 1, 1) -> (N, C // r, H, W)``."""
    total = chunks[0] * w[0]
    for chunk, weight in zip(chunks[1:], w[1:], strict=True):
        total.addcmul_(chunk, weight)
    return total


def _packed(conv: nn.Conv2d, activation: str = "none") -> nn.Module:
    if not suits(conv):
        return conv
    packed = PackedConv2d(conv)
    packed.activation = activation
    return packed


def obstacle(layer: SlimConv2d) -> str | None:
    """Why ``layer`` cannot be deployed, or None: a norm that is no BatchNorm2d or has no final statistics."""
    norms = [layer.gate[1], layer.top[1]]
    for path in (layer.bottom, layer.third):
        norms += [] if path is None else [path[1], path[4]]
    for norm in norms:
        if not isinstance(norm, nn.BatchNorm2d | nn.SyncBatchNorm):
            return f"{type(norm).__name__} inside cannot be folded"
        if norm.running_mean is None:
            return "a batch norm inside has no running statistics"
    return None


def folded(conv: nn.Module, norm: nn.Module) -> nn.Conv2d:
    """A convolution that computes ``norm(conv(x))`` with the norm's running statistics; reckoned in float64."""
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d | nn.SyncBatchNorm)
    new = fuse_conv_bn_eval(copy.deepcopy(conv).double().eval(), copy.deepcopy(norm).double().eval())
    return new.to(conv.weight.dtype).requires_grad_(False)


def _orders(layer: SlimConv2d) -> Tensor:
    """The channels whose gates the paths need, one path after the other: ``(paths * r * width,)``."""
    straight = torch.arange(layer.in_channels)
    orders = {"flip": straight.flip(0), "flip-both": straight.flip(0), "none": straight}
    shuffled = straight if layer.order is None else layer.order.cpu()
    above = straight.flip(0) if layer.arrangement == "flip-both" else straight
    wanted = [above, orders.get(layer.arrangement, shuffled)] + ([] if layer.third is None else [shuffled])
    return torch.cat([order[: layer.r * layer.width] for order in wanted])


def _reordered(excite: nn.Conv2d, order: Tensor) -> nn.Conv2d:
    """The gate's last layer with its outputs in ``order``."""
    new = nn.Conv2d(excite.in_channels, len(order), 1, dtype=excite.weight.dtype, device=excite.weight.device)
    order = order.to(excite.weight.device)
    assert excite.bias is not None
    new.weight = nn.Parameter(excite.weight.detach()[order].clone(), requires_grad=False)
    new.bias = nn.Parameter(excite.bias.detach()[order].clone(), requires_grad=False)
    return new.eval()
