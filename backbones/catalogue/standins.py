"""Whole detectors and segmentors, and the backbones of detectors, for counting only."""

from __future__ import annotations

from functools import partial

from torch import nn

import backbones.catalogue.slimconv_imagenet
import backbones.catalogue.versatile_imagenet  # noqa: F401  (what they are made of)
from backbones.catalogue.registry import Builder, ModelSpec, Paper, add, create_model, model_spec
from backbones.nets.counting_detectors import FasterRCNNC4, FasterRCNNFPN
from backbones.nets.counting_standins import Backbone, DeepLabV3Plus, SeparableDeepLabV3Plus

Size = tuple[int, int, int]


def _add(name: str, paper: Paper, part: str, build: Builder, baseline: str, size: Size, classes: int) -> None:
    """Register a network that is made of the named model ``part``."""
    method = f"{model_spec(part).method}; for counting only"
    add(ModelSpec(name, paper, method, "slimbench", build, baseline, size, classes))


def _deeplab_resnet(backbone: str, num_classes: int = 21, network: type[DeepLabV3Plus] = DeepLabV3Plus) -> nn.Module:
    resnet = create_model(backbone, replace_stride_with_dilation=[False, False, True])
    return network.of_resnet(resnet, num_classes)


def _deeplab_mobilenet(backbone: str, num_classes: int = 21) -> nn.Module:
    return DeepLabV3Plus.of_mobilenet_v2(create_model(backbone), num_classes)


def _faster_rcnn(backbone: str, anchors: int, num_classes: int = 21) -> nn.Module:
    return FasterRCNNC4(create_model(backbone), anchors, num_classes)


def _faster_rcnn_fpn(backbone: str, num_classes: int = 81) -> nn.Module:
    return FasterRCNNFPN(create_model(backbone), num_classes=num_classes)


def _backbone(resnet: str) -> nn.Module:
    return Backbone(create_model(resnet))


# SlimConv, Table VII: 513x513, VOC2012. ResNets have output stride 16, MobileNetV2 has 32.
for _build, _plain, _slim in (
    (_deeplab_mobilenet, "mobilenet_v2", "sc_mobilenet_v2_k8_3"),
    (_deeplab_resnet, "resnet50", "sc_resnet50"),
    (_deeplab_resnet, "resnet101", "sc_resnet101"),
):
    _base = f"deeplabv3plus_{_plain}"
    _add(_base, "slimconv", _plain, partial(_build, _plain), "", (3, 513, 513), 21)
    _add(f"deeplabv3plus_{_slim}", "slimconv", _slim, partial(_build, _slim), _base, (3, 513, 513), 21)

# SlimConv, Tables VIII and IX, which count in units of 2^20 parameters and 2^30 operations.
for _data, _anchors, _size, _classes in (("voc", 9, (3, 600, 850), 21), ("coco", 12, (3, 600, 899), 81)):
    for _net in ("resnet101", "sc_resnet101"):
        _base = "" if _net == "resnet101" else f"faster_rcnn_c4_resnet101_{_data}"
        _part = partial(_faster_rcnn, _net, _anchors)
        _add(f"faster_rcnn_c4_{_net}_{_data}", "slimconv", _net, _part, _base, _size, _classes)

# Versatile Filters, Table 10, the short side at 600: its columns are those of the backbone only.
_SHORT_600: Size = (3, 600, 1000)
for _net in ("resnet50", "s_versatile_resnet50", "separate_l_versatile_resnet50_s4"):
    _base = "" if _net == "resnet50" else "backbone_resnet50"
    _add(f"backbone_{_net}", "versatile", _net, partial(_backbone, _net), _base, _SHORT_600, 0)

# Beside them stand the networks that mmconfigs trains and neither paper counts. The detectors of Table 10 with the
# fourth stage as their head and, as is common today, with a feature pyramid; SlimConv in their place; both on VOC.
_VERSATILE = ("s_versatile_resnet50", "separate_l_versatile_resnet50_s4")
for _net in ("resnet50", "sc_resnet50", *_VERSATILE):
    _paper: Paper = "slimconv" if _net == "sc_resnet50" else "versatile"
    for _kind, _data, _build, _size, _classes in (
        ("c4", "coco", partial(_faster_rcnn, anchors=12), _SHORT_600, 81),
        ("fpn", "coco", _faster_rcnn_fpn, _SHORT_600, 81),
        ("c4", "voc", partial(_faster_rcnn, anchors=9), (3, 600, 850), 21),
    ):
        _base = "" if _net == "resnet50" else f"faster_rcnn_{_kind}_resnet50_{_data}"
        _add(f"faster_rcnn_{_kind}_{_net}_{_data}", _paper, _net, partial(_build, _net), _base, _size, _classes)

# Versatile filters below the head of Table VII, and MMSegmentation's own head.
for _net in _VERSATILE:
    _part = partial(_deeplab_resnet, _net)
    _add(f"deeplabv3plus_{_net}", "versatile", _net, _part, "deeplabv3plus_resnet50", (3, 513, 513), 21)
for _net in ("resnet50", "sc_resnet50"):
    _part = partial(_deeplab_resnet, _net, network=SeparableDeepLabV3Plus)
    _base = "" if _net == "resnet50" else "deeplabv3plus_sepaspp_resnet50"
    _add(f"deeplabv3plus_sepaspp_{_net}", "slimconv", _net, _part, _base, (3, 513, 513), 21)
