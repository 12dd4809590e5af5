"""Inference kernels in C: learnable versatile filters on the CPU, and :func:`deploy`, which puts them in."""

from __future__ import annotations

from backbones.kernels.deployment import deploy
from backbones.kernels.library import in_use
from backbones.kernels.module import PackedLearnableConv2d

__all__ = ["PackedLearnableConv2d", "deploy", "in_use"]
