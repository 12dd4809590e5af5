"""SlimConv in somebody else's network: one rule a block type, because the next layer sees another width."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from backbones.ops.slim_conv import Arrangement, SlimConv2d
from backbones.surgery.report import Change, SurgeryError, SurgeryReport, attach
from backbones.surgery.weights import match_scale, moved, narrowed

_ANEW = "initialised anew"


@dataclass(frozen=True)
class Plan:
    """How to slim a block: the convolution, the norm that goes, the convolution that then reads less."""

    conv: str
    norm: str
    reader: str


def bottleneck(block: nn.Module) -> Plan | None:
    """1x1, kxk, 1x1 called conv1, conv2, conv3: the residual bottleneck of torchvision, timm and OpenMMLab."""
    conv2, conv3 = getattr(block, "conv2", None), getattr(block, "conv3", None)
    if not (isinstance(conv2, nn.Conv2d) and isinstance(conv3, nn.Conv2d) and _is_spatial(conv2)):
        return None
    norm = _norm_name(block, 2)
    fits = conv3.in_channels == conv2.out_channels
    return Plan("conv2", norm, "conv3") if norm is not None and fits else None


def basic(block: nn.Module) -> Plan | None:
    """kxk, kxk called conv1, conv2: the basic residual block.

    The first becomes a SlimConv of its input's width: only that sizing gives the counts of SlimConv's Table V.
    """
    conv1, conv2 = getattr(block, "conv1", None), getattr(block, "conv2", None)
    if hasattr(block, "conv3") or not (isinstance(conv1, nn.Conv2d) and isinstance(conv2, nn.Conv2d)):
        return None
    norm = _norm_name(block, 1)
    fits = _is_spatial(conv1) and _is_spatial(conv2) and conv2.in_channels == conv1.out_channels
    return Plan("conv1", norm, "conv2") if norm is not None and fits else None


#: block type -> rule; the first that recognises a block slims it. A method for another block is one more line.
RULES: dict[str, Callable[[nn.Module], Plan | None]] = {"bottleneck": bottleneck, "basic block": basic}


def slim(
    model: nn.Module,
    k: float = 4 / 3,
    *,
    bottom_groups: int | None = None,
    se_reduction: int = 32,
    se_min: int = 1,
    arrangement: Arrangement = "flip",
    third_branch: bool = False,
    quiet: bool = False,
) -> nn.Module:
    """Put a :class:`SlimConv2d` into every residual block of ``model``, in place; return the model.

    In a bottleneck the k x k convolution and the norm behind it are replaced (SlimConv normalises inside) and the
    1x1 that follows reads C / k channels (section III.B, Figure 4). Which layers changed, which did not and why:
    :func:`surgery_report`.

    Weights: SlimConv has no counterpart to the dense k x k weights, so those layers and the input side of the
    reading 1x1 are initialised anew, at the scale of what they replace; all other layers keep what they have.
    A pretrained network has to be trained again afterwards.

    Args:
        model: torchvision's, timm's, OpenMMLab's or your own network of residual blocks.
        k: compression ratio, 4/3, 2, 8/3 .. 16/3.
        bottom_groups: groups of the bottom path; by default those of the replaced convolution, or the largest
            number of groups that its width allows.
        se_reduction, se_min, arrangement, third_branch: see :class:`SlimConv2d`.
        quiet: do not log the one-line summary.

    Raises:
        SurgeryError: if no block is recognised.
        ValueError: if k is no ratio of SlimConv.
    """
    options: dict[str, Any] = {
        "k": k, "se_reduction": se_reduction, "se_min": se_min,
        "arrangement": arrangement, "third_branch": third_branch,
    }  # fmt: skip
    report = SurgeryReport(f"slim(k={k:.4g})")
    blocks = [(name, block, plan) for name, block in model.named_modules() if (plan := _recognise(block))]
    for name, block, plan in blocks:
        _operate(name, block, plan, options, bottom_groups, report)
    if not report.replaced:
        reasons = "; ".join(f"{change.name}: {change.outcome}" for change in report.left[:3])
        raise SurgeryError(
            f"{type(model).__name__} has no block that SlimConv can go into (known: {', '.join(RULES)})"
            + (f": {reasons}" if reasons else "")
        )
    touched = {change.name for change in (*report.replaced, *report.resized)}
    report.left += [
        Change(name, "not the k x k convolution of a residual block")
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d) and _is_spatial(module) and not any(name.startswith(t) for t in touched)
    ]
    attach(model, report, quiet=quiet)
    return model


def _operate(
    name: str,
    block: nn.Module,
    plan: Plan,
    options: dict[str, Any],
    bottom_groups: int | None,
    report: SurgeryReport,
) -> None:
    conv: nn.Conv2d = getattr(block, plan.conv)
    reader: nn.Conv2d = getattr(block, plan.reader)
    norm: nn.Module = getattr(block, plan.norm)
    path = f"{name}." if name else ""
    try:
        slimmed = _slim_conv(conv, norm, options, bottom_groups)
        narrow_reader = narrowed(reader, slimmed.out_channels)
    except ValueError as error:
        report.left.append(Change(path + plan.conv, str(error)))
        return
    match_scale(slimmed, conv)
    setattr(block, plan.conv, slimmed)
    setattr(block, plan.norm, _activation_of(norm))
    setattr(block, plan.reader, narrow_reader)
    report.replaced.append(Change(path + plan.conv, f"SlimConv2d({conv.in_channels} -> {slimmed.out_channels})", _ANEW))
    report.resized.append(
        Change(
            path + plan.reader,
            f"reads {slimmed.out_channels} instead of {reader.in_channels} channels",
            _ANEW,
        )
    )


def _slim_conv(conv: nn.Conv2d, norm: nn.Module, options: dict[str, Any], bottom_groups: int | None) -> SlimConv2d:
    def norm_like(channels: int) -> nn.Module:
        made: nn.Module = type(norm)(channels, eps=norm.eps, momentum=norm.momentum)
        return made

    top_groups = conv.groups
    if bottom_groups is None:
        width = conv.in_channels // (2 * round(1.5 * options["k"]))
        bottom_groups = math.gcd(conv.groups, width) if width else conv.groups
    like = norm_like if type(norm) in (nn.BatchNorm2d, nn.SyncBatchNorm) else nn.BatchNorm2d
    slimmed = SlimConv2d(
        conv.in_channels, conv.kernel_size[0], conv.stride[0], int(conv.padding[0]), conv.dilation[0], top_groups,
        bottom_groups=bottom_groups, norm_layer=like, **options,
    )  # fmt: skip
    return moved(slimmed, conv)


def _activation_of(norm: nn.Module) -> nn.Module:
    """What remains of a norm that SlimConv makes superfluous: the activation that timm's norms may carry."""
    return getattr(norm, "act", None) or nn.Identity()


def _recognise(block: nn.Module) -> Plan | None:
    return next((plan for rule in RULES.values() if (plan := rule(block))), None)


def _is_spatial(conv: nn.Conv2d) -> bool:
    return conv.kernel_size[0] == conv.kernel_size[1] > 1 and not isinstance(conv.padding, str)


def _norm_name(block: nn.Module, index: int) -> str | None:
    """The name of the norm behind the convolution of that index; OpenMMLab's blocks keep it in ``norm2_name``."""
    name = getattr(block, f"norm{index}_name", f"bn{index}")
    return name if isinstance(getattr(block, name, None), nn.Module) else None
