"""``torch.ops.slimbench.max_pool2d``: max pooling without the indices that PyTorch's keeps for the gradient."""

from __future__ import annotations

import ctypes
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones.kernels import library

torch.library.define("slimbench::max_pool2d", "(Tensor x, int[] kernel_size, int[] stride, int[] padding) -> Tensor")


def _size(x: Tensor, kernel_size: list[int], stride: list[int], padding: list[int]) -> tuple[int, int]:
    height, width = ((x.shape[2 + i] + 2 * padding[i] - kernel_size[i]) // stride[i] + 1 for i in (0, 1))
    if height < 1 or width < 1 or min(x.shape[2:]) < 1:
        raise ValueError(f"input of shape {tuple(x.shape)}: smaller than the pooling window {tuple(kernel_size)}")
    if any(2 * p > k for p, k in zip(padding, kernel_size, strict=True)):
        raise ValueError(f"padding={tuple(padding)}: at most half of the pooling window {tuple(kernel_size)}")
    return height, width


@torch.library.impl("slimbench::max_pool2d", "CPU")
def _cpu(x: Tensor, kernel_size: list[int], stride: list[int], padding: list[int]) -> Tensor:
    compiled = library.get()
    if compiled is None or x.dtype != torch.float32:
        return F.max_pool2d(x, kernel_size, stride, padding)
    x = x.contiguous()
    height, width = _size(x, kernel_size, stride, padding)
    y = x.new_empty(*x.shape[:2], height, width)
    shape = library.Pooling(
        x.shape[0] * x.shape[1], *x.shape[2:], height, width, *kernel_size, *stride, *padding, torch.get_num_threads()
    )
    if compiled.slim_max_pool(ctypes.addressof(shape), x.data_ptr(), y.data_ptr()):
        raise MemoryError(f"no memory to pool {tuple(x.shape)}")
    return y


@torch.library.register_fake("slimbench::max_pool2d")  # type: ignore[untyped-decorator]
def _fake(x: Tensor, *sizes: Any) -> Tensor:
    return x.new_empty(*x.shape[:2], *_size(x, *sizes))


class DeployedMaxPool2d(nn.Module):
    """What a :class:`torch.nn.MaxPool2d` computes, for inference; NaN stays NaN. Without dilation and ``ceil_mode``."""

    def __init__(self, layer: nn.MaxPool2d) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = (
            _pair(value) for value in (layer.kernel_size, layer.stride, layer.padding)
        )

    @staticmethod
    def suits(layer: nn.MaxPool2d) -> bool:
        """Whether ``layer`` is of the kind that this one computes."""
        return _pair(layer.dilation) == [1, 1] and not layer.ceil_mode and not layer.return_indices

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W) -> (N, C, H', W')``."""
        if x.ndim != 4 or x.dtype != torch.float32:
            return F.max_pool2d(x, self.kernel_size, self.stride, self.padding)
        out: Tensor = torch.ops.slimbench.max_pool2d(x, self.kernel_size, self.stride, self.padding)
        return out

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class DeployedMean2d(nn.Module):
    """What ``torch.nn.AdaptiveAvgPool2d(1)`` computes, for inference."""

    @staticmethod
    def suits(output_size: object) -> bool:
        """Whether a pooling to this size is a mean of all pixels."""
        return output_size in (1, (1, 1), [1, 1])

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W) -> (N, C, 1, 1)``."""
        return x.mean((-2, -1), keepdim=True)


def _pair(value: int | tuple[int, ...]) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)
