"""Networks with SlimConv."""

from __future__ import annotations

from functools import partial
from typing import Any

import backbones.catalogue.baselines  # noqa: F401  (what is derived from must be registered first)
from backbones.catalogue.registry import derive
from backbones.surgery import slim


def sc(baseline: str, suffix: str = "", k: float = 4 / 3, note: str = "k=4/3", **options: Any) -> None:
    """Register ``sc_<baseline><suffix>``; options are those of :func:`backbones.slim`."""
    operate = partial(slim, k=k, quiet=True, **options)
    derive(f"sc_{baseline}{suffix}", baseline, "slimconv", f"SlimConv, {note}", operate)


# Table I
sc("resnet50")
sc("resnet50", "_k8_3", 8 / 3, "k=8/3")
sc("resnet101")
sc("resnext50_32x4d")
sc("resnext101_32x3d", "_k2", 2, "k=2", bottom_groups=16)
