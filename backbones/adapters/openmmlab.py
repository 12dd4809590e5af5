"""SlimConv and versatile filters as backbones of MMDetection, MMSegmentation and MMPretrain.

    custom_imports = dict(imports=["backbones.adapters.openmmlab"])
    model = dict(backbone=dict(type="SlimResNet", depth=50, ...))

Importing this module registers SlimResNet, SlimResNeXt, SlimMobileNetV2 and VersatileResNet with every one of the
three that is installed, under the same names, and with MMDetection SlimResLayer and VersatileResLayer, the fourth
stage as the shared head of a C4 detector. Each is a subclass of that host's own network: it takes the host's
arguments, means the same by them, and has besides the arguments of `backbones.slim` or `backbones.versatile`.

TorchvisionMobileNetV2 is the host's plain one, and starts from torchvision's weights or from those of `mmconfigs/cls`.

Learned masks train by one line more, `custom_hooks = [dict(type="VersatileMaskHook")]`.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from importlib.util import find_spec

from backbones.adapters.mmcv_ext import install

#: what is imported -> what there registers our networks
HOSTS = {name: f"backbones.adapters.openmmlab_{name}" for name in ("mmdet", "mmseg", "mmpretrain")}


def register() -> tuple[str, ...]:
    """Register the networks with every host that is installed; return the hosts' names.

    A host that is there but does not import (one that refuses the version of mmcv, say) does not keep its neighbours
    from working: a warning tells why it has no networks of ours.

    Raises:
        ImportError: if not one of them can be used.
    """
    installed = [name for name in HOSTS if find_spec(name) is not None]
    if not installed:
        raise ImportError(
            f"none of {', '.join(HOSTS)} is installed, and the backbones are theirs: pip install 'slimbench[mm]'"
        )
    install()
    import_module("backbones.adapters.mmengine")  # VersatileMaskHook
    working, reasons = [], []
    for name in installed:
        try:
            import_module(HOSTS[name])
        except (ImportError, AssertionError) as error:  # the hosts assert the versions that they need
            reasons.append(f"{name} cannot be imported, so it has no backbones of slimbench: {error}")
        else:
            working.append(name)
    if not working:
        raise ImportError("; ".join(reasons))
    for reason in reasons:
        warnings.warn(reason, stacklevel=2)
    return tuple(working)


REGISTERED = register()
