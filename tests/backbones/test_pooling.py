"""The compiled max pooling against PyTorch's, instruction set by instruction set."""

from __future__ import annotations

import ctypes

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from backbones.kernels import deploy, library
from backbones.kernels.pooling import DeployedMaxPool2d

quiet = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def pools(draw: st.DrawFn) -> tuple[nn.MaxPool2d, tuple[int, int, int, int]]:
    """A pooling, and the shape of an input that is large enough for it."""
    kernel = draw(st.tuples(*[st.integers(1, 7)] * 2))
    stride = draw(st.tuples(*[st.integers(1, 5)] * 2))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    size = [max(1, k - 2 * p) + draw(st.integers(0, 20)) for k, p in zip(kernel, padding, strict=True)]
    return nn.MaxPool2d(kernel, stride, padding), (draw(st.integers(1, 3)), draw(st.integers(1, 4)), size[0], size[1])


def equal(got: Tensor, expected: Tensor) -> bool:
    """Number by number, NaN where NaN is."""
    return got.shape == expected.shape and torch.equal(got.nan_to_num(1e9), expected.nan_to_num(1e9))


@quiet
@given(case=pools(), threads=st.integers(1, 2))
def test_it_is_the_pooling(isa: str, case: tuple[nn.MaxPool2d, tuple[int, int, int, int]], threads: int) -> None:
    pool, shape = case
    x = torch.randn(shape) - 5  # zeros as padding would be seen
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    got = DeployedMaxPool2d(pool)(x)
    torch.set_num_threads(before)
    assert torch.equal(got, pool(x))


@quiet
@given(case=pools(), data=st.data())
def test_nan_and_infinities_are_as_in_torch(
    isa: str, case: tuple[nn.MaxPool2d, tuple[int, int, int, int]], data: st.DataObject
) -> None:
    pool, shape = case
    x = torch.randn(shape)
    for value in data.draw(st.lists(st.sampled_from((torch.nan, torch.inf, -torch.inf)), min_size=1, max_size=4)):
        x[tuple(data.draw(st.integers(0, size - 1)) for size in shape)] = value
    assert equal(DeployedMaxPool2d(pool)(x), pool(x))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_picture_of_one_value(isa: str, value: float) -> None:
    x = torch.full((2, 3, 9, 8), value)
    for options in ((3, 2, 1), (2, 2), (3, 1, 1), (5, 3, 2)):
        pool = nn.MaxPool2d(*options)
        assert equal(DeployedMaxPool2d(pool)(x), pool(x))


def test_any_memory_format_and_any_number_of_images(either: None) -> None:
    pool = nn.MaxPool2d(3, 2, 1)
    x = torch.randn(3, 5, 11, 14)
    views = (x.contiguous(memory_format=torch.channels_last), x[:, ::2, 1:, ::3], x.mT, x[:0], x[0])
    for view in views:
        assert torch.equal(DeployedMaxPool2d(pool)(view), pool(view))
    assert torch.equal(DeployedMaxPool2d(pool)(x.double()), pool(x.double()))


@pytest.mark.parametrize("options", [{"dilation": 2}, {"ceil_mode": True}, {"return_indices": True}])
def test_other_kinds_are_left_to_torch(options: dict[str, int | bool]) -> None:
    pool = nn.MaxPool2d(3, 2, 1, **options)  # type: ignore[arg-type]
    assert not DeployedMaxPool2d.suits(pool)
    deployed = deploy(nn.Sequential(pool))
    assert {type(module) for module in deployed.modules()} & {nn.MaxPool2d, DeployedMaxPool2d} == {nn.MaxPool2d}


REFUSED = [
    (nn.MaxPool2d(5), (4, 9)),  # smaller than the kernel
    (nn.MaxPool2d(5, 1), (9, 2)),
    (nn.MaxPool2d(3, 1, 1), (0, 5)),
    (nn.MaxPool2d(3, 1, 2), (6, 6)),  # more padding than half the kernel: windows without any pixel
]


@pytest.mark.parametrize(("pool", "size"), REFUSED)
@pytest.mark.parametrize("there", [pytest.param(True), False])
def test_what_torch_refuses_is_refused(
    compiled: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch, there: bool, pool: nn.MaxPool2d, size: tuple[int, int]
) -> None:
    monkeypatch.setattr(library, "get", lambda: compiled if there else None)
    x = torch.zeros(1, 2, *size)
    with pytest.raises(RuntimeError):
        pool(x)
    with pytest.raises((RuntimeError, ValueError), match=r"(?i)too small|smaller|pad|empty|Expected 3D"):
        DeployedMaxPool2d(pool)(x)


def test_tools_can_trace_it(compiled: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "get", lambda: compiled)
    x = torch.randn(2, 3, 7, 8)
    checks = ("test_schema", "test_faketensor", "test_aot_dispatch_static")
    torch.library.opcheck(torch.ops.slimbench.max_pool2d.default, (x, [3, 3], [2, 2], [1, 1]), test_utils=checks)
    pool = DeployedMaxPool2d(nn.MaxPool2d(3, 2, 1))
    traced = torch.compile(pool, backend="aot_eager", fullgraph=True, dynamic=True)
    for images in (x, x[:, :, :5], x[:1]):
        assert torch.equal(traced(images), F.max_pool2d(images, 3, 2, 1))
    assert torch.equal(torch.export.export(pool, (x,)).module()(x), pool(x))
