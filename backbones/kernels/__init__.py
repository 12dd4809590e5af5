"""Layers for inference: learnable versatile filters in C, SlimConv folded, and :func:`deploy`, which puts them in.

SlimConv's sums of weighted chunks are the library's in training, too (``backbones.ops``).

``src/`` is compiled when the package is installed, where a C compiler is there; a checkout that was not installed gets
the library by ``python -m backbones.kernels``. The environment variable ``SLIMBENCH_KERNELS`` chooses an instruction
set (``avx512``, ``avx2``, ``portable``), or PyTorch's dense convolution (``none``).
"""

from __future__ import annotations

from backbones.kernels.chain import release
from backbones.kernels.deployment import deploy
from backbones.kernels.library import in_use
from backbones.kernels.module import PackedConv2d
from backbones.kernels.slim import DeployedSlimConv2d

__all__ = ["DeployedSlimConv2d", "PackedConv2d", "deploy", "in_use", "release"]
