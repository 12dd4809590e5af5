"""What every operator must survive, whatever it computes."""

from __future__ import annotations

import copy
import io
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from backbones.ops import (
    ChannelVersatileConv2d,
    LearnableVersatileConv2d,
    NaiveVersatileConv2d,
    SlimConv2d,
    SpatialChannelVersatileConv2d,
    SpatialVersatileConv2d,
)

Maker = Callable[[], nn.Module]

#: all take (N, 8, H, W)
OPERATORS: dict[str, Maker] = {
    "slim": lambda: SlimConv2d(8),
    "slim shuffle 3b": lambda: SlimConv2d(8, arrangement="shuffle", third_branch=True),
    "slim groups": lambda: SlimConv2d(8, groups=2, stride=2, dilation=2),
    "spatial": lambda: SpatialVersatileConv2d(8, 5, 3, padding=1),
    "spatial groups": lambda: SpatialVersatileConv2d(8, 6, 5, stride=2, padding="valid", groups=2, bias=False),
    "channel": lambda: ChannelVersatileConv2d(8, 6, 3, padding="same", gap=4, channel_stride=2),
    "channel released": lambda: ChannelVersatileConv2d(
        8, 6, 1, gap=2, channel_stride=2, reading="released", groups=2, bias=False
    ),
    "spatial+channel": lambda: SpatialChannelVersatileConv2d(8, 7, 3, gap=4, channel_stride=4),
    "shared": lambda: LearnableVersatileConv2d(8, 7, 3, padding=1, shared=True),
    "separate": lambda: LearnableVersatileConv2d(8, 7, 3, s=3, padding=1, bias=False),
    "separate groups": lambda: LearnableVersatileConv2d(8, 6, 3, dilation=2, groups=2),
    "naive": lambda: NaiveVersatileConv2d(8, 6, 5, stride=2, groups=2),
    "literal": lambda: LearnableVersatileConv2d(8, 6, 3, rule="literal"),
}
#: one of each kind and one with groups: compiling takes two seconds each
COMPILED = (
    "slim",
    "slim shuffle 3b",
    "spatial",
    "channel",
    "channel released",
    "spatial+channel",
    "shared",
    "separate groups",
)
every_operator = pytest.mark.parametrize("make", OPERATORS.values(), ids=OPERATORS.keys())


def batch() -> Tensor:
    return torch.randn(3, 8, 9, 7, generator=torch.Generator().manual_seed(3))


def step(layer: nn.Module, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Output, and gradients of the input and of every parameter that learns."""
    x = x.clone().requires_grad_()
    y = layer(x)
    learned = [p for p in layer.parameters() if p.requires_grad]
    direction = torch.randn(y.shape, generator=torch.Generator().manual_seed(4))
    return y, list(torch.autograd.grad((y * direction).sum(), [x, *learned]))


def assert_same_step(a: tuple[Tensor, list[Tensor]], b: tuple[Tensor, list[Tensor]]) -> None:
    torch.testing.assert_close(a[0], b[0], rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(a[1], b[1], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


@every_operator
def test_channels_last(make: Maker) -> None:
    layer = make()
    expected = step(copy.deepcopy(layer), batch())
    layer = layer.to(memory_format=torch.channels_last)
    found = step(layer, batch().to(memory_format=torch.channels_last))
    assert_same_step(found, expected)


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize(
    "make",
    [
        lambda: SpatialVersatileConv2d(1, 6, 3, padding=1),
        lambda: LearnableVersatileConv2d(1, 6, 3, s=3, padding=1),
        lambda: LearnableVersatileConv2d(1, 7, 3, shared=True),
        lambda: NaiveVersatileConv2d(1, 6, 3),
    ],
    ids=["spatial", "separate", "shared", "naive"],
)
def test_channels_last_begins_at_an_image_of_one_channel(make: Maker, autocast: bool) -> None:
    """Such an image is in both orders, so that the filters must say which one is meant."""
    layer, x = make(), batch()[:, :1].clone(memory_format=torch.contiguous_format)
    expected = step(copy.deepcopy(layer), x)
    last = copy.deepcopy(layer).to(memory_format=torch.channels_last)
    assert_same_step(step(last, x.to(memory_format=torch.channels_last)), expected)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        for image in (x, x.to(memory_format=torch.channels_last)):
            assert last(image).is_contiguous(memory_format=torch.channels_last)
        assert layer(x).is_contiguous()


@pytest.mark.parametrize("name", ["spatial", "separate groups"])
def test_the_order_in_memory_costs_nothing_that_is_counted(name: str) -> None:
    from ptflops import get_model_complexity_info

    def counted(layer: nn.Module) -> tuple[float, float]:
        found: tuple[float, float] = get_model_complexity_info(
            nn.Sequential(layer), (8, 9, 7), as_strings=False, print_per_layer_stat=False, backend="aten"
        )
        return found

    plain, last = OPERATORS[name](), OPERATORS[name]().to(memory_format=torch.channels_last)
    assert counted(last) == counted(plain)
    assert counted(plain)[0] > 0


@every_operator
def test_autocast(make: Maker) -> None:
    layer = make()
    expected = copy.deepcopy(layer)(batch())
    x = batch().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), expected, rtol=0.1, atol=0.1)
    y.float().square().mean().backward()
    for tensor in (x, *(p for p in layer.parameters() if p.requires_grad)):
        assert tensor.grad is not None
        assert tensor.grad.dtype == torch.float32
        assert torch.isfinite(tensor.grad).all()


@pytest.mark.parametrize("name", COMPILED)
def test_compiled_without_a_graph_break(name: str) -> None:
    layer = OPERATORS[name]()
    expected = step(copy.deepcopy(layer), batch())
    torch._dynamo.reset()
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert_same_step(step(compiled, batch()), expected)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
def test_compiled_by_inductor() -> None:
    layer = nn.Sequential(SlimConv2d(8), LearnableVersatileConv2d(6, 6, 3), SpatialVersatileConv2d(6, 4, 3))
    expected = step(copy.deepcopy(layer), batch())
    torch._dynamo.reset()
    assert_same_step(step(torch.compile(layer, fullgraph=True), batch()), expected)


def test_a_compiled_slim_conv_takes_a_batch_of_one() -> None:
    layer = SlimConv2d(8)
    expected = step(copy.deepcopy(layer), batch()[:1])
    torch._dynamo.reset()
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert_same_step(step(compiled, batch()[:1]), expected)
    compiled(batch())


@every_operator
def test_exported(make: Maker) -> None:
    layer = make().eval()
    program = torch.export.export(layer, (batch(),))
    torch.testing.assert_close(program.module()(batch()), layer(batch()))


@every_operator
def test_state_dict_round_trip(make: Maker) -> None:
    layer, other = make(), make()
    layer(batch())  # so that buffers differ as well
    assert not torch.allclose(layer.eval()(batch()), other.eval()(batch()))
    buffer = io.BytesIO()
    torch.save(layer.state_dict(), buffer)
    buffer.seek(0)
    assert other.load_state_dict(torch.load(buffer, weights_only=True)) == ([], [])
    torch.testing.assert_close(other(batch()), layer(batch()), rtol=0, atol=0)


@every_operator
def test_copies_are_independent_and_pickles_equal(make: Maker) -> None:
    layer = make().eval()
    expected = layer(batch())
    twin = copy.deepcopy(layer)
    pickled = pickle.loads(pickle.dumps(layer))
    for copied in (twin, pickled):
        torch.testing.assert_close(copied(batch()), expected, rtol=0, atol=0)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(1)
    torch.testing.assert_close(layer(batch()), expected, rtol=0, atol=0)


@every_operator
def test_built_on_the_meta_device(make: Maker) -> None:
    with torch.device("meta"):
        layer = make()
    assert {tensor.device.type for tensor in layer.state_dict().values()} == {"meta"}
    assert layer.eval()(batch().to("meta")).shape == make().eval()(batch()).shape


@every_operator
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions(make: Maker, dtype: torch.dtype) -> None:
    layer = make().to(dtype)
    y = layer(batch().to(dtype))
    assert y.dtype == dtype
    y.sum().backward()
    assert {p.grad.dtype for p in layer.parameters() if p.requires_grad} == {dtype}


@every_operator
@pytest.mark.parametrize("size", [(5, 5), (6, 11), (33, 17)])
def test_inputs_of_any_size(make: Maker, size: tuple[int, int]) -> None:
    layer = make()
    first = step(layer, torch.randn(2, 8, *size))[0]
    assert torch.isfinite(first).all()
    conv = (
        next(m for m in layer.modules() if getattr(m, "kernel_size", (1, 1)) != (1, 1))
        if "gate" in dict(layer.named_children())
        else layer
    )
    like = nn.Conv2d(8, 8, conv.kernel_size, conv.stride, conv.padding, conv.dilation)
    assert first.shape == (2, layer.out_channels, *like(torch.randn(2, 8, *size)).shape[2:])


@every_operator
def test_repr_names_what_it_is(make: Maker) -> None:
    layer = make()
    assert layer.extra_repr().startswith(f"{layer.in_channels}, {layer.out_channels}, ")


DISTRIBUTED = """
import sys
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
import backbones
from backbones.ops import *

rank, store, result = int(sys.argv[1]), sys.argv[2], sys.argv[3]
torch.set_num_threads(1)


def network():
    torch.manual_seed(0)
    layers = [
        SpatialVersatileConv2d(4, 5, 3), LearnableVersatileConv2d(5, 7, 3, s=3, shared=True),
        LearnableVersatileConv2d(7, 8, 1), ChannelVersatileConv2d(8, 8, 1, gap=4, channel_stride=4),
    ]
    return nn.Sequential(*layers, SlimConv2d(8).eval())


def loss(model, x):
    return model(x).square().mean() + backbones.mask_penalty(model)


x = torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(1))
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
model = DistributedDataParallel(network())
loss(model, x[2 * rank : 2 * rank + 2]).backward()
alone = network()
(sum(loss(alone, x[2 * i : 2 * i + 2]) for i in range(2)) / 2).backward()
for (name, ours), theirs in zip(model.module.named_parameters(), alone.parameters(), strict=True):
    assert ours.grad is not None and ours.grad.abs().sum() > 0, name
    torch.testing.assert_close(ours.grad, theirs.grad, msg=lambda text: f"{name}: {text}")
open(f"{result}{rank}", "w").write("equal")
dist.destroy_process_group()
"""


def test_two_processes_average_what_one_would_compute(tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(DISTRIBUTED, encoding="utf-8")
    root = Path(__file__).resolve().parents[2]
    workers = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", str(script), str(rank), str(tmp_path / "store"), str(tmp_path / "rank")],
            env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        errors = [worker.communicate(timeout=300)[1] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert [worker.returncode for worker in workers] == [0, 0], "\n".join(errors)
    assert [(tmp_path / f"rank{rank}").read_text() for rank in range(2)] == ["equal", "equal"]
