"""Super-resolution: VDSR and its versatile versions (Versatile Filters, Table 11)."""

from __future__ import annotations

from backbones.catalogue.registry import ModelSpec, add
from backbones.catalogue.versatile import vf
from backbones.nets.vdsr import vdsr20, vdsr22

# 41x41 is the patch that VDSR is trained on; any size will do. There are no classes.
for _build in (vdsr20, vdsr22):
    add(ModelSpec(_build.__name__, "versatile", "baseline", "slimbench", _build, "", (1, 41, 41), 0))

# The last layer has a single output channel, so that every kind leaves it alone.
vf("s", "vdsr22", "", "spatial", kind="spatial")
vf("separate_l", "vdsr22", "_s4", "separate learned masks, s=4", kind="separate", s=4)
# Rows of ours: section 5.4 announces a channel version, its table has none.
vf("c", "vdsr22", "_8_8", "channel, c - c_hat=8, g=8", kind="channel", gap=8, channel_stride=8)
vf("shared_l", "vdsr22", "_s4", "shared learned masks, s=4", kind="shared", s=4)
