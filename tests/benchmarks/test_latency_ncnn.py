"""The mode ncnn: what it refuses and says, what lands in the record, and that the package computes the same network."""

from __future__ import annotations

import sys
import tempfile
from types import SimpleNamespace

import pytest
import torch
from latency_samples import BASE, entrant, measurement, sleepers  # noqa: F401 (a fixture)
from torch import nn

from benchmarks import latency
from benchmarks.cli import main
from benchmarks.errors import UserError
from benchmarks.latency import measuring, modes, ncnn_runtime, product, timing
from benchmarks.latency.setting import Setting
from benchmarks.reports import latencies, latency_figure

SETTING = Setting("inference", "cpu", 1, (3, 8, 8), "fp32", "nchw")


@pytest.fixture
def installed(monkeypatch):
    """As if both packages were there, whether they are or not."""
    monkeypatch.setattr(ncnn_runtime, "find_spec", lambda name: name)


@pytest.fixture
def pnnx(tmp_path, monkeypatch):
    """Stand-ins for both packages; what is returned makes pnnx do what a shell script says."""

    def stand_in(script):
        program = tmp_path / "pnnx"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setitem(sys.modules, "pnnx", SimpleNamespace(EXEC_PATH=str(program)))

    return stand_in


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--batch", "8"], "resnet50:ncnn: --batch 8: ncnn is measured with --batch 1 only"),
        (["--dtype", "bf16"], "resnet50:ncnn: --dtype bf16: ncnn is measured with --dtype fp32 only"),
        (["--layout", "nhwc"], "resnet50:ncnn: --layout nhwc: ncnn is measured with --layout nchw only"),
        (["--training"], "resnet50:ncnn: ncnn does not train; measure it without --training"),
    ],
)
def test_other_settings_are_refused_in_a_line_before_anything_is_built(
    options, message, installed, monkeypatch, capsys
):
    monkeypatch.setattr(measuring, "prepare", lambda *args: pytest.fail("it built a network"))
    assert main(["latency", "resnet50:ncnn", *options]) == 2
    assert capsys.readouterr().err == f"error: {message}\n"


def test_a_gpu_is_refused(installed):
    with pytest.raises(UserError, match="resnet50:ncnn: --device cuda: ncnn is measured with --device cpu only"):
        modes.check(modes.parse("resnet50:ncnn", "eager"), Setting("inference", "cuda:1", 1, (3, 8, 8), "fp32", "nchw"))


@pytest.mark.parametrize(("there", "missing"), [((), "ncnn and pnnx"), (("ncnn",), "pnnx"), (("pnnx",), "ncnn")])
def test_a_missing_package_is_told_with_the_extra_that_brings_it(there, missing, monkeypatch, capsys):
    monkeypatch.setattr(ncnn_runtime, "find_spec", lambda name: name if name in there else None)
    assert main(["latency", "resnet50", "--mode", "ncnn"]) == 2
    assert capsys.readouterr().err == (
        f"error: resnet50:ncnn: {missing} not installed: pip install 'slimbench[ncnn]'\n"
    )


def test_the_record_has_versions_deviation_and_what_ncnn_allocates(sleepers, installed, monkeypatch):  # noqa: F811
    monkeypatch.setattr(product, "SIZES", {"cpu": (64,)})
    monkeypatch.setattr(timing, "WARM_UP", {"cpu": (2, 0.0)})
    monkeypatch.setattr(ncnn_runtime, "version_of", {"ncnn": "1.2", "pnnx": "34"}.get)

    class Doubled:
        weight_bytes = 1000

        def __init__(self, network, images, label):
            self.network = network
            assert (images.shape, label) == ((1, 3, 8, 8), "sleeper_10:ncnn")

        def __call__(self, images):
            return self.network(images) * (1 + 1e-5)

        def most_allocated(self, images):
            return 234

    monkeypatch.setattr(ncnn_runtime, "load", Doubled)
    found = latency.measure(["sleeper_10:ncnn"], "sleeper_10", seconds=0.05)
    one = found.entrants[1]
    assert (one.mode, one.weight_bytes, one.peak_bytes) == ("ncnn", 1000, 1234)
    assert one.deviation == pytest.approx(1e-5, rel=0.1)
    assert one.macs == found.baseline.macs
    assert found.environment.packages == {"ncnn": "1.2", "pnnx": "34"}
    assert latency.measure(["sleeper_10"], "sleeper_10", seconds=0.05).environment.packages == {}


def test_a_network_that_cannot_be_traced_is_told_in_a_line():
    class Own(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x + 1

    class Network(nn.Module):
        def forward(self, x):
            return Own.apply(x)

    with pytest.raises(UserError) as raised:
        ncnn_runtime.load(Network(), SETTING.images(), "net:ncnn")
    assert str(raised.value) == (
        "net:ncnn: torch.jit.trace cannot write it for pnnx: Could not export Python function call 'Own'"
    )


def test_what_pnnx_says_last_is_told_and_nothing_stays_on_the_disk(tmp_path, pnnx, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    pnnx("echo begun; echo 'no such operator' >&2; exit 3")
    with pytest.raises(UserError, match=r"^net:ncnn: pnnx cannot convert it \(exit status 3\): no such operator$"):
        ncnn_runtime.load(nn.ReLU(), SETTING.images(), "net:ncnn")
    pnnx('echo "$@ and wrote nothing"')
    with pytest.raises(
        UserError, match=r"\(exit status 0\): network.pt inputshape=\[1,3,8,8\] fp16=0 and wrote nothing$"
    ):
        ncnn_runtime.load(nn.ReLU(), SETTING.images(), "net:ncnn")
    assert list((tmp_path / "temporary").iterdir()) == []


def test_each_layer_gets_the_shapes_of_its_outputs():
    text = "7767517\n3 4\nInput in0 0 1 in0\nSplit two 1 2 in0 a b\nBinaryOp add 2 1 a b out0 0=0\n"
    shapes = {"in0": (3, 5, 4, 2), "a": (3, 5, 4, 2), "b": (3, 5, 4, 2), "out0": (1, 7, 1, 1)}
    assert ncnn_runtime._with_shapes(text, shapes).splitlines() == [
        "7767517",
        "3 4",
        "Input in0 0 1 in0 -23330=4,3,5,4,2",
        "Split two 1 2 in0 a b -23330=8,3,5,4,2,3,5,4,2",
        "BinaryOp add 2 1 a b out0 0=0 -23330=4,1,7,1,1",
    ]


def test_the_page_names_the_versions_and_the_figure_draws_the_mode():
    environment = measurement().environment.model_copy(update={"packages": {"pnnx": "34", "ncnn": "1.2"}})
    entrants = (entrant("resnet50", BASE, "compiled"), entrant("resnet50", BASE, "ncnn"))
    found = [("latency/0.json", measurement(entrants, environment=environment))]
    document = latencies.markdown(found)
    assert "| resnet50 | ncnn | 4 | 1.000 | **1.000** " in document
    assert "- Packages of the networks in ncnn: ncnn 1.2, pnnx 34.\n" in document
    assert "Packages" not in latencies.markdown([("latency/0.json", measurement())])
    (group,) = latencies.groups(found)
    figure = latency_figure.draw(latencies.frame(group), group.title, group.found.baseline.label)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["compiled", "ncnn", "time as MACs"]
    assert set(latency_figure._MODES) == set(latency.MODES)


# What follows needs both packages.


class Gated(nn.Module):
    """Most of what the catalogue's networks consist of: strides, groups, a residual, a gate, paths that are joined."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6())
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 16, 1), nn.Sigmoid())
        self.grouped = nn.Conv2d(16, 24, 3, padding=2, dilation=2, groups=4)
        self.head = nn.Linear(40, 7)

    def forward(self, x):
        x = self.stem(x)
        x = torch.relu(x + self.depthwise(x))
        weights = self.gate(x)
        x = torch.cat([weights * x, self.grouped(x.flip(1))], 1)
        return self.head(nn.functional.max_pool2d(x, 3, 2, 1).mean((2, 3)))


@pytest.fixture
def packages():
    for name in ncnn_runtime.PACKAGES:
        pytest.importorskip(name)


def build(seed=0):
    torch.manual_seed(seed)
    network = Gated().eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.5)
    nn.init.uniform_(network.stem[1].running_var, 0.5, 2.0)
    return network


@pytest.mark.parametrize("size", [(33, 31), (24, 40), (7, 5)])  # ncnn aligns maps, so odd sizes are a case of their own
def test_ncnn_computes_the_network_in_float32(size, packages):
    network, images = build(), torch.randn(1, 3, *size)
    found = ncnn_runtime.load(network, images, "net:ncnn")
    with torch.no_grad():
        exact = network.double()(images.double())
    output = found(images)
    assert (output.shape, output.dtype) == ((1, 7), torch.float32)
    assert (output - exact).abs().max() < 2e-6 * exact.abs().max(), "half precision makes 1e-4"
    other = torch.randn(1, 3, *size)
    with torch.no_grad():
        exact = network(other.double())
    assert (found(other) - exact).abs().max() < 2e-6 * exact.abs().max(), "another image than that of the conversion"


def test_ncnn_runs_with_torchs_threads_and_without_half_precision(packages):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found = ncnn_runtime.load(build(), SETTING.images(), "net:ncnn")
    finally:
        torch.set_num_threads(before)
    options = found._net.opt
    assert options.num_threads == 2
    halves = [name for name in dir(options) if "fp16" in name or "bf16" in name]
    assert len(halves) >= 4
    assert not any(getattr(options, name) for name in halves)
    with torch.no_grad():
        torch.testing.assert_close(found(SETTING.images()), build()(SETTING.images()))


def test_memory_is_the_weights_of_the_file_and_the_height_of_a_call(packages):
    images = torch.randn(1, 3, 64, 64)
    pooled = ncnn_runtime.load(nn.Sequential(nn.MaxPool2d(2), nn.MaxPool2d(2), nn.MaxPool2d(2)), images, "pools:ncnn")
    most = pooled.most_allocated(images)
    maps = 4 * 3 * (32 * 32 + 16 * 16)  # the first two; the first is gone when the third is made
    assert maps <= most <= maps + 2 * 64  # alignment and a count of references
    assert pooled.most_allocated(images) == most
    assert pooled.weight_bytes == 0
    weights = sum(one.numel() for name, one in build().named_parameters() if "stem.1" not in name) + 16  # norm: a bias
    found = ncnn_runtime.load(build(), images, "net:ncnn")
    assert 4 * weights <= found.weight_bytes <= 4 * weights + 64  # each of the layers has a tag of four bytes


def test_a_layer_that_ncnn_lacks_is_named(packages, pnnx):
    layers = r"7767517\n2 2\nInput in0 0 1 in0\nNoLayer x 1 1 in0 out0\n"
    pnnx(f"printf '{layers}' > network.ncnn.param; : > network.ncnn.bin")
    with pytest.raises(UserError, match=r"^net:ncnn: ncnn has no NoLayer, which pnnx makes of it$"):
        ncnn_runtime.load(nn.ReLU(), SETTING.images(), "net:ncnn")


def test_a_named_model_is_measured_in_ncnn(packages, monkeypatch):
    monkeypatch.setattr(product, "SIZES", {"cpu": (64,)})
    monkeypatch.setattr(timing, "WARM_UP", {"cpu": (2, 0.0)})
    found = latency.measure(["sc_shufflenetv2_cifar:ncnn"], "shufflenetv2_cifar:ncnn", seconds=0.1)
    assert [one.mode for one in found.entrants] == ["ncnn", "ncnn"]
    assert all(0 < one.deviation < 1e-4 for one in found.entrants)
    assert set(found.environment.packages) == {"ncnn", "pnnx"}
