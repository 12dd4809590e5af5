"""DLA-46-C (Yu et al., CVPR 2018) as its authors released it."""

from __future__ import annotations

import copy
from typing import Any

from torch import nn


def dla46_c(**kwargs: Any) -> nn.Module:
    """DLA-46-C of timm with the projection that the authors compute and drop: 1.31 M parameters.

    An outer tree whose width changes projects its input for a shortcut that none of its subtrees reads; timm leaves
    that layer out. The counts of SlimConv's Table III include it. No gradient ever reaches it, so it is frozen here,
    which spares DistributedDataParallel's search for unused parameters. The pools of the shortcuts round up, as the
    strided convolutions beside them do, so that any input size works; even sizes give what timm gives.

    Args:
        **kwargs: of ``timm.create_model``, ``num_classes`` among them.
    """
    import timm
    from timm.models.dla import DlaTree

    net: nn.Module = timm.create_model("dla46_c", pretrained=False, **kwargs)
    for tree in (module for module in net.modules() if isinstance(module, DlaTree)):
        if isinstance(tree.downsample, nn.MaxPool2d):
            tree.downsample.ceil_mode = True
        if tree.levels > 1 and isinstance(tree.tree1.project, nn.Sequential):
            tree.set_submodule("project", copy.deepcopy(tree.tree1.project).requires_grad_(False))
    return net
