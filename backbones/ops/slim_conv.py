"""SlimConv: weight, flip, split and sum, transform, concatenate (TIP 2021, section III, Figure 2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from backbones.ops._folding import fold
from backbones.ops._statistics import normalise_pooled

Arrangement = Literal["flip", "none", "flip-both", "shuffle"]
NormLayer = Callable[[int], nn.Module]

_SPLITS = range(2, 9)


def splits_for(k: float) -> int:
    """Return the number r of chunks that are summed, for the paper's compression ratio ``k = 2 r / 3``.

    ``k = 4/3`` (the default) is r = 2; ``k = 8/3`` splits in four (section III.B; Figure 8 has r = 2 .. 8).

    Raises:
        ValueError: if ``k`` is none of 4/3, 2, 8/3, 10/3, 4, 14/3, 16/3.
    """
    r = round(1.5 * k)
    if abs(1.5 * k - r) > 1e-6 or r not in _SPLITS:
        raise ValueError(f"k={k:g}: SlimConv's ratio must be one of 4/3, 2, 8/3, 10/3, 4, 14/3, 16/3 (k = 2r/3)")
    return r


def slim_widths(in_channels: int, k: float = 4 / 3) -> tuple[int, int]:
    """Return the output channels ``(C // r, C // 2r)`` of the top and the bottom path."""
    r = splits_for(k)
    return in_channels // r, in_channels // (2 * r)


class SlimConv2d(nn.Module):
    """gate; (w * X) folded, kxk, BN; (flip(w) * X) folded, 1x1, BN, ReLU, kxk, BN; concat.

    Takes ``(N, C, H, W)``, gives ``(N, C // r + C // (2 r), H', W')``: about ``C / k`` channels. Stride and dilation
    act on the k x k convolutions. Where r does not divide C the left-over channels are dropped by the split; they
    still feed the gate. Nothing follows the concatenation but what the surrounding block does itself.

    Args:
        in_channels: C.
        kernel_size: of both k x k convolutions; odd.
        stride: of both k x k convolutions.
        padding: of both k x k convolutions; default ``dilation * (kernel_size // 2)`` keeps the size.
        dilation: of both k x k convolutions.
        groups: of the top k x k convolution, and of the bottom one unless ``bottom_groups`` is given.
        k: compression ratio 2r/3, r = 2 .. 8 (section III.B).
        bottom_groups: groups of the bottom k x k convolution (Sc-ResNeXt-101 32x3d: 16 below 32).
        se_reduction: the gate has ``max(C // se_reduction, se_min)`` hidden channels.
        se_min: L of ``max(C / r, L)``, for networks with few channels (section III.B).
        arrangement: the order of the weights in the bottom path. ``flip`` reverses them (the method);
            ``none`` does not; ``flip-both`` reverses them in the top path too; ``shuffle`` applies a permutation
            drawn once when the layer is built and stored with it (Tables X and XI).
        third_branch: one more path like the bottom one, with shuffled weights (Table XI, ``3b``). Its channels
            come last.
        norm_layer: called with the number of channels.

    A training batch of one image leaves one value a channel behind the global average, of which the gate's
    normalisation can take no statistics. It then uses its running statistics and leaves them as they are
    (under SyncBatchNorm over several processes there are enough values, and nothing special happens).

    Raises:
        ValueError: for a k that no whole r gives, fewer than 2r channels, groups that do not divide the widths,
            an even kernel without padding, or an unknown arrangement.
    """

    order: Tensor | None

    def __init__(
        self,
        in_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        padding: int | None = None,
        dilation: int = 1,
        groups: int = 1,
        *,
        k: float = 4 / 3,
        bottom_groups: int | None = None,
        se_reduction: int = 32,
        se_min: int = 1,
        arrangement: Arrangement = "flip",
        third_branch: bool = False,
        norm_layer: NormLayer = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        r = splits_for(k)
        top, bottom = slim_widths(in_channels, k)
        bottom_groups = groups if bottom_groups is None else bottom_groups
        if bottom < 1:
            raise ValueError(f"in_channels={in_channels}: SlimConv with k={k:.3g} needs at least {2 * r} channels")
        for path, width, g in (("top", top, groups), ("bottom", bottom, bottom_groups)):
            if g < 1 or width % g:
                raise ValueError(
                    f"groups={g} does not divide the {width} channels of SlimConv's {path} path "
                    f"({in_channels} in, k={k:.3g})"
                )
        if padding is None:
            if kernel_size % 2 == 0:
                raise ValueError(f"kernel_size={kernel_size}: an even kernel needs an explicit padding")
            padding = dilation * (kernel_size // 2)
        if arrangement not in get_args(Arrangement):
            raise ValueError(f"arrangement={arrangement!r}: must be one of {', '.join(get_args(Arrangement))}")

        self.in_channels = in_channels
        self.out_channels = top + bottom * (2 if third_branch else 1)
        self.r = r
        self.width = top
        self.arrangement = arrangement

        hidden = max(in_channels // se_reduction, se_min)
        self.gate = nn.Sequential(  # Eq. (1)
            nn.Conv2d(in_channels, hidden, 1, bias=False),
            norm_layer(hidden),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, in_channels, 1),
            nn.Sigmoid(),
        )

        def transform(width: int, g: int) -> nn.Conv2d:
            return nn.Conv2d(width, width, kernel_size, stride, padding, dilation, g, bias=False)

        def narrow_path() -> nn.Sequential:
            return nn.Sequential(
                nn.Conv2d(top, bottom, 1, bias=False),
                norm_layer(bottom),
                nn.ReLU(inplace=True),
                transform(bottom, bottom_groups),
                norm_layer(bottom),
            )

        self.top = nn.Sequential(transform(top, groups), norm_layer(top))
        self.bottom = narrow_path()
        self.third = narrow_path() if third_branch else None
        shuffles = arrangement == "shuffle" or third_branch
        order = torch.randperm(in_channels, device="cpu").to(torch.get_default_device()) if shuffles else None
        self.register_buffer("order", order)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W) -> (N, C / k, H', W')``."""
        w = self._weights(x)
        flipped = w.flip(1)
        below = {"flip": flipped, "flip-both": flipped, "none": w}.get(self.arrangement)
        if below is None:
            below = self._shuffled(w)
        above = flipped if self.arrangement == "flip-both" else w
        weights = [above, below]
        transforms = [self.top, self.bottom]
        if self.third is not None:
            weights.append(self._shuffled(w))
            transforms.append(self.third)
        folded = fold(x, weights, self.r, self.width)  # Eq. (2)
        return torch.cat([transform(part) for transform, part in zip(transforms, folded, strict=True)], 1)

    def _weights(self, x: Tensor) -> Tensor:
        """Eq. (1): ``(N, C, H, W) -> (N, C, 1, 1)`` in (0, 1)."""
        squeeze, norm, relu, excite, sigmoid = self.gate
        z = squeeze(x.mean((2, 3), keepdim=True))
        out: Tensor = sigmoid(excite(relu(normalise_pooled(norm, z))))
        return out

    def _shuffled(self, w: Tensor) -> Tensor:
        assert self.order is not None
        return w.index_select(1, self.order)

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, r={self.r}, arrangement={self.arrangement!r}"
