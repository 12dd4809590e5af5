"""``deploy``: a copy of a network for inference, batch norms folded, learned masks packed, activations fused."""

from __future__ import annotations

import copy
import logging
import operator
from collections import Counter
from typing import cast

import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from backbones.kernels import library
from backbones.kernels.chain import Chain
from backbones.kernels.module import PackedConv2d, suits
from backbones.kernels.pooling import DeployedMaxPool2d, DeployedMean2d
from backbones.kernels.slim import DeployedSlimConv2d, obstacle
from backbones.kernels.steps import Link, is_link
from backbones.ops.slim_conv import SlimConv2d
from backbones.ops.versatile import VersatileConv2d

_log = logging.getLogger(__name__)
_ADD = (operator.add, operator.iadd, torch.add, "add", "add_")
_FLATTEN = (torch.flatten, "flatten")
_RELU = (F.relu, F.relu_, torch.relu, torch.relu_, "relu", "relu_")


def deploy(model: nn.Module) -> nn.Module:
    """Return a copy of ``model`` that infers faster and computes what ``model`` does in eval mode.

    Where the library is compiled (:func:`backbones.kernels.in_use`), convolutions become :class:`PackedConv2d`, with
    the batch norm, residual addition and ReLU that follow where nobody else reads what lies between: versatile ones
    compute each product once, dense and depthwise ones are as they were. SlimConvs become :class:`DeployedSlimConv2d`,
    with the ReLU that follows; one whose norms have no final statistics is left and a warning says so. Layers of these
    kinds, max poolings, and a global average with its classifier that follow each other become one call, a
    :class:`Chain`. Without the library, batch norms are folded into PyTorch's convolutions, versatile ones into dense
    ones. The original stays as it is.

    The copy is for inference only: it has no agents H and no dropout, its folded weights do not train, and training
    mode is not for it. The packed layers run in float32 on the CPU. A network that torch.fx cannot trace (control flow
    that depends on values) gets packed layers, but nothing is folded or fused around them.
    """
    copied = copy.deepcopy(model).cpu().eval().requires_grad_(False)
    try:
        graph = _Tracer().trace(copied)
    except Exception as error:  # noqa: BLE001  (whatever a stranger's forward raises on a proxy)
        _log.warning("%s cannot be traced (%s): nothing is folded or fused", type(model).__name__, error)
        return _packed_in_place(copied)
    traced = fx.GraphModule(copied, graph, type(model).__name__)
    _without_identities(traced)
    if library.get() is not None:
        _classifiers(traced)
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
    sites = Counter(id(traced.get_submodule(target)) for target in calls.elements())
    convs = []
    for node in list(graph.nodes):
        conv = _module(traced, node)
        if isinstance(conv, nn.Conv2d | VersatileConv2d | SlimConv2d):
            alone = sites[id(conv)] == 1
            _replace(traced, node, conv, fold=alone)
            if alone and isinstance(_module(traced, node), PackedConv2d | DeployedSlimConv2d):
                convs.append(node)
        elif isinstance(conv, nn.MaxPool2d) and DeployedMaxPool2d.suits(conv) and library.get() is not None:
            traced.set_submodule(str(node.target), DeployedMaxPool2d(conv))
    for node in reversed(convs):  # the later operand of an addition is the one that can take in the other
        _fuse(traced, node)
    _chain(traced)
    graph.lint()  # type: ignore[no-untyped-call]
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced.eval()


def _classifiers(traced: fx.GraphModule) -> None:
    """A global average and a linear layer behind it are a mean and a 1x1 convolution of one pixel, and join a chain.

    PyTorch's threads would wait for more work after the linear layer, and take their time from the next call.
    """
    calls = Counter(node.target for node in traced.graph.nodes if node.op == "call_module")
    for node in list(traced.graph.nodes):
        pool = _module(traced, node)
        functional = node.target is F.adaptive_avg_pool2d
        size = node.args[1:2] if functional else (pool.output_size,) if isinstance(pool, nn.AdaptiveAvgPool2d) else ()
        if not size or node.kwargs or not DeployedMean2d.suits(size[0]):
            continue
        flat = _only_user(node)
        end = None if flat is None or not _flattens(traced, flat) else _only_user(flat)
        linear = None if end is None else _module(traced, end)
        if flat is None or end is None or not isinstance(linear, nn.Linear) or calls[end.target] > 1:
            continue
        if linear.weight.dtype != torch.float32:
            continue
        name = f"mean_of_{str(end.target).replace('.', '_')}"
        traced.add_submodule(name, DeployedMean2d())
        conv = nn.Conv2d(linear.in_features, linear.out_features, 1, bias=linear.bias is not None)
        conv.weight = nn.Parameter(linear.weight[..., None, None], requires_grad=False)
        conv.bias = linear.bias
        traced.set_submodule(str(end.target), conv)
        with traced.graph.inserting_before(node):
            mean = traced.graph.call_module(name, (node.args[0],))
            score = traced.graph.call_module(str(end.target), (mean,))
            end.replace_all_uses_with(traced.graph.call_function(torch.flatten, (score, 1)))
        for done in (end, flat, node):
            traced.graph.erase_node(done)


def _flattens(traced: fx.GraphModule, node: fx.Node) -> bool:
    """Whether it makes ``(N, C)`` of ``(N, C, 1, 1)``."""
    module = _module(traced, node)
    if isinstance(module, nn.Flatten):
        return (module.start_dim, module.end_dim) == (1, -1)
    called = node.op in ("call_function", "call_method") and node.target in _FLATTEN
    return called and (*node.args[1:], *node.kwargs.values()) in {(1,), (1, -1)}


def _without_identities(traced: fx.GraphModule) -> None:
    """What they give is what they get: nn.Identity, which surgery leaves in places, and dropout, in inference."""
    for node in list(traced.graph.nodes):
        if isinstance(_module(traced, node), nn.Identity | nn.Dropout) and len(node.args) == 1:
            node.replace_all_uses_with(node.args[0])
            traced.graph.erase_node(node)


class _Tracer(fx.Tracer):
    """Convolutions stay whole."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, VersatileConv2d | SlimConv2d) or super().is_leaf_module(m, module_qualified_name)


def _module(traced: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    return traced.get_submodule(str(node.target)) if node.op == "call_module" else None


def _dense(conv: VersatileConv2d) -> nn.Conv2d:
    """The convolution with the materialised secondary filters."""
    dense = nn.Conv2d(
        conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups,
        conv.bias is not None, dtype=conv.weight.dtype,
    )  # fmt: skip
    dense.weight = nn.Parameter(conv.secondary_filters().detach().clone(), requires_grad=False)
    dense.bias = conv.bias
    return dense.eval()


def _packed(conv: nn.Module) -> nn.Module:
    """What takes a convolution's place; the module itself where nothing does."""
    if isinstance(conv, nn.Conv2d | VersatileConv2d) and suits(conv):
        return PackedConv2d(conv)
    if isinstance(conv, SlimConv2d):
        if (why := obstacle(conv)) is None:
            return DeployedSlimConv2d(conv).eval()
        _log.warning("SlimConv2d(%s) is left as it is: %s", conv.extra_repr(), why)
    return _packed(_dense(conv)) if isinstance(conv, VersatileConv2d) else conv


def _packed_in_place(model: nn.Module) -> nn.Module:
    if isinstance(model, VersatileConv2d | SlimConv2d):
        return _packed(model)
    done: dict[nn.Module, nn.Module] = {}
    for name, module in list(model.named_modules(remove_duplicate=False)):
        if isinstance(module, VersatileConv2d | SlimConv2d):
            done.setdefault(module, _packed(module))
            model.set_submodule(name, done[module])
    return model


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _replace(traced: fx.GraphModule, node: fx.Node, conv: nn.Module, *, fold: bool) -> None:
    """Put the deployed convolution in, with the batch norm that follows, if it alone reads the convolution."""
    new = _packed(conv)
    user = _only_user(node)
    norm = _module(traced, user) if fold and user is not None else None
    final = isinstance(norm, nn.BatchNorm2d) and not norm.training and norm.running_mean is not None
    if user is not None and final and isinstance(norm, nn.BatchNorm2d):
        if isinstance(new, PackedConv2d):
            new.fold(norm)
        elif isinstance(new, nn.Conv2d):
            new = fuse_conv_bn_eval(new, norm)
        user.replace_all_uses_with(node)
        traced.graph.erase_node(user)
    if new is not conv:
        traced.set_submodule(str(node.target), new)


def _fuse(traced: fx.GraphModule, node: fx.Node) -> None:
    """Let a packed convolution take in the addition and the activation that follow it, a SlimConv the activation."""
    packed = _module(traced, node)
    user = _only_user(node)
    if not isinstance(packed, PackedConv2d | DeployedSlimConv2d) or user is None:
        return
    residual = _residual(user, node) if isinstance(packed, PackedConv2d) else None
    if residual is not None:
        node.kwargs = {**node.kwargs, "residual": residual}
        user.replace_all_uses_with(node)
        traced.graph.erase_node(user)
        user = _only_user(node)
    activation = None if user is None else _activation(traced, user)
    if user is not None and activation is not None:
        packed.activation = activation
        user.replace_all_uses_with(node)
        traced.graph.erase_node(user)


def _chain(traced: fx.GraphModule) -> None:
    """Put runs of packed layers, of which only the last is read by others, into one call each."""
    nodes = list(traced.graph.nodes)
    number, at = 0, 0
    while at < len(nodes):
        run: list[fx.Node] = []
        source = nodes[at].args[0] if _is_link(traced, nodes[at]) else None
        while source is not None and at + len(run) < len(nodes):
            node = nodes[at + len(run)]
            if not _is_link(traced, node) or not all(i is source or i in run for i in node.all_input_nodes):
                break
            run.append(node)
        while run and any(user not in run for node in run[:-1] for user in node.users):
            run.pop()
        at += max(1, len(run))
        if len(run) < 2:
            continue
        value = {source: 0, None: -1} | {node: i + 1 for i, node in enumerate(run)}
        layers = [
            (cast("Link", _module(traced, n)), value[cast("fx.Node", n.args[0])], value[n.kwargs.get("residual")])
            for n in run
        ]
        name = f"chain_{number}"
        number += 1
        traced.add_submodule(name, Chain(layers))
        with traced.graph.inserting_after(run[-1]):
            new = traced.graph.call_module(name, (source,))
        run[-1].replace_all_uses_with(new)
        for node in reversed(run):
            traced.graph.erase_node(node)


def _is_link(traced: fx.GraphModule, node: fx.Node) -> bool:
    return is_link(_module(traced, node)) and len(node.args) == 1


def _residual(user: fx.Node, node: fx.Node) -> fx.Node | None:
    """What ``user`` adds to ``node``, if the convolution can add it just as well."""
    if user.op not in ("call_function", "call_method") or user.target not in _ADD:
        return None
    if len(user.args) != 2 or user.kwargs:
        return None
    other = user.args[1] if user.args[0] is node else user.args[0]
    if not isinstance(other, fx.Node) or other is node or not other < node:
        return None
    if any(node < reader < user for reader in other.users):  # it might write
        return None
    in_place = user.target in (operator.iadd, "add_") and user.args[0] is other
    if in_place and len(other.users) > 1:
        return None
    return other


def _activation(traced: fx.GraphModule, user: fx.Node) -> str | None:
    """The name of the activation that ``user`` is, or None."""
    module = _module(traced, user)
    if module is not None:
        return {nn.ReLU: "relu", nn.ReLU6: "relu6"}.get(type(module))
    if user.op in ("call_function", "call_method") and user.target in _RELU:
        return "relu"
    return "relu6" if user.target is F.relu6 else None
