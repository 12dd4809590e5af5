"""The networks that both papers start from."""

from __future__ import annotations

from functools import partial
from typing import Any

import torchvision
from torch import nn
from torchvision.models.resnet import Bottleneck, ResNet

from backbones.catalogue.registry import ModelSpec, Paper, add
from backbones.nets.resnet_cifar import resnet20_cifar, resnet56_cifar


def _torchvision(name: str, paper: Paper) -> None:
    builder = partial(torchvision.models.get_model, name, weights=None)
    add(ModelSpec(name, paper, "baseline", "torchvision", builder))


def _resnext101(width_per_group: int, depths: list[int], **kwargs: Any) -> nn.Module:
    net: nn.Module = ResNet(Bottleneck, depths, groups=32, width_per_group=width_per_group, **kwargs)
    return net


for _name in ("resnet50", "mobilenet_v2", "shufflenet_v2_x1_0"):
    _torchvision(_name, "both")
for _name in ("efficientnet_b0", "mobilenet_v3_large"):
    _torchvision(_name, "versatile")
for _name in ("resnet101", "resnext50_32x4d", "densenet161", "squeezenet1_1"):
    _torchvision(_name, "slimconv")
add(ModelSpec("resnext101_32x4d", "slimconv", "baseline", "torchvision", partial(_resnext101, 4, [3, 4, 23, 3])))
# Depths 4, 8, 18, 3: with SlimConv only they give Table I's 23.70 M; the usual 3, 4, 23, 3 gives 26.1 M.
add(ModelSpec("resnext101_32x3d", "slimconv", "baseline", "torchvision", partial(_resnext101, 3, [4, 8, 18, 3])))
add(ModelSpec("resnet56_cifar", "both", "baseline", "slimbench", resnet56_cifar, "", (3, 32, 32), 10))
# In neither paper: a user of SlimConv's released code reported its loss of accuracy on CIFAR-10 for this one.
add(ModelSpec("resnet20_cifar", "slimconv", "baseline", "slimbench", resnet20_cifar, "", (3, 32, 32), 10))
