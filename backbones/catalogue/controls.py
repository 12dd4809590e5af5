"""Equal-cost controls: for each method a plain baseline that is thinned to the same multiplications.

Whoever saves operations must beat a narrower network that costs as much. The widths were searched once and are
written down here; a test counts that they hit the method's #MUL within 1 %. (#MUL is what the papers compare. A
library executes versatile networks as dense ones, with the MACs of their baselines.) Not thinned are NASNet, whose
widths step by 4 % of the cost, and the octave and big-little networks, which divide their channels themselves.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn

import backbones.catalogue.slimconv_cifar
import backbones.catalogue.slimconv_imagenet
import backbones.catalogue.vdsr
import backbones.catalogue.versatile_imagenet  # noqa: F401  (the baselines and the methods)
from backbones.catalogue.registry import Builder, ModelSpec, add, create_model, model_spec
from backbones.nets.alexnet import AlexNet, Widths
from backbones.nets.dla import dla46_c
from backbones.nets.mobilenetv2_cifar import MobileNetV2Cifar
from backbones.nets.resnet_cifar import CifarResNet
from backbones.nets.se_resnet_cifar import SEResNetCifar
from backbones.nets.shufflenetv2_cifar import ShuffleNetV2Cifar
from backbones.nets.thin import thin_efficientnet_b0, thin_mobilenet_v2, thin_shufflenet_v2, thin_vdsr22
from backbones.nets.thin_resnet import ThinResNet
from backbones.surgery import versatile

CONTROLS: dict[str, str] = {}
"""Method -> its control; several methods may share one."""


def control(baseline: str, budget: str, build: Builder, *methods: str) -> None:
    """Register ``<baseline>_at_<budget>``, what ``methods`` are to be compared with."""
    name = f"{baseline}_at_{budget}"
    base = model_spec(baseline)
    words = f"control, as many multiplications as {methods[0]}"
    add(ModelSpec(name, base.paper, words, "slimbench", build, baseline, base.input_size, base.num_classes))
    CONTROLS.update({model_spec(method).name: name for method in methods})


def _resnet50(budget: str, width: float, *methods: str) -> None:
    control("resnet50", budget, partial(ThinResNet, (3, 4, 6, 3), width), *methods)


def _resnet50_cifar(budget: str, width: float, *suffixes: str) -> None:
    build = partial(ThinResNet, (3, 4, 6, 3), width, small_images=True)
    control("resnet50_cifar", budget, build, *(f"sc_resnet50_cifar{suffix}" for suffix in suffixes))


def _resnet56(budget: str, widths: tuple[int, int, int], *methods: str) -> None:
    names = [method.format("resnet56_cifar") for method in methods]
    control("resnet56_cifar", budget, partial(CifarResNet, 9, widths=widths), *names)


def _alexnet(budget: str, widths: Widths, *methods: str) -> None:
    control("alexnet_2g", budget, partial(AlexNet, widths=widths), *methods)


def _efficientnet(budget: str, widths: tuple[int, ...], method: str) -> None:
    control("efficientnet_b0", budget, partial(thin_efficientnet_b0, widths), method)


def _mobilenet(budget: str, width: float, method: str) -> None:
    control("mobilenet_v2", budget, partial(thin_mobilenet_v2, width), method)


# SlimConv, Table I
_resnet50("2.65g", 0.803, "sc_resnet50")
_resnet50("1.88g", 0.674, "sc_resnet50_k8_3")
control("resnet101", "4.82g", partial(ThinResNet, (3, 4, 23, 3), 0.785), "sc_resnet101")
control("resnext50_32x4d", "3.82g", partial(ThinResNet, (3, 4, 6, 3), 0.958, groups=30), "sc_resnext50_32x4d")
control("resnext101_32x4d", "4.58g", partial(ThinResNet, (3, 4, 23, 3), 0.748, groups=24), "sc_resnext101_32x3d_k2")
# Table III
control("shufflenet_v2_x1_0", "141m", partial(thin_shufflenet_v2, 114), "sc_shufflenet_v2_x1_0")
_mobilenet("239m", 0.883, "sc_mobilenet_v2_k8_3")
control("dla46_c", "484m", partial(dla46_c, channels=(14, 28, 60, 60, 120, 240)), "sc_dla46_c")
# Tables V, VI and XI, Figure 8; ResNet-20 is in none
_resnet56("66m", (12, 23, 45), "sc_{}")
control(
    "resnet20_cifar", "20m", partial(CifarResNet, 3, widths=(11, 23, 46)),
    *(f"sc_resnet20_cifar{suffix}" for suffix in ("", "_sf", "_noflip")),
)  # fmt: skip
control("shufflenetv2_cifar", "44m", partial(ShuffleNetV2Cifar, widths=(114, 228, 456, 1024)), "sc_shufflenetv2_cifar")
control("mobilenetv2_cifar", "72m", partial(MobileNetV2Cifar, width=0.881), "sc_mobilenetv2_cifar_k8_3")
_resnet50_cifar("829m", 0.8, "", "_sf")
_resnet50_cifar("947m", 0.853, "_3b_sf")
_resnet50_cifar("646m", 0.706, "_k2")
_resnet50_cifar("577m", 0.666, "_k8_3")
_resnet50_cifar("535m", 0.643, "_k10_3")
_resnet50_cifar("512m", 0.628, "_k4")
_resnet50_cifar("498m", 0.619, "_k14_3")
_resnet50_cifar("489m", 0.614, "_k16_3")
control(
    "resnext50_cifar", "1.21g", partial(ThinResNet, (3, 4, 6, 3), 0.958, groups=30, small_images=True),
    "sc_resnext50_cifar",
)  # fmt: skip
control(
    "se_resnet50_cifar", "834m", partial(SEResNetCifar, (3, 4, 6, 3), widths=(51, 102, 204, 412)),
    "sc_se_resnet50_cifar",
)  # fmt: skip
control(
    "se_resnet101_cifar", "1.54g", partial(SEResNetCifar, (3, 4, 23, 3), widths=(50, 100, 200, 404)),
    "sc_se_resnet101_cifar",
)  # fmt: skip

# Versatile Filters, Tables 1 and 2, Figure 4
_resnet56("63m", (11, 23, 46), "s_versatile_{}", *(f"c_versatile_{{}}_{gap}_{gap}" for gap in (1, 2, 4, 8, 12)))
_resnet56("45m", (10, 19, 36), "c_versatile_{}_8_4")
_resnet56("31m", (8, 16, 32), "s_c_versatile_{}")
_resnet56("28m", (8, 15, 29), "c_versatile_{}_8_2")
_resnet56("67m", (12, 23, 46), "separate_l_versatile_{}_s2", "shared_l_versatile_{}_s2")
_resnet56("49m", (10, 20, 39), "separate_l_versatile_{}_s3")
_resnet56("36m", (9, 17, 32), "separate_l_versatile_{}_s4", "shared_l_versatile_{}_s4")
_resnet56("32m", (8, 16, 33), "separate_l_versatile_{}_s5")
_resnet56("27m", (7, 15, 31), "separate_l_versatile_{}_s6")


def _thin_naive_resnet56(**kwargs: Any) -> nn.Module:
    return versatile(create_model("resnet56_cifar_at_63m", **kwargs), kind="naive", quiet=True)


add(
    ModelSpec(
        "naive_versatile_resnet56_cifar_at_63m", "versatile", "naive summation, Eq. 4, at the cost of S-Versatile",
        "slimbench", _thin_naive_resnet56, "resnet56_cifar", (3, 32, 32), 10,
    )
)  # fmt: skip

# Table 3
_alexnet("295m", (58, 156, 236, 236, 156, 2506, 2506), "s_versatile_alexnet_2g")
_alexnet("159m", (40, 110, 166, 166, 112, 1770, 1770), "s_c_versatile_alexnet_2g")
_alexnet(
    "207m", (48, 128, 190, 190, 128, 2036, 2036),
    "separate_l_versatile_alexnet_2g_s4", "shared_l_versatile_alexnet_2g_s4",
)  # fmt: skip
_resnet50("3.08g", 0.866, "s_versatile_resnet50")
_resnet50("1.55g", 0.612, "s_c_versatile_resnet50")
_resnet50("1.15g", 0.524, "separate_l_versatile_resnet50_s4", "shared_l_versatile_resnet50_s4")
_resnet50("257m", 0.241, "separate_l_versatile_resnet50_s32")
# Tables 7 and 9
_mobilenet("167m", 0.719, "c_versatile_mobilenet_v2_8_8")
_mobilenet("108m", 0.561, "separate_l_versatile_mobilenet_v2_s4")
_efficientnet("216m", (24, 16, 16, 24, 56, 80, 144, 232), "c_versatile_efficientnet_b0_8_8")
_efficientnet("227m", (24, 16, 16, 32, 56, 80, 144, 240), "separate_l_versatile_efficientnet_b0_s2")
_efficientnet("142m", (16, 8, 16, 24, 48, 64, 112, 176), "separate_l_versatile_efficientnet_b0_s4")
# Table 11, counted at 41x41
control("vdsr22", "621m", partial(thin_vdsr22, 45, 6), "s_versatile_vdsr22", "c_versatile_vdsr22_8_8")
control(
    "vdsr22", "350m", partial(thin_vdsr22, 33, 20), "separate_l_versatile_vdsr22_s4", "shared_l_versatile_vdsr22_s4"
)
