"""What a versatile convolution stores and multiplies: Versatile Filters, section 4.2, Eq. 26-34.

A trace sees a dense convolution with the unfolded secondary filters. These closed forms give what the
paper's arithmetic stores (each primary filter once, a mask entry as one bit) and multiplies (each product
of a primary weight and an input value once, for all secondary filters that use it). Symbols as in the
paper: d kernel size, c input channels (of a group), n output channels, s secondary filters a primary
filter, k = ceil(n/s) primary filters, H' x W' output positions.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Literal

from backbones.ops import ChannelVersatileConv2d, LearnableVersatileConv2d, NaiveVersatileConv2d, VersatileConv2d

MASK_OPERATION = Fraction(1, 32)
"""Cost of one masking operation in multiplications (Eq. 32)."""

ADDITIONS_LEFT = Fraction(1, 2)
"""Share of the dense additions that a masked filter keeps (Eq. 34)."""


Reading = Literal["network", "cifar-tables"]
"""Whose filters and masks are counted (docs/counting.md has the evidence).

``network``: those that this network stores, k = ceil(n/s) whole primary filters and one separate mask a
secondary filter (Eq. 28). ``cifar-tables``: as the paper's CIFAR-10 tables do, n/s primary filters, whole
or not, and one separate mask a primary filter, d^2 c n / (32 s).
"""


def stored_bits(layer: VersatileConv2d, reading: Reading) -> int:
    """Bits stored: primary filters and biases with 32 bits, learnt masks with one bit an entry.

    Hand-crafted masks follow from d, c, the window and the stride, so they take no space (Eq. 26), and the
    hidden state H of a learnable mask is needed in training only.
    """
    filter_volume = layer.weight[0].numel()
    bits = 32 * filter_volume * _primary_filters(layer, reading) + _mask_entries(layer, reading)
    return math.ceil(bits) + (0 if layer.bias is None else 32 * layer.bias.numel())


def dense_macs(layer: VersatileConv2d, positions: int) -> int:
    """Multiply-accumulates of the unfolded convolution, d^2 c n H'W', which is what a library executes."""
    return _filter_volume(layer) * layer.out_channels * positions


def multiplications(layer: VersatileConv2d, positions: int, reading: Reading) -> Fraction:
    """#MUL (Eq. 32-33) at ``positions`` = H'W' output positions (of all images of the batch).

    Spatial, channel and both: d^2 c k H'W', the products of the primary filters, which the secondary
    filters share. Learnable: the same and 1/32 of a multiplication for each of the d^2 c n H'W' mask
    operations. Channel in the released reading: each offset multiplies the same weights with other
    channels, so that nothing is shared and each of the n secondary filters costs its d^2 c_hat weights.
    """
    products = layer.weight[0].numel() * positions
    if isinstance(layer, ChannelVersatileConv2d) and layer.reading == "released":
        return Fraction(products * layer.out_channels)
    primary = products * _primary_filters(layer, reading)
    if isinstance(layer, LearnableVersatileConv2d):
        return primary + MASK_OPERATION * dense_macs(layer, positions)
    return primary


def additions(layer: VersatileConv2d, positions: int) -> Fraction:
    """#ADD (Eq. 34): half of the dense additions, for every kind of mask as in the paper's tables.

    The naive summation (Eq. 5) is a dense convolution with weights that are multiplied once and for all.
    """
    if isinstance(layer, NaiveVersatileConv2d):
        return Fraction(dense_macs(layer, positions))
    return ADDITIONS_LEFT * dense_macs(layer, positions)


def _primary_filters(layer: VersatileConv2d, reading: Reading) -> Fraction:
    if reading == "network":
        return Fraction(layer.num_primary)
    return Fraction(layer.out_channels, layer.num_secondary)


def _mask_entries(layer: VersatileConv2d, reading: Reading) -> Fraction:
    if not isinstance(layer, LearnableVersatileConv2d):
        return Fraction(0)
    if layer.shared:  # Eq. 27; with a single primary filter, fewer masks than s may be in use
        owners = Fraction(min(layer.num_secondary, layer.out_channels))
    elif reading == "network":  # Eq. 28; surplus secondary filters are dropped, and their masks with them
        owners = Fraction(layer.out_channels)
    else:
        owners = _primary_filters(layer, reading)
    return _filter_volume(layer) * owners


def _filter_volume(layer: VersatileConv2d) -> int:
    height, width = layer.kernel_size
    return height * width * (layer.in_channels // layer.groups)
