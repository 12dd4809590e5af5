"""``count``: a named model or the user's own network -> Complexity."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

import backbones
from backbones.nets.counting_standins import WholeNetwork
from backbones.ops import VersatileConv2d
from benchmarks.complexity import closed_forms
from benchmarks.complexity.conventions import (
    DEFAULT_CONVENTION,
    EXTRAS,
    check_convention,
    conv_linear_macs,
    elements,
    reading_of,
)
from benchmarks.complexity.parts import split
from benchmarks.complexity.records import Complexity, InputSize, LayerCost, check_input, format_input
from benchmarks.complexity.trace import Trace, trace
from benchmarks.errors import UserError


def count(
    model: str | nn.Module,
    input_size: InputSize | None = None,
    convention: str = DEFAULT_CONVENTION,
    *,
    name: str | None = None,
    num_classes: int | None = None,
    proposals: int | None = None,
) -> Complexity:
    """Count parameters, MACs, MUL, ADD and storage for one image, on the meta device.

    Args:
        model: a name of ``backbones.list_models()``, or any network that takes one image. A network is
            copied and counted in evaluation mode; the one that was passed is not touched.
        input_size: (channels, height, width); by default the named model's own, else (3, 224, 224).
        convention: a name of :data:`CONVENTIONS`.
        name: what to call a network that was passed as a module; by default its class.
        num_classes: number of classes of a named model, by default its own.
        proposals: regions of the image in the second stage of a two-stage detector, by default its own number.

    Raises:
        UserError: an unknown model or convention, an input size that is none, a forward pass that fails,
            proposals for a network without a second stage, or a network that multiplies outside of
            convolution and linear layers: such products belong to no convention, and leaving them out
            silently would be a miscount.
    """
    check_convention(convention)
    label = name or (model if isinstance(model, str) else type(model).__name__)
    if isinstance(model, str):
        asked = None if input_size is None else check_input(input_size)
        run, size = _run_named(model, num_classes, asked, proposals)
    elif num_classes is not None:
        raise UserError("num_classes is for named models; this network brings its own classifier")
    else:
        size = check_input((3, 224, 224) if input_size is None else input_size)
        run = _run(_propose(_meta_copy(model, label), proposals, label), size, label)
    layers = _layers(*run, convention)
    _check(label, *run, layers)
    cost = Complexity.of_layers(label, size, convention, tuple(cost for cost, _ in layers))
    network = run[0]
    if not isinstance(network, WholeNetwork):
        return cost
    parts = split(cost.layers, network.counted_parts)
    return dataclasses.replace(cost, parts=parts, proposals=network.proposals, remarks=network.remarks())


Run = tuple[nn.Module, Trace]


@lru_cache(maxsize=256)  # the conventions and the tables share runs; a network without weights is small
def _run_named(
    name: str, num_classes: int | None, size: InputSize | None, proposals: int | None
) -> tuple[Run, InputSize]:
    kwargs: dict[str, Any] = {} if num_classes is None else {"num_classes": num_classes}
    try:
        spec = backbones.model_spec(name)
        network = _build(name, **kwargs)
    except backbones.UnknownModelError as error:
        raise UserError(str(error)) from error
    size = check_input(spec.input_size) if size is None else size
    return _run(_propose(network, proposals, name), size, name), size


def _propose(network: nn.Module, proposals: int | None, label: str) -> nn.Module:
    """Let the second stage of ``network`` run on this many regions; None leaves its own number."""
    if proposals is not None:
        if not isinstance(network, WholeNetwork) or network.proposals is None:
            raise UserError(f"model {label!r} has no second stage that proposals={proposals} could be for")
        if proposals < 1:
            raise UserError(f"proposals={proposals} is not a whole number above zero")
        network.proposals = proposals
    return network


def _build(name: str, **kwargs: Any) -> nn.Module:
    try:
        with torch.device("meta"):
            return backbones.create_model(name, **kwargs).to("meta").eval()
    except (NotImplementedError, RuntimeError):
        # Some builders read numbers back from tensors (torchvision's RegNet), which meta tensors do not have.
        return _meta_copy(backbones.create_model(name, **kwargs), name)


def _run(network: nn.Module, size: InputSize, label: str) -> Run:
    try:
        return network, trace(network, size)
    except Exception as error:
        raise UserError(
            f"model {label!r} cannot be run on an input of {format_input(size)}: {_first_line(error)}"
        ) from error


def _meta_copy(model: nn.Module, label: str) -> nn.Module:
    """Copy the structure; a tensor that several modules share stays one (``.to("meta")`` would part them)."""
    source: nn.Module = getattr(model, "_orig_mod", model)  # what torch.compile wraps
    try:
        tensors = {id(tensor): tensor for module in source.modules() for tensor in _own_tensors(module)}
        on_meta = {key: _without_data(tensor) for key, tensor in tensors.items()}
        return copy.deepcopy(source, on_meta).to("meta").eval()
    except Exception as error:
        raise UserError(f"model {label!r} cannot be copied for counting: {_first_line(error)}") from error


def _own_tensors(module: nn.Module) -> Iterator[Tensor]:
    for values in (module._parameters, module._buffers, vars(module)):  # noqa: SLF001  # no other way to all three
        yield from (v for v in values.values() if isinstance(v, Tensor) and not is_lazy(v))


def _without_data(tensor: Tensor) -> Tensor:
    empty = torch.empty_like(tensor, device="meta", requires_grad=False)
    return nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty


def _layers(network: nn.Module, traced: Trace, convention: str) -> list[tuple[LayerCost, int]]:
    """Each module that stores, costs or is a leaf, with its conv-linear MACs; in the order of first calls."""
    modules = dict(network.named_modules())
    order = [*traced.calls, *(name for name in modules if name not in traced.calls)]
    seen: set[int] = set()
    layers = []
    for name in order:
        module = modules[name]
        bits = _own_bits(module, convention, seen)
        is_leaf = isinstance(module, VersatileConv2d) or not any(True for _ in module.children())
        if bits or is_leaf:
            layers.append(_cost(name, module, traced, convention, bits))
    return layers


def _cost(name: str, module: nn.Module, traced: Trace, convention: str, bits: int) -> tuple[LayerCost, int]:
    calls = traced.calls.get(name, [])
    dense = extra = 0
    mul = add = Fraction(0)
    for input_shape, output_shape in calls:
        inputs, outputs = elements(input_shape), elements(output_shape)
        macs = conv_linear_macs(module, inputs, outputs)
        dense += macs
        if convention in EXTRAS:
            extra += EXTRAS[convention](module, inputs, outputs)
        if isinstance(module, VersatileConv2d):
            positions = outputs // module.out_channels
            mul += closed_forms.multiplications(module, positions, reading_of(convention))
            add += closed_forms.additions(module, positions)
        else:
            mul += macs
            add += macs
    cost = LayerCost(
        name=name,
        kind=type(module).__name__,
        input_shape=calls[0][0] if calls else None,
        output_shape=calls[0][1] if calls else None,
        calls=len(calls),
        macs=dense + extra,
        mul=mul,
        add=add,
        weight_bits=bits,
    )
    return cost, dense


def _own_bits(module: nn.Module, convention: str, seen: set[int]) -> int:
    """Bits of the module's own parameters that no earlier module shares."""
    new = {key: parameter for key, parameter in module.named_parameters(recurse=False) if id(parameter) not in seen}
    seen.update(id(parameter) for parameter in new.values())
    if isinstance(module, VersatileConv2d):
        return closed_forms.stored_bits(module, reading_of(convention)) if new else 0
    return sum(32 * parameter.numel() for parameter in new.values())


def _check(label: str, network: nn.Module, traced: Trace, layers: list[tuple[LayerCost, int]]) -> None:
    """Compare, module by module, what the layers' shapes give with what ptflops saw executed."""
    modules = dict(network.named_modules())
    counted = {cost.name: dense for cost, dense in layers}
    for name in traced.calls:
        seen, expected = traced.macs(name), counted.get(name, 0)
        unknown = traced.unknown_products().get(name)
        if seen == expected and not unknown:
            continue
        where = f"{name or 'the network itself'} ({type(modules[name]).__name__})"
        operators = ", ".join(traced.operators(name)) or "no operator"
        raise UserError(
            f"model {label!r} multiplies outside of its convolution and linear layers, so it cannot be "
            f"counted: {where} executes {seen:,} multiply-accumulates ({operators}) where its layers "
            f"account for {expected:,}; the conventions cover convolution and linear modules only"
        )
    total = sum(counted.values())
    if traced.total != total:
        raise UserError(
            f"model {label!r} cannot be counted: ptflops sees {traced.total:,} multiply-accumulates, "
            f"its layers account for {total:,}"
        )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
