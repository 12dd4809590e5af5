"""Where SlimConv goes in a block: one rule a block type.

A rule recognises a block by its parts, not by its class, so that torchvision's, timm's, OpenMMLab's and a user's own
block of one shape share a rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Plan:
    """How to slim a block: the convolution, the norm that goes, the convolution that then reads less.

    Each is a dotted name inside the block.
    """

    conv: str
    norm: str
    reader: str


def bottleneck(block: nn.Module) -> Plan | None:
    """1x1, kxk, 1x1 called conv1, conv2, conv3: the residual bottleneck of torchvision, timm and OpenMMLab."""
    return None if not hasattr(block, "conv3") else _plan(block, "conv2", _norm_name(block, 2), "conv3")


def basic(block: nn.Module) -> Plan | None:
    """kxk, kxk called conv1, conv2: the basic residual block.

    The first becomes a SlimConv of its input's width: only that sizing gives the counts of SlimConv's Table V.
    """
    if hasattr(block, "conv3") or not _is_spatial(getattr(block, "conv2", None)):
        return None
    return _plan(block, "conv1", _norm_name(block, 1), "conv2")


def inverted_residual(block: nn.Module) -> Plan | None:
    """[1x1,] depthwise kxk, 1x1 inside a Sequential called conv: torchvision's MobileNetV2."""
    layers = getattr(block, "conv", None)
    if not isinstance(layers, nn.Sequential) or len(layers) < 3:
        return None
    i = len(layers) - 3
    depthwise = _is_depthwise(_part(block, f"conv.{i}.0"))
    return _plan(block, f"conv.{i}.0", f"conv.{i}.1", f"conv.{i + 1}") if depthwise else None


def named_inverted_residual(block: nn.Module) -> Plan | None:
    """conv_pw, depthwise conv_dw, conv_pwl (or conv_dw, conv_pw): timm's MobileNetV2 family."""
    if not _is_depthwise(getattr(block, "conv_dw", None)):
        return None
    if hasattr(block, "conv_pwl"):
        return _plan(block, "conv_dw", "bn2", "conv_pwl")
    return _plan(block, "conv_dw", "bn1", "conv_pw")


def conv_module_residual(block: nn.Module) -> Plan | None:
    """[1x1,] depthwise kxk, 1x1, each with its norm in one ConvModule: OpenMMLab's MobileNetV2.

    MMDetection names the modules, MMSegmentation numbers them inside a Sequential called conv.
    """
    layers = getattr(block, "conv", None)
    depth = len(layers) if isinstance(layers, nn.Sequential) else 0
    for depthwise, then in (("depthwise_conv", "linear_conv"), (f"conv.{depth - 2}", f"conv.{depth - 1}")):
        if _is_depthwise(_part(block, f"{depthwise}.conv")):
            norm = getattr(_part(block, depthwise), "norm_name", None)
            return _plan(block, f"{depthwise}.conv", f"{depthwise}.{norm}", f"{then}.conv")
    return None


def shuffle_unit(block: nn.Module) -> Plan | None:
    """1x1, depthwise 3x3, 1x1 in branch2 of torchvision's ShuffleNetV2 unit; the shortcut branch stays."""
    layers = getattr(block, "branch2", None)
    if not isinstance(layers, nn.Sequential) or len(layers) < 6 or not _is_depthwise(layers[3]):
        return None
    return _plan(block, "branch2.3", "branch2.4", "branch2.5")


def separable(block: nn.Module) -> Plan | None:
    """Depthwise kxk, norm, 1x1 called depthwise, norm, pointwise; NASNet's norm is an empty place (nn.Identity)."""
    return _plan(block, "depthwise", "norm", "pointwise") if _is_depthwise(getattr(block, "depthwise", None)) else None


#: block type -> rule; the first that recognises a block slims it. Another block type is one more line.
RULES: dict[str, Callable[[nn.Module], Plan | None]] = {
    "bottleneck": bottleneck,
    "basic block": basic,
    "inverted residual": inverted_residual,
    "inverted residual (timm)": named_inverted_residual,
    "inverted residual (OpenMMLab)": conv_module_residual,
    "shuffle unit": shuffle_unit,
    "separable convolution": separable,
}


def recognise(block: nn.Module) -> Plan | None:
    """Return the plan of the first rule that knows the block."""
    return next((plan for rule in RULES.values() if (plan := rule(block))), None)


def _plan(block: nn.Module, conv: str, norm: str | None, reader: str) -> Plan | None:
    """Return the plan if its three parts are there and fit each other."""
    first, then = _part(block, conv), _part(block, reader)
    if norm is None or not isinstance(_part(block, norm), nn.Module):
        return None
    if not (isinstance(first, nn.Conv2d) and _is_spatial(first) and isinstance(then, nn.Conv2d)):
        return None
    return Plan(conv, norm, reader) if then.in_channels == first.out_channels else None


def _part(block: nn.Module, name: str) -> nn.Module | None:
    try:
        return block.get_submodule(name)
    except AttributeError:
        return None


def _is_spatial(conv: object) -> bool:
    return (
        isinstance(conv, nn.Conv2d)
        and conv.kernel_size[0] == conv.kernel_size[1] > 1
        and not isinstance(conv.padding, str)
    )


def _is_depthwise(conv: object) -> bool:
    return isinstance(conv, nn.Conv2d) and conv.groups == conv.in_channels == conv.out_channels > 1


def _norm_name(block: nn.Module, index: int) -> str | None:
    """The norm behind the convolution of that index; OpenMMLab's blocks keep its name in ``norm2_name``."""
    name = getattr(block, f"norm{index}_name", f"bn{index}")
    return name if isinstance(name, str) else None
