"""Bridges to other people's registries and files. OpenMMLab is imported only by the adapters that need it."""

from __future__ import annotations

from backbones.adapters.official import load_official_slimconv

__all__ = ["load_official_slimconv"]
