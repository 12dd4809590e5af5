"""Versatile filters on ImageNet: Tables 3 to 9, with the public networks that they are compared with."""

from __future__ import annotations

from functools import partial
from typing import Any

import torchvision
from torch import nn

import backbones.catalogue.baselines  # noqa: F401  (what is derived from must be registered first)
from backbones.catalogue.registry import Builder, ModelSpec, add
from backbones.catalogue.versatile import vf
from backbones.nets.alexnet import AlexNet
from backbones.nets.shufflenet_v1 import ShuffleNetV1
from backbones.nets.thin_resnet import ThinResNet
from backbones.surgery import versatile


def _timm(architecture: str, **kwargs: Any) -> nn.Module:
    import timm

    net: nn.Module = timm.create_model(architecture, pretrained=False, **kwargs)
    return net


def _baseline(name: str, source: str, build: Builder) -> None:
    add(ModelSpec(name, "versatile", "baseline", source, build))


# Table 3, AlexNet in two groups. Every layer but the last counts as a convolution. Its spatial filters yield three
# maps each in conv2 and fc6, which do not divide 256 and 4096: the paper lists 86 and 1366 primaries, hence 258 and
# 4098 maps.
_baseline("alexnet_2g", "slimbench", AlexNet)


def _wide_alexnet(**kwargs: Any) -> nn.Module:
    return AlexNet(widths=(96, 258, 384, 384, 256, 4098, 4096), **kwargs)


def _s_alexnet(**kwargs: Any) -> nn.Module:
    return versatile(_wide_alexnet(**kwargs), kind="spatial", quiet=True)


def _s_c_alexnet(**kwargs: Any) -> nn.Module:
    return versatile(_wide_alexnet(**kwargs), kind="spatial+channel", gap=1, channel_stride=1, quiet=True)


_method = "spatial + channel, c - c_hat=1, g=1"
add(ModelSpec("s_versatile_alexnet_2g", "versatile", "spatial", "slimbench", _s_alexnet, "alexnet_2g"))
add(ModelSpec("s_c_versatile_alexnet_2g", "versatile", _method, "slimbench", _s_c_alexnet, "alexnet_2g"))
for _kind in ("shared", "separate"):
    vf(f"{_kind}_l", "alexnet_2g", "_s4", f"{_kind} learned masks, s=4", kind=_kind, s=4)

# Tables 3 to 6, ResNet-50: learned masks in every convolution, stem and shortcuts included.
vf("s", "resnet50", "", "spatial", kind="spatial")
vf("s_c", "resnet50", "", "spatial + channel, c - c_hat=8, g=8", kind="spatial+channel", gap=8, channel_stride=8)
# s = 2 is in no table: it is there to be timed.
for _kind, _s in (("shared", 4), ("separate", 2), ("separate", 4), ("separate", 32)):
    vf(f"{_kind}_l", "resnet50", f"_s{_s}", f"{_kind} learned masks, s={_s}", kind=_kind, s=_s)
_baseline("resnet50_x0_5", "slimbench", partial(ThinResNet, (3, 4, 6, 3), 0.5))  # "Slimmable 0.5x"

# Tables 7 to 9, 1x1 convolutions. Stem and depthwise layers stay: a depthwise filter has one output channel, and
# no product that several could share. (The printed #MUL of the learned masks take depthwise layers for reduced.)
for _base in ("mobilenet_v2", "efficientnet_b0"):
    vf("c", _base, "_8_8", "channel, c - c_hat=8, g=8", kind="channel", gap=8, channel_stride=8)
for _base, _s in (("mobilenet_v2", 4), ("efficientnet_b0", 2), ("efficientnet_b0", 4)):
    vf("separate_l", _base, f"_s{_s}", f"separate learned masks, s={_s}", kind="separate", s=_s, skip_first=True)

_baseline("mobilenet_v2_x0_75", "torchvision", partial(torchvision.models.mobilenet_v2, width_mult=0.75))
_baseline("mobilenet_v3_large_x0_75", "timm", partial(_timm, "mobilenetv3_large_075"))
_baseline("mnasnet_a1", "timm", partial(_timm, "semnasnet_100"))
_baseline("shufflenet_v1_x1_5_g3", "slimbench", partial(ShuffleNetV1, 3, 1.5))
_baseline("shufflenet_v1_x1_0_g8", "slimbench", partial(ShuffleNetV1, 8))
