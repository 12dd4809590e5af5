"""The other networks of SlimConv's ImageNet tables: I, II, III and X."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn

from backbones.catalogue.registry import Builder, ModelSpec, add
from backbones.catalogue.slimconv import sc
from backbones.nets.bl_resnet import bl_resnet50
from backbones.nets.dla import dla46_c
from backbones.nets.ghost_resnet import ghost_resnet50
from backbones.nets.oct_resnet import oct_resnet50
from backbones.nets.spconv_resnet import spconv_resnet50


def _timm(architecture: str, **kwargs: Any) -> nn.Module:
    import timm  # a second that only those pay who build one of its networks

    net: nn.Module = timm.create_model(architecture, pretrained=False, **kwargs)
    return net


def _baseline(name: str, method: str, source: str, build: Builder) -> None:
    add(ModelSpec(name, "slimconv", method, source, build))


# Table I. SE with r = 16 and biased layers on the block's output; stride in the 3x3, as torchvision's ResNets have it
# (timm's legacy_seresnet50 and 101 have it in the first 1x1 and cost 0.23 G less).
for _depth in ("50", "101"):
    _baseline(f"se_resnet{_depth}", "baseline, SE", "timm", partial(_timm, f"seresnet{_depth}"))
    _baseline(f"se_resnext{_depth}_32x4d", "baseline, SE", "timm", partial(_timm, f"seresnext{_depth}_32x4d"))
_baseline("ghost_resnet50", "baseline, Ghost modules, s=2", "slimbench", ghost_resnet50)
for _suffix, _alpha in (("1_2", 1 / 2), ("1_8", 1 / 8)):
    _method = f"baseline, SPConv, alpha={_suffix.replace('_', '/')}"
    _baseline(f"spconv_resnet50_a{_suffix}", _method, "slimbench", partial(spconv_resnet50, alpha=_alpha))

# Table II. C // 32 hidden channels in the gates, one in the thinnest, would make 17.75 M parameters. At least 11 or 12
# make the printed 17.77 M, and so does C // 24.
_baseline("bl_resnet50", "baseline, Big-Little, alpha=2, beta=4", "slimbench", bl_resnet50)
sc("bl_resnet50", note="k=4/3, L=12", se_min=12)
_baseline("oct_resnet50", "baseline, octave, alpha=0.5", "slimbench", oct_resnet50)

# Table III. "Squeezenet-B" (squeezenet1_1 here) has the accuracy of SqueezeNet 1.0 with simple bypass and the cost
# that its authors state for SqueezeNet 1.1: 0.72e9 operations, a multiplication and an addition being two.
_baseline("dla46_c", "baseline", "timm", dla46_c)
sc("dla46_c", note="k=4/3, L=16", se_min=16)
sc("shufflenet_v2_x1_0")
sc("mobilenet_v2", "_k8_3", 8 / 3, "k=8/3, r=24, L=8", se_reduction=24, se_min=8)

# Table X
sc("resnet50", "_noflip", note="k=4/3, no weights flipped", arrangement="none")
sc("resnet50", "_onlyflip", note="k=4/3, all weights flipped", arrangement="flip-both")
