"""The compiled convolution with learned masks against float64, instruction set by instruction set."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from backbones.kernels import PackedConv2d, build, deploy, library, module
from backbones.kernels.chain import Chain
from backbones.kernels.convolution import ACTIVATIONS
from backbones.kernels.module import sides
from backbones.kernels.packing import BLOCK, PRODUCT_BLOCK
from backbones.kernels.pooling import DeployedMaxPool2d, DeployedMean2d
from backbones.ops import LearnableVersatileConv2d, SlimConv2d, SpatialVersatileConv2d
from backbones.ops.versatile import VersatileConv2d

quiet = settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=["streams", "written out"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Filters with separate masks in each of their two forms, however many weights they have."""
    for name in ("FEW", "FEW_OF_TWO"):
        monkeypatch.setattr(module, name, 0 if request.param == "streams" else 1 << 30)
    return str(request.param)


@st.composite
def layers(draw: st.DrawFn) -> tuple[LearnableVersatileConv2d, tuple[int, int, int]]:
    """A layer, and batch, height and width of an input that is large enough for it."""
    groups = draw(st.sampled_from((1, 1, 2, 3)))
    kernel = draw(st.tuples(*[st.sampled_from((1, 2, 3, 5))] * 2))
    dilation = draw(st.tuples(*[st.integers(1, 3)] * 2))
    stride = draw(st.tuples(*[st.integers(1, 3)] * 2))
    padding = draw(st.tuples(*[st.integers(0, 3)] * 2) | st.just("valid"))
    if stride == (1, 1) and draw(st.booleans()):
        padding = "same"
    layer = LearnableVersatileConv2d(
        groups * draw(st.sampled_from((1, 3, 16, 40))),
        groups * draw(st.integers(1, 20)),
        kernel, stride, padding, dilation, groups, draw(st.booleans()),
        s=draw(st.integers(2, 8)),
        shared=draw(st.booleans()),
    )  # fmt: skip
    size = [d * (k - 1) + 1 + draw(st.integers(0, 17)) for d, k in zip(dilation, kernel, strict=True)]
    return layer, (draw(st.integers(1, 3)), size[0], size[1])


def dense(layer: LearnableVersatileConv2d) -> Tensor:
    """The secondary filters in float64, masks multiplied out."""
    masks = layer.masks().view(-1, layer.num_secondary, *layer.weight.shape[1:]).double()
    every = (layer.weight.detach().double().unsqueeze(1) * masks).flatten(0, 1)
    by_group = every.view(layer.groups, -1, *every.shape[1:])
    return by_group[:, : layer.out_channels // layer.groups].flatten(0, 1)


def convolve(x: Tensor, filters: Tensor, layer: LearnableVersatileConv2d) -> Tensor:
    top, left, bottom, right = sides(layer.padding, layer.kernel_size, layer.dilation)
    padded = F.pad(x, (left, right, top, bottom))
    return F.conv2d(padded, filters, None, layer.stride, 0, layer.dilation, layer.groups)


@quiet
@given(case=layers(), activation=st.sampled_from(ACTIVATIONS), threads=st.integers(1, 2), data=st.data())
def test_it_is_the_convolution(
    isa: str, form: str, case: Any, activation: str, threads: int, data: st.DataObject
) -> None:
    layer, (n, height, width) = case
    x = torch.randn(n, layer.in_channels, height, width)
    packed = PackedConv2d(layer)
    packed.activation = activation
    expected = convolve(x.double(), dense(layer), layer)
    largest = convolve(x.double().abs(), dense(layer).abs(), layer) + 10
    if layer.bias is not None:
        expected = expected + layer.bias.double().view(-1, 1, 1)
    residual = torch.randn(expected.shape) * 5 if data.draw(st.booleans()) else None
    if residual is not None:
        expected = expected + residual.double()
    expected = {"none": lambda t: t, "relu": F.relu, "relu6": F.relu6}[activation](expected)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    got = packed(x, residual)
    torch.set_num_threads(before)
    assert got.shape == expected.shape
    assert bool(((got - expected).abs() <= 1e-6 * largest).all())


def test_more_units_than_a_chunk_and_more_positions_than_a_block(isa: str) -> None:
    layer = LearnableVersatileConv2d(BLOCK + 3, 600, 1, s=4)
    x = torch.randn(2, BLOCK + 3, 9, 8)
    torch.testing.assert_close(PackedConv2d(layer)(x), layer(x), rtol=1e-5, atol=1e-5)


@quiet
@given(case=layers(), value=st.sampled_from((torch.nan, torch.inf, -torch.inf)), data=st.data())
def test_what_is_not_finite_reaches_the_outputs_whose_mask_has_it(
    isa: str, form: str, case: Any, value: float, data: st.DataObject
) -> None:
    layer, (n, height, width) = case
    layer.weight.data += layer.weight.sign() * 0.1  # no weight is zero
    x = torch.randn(n, layer.in_channels, height, width)
    at = [data.draw(st.integers(0, size - 1)) for size in x.shape]
    clean = PackedConv2d(layer)(x)
    spot = torch.zeros_like(x)
    spot[tuple(at)] = 1
    x[tuple(at)] = value
    got = PackedConv2d(layer)(x)
    touched = convolve(spot.double(), (dense(layer) != 0).double(), layer) > 0
    assert torch.equal(~got.isfinite(), touched)
    torch.testing.assert_close(got[~touched], clean[~touched], rtol=1e-4, atol=1e-4)


def test_relu_keeps_nan(isa: str) -> None:
    layer = LearnableVersatileConv2d(1, 2, 1, s=2)
    layer.agent.data.fill_(1)
    for activation in ACTIVATIONS:
        packed = PackedConv2d(layer)
        packed.activation = activation
        assert packed(torch.full((1, 1, 5, 7), torch.nan)).isnan().all()


def test_a_weight_of_zero_makes_nan_of_an_infinity_and_a_masked_one_does_not(isa: str, form: str) -> None:
    layer = LearnableVersatileConv2d(3, 8, 1, s=4, bias=False)
    layer.weight.data[:, 1] = torch.tensor([0.0, -0.0]).view(2, 1, 1)
    got = PackedConv2d(layer)(torch.tensor([1.0, torch.inf, 2.0]).view(1, 3, 1, 1))
    assert torch.equal(got.isnan().flatten(), layer.masks().view(8, 3)[:, 1])


def test_masked_weights_contribute_nothing(isa: str, form: str) -> None:
    layer = LearnableVersatileConv2d(8, 12, 3, s=3, padding=1, bias=False)
    unused = ~layer.masks().view(layer.num_primary, 3, 8, 3, 3).any(1)
    assert unused.any()
    x = torch.randn(1, 8, 6, 6)
    expected = PackedConv2d(layer)(x)
    layer.weight.data[unused] = torch.nan
    assert torch.equal(PackedConv2d(layer)(x), expected)


@given(case=layers())
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_unpacking_gives_the_filters(form: str, case: Any) -> None:
    layer, _ = case
    assert torch.equal(PackedConv2d(layer).filters(), layer.secondary_filters())


def test_without_a_library_torch_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "get", lambda: None)
    layer = LearnableVersatileConv2d(90, 9, 2, padding="same", groups=3, s=3)
    packed = PackedConv2d(layer)
    packed.activation = "relu"
    x, residual = torch.randn(2, 90, 5, 5), torch.randn(2, 9, 5, 5)
    torch.testing.assert_close(packed(x, residual), F.relu(layer(x) + residual))
    other = PackedConv2d(LearnableVersatileConv2d(90, 9, 2, padding="same", groups=3, s=3))
    assert packed.bias is not None
    assert other.bias is not None
    packed.bias.copy_(other.bias)
    packed.get_buffer("steps").view(-1).view(torch.float32).view(-1, 4)[:, :2].mul_(
        2
    )  # weights that change must be noticed
    doubled = packed.filters()
    expected = F.conv2d(F.pad(x, (0, 1, 0, 1)), doubled, packed.bias, groups=3)
    torch.testing.assert_close(packed(x), F.relu(expected))


def test_a_broadcast_residual_is_added_all_the_same(best: None) -> None:
    layer = LearnableVersatileConv2d(4, 6, 1, s=2)
    packed = PackedConv2d(layer)
    packed.activation = "relu"
    x, residual = torch.randn(2, 4, 5, 5), torch.randn(2, 6, 1, 1)
    torch.testing.assert_close(packed(x, residual), F.relu(layer(x) + residual))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(1, 3, 5, 5), r"must be \(N, 4, H, W\)"),
        (torch.zeros(4, 5, 5), r"must be \(N, 4, H, W\)"),
        (torch.zeros(1, 4, 5, 5, dtype=torch.float64), "float32"),
        (torch.zeros(1, 4, 2, 5), "smaller than the kernel"),
    ],
)
def test_wrong_inputs_are_refused(best: None, x: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PackedConv2d(LearnableVersatileConv2d(4, 6, 3))(x)


@pytest.mark.parametrize(("at", "floats"), [(0, 1 << 21), (3, 1 << 21), (5, 100), (0, 0)])
def test_memory_in_large_pages_is_as_it_was(compiled: ctypes.CDLL, at: int, floats: int) -> None:
    whole = torch.arange(float(at + (1 << 21)))
    moved = compiled.slim_large_pages(whole[at:].data_ptr(), 4 * floats)
    assert 0 <= moved <= 4 * floats >> 21
    assert torch.equal(whole, torch.arange(float(at + (1 << 21))))


def test_tools_can_trace_it(best: None) -> None:
    packed = PackedConv2d(LearnableVersatileConv2d(8, 6, 3, stride=2, padding=1)).eval()
    x = torch.randn(2, 8, 7, 8)
    arguments = (
        x, list(packed.packed()), None, packed.bias, None, 6, [3, 3], [2, 2], packed.padding, [1, 1], 1, "relu",
    )  # fmt: skip
    checks = ("test_schema", "test_faketensor", "test_aot_dispatch_static")
    torch.library.opcheck(torch.ops.slimbench.packed_conv2d.default, arguments, test_utils=checks)
    compiled = torch.compile(packed, backend="aot_eager", fullgraph=True, dynamic=True)
    for images in (x, x[:, :, :5], x[:1]):
        assert torch.equal(compiled(images), packed(images))
    exported = torch.export.export(packed, (x,)).module()
    assert torch.equal(exported(x), packed(x))


def test_two_callers_and_a_fork_share_no_pool(best: None, two_threads: None) -> None:
    packed = PackedConv2d(LearnableVersatileConv2d(16, 64, 3, padding=1, s=4))
    x = torch.randn(1, 16, 30, 30)
    expected = packed(x)
    with ThreadPoolExecutor(4) as callers:
        for got in callers.map(lambda _: packed(x), range(40)):
            assert torch.equal(got, expected)
    child = os.fork()
    if child == 0:
        os._exit(not np.array_equal(packed(x).numpy(), expected.numpy()))  # torch.equal has threads of its own
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


_DRIVER = """
import ctypes, json, pathlib, sys, types
import numpy as np
sanitized, folder, package, *beyond = sys.argv[1:]
for name in ("backbones", "backbones.kernels"):  # the modules without the package, which imports PyTorch
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [str(pathlib.Path(package).parent if name == "backbones" else package)]
from backbones.kernels import library
compiled = library.load(sanitized)
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
arrays = dict(np.load(folder + "/arrays.npz"))
def room(size):  # memory that ends where the array ends, so that the sanitizer sees the byte beyond
    return libc.malloc(size)
def exact(name):
    buffer = room(arrays[name].nbytes)
    ctypes.memmove(buffer, arrays[name].ctypes.data, arrays[name].nbytes)
    return buffer
def restore(kind, fields):
    structure = kind()
    for name, of_field in kind._fields_:
        value = fields[name]
        if isinstance(value, dict): value = restore(of_field, value)
        elif isinstance(value, str): value = exact(value)
        setattr(structure, name, value)
    return structure
def read(address, like):
    return np.frombuffer((ctypes.c_char * like.nbytes).from_address(address), like.dtype).reshape(like.shape)
def floats(values):  # of bfloat16, which numpy has not
    return values if values.dtype != np.int16 else (values.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
def results(isa):
    for call in json.loads(pathlib.Path(folder + "/calls.json").read_text()):
        x, expected = exact(call["x"]), [arrays[name] for name in call["y"]]
        pointers = [room(array.nbytes) for array in expected]
        y, pieces = pointers[0], (ctypes.c_void_p * len(pointers))(*pointers)
        if call["function"] in ("slim_conv_fold", "slim_conv_unfold"):
            folding = restore(library.Folding, call["folding"])
            told, weights = ctypes.addressof(folding), exact(call["weights"])
            if call["function"] == "slim_conv_fold": failed = compiled.slim_conv_fold(told, x, weights, pieces)
            else:
                gradients = (ctypes.c_void_p * len(call["gradients"]))(*[exact(name) for name in call["gradients"]])
                failed = compiled.slim_conv_unfold(told, x, weights, gradients, *pointers)
        elif call["function"] == "slim_chain":
            layers = (library.Layer * len(call["layers"]))(*[restore(library.Layer, each) for each in call["layers"]])
            failed = compiled.slim_chain(layers, len(layers), x, y, room(4 * call["arena"]))
        elif call["function"] == "slim_max_pool":
            shape = restore(library.Pooling, call["shape"])
            failed = compiled.slim_max_pool(ctypes.addressof(shape), x, y)
        else:
            shape, weights = restore(library.Shape, call["shape"]), call["weights"]
            if call["function"] == "slim_conv_depthwise": address = exact(weights)
            else:
                kind = library.StreamWeights if call["function"] == "slim_conv_streams" else library.ProductWeights
                weights = restore(kind, weights)
                address = ctypes.addressof(weights)
            more = [call[name] and exact(call[name]) for name in ("scale", "bias", "residual")]
            failed = getattr(compiled, call["function"])(ctypes.addressof(shape), address, x, *more, y)
        assert not failed
        for address, right in zip(pointers, expected):
            got, rough = floats(read(address, right)), any(array.dtype == np.int16 for array in expected)
            right = floats(right)
            assert np.allclose(got, right, *(2 * [0.05 if rough else 1e-4])), (isa, call, abs(got - right).max())
        if beyond:
            ctypes.memmove(y, y + expected[0].nbytes, 4)  # a read beyond the end: the sanitizer must see it
for isa in (b"avx512", b"avx2", b"portable"):
    if compiled.slim_use(isa):
        results(isa)
print("clean")
"""


class _Recorder:
    """Stands in for the library and notes what it is told, its arrays by name."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.arrays: dict[str, npt.NDArray[Any]] = {}
        self.known: dict[int, Tensor] = {}

    def record(self, module: nn.Module, *inputs: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
        """Note the one call that ``module(*inputs)`` makes, and what it should return: a tensor or several."""
        tensors = [*inputs, *module.buffers(), *module.parameters()]
        self.known = {tensor.data_ptr(): tensor for tensor in tensors}
        with monkeypatch.context() as patch:
            patch.setattr(library, "get", lambda: self)
            module(*inputs)
            patch.setattr(library, "get", lambda: None)
            with torch.no_grad():
                found = module(*inputs)
            self.calls[-1]["y"] = [self.name(y) for y in ([found] if isinstance(found, Tensor) else found)]

    def name(self, tensor: Tensor) -> str:
        self.arrays[f"a{len(self.arrays)}"] = tensor.detach().numpy()
        return f"a{len(self.arrays) - 1}"

    def at(self, pointer: int | None) -> str | None:
        return self.name(self.known[pointer]) if pointer else None

    def fields(self, structure: ctypes.Structure) -> dict[str, Any]:
        told: dict[str, Any] = {}
        for name, kind in structure._fields_:  # type: ignore[misc]
            value = getattr(structure, name)
            if isinstance(value, ctypes.Structure):
                value = self.fields(value)
            told[name] = self.at(value) if kind is ctypes.c_void_p else value
        return told

    def convolution(self, function: str, shape: int, weights: Any, pointers: tuple[int, ...]) -> int:
        x, scale, bias, residual = map(self.at, pointers[:4])
        told = {"shape": self.fields(library.Shape.from_address(shape)), "weights": weights}
        self.calls.append({"function": function, "x": x, "scale": scale, "bias": bias, "residual": residual, **told})
        return 0

    def slim_conv_streams(self, shape: int, weights: int, *pointers: int) -> int:
        return self.convolution(
            "slim_conv_streams", shape, self.fields(library.StreamWeights.from_address(weights)), pointers
        )

    def slim_conv_products(self, shape: int, weights: int, *pointers: int) -> int:
        return self.convolution(
            "slim_conv_products", shape, self.fields(library.ProductWeights.from_address(weights)), pointers
        )

    def slim_conv_depthwise(self, shape: int, weights: int, *pointers: int) -> int:
        return self.convolution("slim_conv_depthwise", shape, self.at(weights), pointers)

    def slim_max_pool(self, shape: int, x: int, y: int) -> int:
        told = self.fields(library.Pooling.from_address(shape))
        self.calls.append({"function": "slim_max_pool", "x": self.at(x), "shape": told})
        return 0

    def slim_large_pages(self, begin: int, size: int) -> int:
        return 0

    def slim_conv_fold(self, shape: int, x: int, weights: int, maps: Any) -> int:
        told = self.fields(library.Folding.from_address(shape))
        self.calls.append({"function": "slim_conv_fold", "x": self.at(x), "weights": self.at(weights), "folding": told})
        return 0

    def slim_conv_unfold(self, shape: int, x: int, weights: int, gradients: Any, *pointers: int) -> int:
        self.slim_conv_fold(shape, x, weights, None)
        self.calls[-1] |= {"function": "slim_conv_unfold", "gradients": [self.at(pointer) for pointer in gradients]}
        return 0

    def slim_chain(self, layers: Any, count: int, x: int, y: int, arena: int) -> int:
        ends = [layer.y.at + _written(layer) for layer in layers if layer.y.of == library.ARENA]
        told = [self.fields(layer) for layer in layers]
        self.calls.append({"function": "slim_chain", "x": self.at(x), "layers": told, "arena": max(ends, default=0)})
        return 0


class _Folds(nn.Module):
    """SlimConv's sums, or with gradients of the maps theirs, on tensors in the order in which memory has them."""

    def __init__(self, last: bool) -> None:
        super().__init__()
        self.last = last

    def forward(self, x: Tensor, weights: Tensor, *gradients: Tensor) -> list[Tensor]:
        if not gradients:
            return [self.out(y) for y in torch.ops.slimbench.fold(self.into(x), weights)]
        inside = [self.into(gradient) for gradient in gradients]
        of_x, of_weights = torch.ops.slimbench.fold_backward(inside, self.into(x), weights, True, True)
        return [self.out(of_x), of_weights]

    def into(self, x: Tensor) -> Tensor:
        x = x.view(torch.bfloat16) if x.dtype == torch.int16 else x
        return x.permute(0, 3, 1, 2) if self.last else x

    def out(self, y: Tensor) -> Tensor:
        y = (y.permute(0, 2, 3, 1) if self.last else y).contiguous()
        return y.view(torch.int16) if y.dtype == torch.bfloat16 else y


def _written(layer: library.Layer) -> int:
    """Floats from the first to the last that a layer of a chain writes."""
    if layer.kind == library.MEAN:
        return int(layer.gate.batch * layer.gate.channels)
    if layer.kind == library.GATE:
        return int(layer.gate.batch * layer.gate.outputs)
    if layer.kind == library.FOLD:
        return int(layer.folding.batch * layer.folding.paths * layer.folding.width * layer.folding.size)
    if layer.kind == library.POOL:
        return int(layer.pooling.planes * layer.pooling.out_height * layer.pooling.out_width)
    of = layer.shape
    return int(((of.batch - 1) * of.y_channels + of.out_channels) * of.out_height * of.out_width)


@pytest.mark.slow
def test_an_address_sanitizer_finds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        compiler = build.compiler()
        flags = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
        sanitized = build.build(tmp_path / "sanitized.so", flags)
        asked = [*compiler.split(), "-print-file-name=libasan.so"]
        runtime = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (build.BuildError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no address sanitizer: {error}")
    if not Path(runtime).is_file():
        pytest.skip("the compiler has no libasan.so")
    preload = {**os.environ, "LD_PRELOAD": str(Path(runtime).resolve()), "ASAN_OPTIONS": "detect_leaks=0"}

    def driven(*more: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "driver.py").write_text(_DRIVER)  # too long to read in a traceback
        package = Path(build.__file__).parent
        command = [sys.executable, str(tmp_path / "driver.py"), str(sanitized), str(tmp_path), str(package), *more]
        return subprocess.run(command, capture_output=True, text=True, env=preload, check=False)

    recorder = _Recorder()
    cases: tuple[tuple[nn.Conv2d | VersatileConv2d, tuple[int, int]], ...] = (
        (LearnableVersatileConv2d(5, 7, 3, 2, 1, s=3), (9, 7)),
        (LearnableVersatileConv2d(7, 26, 1, s=4), (9, 31)),  # written out
        (LearnableVersatileConv2d(BLOCK + 1, 9, 1, s=8), (7, 7)),
        (LearnableVersatileConv2d(6, 12, 3, padding=2, dilation=2, groups=2, s=4), (12, 11)),
        (LearnableVersatileConv2d(4, 6, (1, 3), s=2), (5, 30)),
        (nn.Conv2d(3, 7, 3, 2, 1, bias=False), (9, 7)),  # copied to panels
        (nn.Conv2d(6, 12, 3, padding=1, groups=2), (13, 41)),  # rows that are little longer than the output's
        (nn.Conv2d(PRODUCT_BLOCK + 1, 9, 1), (9, 31)),  # the input itself
        (nn.Conv2d(2, 3, 1), (1, 1)),
        (SpatialVersatileConv2d(3, 20, 5, 3, 2), (11, 8)),
        (LearnableVersatileConv2d(PRODUCT_BLOCK + 1, 40, 1, s=5, shared=True), (20, 20)),
        (nn.Conv2d(5, 5, 3, padding=1, groups=5), (9, 17)),
        (nn.Conv2d(4, 4, 3, 2, 1, groups=4), (11, 35)),
        (nn.Conv2d(3, 3, 5, 2, 2, groups=3, bias=False), (33, 9)),
        (nn.Conv2d(2, 2, (3, 2), (1, 3), "valid", 2, 2), (6, 9)),
        (nn.Conv2d(1, 9, 3, padding="same", dilation=4), (3, 3)),  # all rows of some positions are padding
    )
    for i, (layer, size) in enumerate(cases):
        torch.set_num_threads(1 + i % 2)
        packed = PackedConv2d(layer)
        packed.activation = ACTIVATIONS[i % 3]
        packed.scale = None if i % 4 else torch.rand(layer.out_channels) + 0.5
        x = torch.randn(2 - i % 2, layer.in_channels, *size)
        inputs = (x, torch.randn(packed(x).shape)) if i % 3 else (x,)
        recorder.record(packed, *inputs, monkeypatch=monkeypatch)
    for options, size in (((3, 2, 1), (9, 8)), ((2,), (7, 5)), ((3, 1, 1), (4, 1)), ((5, 4, 2), (17, 19))):
        pool = DeployedMaxPool2d(nn.MaxPool2d(*options))
        recorder.record(pool, torch.randn(2, 3, *size), monkeypatch=monkeypatch)
    first, second = nn.Conv2d(3, 8, 3, 2, 1), LearnableVersatileConv2d(8, 8, 3, padding=1, s=2)
    last, after = LearnableVersatileConv2d(8, 16, 1, s=2, shared=True), nn.Conv2d(16, 16, 3, 2, 1, groups=16)
    packed_layers = [PackedConv2d(layer) for layer in (first, second, last, after, nn.Conv2d(16, 21, 1))]
    pool = DeployedMaxPool2d(nn.MaxPool2d(3, 1, 1))
    one, two, three, four, five = packed_layers
    links: list[Any] = [(one, 0, -1), (pool, 1, -1), (two, 2, 1), (three, 3, -1), (four, 4, -1)]
    chain = Chain([*links, (DeployedMean2d(), 5, -1), (five, 6, -1)])
    recorder.record(chain, torch.randn(2, 3, 13, 9), monkeypatch=monkeypatch)
    for slim in (SlimConv2d(34), SlimConv2d(34, third_branch=True, stride=2)):
        network = deploy(nn.Sequential(nn.Conv2d(3, 34, 3), slim, nn.ReLU()))
        recorder.record(network, torch.randn(2, 3, 9, 8), monkeypatch=monkeypatch)
    widths = ((1, 2, 2, 8, 0), (2, 2, 2, 17, 1), (1, 3, 3, 5, 2), (2, 2, 4, 16, 0), (1, 1, 8, 3, 5))
    for i, (n, paths, chunks, width, left_over) in enumerate(widths * 4):
        last, half = i // 5 % 2 == 1, i // 10 == 1
        torch.set_num_threads(1 + i % 3)
        channels, pixels = chunks * width + left_over, (3, 11) if i % 2 else (5, 6)
        x, *gradients = (torch.randn(n, *(*pixels, c) if last else (c, *pixels)) for c in (channels, *[width] * paths))  # type: ignore[misc]
        inputs = [t.bfloat16().view(torch.int16) if half else t for t in (x, *gradients)]
        weights = torch.rand(n, paths, chunks, width)
        recorder.record(_Folds(last), inputs[0], weights, monkeypatch=monkeypatch)
        recorder.record(_Folds(last), inputs[0], weights, *inputs[1:], monkeypatch=monkeypatch)
    assert {call["function"] for call in recorder.calls} == {
        "slim_conv_streams", "slim_conv_products", "slim_conv_depthwise", "slim_max_pool", "slim_chain",
        "slim_conv_fold", "slim_conv_unfold",
    }  # fmt: skip
    np.savez(tmp_path / "arrays.npz", **recorder.arrays)  # type: ignore[arg-type]
    (tmp_path / "calls.json").write_text(json.dumps(recorder.calls))
    done = driven()
    assert done.stdout == "clean\n", done.stderr[-3000:]
    broken = driven("beyond")
    assert "heap-buffer-overflow" in broken.stderr, "the sanitizer does not see a read beyond the end"


def without_a_mask(layer: LearnableVersatileConv2d) -> LearnableVersatileConv2d:
    layer.agent.data.zero_()
    return layer
