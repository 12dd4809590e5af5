"""Eq. 2 of all paths in one pass, and its gradients, against float64 and PyTorch's autograd of the plain sums."""

from __future__ import annotations

import copy
import ctypes
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from backbones.kernels import library
from backbones.ops import SlimConv2d, _folding
from backbones.ops._folding import fold

quiet = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
operator = torch.ops.slimbench.fold
FORMATS = (torch.contiguous_format, torch.channels_last)


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library also for inputs that are too small to gain from it."""
    monkeypatch.setattr(_folding, "_FEWEST", 0)


def plain(x: Tensor, weights: Sequence[Tensor], chunks: int) -> list[Tensor]:
    """Weight, split, sum: path by path, as the paper writes it."""
    width = x.shape[1] // chunks
    parts = [torch.split(x * w, width, 1)[:chunks] for w in weights]
    return [sum(path[1:], start=path[0]) for path in parts]


def folded(x: Tensor, weights: Sequence[Tensor], chunks: int) -> list[Tensor]:
    return fold(x, weights, chunks, x.shape[1] // chunks)


def of_library(y: Tensor) -> bool:
    return "slimbench_fold" in type(y.grad_fn).__name__


@st.composite
def inputs(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """x and the weights of 1 to 3 paths, as the operator takes them."""
    paths, chunks, n = draw(st.integers(1, 3)), draw(st.integers(2, 8)), draw(st.integers(1, 3))
    width = draw(st.integers(1, 6) | st.sampled_from((8, 16, 17, 33)))
    channels = chunks * width + draw(st.integers(0, chunks - 1))
    height, breadth = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    if draw(st.integers(0, 9)) == 0:
        height, breadth, width, n = 47, 45, 1, 1  # more than one tile of a plane
        channels = chunks
    x = torch.randn(n, channels, height, breadth).to(draw(st.sampled_from((torch.float32, torch.bfloat16))))
    return x.contiguous(memory_format=draw(st.sampled_from(FORMATS))), torch.rand(n, paths, chunks, width)


def expected_of(x: Tensor, weights: Tensor, directions: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Maps and gradients in float64, by PyTorch's own autograd."""
    a, b = x.detach().double().requires_grad_(), weights.detach().double().requires_grad_()
    n, _, chunks, width = weights.shape
    used = a[:, : chunks * width]
    maps = plain(used, [w.reshape(n, -1, 1, 1) for w in b.unbind(1)], chunks)
    return maps, list(torch.autograd.grad(maps, [a, b], [d.double() for d in directions]))


def close(got: Tensor, expected: Tensor, largest: Tensor) -> bool:
    """Up to float32's rounding of the terms, and that of the result."""
    last = 2**-8 if got.dtype == torch.bfloat16 else 2**-23
    error = (got.double() - expected).abs()
    return got.shape == expected.shape and bool((error <= last * expected.abs() + 2e-6 * largest + 1e-7).all())


@quiet
@given(case=inputs(), threads=st.integers(1, 5))
def test_maps_and_gradients_are_those_of_the_sums(isa: str, case: tuple[Tensor, Tensor], threads: int) -> None:
    x, weights = case
    x.requires_grad_()
    weights.requires_grad_()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    maps = operator(x, weights)
    directions = [torch.randn_like(y) for y in maps]
    got = torch.autograd.grad(maps, [x, weights], directions)
    torch.set_num_threads(before)
    expected, gradients = expected_of(x, weights, directions)
    bounds, bounds_of_gradients = expected_of(x.abs(), weights, [d.abs() for d in directions])
    for y, right, bound in zip(maps, expected, bounds, strict=True):
        assert close(y, right, bound)
    for gradient, right, bound in zip(got, gradients, bounds_of_gradients, strict=True):
        assert close(gradient, right, bound)
    assert [g.dtype for g in got] == [x.dtype, torch.float32]


@quiet
@given(case=inputs(), value=st.sampled_from((torch.nan, torch.inf, -torch.inf)), data=st.data())
def test_what_is_not_finite_goes_where_the_sums_take_it(
    isa: str, case: tuple[Tensor, Tensor], value: float, data: st.DataObject
) -> None:
    x, weights = case
    directions = [torch.randn_like(y) for y in operator(x, weights)]
    target = data.draw(st.sampled_from((x, weights, directions[0])))
    target[tuple(data.draw(st.integers(0, size - 1)) for size in target.shape)] = value
    found = (*operator(x, weights), *torch.ops.slimbench.fold_backward(directions, x, weights, True, True))
    maps, gradients = expected_of(x, weights, directions)
    for got, right in zip(found, (*maps, *gradients), strict=True):
        torch.testing.assert_close(got.isnan(), right.isnan())
        assert torch.equal(got[got.isinf()].double(), right[right.isinf()])


def test_bfloat16_is_rounded_as_torch_rounds(isa: str) -> None:
    x = torch.randn(1, 2, 40, 50).exp().bfloat16()
    x[0, 0, 0, :4] = torch.tensor([1e-40, 3.39e38, -0.0, 1 + 2**-7])
    weights = torch.rand(1, 1, 2, 1)
    weights[..., 1, :] = 0  # one product: float32 multiplies exactly once
    assert torch.equal(operator(x, weights)[0], (x[:, :1].float() * weights[0, 0, 0]).bfloat16())


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_order_of_memory_and_the_dtype_stay(best: None, memory_format: Any, dtype: torch.dtype) -> None:
    x = torch.randn(2, 9, 5, 6).to(dtype).contiguous(memory_format=memory_format).requires_grad_()
    weights = torch.rand(2, 2, 4, 2).requires_grad_()
    maps = operator(x, weights)
    (of_x,) = torch.autograd.grad(maps, [x], [torch.randn(2, 2, 5, 6).to(dtype) for _ in maps])
    for tensor in (*maps, of_x):
        assert tensor.dtype == dtype
        assert tensor.is_contiguous(memory_format=memory_format)
    assert not of_x[:, 8:].any()  # left over


F32, BF16, F16, F64 = torch.float32, torch.bfloat16, torch.float16, torch.float64
KERNELS = {(F32, F32), (F32, BF16), (F32, F16), (BF16, BF16)}  # where the maps have the dtype of x


@pytest.mark.parametrize("of_x", [F32, BF16, F16, F64])
@pytest.mark.parametrize("of_weights", [F32, BF16, F16, F64])
def test_every_pair_of_dtypes_gives_what_torch_gives(
    best: None, always: None, of_x: torch.dtype, of_weights: torch.dtype
) -> None:
    x = torch.randn(2, 6, 4, 3).to(of_x).requires_grad_()
    w = torch.rand(2, 6, 1, 1).to(of_weights).requires_grad_()
    maps, right = folded(x, [w, w.flip(1)], 2), plain(x, [w, w.flip(1)], 2)
    assert of_library(maps[0]) == ((of_x, of_weights) in KERNELS)
    directions = [torch.randn_like(y) for y in right]
    ours, theirs = (torch.autograd.grad(found, [x, w], directions) for found in (maps, right))
    for got, expected in zip((*maps, *ours), (*right, *theirs), strict=True):
        assert got.dtype == expected.dtype
        torch.testing.assert_close(got, expected, rtol=2e-2, atol=5e-2)


@pytest.mark.parametrize("arrangement", ["flip", "flip-both", "none", "shuffle"])
@pytest.mark.parametrize(("k", "third"), [(4 / 3, False), (4 / 3, True), (2, False), (8 / 3, True), (16 / 3, False)])
@pytest.mark.parametrize("memory_format", FORMATS)
def test_a_layer_trains_as_in_float64(
    best: None, always: None, arrangement: Any, k: float, third: bool, memory_format: Any
) -> None:
    layer = SlimConv2d(19, k=k, se_reduction=4, arrangement=arrangement, third_branch=third)
    exact = copy.deepcopy(layer).double()
    x = torch.randn(4, 19, 7, 6).contiguous(memory_format=memory_format).requires_grad_()
    twin = x.detach().double().requires_grad_()
    got, expected = layer(x), exact(twin)
    direction = torch.randn(got.shape)
    ours = torch.autograd.grad(got, [x, *layer.parameters()], direction)
    theirs = torch.autograd.grad(expected, [twin, *exact.parameters()], direction.double())
    for a, b in zip((got, *ours), (expected, *theirs), strict=True):
        scale = float(b.detach().abs().max())
        torch.testing.assert_close(a.double(), b, rtol=1e-3, atol=1e-4 * scale + 1e-5)


def test_autocast_gives_each_map_the_dtype_it_had(best: None, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = SlimConv2d(8)
    seen: list[torch.dtype] = []
    for convolution in (layer.top[0], layer.bottom[0]):
        convolution.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].dtype))
    for fewest in (0, 1 << 40):
        monkeypatch.setattr(_folding, "_FEWEST", fewest)
        for dtype in (torch.float32, torch.bfloat16):
            with torch.autocast("cpu", torch.bfloat16):
                assert layer(torch.randn(2, 8, 6, 6, dtype=dtype)).dtype == torch.bfloat16
    assert seen == [torch.float32, torch.float32, torch.bfloat16, torch.bfloat16] * 2


def test_what_needs_no_gradient_gets_none(best: None) -> None:
    x, weights = torch.randn(2, 6, 4, 3), torch.rand(2, 2, 3, 2)
    directions = [torch.randn(2, 2, 4, 3) for _ in range(2)]
    right = expected_of(x, weights, directions)[1]
    for of_x, of_weights in ((True, False), (False, True)):
        a, b = x.clone().requires_grad_(of_x), weights.clone().requires_grad_(of_weights)
        torch.autograd.backward(operator(a, b), directions)
        for tensor, gradient, wanted in ((a, right[0], of_x), (b, right[1], of_weights)):
            assert (tensor.grad is not None) == wanted
            if tensor.grad is not None:
                torch.testing.assert_close(tensor.grad.double(), gradient, rtol=1e-5, atol=1e-5)
    assert operator(x, weights)[0].grad_fn is None


def test_a_path_that_nobody_uses_has_no_gradient(best: None) -> None:
    x, weights = torch.randn(2, 6, 4, 3).requires_grad_(), torch.rand(2, 2, 3, 2).requires_grad_()
    direction = torch.randn(2, 2, 4, 3)
    found = torch.autograd.grad(operator(x, weights)[1], [x, weights], direction)
    right = expected_of(x, weights, [torch.zeros_like(direction), direction])[1]
    for got, expected in zip(found, right, strict=True):
        torch.testing.assert_close(got.double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "view", [lambda x: x[:, ::2], lambda x: x[..., 1:], lambda x: x.mT, lambda x: x[:0], lambda x: x[..., :1, :1]]
)
def test_any_view_of_x(best: None, always: None, view: Any) -> None:
    x = torch.randn(2, 12, 5, 5).requires_grad_()
    w = torch.rand(view(x).shape[0], view(x).shape[1], 1, 1).requires_grad_()
    maps, right = folded(view(x), [w, w.flip(1)], 2), plain(view(x), [w, w.flip(1)], 2)
    directions = [torch.randn_like(y).mT.contiguous().mT for y in right]  # the gradients need not lie in order either
    ours, theirs = (torch.autograd.grad(found, [x, w], directions) for found in (maps, right))
    for got, expected in zip((*maps, *ours), (*right, *theirs), strict=True):
        torch.testing.assert_close(got, expected)
    by_operator = operator(view(x), torch.stack([w[:, :, 0, 0]], 1).unflatten(2, (2, -1)))[0]
    torch.testing.assert_close(by_operator, right[0])


def test_only_x_and_the_weights_are_kept(best: None, always: None) -> None:
    x, w = torch.randn(2, 8, 30, 30).requires_grad_(), torch.rand(2, 8, 1, 1).requires_grad_()
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        maps = folded(x, [w, w.flip(1)], 2)
    assert of_library(maps[0])
    assert [t.data_ptr() for t in kept if t.numel() >= x.numel() // 2] == [x.data_ptr()]
    assert sum(t.numel() for t in kept) == x.numel() + 2 * w.numel()


def test_small_inputs_are_left_to_torch(best: None) -> None:
    w = torch.rand(1, 4, 1, 1).requires_grad_()
    assert not of_library(folded(torch.randn(1, 4, 181, 181), [w, w], 2)[0])
    assert of_library(folded(torch.randn(1, 4, 182, 182), [w, w], 2)[0])


def test_without_a_library_torch_does_it(always: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "get", lambda: None)
    x, w = torch.randn(2, 6, 4, 3).requires_grad_(), torch.rand(2, 6, 1, 1)
    (map_,) = folded(x, [w], 3)
    assert not of_library(map_)
    assert torch.equal(map_, plain(x, [w], 3)[0])


def test_the_formulas_of_the_gradients(compiled: ctypes.CDLL) -> None:
    x = torch.randn(2, 7, 3, 2, dtype=torch.float64).requires_grad_()
    weights = torch.rand(2, 2, 3, 2, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(operator, (x, weights))
    assert torch.autograd.gradgradcheck(operator, (x, weights))


def test_gradients_of_gradients(best: None, always: None) -> None:
    x, w = torch.randn(2, 6, 4, 3).requires_grad_(), torch.rand(2, 6, 1, 1).requires_grad_()

    def penalty(maps: list[Tensor]) -> list[Tensor]:
        first = torch.autograd.grad(sum(y.square().sum() for y in maps), [x, w], create_graph=True)
        return list(torch.autograd.grad(sum(g.square().sum() for g in first), [x, w]))

    ours, theirs = penalty(folded(x, [w, w.flip(1)], 2)), penalty(plain(x, [w, w.flip(1)], 2))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-3)


def test_derivatives_forward_and_batches_of_calls_are_torchs(best: None, always: None) -> None:
    x, w, step = torch.randn(3, 2, 6, 4, 3), torch.rand(3, 2, 6, 1, 1), torch.randn(3, 2, 6, 4, 3)
    batched = torch.func.vmap(lambda a, b: folded(a, [b], 2)[0])(x, w)
    torch.testing.assert_close(batched, torch.stack([plain(a, [b], 2)[0] for a, b in zip(x, w, strict=True)]))
    expected = plain(step[0], [w[0]], 2)[0]  # the map is linear in x
    torch.testing.assert_close(torch.func.jvp(lambda a: folded(a, [w[0]], 2)[0], (x[0],), (step[0],))[1], expected)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x[0], step[0])
        tangent = torch.autograd.forward_ad.unpack_dual(folded(dual, [w[0]], 2)[0]).tangent
    torch.testing.assert_close(tangent, expected)


def test_weights_of_another_shape_are_refused(best: None) -> None:
    for shape in ((3, 2, 2, 3), (2, 2, 2, 2), (2, 2, 0, 3)):
        with pytest.raises(ValueError, match=r"must be \(N, paths, r, C // r\)"):
            operator(torch.randn(2, 6, 4, 3), torch.rand(shape))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("memory_format", FORMATS)
def test_tools_can_trace_the_operator(either: str, dtype: torch.dtype, memory_format: Any) -> None:
    x = torch.randn(2, 7, 4, 3).to(dtype).contiguous(memory_format=memory_format).requires_grad_()
    weights = torch.rand(2, 2, 3, 2).requires_grad_()
    torch.library.opcheck(operator.default, (x, weights))
    directions = [torch.randn(2, 2, 4, 3).to(dtype) for _ in range(2)]
    arguments = (directions, x.detach(), weights.detach())
    for wanted in ((True, True), (True, False), (False, True)):
        torch.library.opcheck(torch.ops.slimbench.fold_backward.default, (*arguments, *wanted))


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace:DeprecationWarning")
def test_a_compiler_sees_plain_sums(best: None, always: None) -> None:
    layer = SlimConv2d(8)
    program = torch.export.export(layer.eval(), (torch.randn(2, 8, 5, 6),))
    assert not any("slimbench" in str(node.target) for node in program.graph.nodes)
    torch.testing.assert_close(program.module()(torch.ones(2, 8, 5, 6)), layer(torch.ones(2, 8, 5, 6)))
    traced = torch.jit.trace(layer, torch.ones(2, 8, 5, 6), check_trace=False)
    assert "slimbench" not in str(traced.inlined_graph)
    seen: list[str] = []

    def backend(graph: torch.fx.GraphModule, _: Any) -> Any:
        seen.extend(str(node.target) for node in graph.graph.nodes)
        return graph

    x = torch.randn(2, 8, 5, 6)
    torch._dynamo.reset()
    compiled = torch.compile(layer.train(), backend=backend, fullgraph=True)
    torch.testing.assert_close(compiled(x), copy.deepcopy(layer)(x))
    assert seen
    assert not any("slimbench" in target for target in seen)
