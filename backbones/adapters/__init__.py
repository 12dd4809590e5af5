"""Bridges to other people's registries and files. OpenMMLab is imported only by the adapters that need it."""

from __future__ import annotations

from backbones.adapters.official import load_official_slimconv
from backbones.adapters.vdsr_matlab import load_official_vdsr

__all__ = ["load_official_slimconv", "load_official_vdsr"]
