"""Whole networks in one call: the same as layer by layer, whatever is loaded, copied or asked of them."""

from __future__ import annotations

import copy
import ctypes
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, fx, nn

from backbones.kernels import PackedConv2d, chain, deploy, library, release
from backbones.kernels.chain import Chain
from backbones.kernels.pooling import DeployedMaxPool2d
from backbones.ops import LearnableVersatileConv2d, SlimConv2d, SpatialVersatileConv2d
from backbones.ops.versatile import VersatileConv2d

quiet = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
Link = tuple[PackedConv2d | DeployedMaxPool2d, int, int]


@pytest.fixture(params=["library", "torch"])
def then(request: pytest.FixtureRequest, compiled: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Deployed with the library; to be called before a network runs, which then has it or, elsewhere, has not."""
    monkeypatch.setattr(library, "get", lambda: compiled)
    left = compiled if request.param == "library" else None
    return lambda: monkeypatch.setattr(library, "get", lambda: left)


class Block(nn.Module):
    """3x3, 3x3 with separate masks, and the input added; a 1x1 convolution where sizes change."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.norm_one = nn.BatchNorm2d(width)
        self.two = LearnableVersatileConv2d(width, width, 3, padding=1, bias=False, s=2)
        self.norm_two = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.down: nn.Module | None = None
        if stride > 1 or channels != width:
            self.down = nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.norm_one(self.one(x)))
        out: Tensor = self.relu(self.norm_two(self.two(y)) + (x if self.down is None else self.down(x)))
        return out


def residual_network(seed: int = 0) -> nn.Sequential:
    """Masks are the same whatever the seed, so that a state_dict of one fits the other."""
    torch.manual_seed(1000)
    net = nn.Sequential(
        nn.Conv2d(3, 16, 5, 2, 2, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1),
        Block(16, 16, 1), Block(16, 24, 2),
        SpatialVersatileConv2d(24, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU6(),
        LearnableVersatileConv2d(32, 32, 1, s=4, shared=True),
    )  # fmt: skip
    torch.manual_seed(seed)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_var, module.weight):
                tensor.data.uniform_(0.5, 1.5)  # type: ignore[union-attr]
            for tensor in (module.running_mean, module.bias):
                tensor.data.normal_(0, 0.1)  # type: ignore[union-attr]
        elif isinstance(module, nn.Conv2d | VersatileConv2d):
            module.weight.data.normal_(0, 0.1)
    return net.eval()


def chains(net: nn.Module) -> list[Chain]:
    return [module for module in net.modules() if isinstance(module, Chain)]


def close(got: Tensor, expected: Tensor) -> bool:
    error, size = (tensor.abs().max() if tensor.numel() else 0 for tensor in (got - expected, expected))
    return got.shape == expected.shape and bool(error <= 1e-5 * size)


def check(deployed: nn.Module, net: nn.Module, *sizes: tuple[int, int, int]) -> None:
    for n, height, width in sizes:
        x = torch.randn(n, 3, height, width)
        with torch.no_grad():
            assert close(deployed(x), net(x))


def test_a_network_is_one_call_that_computes_the_same(then: Callable[[], None]) -> None:
    net = residual_network()
    deployed = deploy(net)
    then()
    (chain,) = chains(deployed)
    assert len(chain.layers) == 9  # stem, pool, two blocks with one downsample, two convolutions
    assert isinstance(deployed, fx.GraphModule)
    assert [node.op for node in deployed.graph.nodes] == ["placeholder", "call_module", "output"]
    check(deployed, net, (2, 33, 31), (1, 48, 16), (5, 9, 9), (2, 33, 31), (3, 1, 1))


def test_two_threads_compute_the_same(best: None) -> None:
    net = residual_network()
    deployed = deploy(net)
    x = torch.randn(2, 3, 41, 37)
    alone = deployed(x)
    torch.set_num_threads(2)
    together = deployed(x)
    torch.set_num_threads(1)
    assert torch.equal(alone, together)
    check(deployed, net, (2, 41, 37))


def layer_by_layer(links: list[Link], x: Tensor) -> Tensor:
    values = [x]
    for layer, value, residual in links:
        if isinstance(layer, DeployedMaxPool2d):
            values.append(layer(values[value]))
        else:
            values.append(layer(values[value], None if residual < 0 else values[residual]))
    return values[-1]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Link], tuple[int, int, int]]:
    """Layers that read and add values from anywhere before them; the last one is the output."""
    n, height, width = draw(st.integers(1, 3)), draw(st.integers(4, 20)), draw(st.integers(4, 20))
    shapes = [(5, height, width)]
    links: list[Link] = []
    for _ in range(draw(st.integers(2, 9))):
        value = draw(st.integers(0, len(shapes) - 1))
        channels, height, width = shapes[value]
        stride = draw(st.sampled_from((1, 1, 1, 2)))
        size = (height - 1) // stride + 1, (width - 1) // stride + 1
        if draw(st.integers(0, 4)) == 0:
            links.append((DeployedMaxPool2d(nn.MaxPool2d(3, stride, 1)), value, -1))
            shapes.append((channels, *size))
            continue
        outputs = draw(st.sampled_from((5, 12)))
        kernel = draw(st.sampled_from((1, 3)))
        same = [-1, *(i for i, shape in enumerate(shapes) if shape == (outputs, *size))]
        more = (channels, outputs, kernel, stride, kernel // 2)
        layer = PackedConv2d(nn.Conv2d(*more) if draw(st.booleans()) else LearnableVersatileConv2d(*more, s=2))
        layer.activation = draw(st.sampled_from(("none", "relu", "relu6")))
        if draw(st.booleans()):
            layer.fold(nn.BatchNorm2d(outputs))
        links.append((layer, value, draw(st.sampled_from(same))))
        shapes.append((outputs, *size))
    return links, (n, *shapes[0][1:])


@quiet
@given(
    case=graphs(), large=st.sampled_from((0, 400, 1000, 10**6)), spot=st.sampled_from((0.0, torch.nan, torch.inf)),
)  # fmt: skip
def test_values_stay_until_they_are_read_for_the_last_time(
    either: str, monkeypatch: pytest.MonkeyPatch, case: tuple[list[Link], tuple[int, int, int]], large: int, spot: float
) -> None:
    monkeypatch.setattr("backbones.kernels.steps.LARGE", large)  # layers that are taken image by image
    links, (n, height, width) = case
    x = torch.randn(n, 5, height, width)
    x[0, 3, height // 2, width // 3] += spot
    before = x.clone()
    chain, expected = Chain(links), layer_by_layer(links, x)
    first = chain(x)
    assert torch.equal(first.isnan(), expected.isnan())
    assert close(first[expected.isfinite()], expected[expected.isfinite()])  # pixels may be summed in other registers
    assert torch.equal(chain(x).nan_to_num(), first.nan_to_num())  # with the plan that is known
    assert torch.equal(x.nan_to_num(), before.nan_to_num())


def test_the_input_can_be_added_at_the_end(best: None) -> None:
    class Far(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convs = nn.ModuleList(nn.Conv2d(8, 8, 3, padding=1) for _ in range(5))

        def forward(self, x: Tensor) -> Tensor:
            first = y = torch.relu(self.convs[0](x))
            for conv in self.convs[1:4]:
                y = torch.relu(conv(y)) if conv is self.convs[1] else torch.relu(conv(y) + first)
            out: Tensor = self.convs[4](y) + x
            return out

    net = Far().eval()
    deployed = deploy(net)
    assert len(chains(deployed)) == 1
    x = torch.randn(2, 8, 9, 7)
    with torch.no_grad():
        assert close(deployed(x), net(x))


def test_a_broadcast_residual_is_added_all_the_same(either: str) -> None:
    conv, other = (PackedConv2d(nn.Conv2d(6, 6, 3, padding=1)) for _ in range(2))
    other.activation = "relu"
    links: list[Link] = [(conv, 0, -1), (DeployedMaxPool2d(nn.MaxPool2d(5)), 1, -1), (other, 1, 2)]
    x = torch.randn(2, 6, 5, 5)
    expected = F.relu(F.conv2d(conv(x), other.filters(), other.bias, padding=1) + conv(x).amax((2, 3), keepdim=True))
    assert close(Chain(links)(x), expected)


def test_a_wrong_input_is_refused_as_layer_by_layer(either: str) -> None:
    first, second = PackedConv2d(nn.Conv2d(3, 8, 3)), PackedConv2d(nn.Conv2d(8, 8, 3))
    links: list[Link] = [(first, 0, -1), (second, 1, -1)]
    for x in (
        torch.zeros(1, 3, 4, 9),  # only the second layer's input is too small
        torch.zeros(1, 3, 2, 9),
        torch.zeros(1, 4, 9, 9),
        torch.zeros(3, 9, 9),
        torch.zeros(1, 3, 9, 9, dtype=torch.float64),
    ):
        with pytest.raises(ValueError, match="input of") as alone:
            layer_by_layer(links, x)
        with pytest.raises(ValueError, match=re.escape(str(alone.value))):
            Chain(links)(x)


@pytest.mark.parametrize("shape", [(1, 3, 9, 9), (1, 40, 9, 9), (32, 9, 9)])
@pytest.mark.parametrize("first", [nn.MaxPool2d(2), SlimConv2d(32, stride=2)])
def test_a_wrong_input_is_refused_whatever_is_first(
    then: Callable[[], None], first: nn.Module, shape: tuple[int, ...]
) -> None:
    channels = 24 if isinstance(first, SlimConv2d) else 32
    deployed = deploy(nn.Sequential(first, nn.Conv2d(channels, 8, 3)))
    assert len(chains(deployed)) == 1
    then()
    with pytest.raises(ValueError, match=re.escape(f"{shape}")):
        deployed(torch.zeros(shape))


def test_networks_of_the_same_sizes_are_not_mixed_up(best: None) -> None:
    nets = [residual_network(seed) for seed in range(3)]
    deployed = [deploy(net) for net in nets]
    for _ in range(2):
        for one, net in zip(deployed, nets, strict=True):
            check(one, net, (1, 20, 24))


def test_another_number_of_secondaries_is_not_loaded(best: None) -> None:
    """Of the same sizes else: two masks of ones, and the same two beside two of zeros."""
    layers = [LearnableVersatileConv2d(5, 8, 1, s=s, shared=True, bias=False) for s in (2, 4)]
    for layer in layers:
        layer.agent.data.zero_()
        layer.agent.data[:2] = 1
    two, four = (PackedConv2d(layer) for layer in layers)
    with pytest.raises(RuntimeError, match="size mismatch for layout"):
        two.load_state_dict(four.state_dict())


@pytest.mark.parametrize(
    "options", [{}, {"third_branch": True}, {"k": 2, "stride": 2}, {"arrangement": "shuffle", "k": 8 / 3}]
)
def test_a_slimconv_is_steps_of_a_chain(best: None, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    net = nn.Sequential(nn.Conv2d(3, 32, 3), SlimConv2d(32, **options), nn.ReLU(), nn.MaxPool2d(3, 2, 1)).eval()
    deployed = deploy(net)
    assert len(chains(deployed)) == 1
    monkeypatch.delattr("backbones.kernels.chain._one_by_one")  # what the library does not do is not done at all
    check(deployed, net, (2, 9, 9), (1, 20, 11), (3, 4, 3))


def test_weights_that_are_loaded_are_noticed(either: str) -> None:
    net, other = residual_network(1), residual_network(2)
    deployed = deploy(net)
    check(deployed, net, (1, 20, 24))
    deployed.load_state_dict(deploy(other).state_dict())
    check(deployed, other, (1, 20, 24))
    deployed.load_state_dict(deploy(net).state_dict(), assign=True)
    check(deployed, net, (1, 20, 24))


def test_it_can_be_moved_copied_and_saved(either: str, tmp_path: Path) -> None:
    net, other = residual_network(1), residual_network(2)
    deployed = deploy(net)
    check(deployed, net, (1, 20, 24))
    for moved in (
        copy.deepcopy(deployed),
        copy.deepcopy(deployed).to("cpu", torch.float32),
        copy.deepcopy(deployed).to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        copy.deepcopy(deployed).float().requires_grad_(False).train().eval(),
    ):
        check(moved, net, (1, 20, 24))
    copied = copy.deepcopy(deployed)
    copied.load_state_dict(deploy(other).state_dict())
    check(copied, other, (1, 20, 24))
    check(deployed, net, (1, 20, 24))  # a copy has weights of its own
    torch.save(deployed, tmp_path / "deployed.pt")
    check(torch.load(tmp_path / "deployed.pt", weights_only=False), net, (2, 20, 24), (1, 9, 9))


def test_another_dtype_is_refused(best: None) -> None:
    deployed = deploy(residual_network()).double()
    for dtype in (torch.float32, torch.float64):
        with pytest.raises(ValueError, match="float32"):
            deployed(torch.randn(1, 3, 20, 24, dtype=dtype))


@pytest.mark.parametrize("there", [True, pytest.param(False)])
def test_a_network_that_is_deployed_in_inference_mode_works(
    compiled: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    monkeypatch.setattr(library, "get", lambda: compiled if there else None)
    net = residual_network()
    x = torch.randn(1, 3, 20, 24)
    with torch.inference_mode():
        deployed = deploy(net)
        assert close(deployed(x), net(x))


def test_the_arena_stays_for_the_next_call_unless_it_is_large(best: None, monkeypatch: pytest.MonkeyPatch) -> None:
    net = residual_network()
    deployed = deploy(net)
    release()
    check(deployed, net, (1, 20, 24))
    (kept,) = chain._arenas
    check(deployed, net, (1, 9, 9), (1, 20, 24))
    assert chain._arenas == [kept]
    check(deployed, net, (3, 40, 40))  # needs a larger one, which stays in its place
    assert len(chain._arenas) == 1
    assert chain._arenas[0].numel() > kept.numel()
    release()
    assert not chain._arenas
    monkeypatch.setattr(chain, "KEPT", 0)
    check(deployed, net, (1, 20, 24))
    assert not chain._arenas


def test_tools_can_trace_it(best: None) -> None:
    deployed = deploy(residual_network())
    (chain,) = chains(deployed)
    x = torch.randn(2, 3, 20, 24)
    tensors = [tensor for layer in chain.layers for tensor in layer.buffers()]
    checks = ("test_schema", "test_faketensor", "test_aot_dispatch_static")
    arguments = (x, tensors, chain._text)
    torch.library.opcheck(torch.ops.slimbench.chain.default, arguments, test_utils=checks)
    traced = torch.compile(deployed, backend="aot_eager", fullgraph=True)
    for images in (x, x[:1], x[:, :, 4:]):
        assert torch.equal(traced(images), deployed(images))
    assert torch.equal(torch.export.export(deployed, (x,)).module()(x), deployed(x))
