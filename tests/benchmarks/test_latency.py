"""Latency: whose turn it is, what the clock says, what a record holds, and what a mistake tells."""

from __future__ import annotations

import itertools
import json
import random
import statistics

import pytest
import torch
from latency_samples import BASE, HALF, entrant, measurement, sleepers  # noqa: F401 (a fixture)
from pydantic import ValidationError
from torch import nn

import backbones
from benchmarks import latency, ledger
from benchmarks.cli import main
from benchmarks.errors import UserError
from benchmarks.latency import measuring, memory, modes, networks, product, timing
from benchmarks.latency.records import file_name
from benchmarks.latency.setting import Setting

NAME = "resnet50-3x224x224-b1-fp32-nchw-inference-1-thread-some-cpu-2.0ghz-20260102T030405-000678Z.json"
SETTING = Setting("inference", "cpu", 1, (3, 224, 224), "fp32", "nchw")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Small matrices and a short warm-up."""
    monkeypatch.setattr(product, "SIZES", {"cpu": (64, 128)})
    monkeypatch.setattr(timing, "WARM_UP", {"cpu": (2, 0.0)})


class Clock:
    """Time that only passes where a call says so."""

    def __init__(self):
        self.now = 0.0
        self.turns = []

    def __call__(self):
        return self.now

    def entrant(self, name, seconds):
        seconds = itertools.cycle(seconds)

        def call():
            self.turns.append(name)
            self.now += next(seconds)

        return call


def test_entrants_take_turns_in_an_order_drawn_for_each_round():
    clock = Clock()
    calls = [(clock.entrant(name, [1.0]), 1.0) for name in "abc"]
    turns = timing.take_turns(calls, 36.0, lambda: None, clock)
    told = "".join(clock.turns)
    rounds = [told[start : start + 6] for start in range(0, len(told), 6)]
    assert [len(one.seconds) for one in turns] == [len(rounds)] * 3 == [18] * 3
    assert set(rounds) == {"aabbcc", "aaccbb", "bbaacc", "bbccaa", "ccaabb", "ccbbaa"}  # the first of two is not timed
    clock.turns.clear()
    timing.take_turns(calls, 36.0, lambda: None, clock)
    assert "".join(clock.turns) == told, "the order is the same in every measurement"


def test_the_first_call_of_a_run_is_not_timed():
    clock = Clock()
    (turn,) = timing.take_turns([(clock.entrant("a", [5.0, 1.0]), 1.0)], 0.0, lambda: None, clock)
    assert turn.seconds == [1.0] * timing.MIN_ROUNDS


def test_short_calls_are_timed_together_and_rounds_fill_the_seconds():
    clock = Clock()
    calls = [(clock.entrant("a", [0.004]), 0.004), (clock.entrant("b", [0.5]), 0.5)]
    short, long = timing.take_turns(calls, 10.0, lambda: None, clock)
    assert (short.calls, long.calls) == (5, 1)
    assert len(short.seconds) == len(long.seconds) == int(20 / (6 * 0.004 + 2 * 0.5))
    assert short.seconds == pytest.approx([0.004] * len(short.seconds))
    (many,) = timing.take_turns([(clock.entrant("a", [0.02]), 0.02)], 1e6, lambda: None, clock)
    assert len(many.seconds) == timing.MAX_ROUNDS


def test_the_device_is_waited_for_before_and_after_each_run():
    clock = Clock()
    timing.take_turns([(clock.entrant("call", [1.0]), 1.0)], 0.0, lambda: clock.turns.append("wait"), clock)
    assert clock.turns[:4] == ["call", "wait", "call", "wait"]


def test_warm_up_lasts_as_long_as_it_must(monkeypatch):
    monkeypatch.setattr(timing, "WARM_UP", {"cpu": (3, 10.0)})
    clock = Clock()
    assert timing.warm_up(clock.entrant("a", [4.0, 2.0, 3.0, 2.5]), lambda: None, "cpu", clock) == 2.0
    assert len(clock.turns) == 4
    assert timing.warm_up(clock.entrant("b", [40.0, 30.0, 20.0]), lambda: None, "cpu", clock) == 20.0


def test_a_sleeping_network_takes_the_time_it_sleeps(sleepers):  # noqa: F811
    found = latency.measure(["sleeper_20", "sleeper_10"], "sleeper_10", seconds=0.3)
    first, slow, again = found.entrants
    assert 0.010 <= first.seconds.median < 0.02 <= slow.seconds.median < 0.04  # a busy machine may wake it late
    assert slow.ratio.low <= slow.ratio.median <= slow.ratio.high
    assert 1.5 < slow.ratio.median < 2.5
    assert 0.75 < again.ratio.median < 1.33
    assert (first.macs, first.deviation, first.mode) == (3 * 4 * 64, None, "eager")
    assert found.gmacs(first) == pytest.approx(768 / first.seconds.median / 1e9)
    assert found.rounds == len(found.product.seconds.slices) >= timing.MIN_ROUNDS
    assert 0 < first.share_of_peak < 0.01
    assert torch.get_num_threads() >= 1


def test_a_network_against_itself_has_one_in_its_interval_on_a_machine_that_slows_down():
    draw = random.Random(0)
    clock = Clock()

    def call():
        clock.now += (1.0 + clock.now / 100) * draw.uniform(0.9, 1.2)  # twice as slow after a hundred seconds

    calls = [(call, 1.0)] * 3
    turns = timing.take_turns(calls, 200.0, lambda: None, clock)
    assert turns[0].seconds[-1] > 3 * turns[0].seconds[0]
    for turn in turns[1:]:
        ratio = latency.Ratio.of(turn.seconds, turns[0].seconds)
        assert 0.9 < ratio.low < 1 < ratio.high < 1.1


def test_training_calls_forward_and_backward_and_keeps_no_gradient(sleepers, monkeypatch):  # noqa: F811
    built = []
    monkeypatch.setattr(memory, "weight_bytes", lambda network: built.append(network) or 7)
    setting = Setting("training", "cpu", 2, (3, 8, 8), "fp32", "nhwc")
    prepared = networks.prepare(modes.parse("sleeper_10", "eager"), setting)
    (network,) = built
    seen = []
    network.conv.weight.register_post_accumulate_grad_hook(lambda weight: seen.append(weight.grad.shape))
    prepared.call()
    assert network.training
    assert seen == [(4, 3, 1, 1)]
    assert network.conv.weight.grad is None
    assert prepared.deviation is None
    assert network.conv.weight.is_contiguous(memory_format=torch.channels_last)
    assert measuring.PASSES["training"] == 3


def test_a_compiled_network_computes_the_same_and_has_code_of_its_own(monkeypatch):
    monkeypatch.setattr(modes, "FROZEN", {"cpu": {}})
    found = []

    def compiler(function, **options):
        found.append((function.__code__, options))
        return function

    monkeypatch.setattr(torch, "compile", compiler)
    network = nn.ReLU()
    first, second = (modes.compiled(one, {"freezing": True}) for one in (network, nn.Tanh()))
    assert torch.equal(first(torch.tensor([-1.0, 2.0])), torch.tensor([0.0, 2.0]))
    assert torch.equal(second(torch.tensor([0.0])), torch.tensor([0.0]))
    assert found[0][0] is not found[1][0]
    assert found[0][0] != found[1][0]
    assert found[0][1] == {"dynamic": False, "options": {"freezing": True}}


def test_inductor_is_told_to_freeze_within_the_block_only():
    from torch._inductor import config

    assert not config.freezing
    with modes.compiling(modes.FROZEN["cpu"]):
        assert config.freezing
    assert not config.freezing


def test_a_deployed_network_is_compared_with_the_eager_one(sleepers, monkeypatch):  # noqa: F811
    def deploy(network):
        network.seconds = 0.0
        return network

    monkeypatch.setattr(backbones, "deploy", deploy, raising=False)
    found = latency.measure(["sleeper_20:deployed"], "sleeper_20", seconds=0.1)
    assert found.entrants[1].deviation == 0
    assert found.entrants[1].ratio.median < 0.5

    def broken(network):
        network.conv.weight.data *= 1.01
        return network

    monkeypatch.setattr(backbones, "deploy", broken, raising=False)
    with pytest.raises(UserError, match=r"sleeper_20:deployed: its output differs from the eager network's by 0\.0"):
        latency.measure(["sleeper_20:deployed"], "sleeper_20", seconds=0.1)


def test_the_record_says_which_kernel_deployed_networks_have(sleepers, monkeypatch):  # noqa: F811
    monkeypatch.setattr(backbones, "deploy", lambda network: network, raising=False)
    monkeypatch.setattr(modes, "kernel", lambda: "avx2")
    assert latency.measure(["sleeper_10:deployed"], "sleeper_10", seconds=0.01).kernel == "avx2"
    assert latency.measure(["sleeper_10"], "sleeper_10", seconds=0.01).kernel is None


def test_bf16_and_nhwc_are_what_the_network_gets(sleepers, monkeypatch):  # noqa: F811
    seen = []
    original = networks._call
    monkeypatch.setattr(networks, "_call", lambda *args, **kw: seen.append(args[:3]) or original(*args, **kw))
    found = latency.measure(["sleeper_10"], "sleeper_10", dtype="bf16", layout="nhwc", batch=2, seconds=0.1)
    for network, _, images in seen:
        assert images.dtype == network.conv.weight.dtype == torch.bfloat16
        assert images.shape == (2, 3, 8, 8)
        assert images.is_contiguous(memory_format=torch.channels_last)
    assert 0 < found.entrants[0].deviation < 0.05
    assert (found.environment.precision, found.environment.memory_format) == ("bfloat16", "channels_last")


def test_memory_is_the_weights_and_the_height_of_a_call():
    network = nn.Sequential(nn.Conv2d(3, 8, 1, bias=False), nn.ReLU(), nn.Conv2d(8, 2, 1, bias=False))
    images = torch.randn(1, 3, 64, 64)

    def call():
        with torch.inference_mode():
            network(images)

    assert memory.weight_bytes(network) == 4 * (3 * 8 + 8 * 2)
    assert memory.most_allocated(call, "cpu") == 4 * 64 * 64 * (8 + 8)  # the two maps of 8 channels
    network[2].weight = nn.Parameter(network[0].weight.view(2, 12, 1, 1)[:, :8])
    assert memory.weight_bytes(network) == 4 * 3 * 8, "what is shared counts once"


def test_the_matrix_product_is_that_of_the_fastest_size(monkeypatch):
    seconds = iter([0.001, 0.002])
    monkeypatch.setattr(product, "warm_up", lambda *args: next(seconds))
    assert product.fastest("cpu", torch.float32, lambda: None)[::2] == (128, 0.002)


def test_a_record_is_what_was_written_and_lies_where_its_name_says(tmp_path):
    found = measurement()
    path = latency.SHELF.keep(found, tmp_path)
    assert path == tmp_path / "latency" / NAME
    assert latency.SHELF.kept(tmp_path) == [(f"latency/{NAME}", found)]
    assert ledger.runs(tmp_path) == []
    assert found.entrants[1].ratio.median == 0.5
    assert (found.entrants[1].ratio.low, found.entrants[1].ratio.high) == (0.5, pytest.approx(0.75))
    assert found.entrants[1].share_of_peak == pytest.approx(4e9 / 0.2 / (1e6 / 1e-3))
    assert found.product.gmacs == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ratio": {"median": 0.6, "low": 0.5, "high": 0.75}}, "its ratio .* is not that of its runs"),
        ({"ratio": {"median": 0.5, "low": 0.5, "high": 0.6}}, "its ratio .* is not that of its runs"),
        ({"share_of_peak": 0.5}, "its share of the peak is"),
        ({"seconds": {"median": 0.2, "low": 0.2, "high": 0.2, "slices": [0.2] * 6}}, "has 6 runs, the baseline 7"),
    ],
)
def test_a_record_that_contradicts_itself_is_refused(change, message):
    content = json.loads(measurement().model_dump_json())
    content["entrants"][1].update(change)
    with pytest.raises(ValidationError, match=message):
        latency.Measurement.model_validate(content)


def test_the_name_tells_what_was_measured():
    gpu = measurement().environment.model_copy(update={"gpu": "NVIDIA H100"})
    name = file_name(measurement(device="cuda", environment=gpu, dtype="bf16", layout="nhwc"))
    assert name == NAME.replace("fp32-nchw", "bf16-nhwc").replace("1-thread-some-cpu-2.0ghz", "nvidia-h100")
    threads = measurement().environment.model_copy(update={"cpu_threads": 4})
    assert "-training-4-threads-" in file_name(
        measurement((entrant("resnet50", BASE, task="training"),), task="training", environment=threads)
    )


def test_the_command_prints_keeps_and_writes_what_it_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SLIMBENCH_RESULTS", str(tmp_path / "ledger"))
    asked = []

    def measure(*args, **options):
        options.pop("tell")
        asked.append((args, options))
        return measurement()

    monkeypatch.setattr(latency, "measure", measure)
    arguments = ["latency", "sc_resnet50:deployed", "--baseline", "resnet50:compiled"]
    assert main([*arguments, "--input", "3x64x48", "--json", str(tmp_path / "out.json"), "--keep"]) == 0
    captured = capsys.readouterr()
    assert captured.err == f"kept as {tmp_path}/ledger/latency/{NAME}; slimbench reproduce latency shows it\n"
    line = next(line for line in captured.out.splitlines() if "sc_resnet50" in line)
    assert "0.500 (0.500-0.750)" in line
    assert "200 (200-250)" in line
    assert latency.Measurement.model_validate_json((tmp_path / "out.json").read_text()) == measurement()
    assert latency.SHELF.kept() == [(f"latency/{NAME}", measurement())]
    ((names, baseline), options) = asked[0]
    assert (names, baseline, options["input_size"]) == (["sc_resnet50:deployed"], "resnet50:compiled", (3, 64, 48))
    assert (options["threads"], options["device"], options["task"], options["mode"]) == (1, "cpu", "inference", "eager")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["resnet50:compield"], "resnet50:compield: no mode 'compield' (there are eager, "),
        (["resnet5"], "no model 'resnet5'"),
        (["nothing*"], "no model of resnet50's input is called nothing*"),
        (["resnet56_cifar"], "resnet56_cifar takes 3x32x32 and the baseline 3x224x224; give --input"),
        (["resnet50:deployed", "--training"], "resnet50:deployed: a deployed network cannot be trained"),
        (["resnet50", "--device", "tpu"], "--device 'tpu'"),
        (["resnet50", "--input", "224"], "224"),
        (["resnet50", "--json", "nowhere/out.json"], "--json nowhere/out.json: there is no folder nowhere"),
    ],
)
def test_mistakes_are_told_in_a_line_before_anything_is_built(arguments, message, monkeypatch, capsys):
    monkeypatch.setattr(measuring, "prepare", lambda *args: pytest.fail("it built a network"))
    assert main(["latency", *arguments]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line


def test_a_pattern_means_the_classifiers_of_the_baselines_input():
    like = modes.Wanted("resnet50", "eager")
    found = modes.matching("sc_resnet50*:compiled", "eager", like)
    names = [one.model for one in found]
    assert {"sc_resnet50", "sc_resnet50_k8_3"} <= set(names)
    assert "sc_resnet50_cifar" in backbones.list_models("sc_resnet50*")
    assert not [name for name in names if "cifar" in name]
    assert {one.mode for one in found} == {"compiled"}
    assert modes.matching("resnet56_cifar", "eager", like) == [modes.Wanted("resnet56_cifar", "eager")]


def test_without_deploy_the_mode_is_refused(monkeypatch):
    monkeypatch.setattr(modes, "backbones", object())
    with pytest.raises(UserError, match=r"has no deploy\(\); modes without it are eager, compiled and ncnn"):
        modes.check(modes.Wanted("resnet50", "deployed"), SETTING)


def test_a_missing_compiler_is_told(monkeypatch):
    monkeypatch.setattr("benchmarks.training.compiling.missing_tool", lambda device: "a C++ compiler")
    with pytest.raises(UserError, match=r"resnet50:compiled: torch.compile needs a C\+\+ compiler on a cpu device"):
        modes.check(modes.Wanted("resnet50", "compiled"), SETTING)


def test_a_network_that_fails_is_named(sleepers):  # noqa: F811
    setting = Setting("inference", "cpu", 1, (4, 8, 8), "fp32", "nchw")
    with pytest.raises(UserError, match="sleeper_10:eager on 1x4x8x8, fp32, inference: RuntimeError: "):
        networks.prepare(modes.parse("sleeper_10", "eager"), setting)


def test_medians_have_the_interval_of_order_statistics():
    from benchmarks.statistics import median_interval

    values = [float(value) for value in range(100)]
    low, high = median_interval(values)
    assert (low, high) == (39.0, 60.0)  # the 40th smallest and largest of 100, as tables have it
    torch.manual_seed(0)
    draws = torch.empty(400, 25).exponential_()
    inside = [lo <= 0.6931 <= hi for lo, hi in (median_interval(row.tolist()) for row in draws)]
    assert statistics.fmean(inside) > 0.93
    with pytest.raises(ValueError, match="5 values have no interval of their median"):
        median_interval([1.0] * 5)
