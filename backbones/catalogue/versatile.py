"""Networks with versatile filters."""

from __future__ import annotations

from functools import partial
from typing import Any

import backbones.catalogue.baselines  # noqa: F401  (what is derived from must be registered first)
from backbones.catalogue.registry import derive
from backbones.surgery import versatile


def vf(prefix: str, baseline: str, suffix: str, method: str, **options: Any) -> None:
    """Register ``<prefix>_versatile_<baseline><suffix>``; options are those of :func:`backbones.versatile`."""
    operate = partial(versatile, quiet=True, **options)
    derive(f"{prefix}_versatile_{baseline}{suffix}", baseline, "versatile", method, operate)


# Tables 1 and 2: CIFAR-10. Learned masks leave the first convolution alone there (section 5.1.3).
vf("s", "resnet56_cifar", "", "spatial", kind="spatial")
for gap, g in ((1, 1), (2, 2), (4, 4), (8, 8), (12, 12), (8, 4), (8, 2)):
    windows = {"gap": gap, "channel_stride": g}
    vf("c", "resnet56_cifar", f"_{gap}_{g}", f"channel, c - c_hat={gap}, g={g}", kind="channel", **windows)
vf("s_c", "resnet56_cifar", "", "spatial + channel, c - c_hat=8, g=8", kind="spatial+channel", gap=8, channel_stride=8)
for kind, s in (("shared", 2), ("shared", 4), *(("separate", s) for s in (2, 3, 4, 5, 6, 10, 20))):  # and Figure 4
    vf(f"{kind}_l", "resnet56_cifar", f"_s{s}", f"{kind} learned masks, s={s}", kind=kind, s=s, skip_first=True)
# Masks that do not learn, which section 5.1.3 compares with, and those that learn by Eq. 22 to 25 to the letter.
for kind in ("shared", "separate"):
    for suffix, rule, words in (("rand", "fixed", "random masks"), ("literal", "literal", "learned masks, Eq. 22-25")):
        method = f"{kind} {words}, s=2"
        vf(f"{kind}_l", "resnet56_cifar", f"_s2_{suffix}", method, kind=kind, s=2, rule=rule, skip_first=True)

# Eq. 4, which section 3.1 announces to compare with and no table has: summed responses, in the place of ResNet-56's
# convolutions, and in the network as narrow as S-Versatile is cheap.
vf("naive", "resnet56_cifar", "", "naive summation, Eq. 4", kind="naive")
