"""Slow, obviously right versions of every operator: masks multiplied out, one convolution a filter, plain loops.

They take the parameters of an operator and none of its code. All in float64, gradients by autograd through these
loops, so that an operator can be compared forwards and backwards.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import Tensor, nn

# --- Masks ------------------------------------------------------------------------------------------


def spatial_masks(c: int, d: int) -> list[Tensor]:
    """Versatile Eq. 2 to the letter, with its p and q from 1 to d."""
    masks = []
    for i in range(1, math.ceil(d / 2) + 1):
        mask = torch.zeros(c, d, d, dtype=torch.float64)
        for p, q in itertools.product(range(1, d + 1), repeat=2):
            if i <= p <= d + 1 - i and i <= q <= d + 1 - i:
                mask[:, p - 1, q - 1] = 1
        masks.append(mask)
    return masks


def window_masks(c: int, kh: int, kw: int, gap: int, g: int) -> list[Tensor]:
    """Eq. 6: n = (c - c_hat) / g + 1 windows of c_hat channels, g apart."""
    c_hat = c - gap
    masks = []
    for i in range((c - c_hat) // g + 1):
        mask = torch.zeros(c, kh, kw, dtype=torch.float64)
        for channel in range(c):
            if i * g <= channel < i * g + c_hat:
                mask[channel] = 1
        masks.append(mask)
    return masks


# --- Versatile convolutions ---------------------------------------------------------------------------


def masked_secondaries(primaries: Tensor, masks: list[Tensor] | list[list[Tensor]]) -> list[list[Tensor]]:
    """f_ij = f_i o M_j (Eq. 7), or M_ij where ``masks`` holds one list a primary (Eq. 9)."""
    secondaries = []
    for i, primary in enumerate(primaries):
        own = masks[i] if isinstance(masks[0], list) else masks
        secondaries.append([primary * mask for mask in own])
    return secondaries


def released_secondaries(primaries: Tensor, c: int, gap: int, g: int) -> list[list[Tensor]]:
    """The released code: the same c_hat weights at every offset of the input."""
    secondaries = []
    for primary in primaries:
        filters = []
        for offset in range(0, gap + 1, g):
            before = primary.new_zeros(offset, *primary.shape[1:])
            after = primary.new_zeros(c - offset - primary.shape[0], *primary.shape[1:])
            filters.append(torch.cat([before, primary, after]))
        secondaries.append(filters)
    return secondaries


def select(secondaries: list[list[Tensor]], out_channels: int, groups: int) -> list[Tensor]:
    """Primary by primary, group by group; what goes beyond a group's output channels is dropped."""
    primaries_a_group = len(secondaries) // groups
    chosen = []
    for group in range(groups):
        mine = secondaries[group * primaries_a_group : (group + 1) * primaries_a_group]
        chosen += [f for filters in mine for f in filters][: out_channels // groups]
    return chosen


def convolve(x: Tensor, filters: list[Tensor], bias: Tensor | None, layer: Any) -> Tensor:
    """One convolution a filter, each on the channels of its group, outputs side by side."""
    a_group = len(filters) // layer.groups
    c = x.shape[1] // layer.groups
    maps = []
    for j, f in enumerate(filters):
        group = j // a_group
        seen = x[:, group * c : (group + 1) * c]
        y = F.conv2d(seen, f[None], None, layer.stride, layer.padding, layer.dilation)
        maps.append(y if bias is None else y + bias[j])
    return torch.cat(maps, 1)


# --- SlimConv -----------------------------------------------------------------------------------------


def batch_norm(x: Tensor, norm: nn.BatchNorm2d, use_running: bool) -> Tensor:
    """Normalise by the batch's biased variance, or by the running statistics."""
    if use_running:
        mean, var = norm.running_mean, norm.running_var
    else:
        n = x.shape[0] * x.shape[2] * x.shape[3]
        mean = x.sum((0, 2, 3)) / n
        var = ((x - mean[:, None, None]) ** 2).sum((0, 2, 3)) / n
    assert mean is not None
    assert var is not None
    normal = (x - mean[:, None, None]) / torch.sqrt(var + norm.eps)[:, None, None]
    return normal * norm.weight[:, None, None] + norm.bias[:, None, None]


def dense(x: Tensor, conv: nn.Conv2d) -> Tensor:
    return convolve(x, list(conv.weight), conv.bias, conv)


def slim_conv(layer: Any, x: Tensor) -> Tensor:
    """SlimConv, section III step by step, with the parameters of ``layer``."""
    training = layer.training
    n, c, height, width = x.shape
    r = layer.r
    m = c // r

    # Reconstruct: Eq. 1.
    fc1, bn, _, fc2, _ = layer.gate
    z = x.sum((2, 3), keepdim=True) / (height * width)
    hidden = torch.relu(batch_norm(dense(z, fc1), bn, use_running=not training or n == 1))
    w = 1 / (1 + torch.exp(-dense(hidden, fc2)))

    # Eq. 2, with the weights in the order that each path asks for.
    def fold(order: list[int]) -> Tensor:
        weighted = torch.stack([x[:, i] * w[:, order[i]] for i in range(c)], 1)
        chunks = [weighted[:, i * m : (i + 1) * m] for i in range(r)]
        total = chunks[0]
        for chunk in chunks[1:]:
            total = total + chunk
        return total

    forwards = list(range(c))
    backwards = [c - 1 - i for i in range(c)]
    shuffled = None if layer.order is None else layer.order.tolist()
    above, below = {
        "flip": (forwards, backwards),
        "none": (forwards, forwards),
        "flip-both": (backwards, backwards),
        "shuffle": (forwards, shuffled),
    }[layer.arrangement]

    # Transform and fuse.
    def top(features: Tensor, path: nn.Sequential) -> Tensor:
        return batch_norm(dense(features, path[0]), path[1], use_running=not training)

    def narrow(features: Tensor, path: nn.Sequential) -> Tensor:
        features = torch.relu(batch_norm(dense(features, path[0]), path[1], use_running=not training))
        return batch_norm(dense(features, path[3]), path[4], use_running=not training)

    paths = [top(fold(above), layer.top), narrow(fold(below), layer.bottom)]
    if layer.third is not None:
        paths.append(narrow(fold(shuffled), layer.third))
    return torch.cat(paths, 1)


# --- Random shapes ------------------------------------------------------------------------------------


@st.composite
def geometries(draw: st.DrawFn, *, min_channels: int = 1, square: bool = False) -> dict[str, Any]:
    """Arguments of a convolution, ``args``, and a seed; ``shape`` is an input's that it takes. All small."""
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    c = draw(st.integers(min_channels, 6))
    n = draw(st.integers(1, 7))
    kh = draw(st.integers(1, 7))
    kw = kh if square else draw(st.sampled_from([kh, kh, draw(st.integers(1, 7))]))
    dilation = draw(st.integers(1, 2))
    stride: Any = draw(st.sampled_from([1, 1, 2, 3, (2, 1)]))
    choices = ["valid", *([] if stride != 1 else ["same"])]
    padding: Any = draw(st.one_of(st.integers(0, 3), st.sampled_from([(1, 0), (0, 2)]), st.sampled_from(choices)))
    given = {"valid": (0, 0), "same": (99, 99)}.get(padding) if isinstance(padding, str) else padding
    ph, pw = given if isinstance(given, tuple) else (given, given)
    height = max(1, dilation * (kh - 1) + 1 - 2 * ph) + draw(st.integers(0, 4))
    width = max(1, dilation * (kw - 1) + 1 - 2 * pw) + draw(st.integers(0, 4))
    return {
        "args": {
            "in_channels": groups * c,
            "out_channels": groups * n,
            "kernel_size": kh if kh == kw else (kh, kw),
            "stride": stride,
            "padding": padding,
            "dilation": dilation,
            "groups": groups,
            "bias": draw(st.booleans()),
        },
        "shape": (draw(st.integers(1, 2)), groups * c, height, width),
        "seed": draw(st.integers(0, 2**31)),
    }


@st.composite
def windows(draw: st.DrawFn, channels: int) -> dict[str, int]:
    """``gap`` and ``channel_stride`` that fit that many channels a group."""
    gap = draw(st.integers(0, channels - 1))
    divisors = [g for g in range(1, max(gap, 1) + 1) if gap % g == 0]
    return {"gap": gap, "channel_stride": draw(st.sampled_from(divisors))}


# --- Comparison ---------------------------------------------------------------------------------------


def gradients(y: Tensor, *inputs: Tensor) -> list[Tensor]:
    """Gradients of a fixed, random linear function of ``y``."""
    direction = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(1))
    found = torch.autograd.grad((y * direction).sum(), inputs, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(i) if g is None else g for g, i in zip(found, inputs, strict=True)]


def assert_equal(ours: Tensor, reference: Tensor, what: str, tolerance: float = 1e-10) -> None:
    torch.testing.assert_close(ours, reference, rtol=tolerance, atol=tolerance, msg=lambda text: f"{what}: {text}")
