"""Versatile filters in somebody else's network: they keep the channels, so they replace any convolution."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

import torch
from torch import nn

from backbones.ops.channel import ChannelVersatileConv2d, Reading
from backbones.ops.learnable import LearnableVersatileConv2d, Rule
from backbones.ops.naive import NaiveVersatileConv2d
from backbones.ops.spatial import SpatialVersatileConv2d
from backbones.ops.spatial_channel import SpatialChannelVersatileConv2d
from backbones.ops.versatile import VersatileConv2d
from backbones.surgery.report import Change, SurgeryError, SurgeryReport, attach
from backbones.surgery.weights import gain, moved, peculiarity

Kind = Literal["spatial", "channel", "spatial+channel", "shared", "separate", "naive"]
Weights = Literal["fresh", "project"]
Maker = Callable[..., VersatileConv2d]


def versatile(
    model: nn.Module,
    kind: Kind = "separate",
    *,
    s: int | None = None,
    gap: int = 8,
    channel_stride: int = 8,
    reading: Reading = "window",
    rule: Rule = "clipped",
    scale_grad: bool = True,
    strict: bool = False,
    skip_first: bool | None = None,
    exclude: Sequence[str] = (),
    weights: Weights = "fresh",
    quiet: bool = False,
) -> nn.Module:
    """Replace the convolutions of ``model`` by versatile ones, in place; return the model.

    Every number of channels stays, so any network of :class:`torch.nn.Conv2d` will do. Linear layers stay as they
    are (the papers leave the classifier alone). Which layers changed, which did not and why:
    :func:`surgery_report`.

    Args:
        kind: ``spatial`` (convolutions larger than 1x1), ``channel``, ``spatial+channel``, or learned masks,
            ``shared`` by the primaries of a layer or ``separate``. ``naive`` sums what ``spatial`` concatenates (Eq. 4)
            and saves nothing: a control.
        s: secondary filters a primary, for learned masks (default 2). The other kinds follow from kernel and window.
        gap, channel_stride: c - c_hat and g of the channel windows; layers with too few channels get no windows.
        reading: of the channel windows, ``window`` (paper) or ``released`` (authors' code).
        rule: of learned masks: ``clipped``, ``literal`` or ``fixed``.
        scale_grad: divide the gradients of spatial and naive primaries by s (section 3.1).
        strict: raise where a layer's channels are no multiple of s, instead of dropping the surplus.
        skip_first: leave the first convolution: by default only where channel windows slide (section 5.1.2; under
            ``spatial+channel`` it becomes spatial). The paper's CIFAR networks with learned masks skip it as well.
        exclude: names of layers to leave, with wildcards (``"layer4.*"``).
        weights: ``fresh`` draws the primaries anew, so that outputs vary as before. ``project`` sets them to the
            least-squares fit of the weights that are there (for each position, the mean over the secondaries that
            keep it): a better start from a trained network than noise, not a substitute for training.
            Biases are kept either way.
        quiet: do not log the one-line summary.

    Raises:
        SurgeryError: if nothing could be replaced.
        ValueError: for an unknown kind or option, and under ``strict``.
    """
    _check(kind, s, weights)
    makers = _makers(s or 2, gap, channel_stride, reading, rule, scale_grad, strict)
    maker, spatial = makers[kind], makers["spatial"]
    report = SurgeryReport(f"versatile(kind={kind!r})")
    homes: dict[nn.Conv2d, list[str]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        if isinstance(module, nn.Conv2d):
            homes.setdefault(module, []).append(name)
    if isinstance(model, nn.Conv2d):
        raise SurgeryError("a convolution cannot be replaced inside itself: pass the network, or build the operator")
    windows = kind in ("channel", "spatial+channel")
    first = next(iter(homes)) if homes and (windows if skip_first is None else skip_first) else None
    built: dict[nn.Conv2d, VersatileConv2d] = {}
    for conv, (name, *_) in homes.items():
        reason = next((f"excluded by {p!r}" for p in exclude if fnmatchcase(name, p)), None) or _obstacle(conv)
        if reason is None and conv is first and kind != "spatial+channel":
            reason = "the first convolution"
        try:
            new = None if reason else _build(maker, conv, gap if windows else None, kind, conv is first, spatial)
        except ValueError as error:
            raise type(error)(f"{name}: {error}") from None
        if new is None:
            report.left.append(Change(name, reason or _nothing_to_gain(conv, kind)))
        else:
            built[conv] = new
    for conv, new in built.items():  # only now: an error leaves the network as it was
        fate = _transfer(new, conv, weights)
        for name in homes[conv]:
            model.set_submodule(name, new)
        report.replaced.append(Change(homes[conv][0], f"{type(new).__name__}, {new.num_primary} primaries", fate))
    if not report.replaced:
        reasons = "; ".join(f"{change.name}: {change.outcome}" for change in report.left[:3])
        raise SurgeryError(
            f"{type(model).__name__} has no convolution for {kind} versatile filters: {reasons or 'none'}"
        )
    attach(model, report, quiet=quiet)
    return model


def _check(kind: str, s: int | None, weights: str) -> None:
    if kind not in get_args(Kind):
        raise ValueError(f"kind={kind!r}: must be one of {', '.join(get_args(Kind))}")
    if s is not None and kind not in ("shared", "separate"):
        raise ValueError(f"s={s}: {kind} versatile filters have no s; it follows from the kernel or the window")
    if s is not None and s < 2:
        raise ValueError(f"s={s}: a primary filter must yield at least 2 secondaries")
    if weights not in get_args(Weights):
        raise ValueError(f"weights={weights!r}: must be one of {', '.join(get_args(Weights))}")


def _makers(
    s: int, gap: int, channel_stride: int, reading: Reading, rule: Rule, scale_grad: bool, strict: bool
) -> dict[str, Maker]:
    windows: dict[str, Any] = {"gap": gap, "channel_stride": channel_stride, "strict": strict}
    learned: dict[str, Any] = {"s": s, "rule": rule, "strict": strict}
    return {
        "spatial": functools.partial(SpatialVersatileConv2d, scale_grad=scale_grad, strict=strict),
        "naive": functools.partial(NaiveVersatileConv2d, scale_grad=scale_grad, strict=strict),
        "channel": functools.partial(ChannelVersatileConv2d, reading=reading, **windows),
        "spatial+channel": functools.partial(SpatialChannelVersatileConv2d, scale_grad=scale_grad, **windows),
        "shared": functools.partial(LearnableVersatileConv2d, shared=True, **learned),
        "separate": functools.partial(LearnableVersatileConv2d, shared=False, **learned),
    }


def _obstacle(conv: nn.Conv2d) -> str | None:
    if (why := peculiarity(conv)) is not None:
        return why
    if conv.padding_mode != "zeros":
        return f"padding_mode={conv.padding_mode!r}"
    if conv.out_channels // conv.groups < 2:
        return "one output channel a group (depthwise): a primary filter would have a single secondary"
    return None


def _nothing_to_gain(conv: nn.Conv2d, kind: str) -> str:
    if kind in ("spatial", "naive"):
        return f"{conv.kernel_size[0]}x{conv.kernel_size[1]} kernel: no rings to take away"
    return f"{conv.in_channels // conv.groups} input channels a group: too few for a window"


def _build(
    maker: Maker, conv: nn.Conv2d, gap: int | None, kind: str, first: bool, spatial: Maker
) -> VersatileConv2d | None:
    """Return the layer that replaces ``conv``, or None where the kind has nothing to offer it."""
    d = conv.kernel_size[0]
    rings = conv.kernel_size == (d, d) and d > 2
    if kind in ("spatial", "naive") and not rings:
        return None
    if gap is not None and (first or gap >= conv.in_channels // conv.groups):
        if not (kind == "spatial+channel" and rings):
            return None
        maker = spatial
    return maker(
        conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups,
        conv.bias is not None,
    )  # fmt: skip


@torch.no_grad()
def _transfer(new: VersatileConv2d, conv: nn.Conv2d, weights: Weights) -> str:
    """Give the new layer its weights, where the old one is; return what became of them."""
    scale = gain(conv)
    moved(new, conv)
    if conv.bias is not None and new.bias is not None and not conv.bias.is_meta:
        new.bias.copy_(conv.bias)
    if weights == "project" and not conv.weight.is_meta:
        project(new, conv.weight)
        return "projected"
    if scale is not None:
        fan_in = conv.weight[0].numel() * new.share_of_ones()
        nn.init.normal_(new.weight, std=scale / math.sqrt(fan_in))
    return "initialised anew"


def project(layer: VersatileConv2d, filters: torch.Tensor) -> None:
    """Set the primaries of ``layer`` to the least-squares fit of ``filters``, (out_channels, c / groups, kh, kw).

    Unfolding copies each stored weight w to some positions of some secondaries, times m (1, but for ``naive``), and
    leaves the rest zero. So the best fit of the f that stand there is sum(m f) / sum(m m), for m = 1 the mean over the
    copies; weights that no secondary keeps become zero.
    """
    multiples = _multiples(layer)
    with torch.enable_grad():
        unfolded = layer.secondary_filters()
        (total,) = torch.autograd.grad(unfolded, layer.weight, filters.to(unfolded), retain_graph=True)
        (norm,) = torch.autograd.grad(unfolded, layer.weight, multiples)
    with torch.no_grad():
        layer.weight.copy_(torch.where(norm > 0, total / norm, 0.0))


@torch.no_grad()
def _multiples(layer: VersatileConv2d) -> torch.Tensor:
    """By what the stored weight at each position of each secondary is multiplied: the filters of primaries of ones."""
    kept = layer.weight.clone()
    layer.weight.fill_(1)
    ones = layer.secondary_filters().clone()
    layer.weight.copy_(kept)
    return ones
