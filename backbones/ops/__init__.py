"""The operators of both papers, one a file."""

from __future__ import annotations

from backbones.ops.channel import ChannelVersatileConv2d
from backbones.ops.learnable import LearnableVersatileConv2d
from backbones.ops.naive import NaiveVersatileConv2d
from backbones.ops.slim_conv import SlimConv2d, slim_widths, splits_for
from backbones.ops.spatial import SpatialVersatileConv2d
from backbones.ops.spatial_channel import SpatialChannelVersatileConv2d
from backbones.ops.versatile import VersatileConv2d

__all__ = [
    "ChannelVersatileConv2d",
    "LearnableVersatileConv2d",
    "NaiveVersatileConv2d",
    "SlimConv2d",
    "SpatialChannelVersatileConv2d",
    "SpatialVersatileConv2d",
    "VersatileConv2d",
    "slim_widths",
    "splits_for",
]
