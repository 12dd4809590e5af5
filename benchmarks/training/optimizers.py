"""Optimizers that configs name and PyTorch has not; imported by the configs that need one (timm takes a second).

RMSpropTF is RMSProp as TensorFlow has it, where the recipes of MobileNetV2 and EfficientNet come from: epsilon inside
the root, mean squares that start from one and the learning rate inside the momentum.
"""

from __future__ import annotations

from mmengine.registry import OPTIMIZERS
from timm.optim.rmsprop_tf import RMSpropTF

OPTIMIZERS.register_module(name="RMSpropTF", module=RMSpropTF, force=True)
