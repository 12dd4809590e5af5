"""One forward pass on the meta device: which modules run, on what shapes, and what ptflops counts there.

Nothing is computed and no weight is read, so a network of any size takes a fraction of a second.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from ptflops.aten_engine import FlopCounterMode
from torch import Tensor, nn

from benchmarks.complexity.records import InputSize, Shape

aten = torch.ops.aten

_UNKNOWN_PRODUCTS = frozenset(
    getattr(aten, name)
    for name in (
        "addbmm", "addmv", "addr", "baddbmm", "dot", "linear", "mv", "vdot", "_trilinear",
        "scaled_dot_product_attention", "_scaled_dot_product_flash_attention",
        "_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_efficient_attention",
        "_scaled_dot_product_cudnn_attention", "_scaled_dot_product_attention_math",
        "_native_multi_head_attention", "_transformer_encoder_layer_fwd",
    )
    if hasattr(aten, name)
)  # fmt: skip
"""Operators that multiply and accumulate but that ptflops' aten backend does not know."""


class Trace(FlopCounterMode):  # type: ignore[misc]  # ptflops is untyped
    """ptflops' aten counter, told at each moment which module is running.

    Attributes:
        calls: module name -> input and output shapes of each of its calls, in the order of first calls.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: dict[str, list[tuple[Shape | None, Shape | None]]] = {}
        self._running: list[str] = []
        self._biases: dict[str, int] = defaultdict(int)
        self._unknown: dict[str, set[str]] = defaultdict(set)

    def macs(self, name: str) -> int:
        """Return what ptflops counted in the module itself, not in its children, less the bias additions."""
        return self._counted(_key(name)) - self._biases[name]

    @property
    def total(self) -> int:
        """What ptflops counted in the network, less the bias additions."""
        return self._counted("Global") - sum(self._biases.values())

    def operators(self, name: str) -> list[str]:
        """Names of the counted and of the uncountable operators that the module itself executed."""
        counted = {str(op) for op, macs in self.flop_counts[_key(name)].items() if macs}
        return sorted(counted | self._unknown[name])

    def unknown_products(self) -> dict[str, list[str]]:
        """Module name -> operators that multiply but that ptflops cannot count."""
        return {name: sorted(ops) for name, ops in self._unknown.items() if ops}

    def _counted(self, key: str) -> int:
        return sum(int(macs) for macs in self.flop_counts[key].values())

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = self._running[-1] if self._running else ""
        self.parents = ["Global", _key(name)]
        if func.overloadpacket is aten.native_batch_norm:
            # No products for ptflops to count, and torch's own rule for it takes half of the whole pass.
            return tuple(args[0].new_empty(shape) for shape in (args[0].shape, (0,), (0,)))
        out = super().__torch_dispatch__(func, types, args, kwargs)
        packet = func.overloadpacket
        # ptflops' aten backend counts these additions as multiply-accumulates; the conventions do not.
        if packet is aten.addmm or (packet is aten.convolution and args[2] is not None):
            self._biases[name] += out.numel()
        elif packet in _UNKNOWN_PRODUCTS:
            self._unknown[name].add(str(packet))
        return out

    @contextmanager
    def watching(self, model: nn.Module) -> Iterator[None]:
        """Follow the calls of all modules of ``model``."""
        handles = []
        for name, module in model.named_modules():
            handles.append(module.register_forward_pre_hook(self._enter(name), prepend=True))
            handles.append(module.register_forward_hook(self._leave(name), with_kwargs=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, name: str) -> Any:
        def hook(_module: nn.Module, _args: Any) -> None:
            self._running.append(name)
            self.calls.setdefault(name, [])

        return hook

    def _leave(self, name: str) -> Any:
        def hook(_module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            self._running.pop()
            self.calls[name].append((_shape((args, kwargs)), _shape(output)))

        return hook


def trace(model: nn.Module, input_size: InputSize) -> Trace:
    """Run ``model`` (in evaluation mode, on the meta device) on one image of ``input_size``.

    Whatever the forward pass raises comes through.
    """
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    result = Trace()
    image = torch.empty((1, *input_size), dtype=dtype, device="meta")
    with torch.no_grad(), result.watching(model), result:
        model(image)
    return result


def _key(name: str) -> str:
    return f"module {name}"  # never equal to ptflops' own key "Global"


def _shape(value: Any) -> Shape | None:
    """Shape of the first tensor in nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        return tuple(value.shape)
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, (tuple, list)):
        for item in value:
            shape = _shape(item)
            if shape is not None:
                return shape
    return None
