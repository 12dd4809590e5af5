"""SlimConv in somebody else's network: one rule a block type, because the next layer sees another width."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any, cast

from torch import nn

from backbones.ops.slim_conv import Arrangement, SlimConv2d, splits_for
from backbones.surgery.report import Change, SurgeryError, SurgeryReport, attach
from backbones.surgery.slim_rules import RULES, Plan, recognise
from backbones.surgery.weights import match_scale, moved, narrowed, peculiarity

_ANEW = "initialised anew"


def slim(
    model: nn.Module,
    k: float = 4 / 3,
    *,
    bottom_groups: int | None = None,
    se_reduction: int = 32,
    se_min: int = 1,
    arrangement: Arrangement = "flip",
    third_branch: bool = False,
    exclude: Sequence[str] = (),
    quiet: bool = False,
) -> nn.Module:
    """Put a :class:`SlimConv2d` into every block of ``model`` that has a rule, in place; return the model.

    In a bottleneck the k x k convolution and the norm behind it are replaced (SlimConv normalises inside) and the
    1x1 that follows reads C / k channels (section III.B, Figure 4). A depthwise convolution becomes a SlimConv of
    depthwise convolutions. Which layers changed, which did not and why:
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
        exclude: names of blocks to leave, with wildcards (``"layer4.*"``).
        quiet: do not log the one-line summary.

    Raises:
        SurgeryError: if no block is recognised.
        ValueError: if k is no ratio of SlimConv.
    """
    r = splits_for(k)
    make = functools.partial(
        SlimConv2d, k=k, se_reduction=se_reduction, se_min=se_min, arrangement=arrangement, third_branch=third_branch
    )
    report = SurgeryReport(f"slim(k={k:.4g})")
    blocks = [(name, block, plan) for name, block in model.named_modules() if (plan := recognise(block))]
    for name, block, plan in blocks:
        pattern = next((p for p in exclude if fnmatchcase(name, p)), None)
        if pattern is None:
            _operate(name, block, plan, make, r, bottom_groups, report)
        else:
            path = f"{name}." if name else ""
            report.left.append(Change(path + plan.conv, f"excluded by {pattern!r}"))
    if not report.replaced:
        reasons = "; ".join(f"{change.name}: {change.outcome}" for change in report.left[:3])
        raise SurgeryError(
            f"{type(model).__name__} has no block that SlimConv can go into (known: {', '.join(RULES)})"
            + (f": {reasons}" if reasons else "")
        )
    named = {change.name for change in (*report.replaced, *report.resized, *report.left)}
    inside = tuple(f"{change.name}." for change in report.replaced)
    report.left += [
        Change(name, "not the k x k convolution of a block that has a rule")
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d)
        and module.kernel_size != (1, 1)
        and name not in named
        and not name.startswith(inside)
    ]
    attach(model, report, quiet=quiet)
    return model


def _operate(
    name: str,
    block: nn.Module,
    plan: Plan,
    make: Callable[..., SlimConv2d],
    r: int,
    bottom_groups: int | None,
    report: SurgeryReport,
) -> None:
    conv = cast("nn.Conv2d", block.get_submodule(plan.conv))
    reader = cast("nn.Conv2d", block.get_submodule(plan.reader))
    norm = block.get_submodule(plan.norm)
    path = f"{name}." if name else ""
    try:
        _check(block, plan)
        groups = _groups(conv, r, bottom_groups)
        slimmed = _slim_conv(conv, norm, make, *groups)
        narrow_reader = narrowed(reader, slimmed.out_channels)
    except ValueError as error:
        report.left.append(Change(path + plan.conv, str(error)))
        return
    match_scale(slimmed, conv)
    block.set_submodule(plan.conv, slimmed)
    block.set_submodule(plan.norm, _activation_of(norm))
    block.set_submodule(plan.reader, narrow_reader)
    now = f"SlimConv2d({conv.in_channels} -> {slimmed.out_channels})"
    if not isinstance(norm, nn.BatchNorm2d | nn.SyncBatchNorm | nn.Identity):
        now += f", BatchNorm2d inside (the network has {type(norm).__name__})"
    report.replaced.append(Change(path + plan.conv, now, _ANEW))
    report.resized.append(
        Change(
            path + plan.reader,
            f"reads {slimmed.out_channels} instead of {reader.in_channels} channels",
            _ANEW,
        )
    )


def _check(block: nn.Module, plan: Plan) -> None:
    """Refuse what SlimConv cannot stand for, and blocks where something else depends on the width that changes.

    Raises:
        ValueError: with the reason.
    """
    conv, reader = (cast("nn.Conv2d", block.get_submodule(name)) for name in (plan.conv, plan.reader))
    if (why := peculiarity(conv) or peculiarity(reader)) is not None:
        raise ValueError(why)
    if conv.padding_mode != "zeros":
        raise ValueError(f"padding_mode={conv.padding_mode!r}")
    for what in ("stride", "padding", "dilation"):
        value = getattr(conv, what)
        if value[0] != value[1]:
            raise ValueError(f"{what}={value}: SlimConv has one for both directions")
    order = [name for name, _ in block.named_modules()]
    at, behind, end = (order.index(name) for name in (plan.conv, plan.norm, plan.reader))
    width = getattr(block.get_submodule(plan.norm), "num_features", conv.out_channels)
    if behind < at or width != conv.out_channels:
        raise ValueError(
            f"{plan.norm} does not normalise the output of {plan.conv}: pre-activation blocks have no rule"
        )
    for name in order[behind + 1 : end]:
        part = block.get_submodule(name)
        state = (*part.parameters(recurse=False), *part.buffers(recurse=False))
        if not name.startswith(f"{plan.norm}.") and any(tensor.numel() > 1 for tensor in state):
            raise ValueError(f"{name} ({type(part).__name__}) works on the channels that SlimConv takes away")


def _groups(conv: nn.Conv2d, r: int, bottom_groups: int | None) -> tuple[int, int]:
    """Groups of the top and the bottom path: all depthwise, as asked for, or as many as the bottom width allows."""
    top, bottom = conv.in_channels // r, conv.in_channels // (2 * r)
    if conv.groups == conv.in_channels > 1:
        return top, bottom
    if bottom_groups is not None:
        return conv.groups, bottom_groups
    return conv.groups, math.gcd(conv.groups, bottom) or 1


def _slim_conv(
    conv: nn.Conv2d, norm: nn.Module, make: Callable[..., SlimConv2d], groups: int, bottom_groups: int
) -> SlimConv2d:
    kept: dict[str, Any] = {}
    if isinstance(norm, nn.BatchNorm2d | nn.SyncBatchNorm):
        kept = {name: getattr(norm, name) for name in ("eps", "momentum", "affine", "track_running_stats")}
    kind = nn.SyncBatchNorm if isinstance(norm, nn.SyncBatchNorm) else nn.BatchNorm2d
    slimmed = make(
        conv.in_channels, conv.kernel_size[0], conv.stride[0], int(conv.padding[0]), conv.dilation[0], groups,
        bottom_groups=bottom_groups, norm_layer=functools.partial(kind, **kept),
    )  # fmt: skip
    return moved(slimmed, conv)


def _activation_of(norm: nn.Module) -> nn.Module:
    """What remains of a norm that SlimConv makes superfluous: the activation that timm's norms may carry."""
    return getattr(norm, "act", None) or nn.Identity()
