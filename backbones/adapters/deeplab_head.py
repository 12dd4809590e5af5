"""The decode head of SlimConv's Table VII: DeepLabv3+ with dense convolutions, for MMSegmentation.

    custom_imports = dict(imports=["backbones.adapters.openmmlab"])
    model = dict(decode_head=dict(type="DenseDeepLabV3PlusHead", in_channels=2048, in_index=3, num_classes=21))

MMSegmentation's DepthwiseSeparableASPPHead is another network: its 3x3 convolutions are depthwise separable, the
pyramid is merged by a 3x3, and two convolutions follow the early features. The counts that the paper prints are those
of this one, which is :class:`backbones.nets.counting_standins.DeepLabV3Plus` layer by layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads.aspp_head import ASPPModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor, nn

from backbones.ops._statistics import normalise_pooled

__all__ = ["DenseDeepLabV3PlusHead"]

_BN = {"type": "BN", "requires_grad": True}


@MODELS.register_module()
class DenseDeepLabV3PlusHead(BaseDecodeHead):
    """1x1, three dilated 3x3 and image pooling, concat, 1x1, dropout; concat with a 1x1 of early; 3x3; biased 1x1.

    Takes the backbone's features, of which the first are the early ones, ``(N, c1_in_channels, H, W)``, and those at
    ``in_index`` the last, ``(N, in_channels, h, w)``. Gives logits ``(N, num_classes, H, W)``. The arguments are those
    of MMSegmentation's DepthwiseSeparableASPPHead, so that a config changes from one to the other by the type; all of
    its parent's (norm_cfg, loss_decode, sampler, align_corners, ...) are taken, too.

    A training batch of one image leaves one value a channel behind the image pooling, of which its batch norm can
    take no statistics. It then uses its running statistics and leaves them as they are, while all others take theirs.

    Args:
        in_channels: of the last features.
        channels: of each branch of the pyramid and of what is made of them; printed counts: 256.
        c1_in_channels: of the early features.
        c1_channels: what they are reduced to; printed counts: 48.
        dilations: of the pyramid, the first being its 1x1; (1, 6, 12, 18) is for an output stride of 16.
        dropout_ratio: of the dropout, element by element, behind the merged pyramid; there is none before the
            classifier.
        norm_cfg: of all convolutions but the classifier; with None these have a bias instead.

    Raises:
        ValueError: without early features (``c1_in_channels`` < 1), or if ``dilations`` do not begin with 1.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int = 256,
        *,
        c1_in_channels: int = 256,
        c1_channels: int = 48,
        dilations: Sequence[int] = (1, 6, 12, 18),
        dropout_ratio: float = 0.1,
        norm_cfg: Mapping[str, Any] | None = _BN,
        **kwargs: Any,
    ) -> None:
        if c1_in_channels < 1:
            raise ValueError(f"c1_in_channels={c1_in_channels}: the decoder needs early features (ResNet: 256)")
        if not dilations or dilations[0] != 1:
            raise ValueError(f"dilations={tuple(dilations)}: must begin with 1, the pyramid's 1x1 convolution")
        # The parent's dropout would stand before the classifier, and drop whole channels.
        super().__init__(in_channels, channels, dropout_ratio=0, norm_cfg=norm_cfg and dict(norm_cfg), **kwargs)
        self.dilations = tuple(dilations)
        parts: dict[str, Any] = {"conv_cfg": self.conv_cfg, "norm_cfg": self.norm_cfg, "act_cfg": self.act_cfg}
        self.image_pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), ConvModule(in_channels, channels, 1, **parts))
        self.aspp_modules = ASPPModule(self.dilations, in_channels, channels, **parts)
        self.bottleneck = ConvModule((len(self.dilations) + 1) * channels, channels, 1, **parts)
        self.merged_dropout = nn.Dropout(dropout_ratio)
        self.c1_bottleneck = ConvModule(c1_in_channels, c1_channels, 1, **parts)
        self.decoder = ConvModule(channels + c1_channels, channels, 3, padding=1, **parts)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        late, early = self._transform_inputs(inputs), self.c1_bottleneck(inputs[0])
        pooled = self._resize(self._pooled(late), late)
        merged = self.merged_dropout(self.bottleneck(torch.cat([*self.aspp_modules(late), pooled], 1)))
        logits: Tensor = self.cls_seg(self.decoder(torch.cat([early, self._resize(merged, early)], 1)))
        return logits

    def _pooled(self, x: Tensor) -> Tensor:
        """``(N, in_channels, h, w) -> (N, channels, 1, 1)``."""
        block: Any = self.image_pool[1]
        z = block.conv(self.image_pool[0](x))
        if block.with_norm:
            z = normalise_pooled(block.norm, z)
        out: Tensor = block.activate(z) if block.with_activation else z
        return out

    def _resize(self, x: Tensor, like: Tensor) -> Tensor:
        out: Tensor = resize(x, like.shape[2:], mode="bilinear", align_corners=self.align_corners)
        return out
