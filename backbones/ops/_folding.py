"""SlimConv's reconstruction (Eq. 2): the input's weighted chunks summed, for all paths at once, and its gradients."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

torch.library.define("slimbench::fold", "(Tensor x, Tensor weights) -> Tensor[]")
torch.library.define(
    "slimbench::fold_backward",
    "(Tensor[] gradients, Tensor x, Tensor weights, bool of_x, bool of_weights) -> (Tensor, Tensor)",
)
_MOST_PATHS, _MOST_CHUNKS = 3, 8  # of the library, kernels.h
_FEWEST = 1 << 17  # numbers of x; there 1.0 times as fast, at half of them 0.7 to 0.85: the call itself costs 0.1 ms


def fold(x: Tensor, weights: Sequence[Tensor], chunks: int, width: int) -> list[Tensor]:
    """Eq. (2) for each path's weights: ``(N, C, H, W), paths x (N, C, 1, 1) -> paths x (N, width, H, W)``.

    ``width`` is ``C // chunks``; channels that are left over are dropped. One pass of the library's over x makes all
    maps, and one over x and the maps' gradients makes all gradients; float32 or bfloat16 in, sums in float32. Anything
    else is PyTorch's, and so is what a compiler traces: inductor fuses these sums by itself.
    """
    if _suits(x, weights):
        used = [w[:, : chunks * width].reshape(-1, 1, chunks, width) for w in weights]
        out: list[Tensor] = torch.ops.slimbench.fold(x, torch.cat(used, 1).float())
        return out
    parts = _split(x, width, chunks)
    return [_sum(parts, _split(w, width, chunks)) for w in weights]


def _suits(x: Tensor, weights: Sequence[Tensor]) -> bool:
    """Whether the operator takes it, and is faster than PyTorch's own."""
    # Traced, these sums are as fast (the operator's time over inductor's: 0.6 to 1.4), and join what is around them.
    if torch.compiler.is_compiling() or torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
        return False
    if type(x) is not Tensor or x.device.type != "cpu" or x.numel() < _FEWEST:
        return False
    # Derivatives forward, and batches of calls: there are no rules for the operator.
    if torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0:  # noqa: SLF001
        return False
    from backbones.kernels import library  # imports this layer

    same = torch.promote_types(x.dtype, weights[0].dtype) == x.dtype
    return same and _has_kernel(x) and library.get() is not None


def _has_kernel(x: Tensor) -> bool:
    return (
        x.dtype in {torch.float32, torch.bfloat16}
        and x.ndim == 4
        and x.numel() > 0
        and (x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last))
    )


def _split(x: Tensor, width: int, chunks: int) -> tuple[Tensor, ...]:
    """One split, since its gradient is one concatenation; that of each slice would be a whole tensor of zeros."""
    return torch.split(x, width, 1)[:chunks]


def _sum(parts: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    # Not addcmul: 0.7 to 1.4 times as fast forward, but its gradient is slower; 1.0 times as fast together.
    first, *others = (part * weight for part, weight in zip(parts, weights, strict=True))
    return sum(others, start=first)


def _by_torch(x: Tensor, weights: Tensor) -> list[Tensor]:
    chunks, width = weights.shape[2:]
    parts = _split(x, width, chunks)
    w = weights.to(x.dtype)[..., None, None]
    return [_sum(parts, path.unbind(1)) for path in w.unbind(1)]


def _backward_by_torch(gradients: Sequence[Tensor], x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """The same formulas in operators that have gradients of their own."""
    chunks, width = weights.shape[2:]
    parts = _split(x, width, chunks)
    w = weights.to(x.dtype)[..., None, None]
    of_parts = [_sum(gradients, of_chunk.unbind(1)) for of_chunk in w.unbind(2)]
    left_over = x.shape[1] - chunks * width
    of_x = torch.cat([*of_parts, x.new_zeros(x.shape[0], left_over, *x.shape[2:])], 1)
    of_weights = torch.stack([torch.stack([(g * part).sum((2, 3)) for part in parts], 1) for g in gradients], 1)
    return of_x, of_weights.to(weights.dtype)


def _format(x: Tensor) -> torch.memory_format:
    last = x.is_contiguous(memory_format=torch.channels_last) and x.stride(-1) != 1
    return torch.channels_last if last else torch.contiguous_format


def _library(x: Tensor, weights: Tensor) -> ctypes.CDLL | None:
    """The library where it has a kernel for these."""
    from backbones.kernels import library

    n, paths, chunks, width = weights.shape
    if n != x.shape[0] or chunks < 1 or width != x.shape[1] // chunks:
        raise ValueError(f"weights of {tuple(weights.shape)}: must be (N, paths, r, C // r) for x of {tuple(x.shape)}")
    fits = _has_kernel(x) and weights.dtype == torch.float32 and 1 <= paths <= _MOST_PATHS and chunks <= _MOST_CHUNKS
    return library.get() if fits else None


def _structure(x: Tensor, weights: Tensor) -> ctypes.Structure:
    from backbones.kernels import library

    paths, chunks, width = weights.shape[1:]
    n, channels, height, breadth = x.shape
    last, half = _format(x) == torch.channels_last, x.dtype == torch.bfloat16
    size = height * breadth
    threads = torch.get_num_threads()
    return library.Folding(n, channels, size, paths, chunks, width, width * size, last, half, threads)


def _addresses(tensors: Sequence[Tensor]) -> Any:
    return (ctypes.c_void_p * len(tensors))(*[tensor.data_ptr() for tensor in tensors])


def _maps(x: Tensor, weights: Tensor) -> list[Tensor]:
    shape = (x.shape[0], weights.shape[3], *x.shape[2:])
    return [
        torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=_format(x)) for _ in range(weights.shape[1])
    ]


@torch.library.impl("slimbench::fold", "CPU")
def _fold(x: Tensor, weights: Tensor) -> list[Tensor]:
    compiled = _library(x, weights)
    if compiled is None:
        return _by_torch(x, weights)
    weights, maps = weights.contiguous(), _maps(x, weights)
    structure = _structure(x, weights)
    compiled.slim_conv_fold(ctypes.addressof(structure), x.data_ptr(), weights.data_ptr(), _addresses(maps))
    return maps


@torch.library.impl("slimbench::fold_backward", "CPU")
def _fold_backward(
    gradients: list[Tensor], x: Tensor, weights: Tensor, of_x: bool, of_weights: bool
) -> tuple[Tensor, Tensor]:
    compiled = _library(x, weights)
    if compiled is None:
        dx, dw = _backward_by_torch(gradients, x, weights)
        return (dx if of_x else x.new_empty(0)), (dw if of_weights else weights.new_empty(0))
    gradients = [gradient.contiguous(memory_format=_format(x)) for gradient in gradients]
    weights = weights.contiguous()
    dx, dw = torch.empty_like(x) if of_x else x.new_empty(0), torch.empty_like(weights)
    structure = _structure(x, weights)
    arguments = (ctypes.addressof(structure), x.data_ptr(), weights.data_ptr(), _addresses(gradients))
    if compiled.slim_conv_unfold(*arguments, dx.data_ptr() if of_x else None, dw.data_ptr()):
        raise MemoryError(f"no memory for the gradient of {tuple(x.shape)}")
    return dx, (dw if of_weights else weights.new_empty(0))


@torch.library.register_fake("slimbench::fold")  # type: ignore[untyped-decorator]
def _fake(x: Tensor, weights: Tensor) -> list[Tensor]:
    return _maps(x, weights)


@torch.library.register_fake("slimbench::fold_backward")  # type: ignore[untyped-decorator]
def _fake_backward(
    gradients: list[Tensor], x: Tensor, weights: Tensor, of_x: bool, of_weights: bool  # noqa: ARG001
) -> tuple[Tensor, Tensor]:  # fmt: skip
    of_both = (x, of_x), (weights, of_weights)
    dx, dw = (torch.empty_like(tensor) if wanted else tensor.new_empty(0) for tensor, wanted in of_both)
    return dx, dw


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor], output: list[Tensor]) -> None:
    ctx.save_for_backward(*inputs)
    ctx.like = output[0].shape


def _gradients(ctx: Any, gradients: list[Tensor | None]) -> tuple[Tensor | None, Tensor | None]:
    x, weights = ctx.saved_tensors
    of_x, of_weights = ctx.needs_input_grad
    given = [x.new_zeros(ctx.like) if gradient is None else gradient for gradient in gradients]
    if torch.is_grad_enabled():  # somebody wants the gradient's gradient
        dx, dw = _backward_by_torch(given, x, weights)
    else:
        dx, dw = torch.ops.slimbench.fold_backward(given, x, weights, of_x, of_weights)
    return (dx if of_x else None), (dw if of_weights else None)


torch.library.register_autograd("slimbench::fold", _gradients, setup_context=_keep)
