"""A compiled network: the same numbers, the same keys, one compilation, and checkpoints that serve both ways."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from benchmarks.errors import UserError
from benchmarks.training import compiling, engine
from benchmarks.training.classifier import ImageClassifier

NAME = "cifar10/smoke/resnet56_cifar"


@pytest.fixture
def compiled(tiny_network):
    """A classifier and its twin, whose network is compiled for batches of 4 by a backend that needs no compiler."""

    def build(choice="aot_eager"):
        torch.manual_seed(0)
        plain = ImageClassifier("any", 10)
        torch.manual_seed(0)
        twin = ImageClassifier("any", 10, compile=choice)
        twin.compile_for(4)
        return plain, twin

    return build


@pytest.fixture
def shapes(monkeypatch):
    """The shapes of the images for which a network was compiled, noted by a backend called "noting"."""
    noted = []

    def noting(module, example_inputs):
        noted.append(tuple(next(x.shape for x in example_inputs if x.dim() == 4 and x.shape[-1] == 32)))
        return module.forward

    torch._dynamo.register_backend(noting, name="noting")
    yield noted
    torch._dynamo.backends.registry._BACKENDS.pop("noting")
    torch._dynamo.backends.registry._COMPILER_FNS.pop("noting")


def batch(rows):
    draw = torch.Generator().manual_seed(rows)
    return torch.randn(rows, 3, 32, 32, generator=draw), torch.randint(10, (rows,), generator=draw)


def test_loss_and_gradients_are_those_of_the_eager_network(compiled):
    plain, twin = compiled()
    for model in (plain, twin):
        model.train()
        for rows in (4, 3):
            model(*batch(rows), mode="loss")["loss_cls"].backward()
    for (name, expected), (same_name, found) in zip(plain.named_parameters(), twin.named_parameters(), strict=True):
        assert name == same_name
        torch.testing.assert_close(found.grad, expected.grad, msg=name)
    torch.testing.assert_close(twin.network.bn.running_mean, plain.network.bn.running_mean)


def test_only_the_training_batches_are_compiled_and_once(compiled, shapes):
    _, twin = compiled("noting")
    twin.train()
    for rows in (3, 4, 4, 3, 4):
        twin(*batch(rows), mode="loss")["loss_cls"].backward()
    twin.eval()
    with torch.no_grad():
        twin(*batch(4), mode="predict")
    assert shapes == [(4, 3, 32, 32)]


def test_each_network_of_a_series_is_compiled(compiled, shapes):
    """Torch gives up on a function after eight recompilations, and runs it eagerly without a word."""
    for _ in range(9):
        _, twin = compiled("noting")
        twin.train()(*batch(4), mode="loss")
    assert len(shapes) == 9


def test_the_keys_are_those_of_an_eager_network(compiled):
    plain, twin = compiled()
    twin.train()(*batch(4), mode="loss")
    assert list(twin.state_dict()) == list(plain.state_dict())
    plain.load_state_dict(twin.state_dict(), strict=True)


def test_a_copy_of_a_compiled_model_has_weights_of_its_own(compiled):
    _, twin = compiled()
    images, _ = batch(4)
    twin.train()(images)
    average = copy.deepcopy(twin)  # as EMAHook makes it
    with torch.no_grad():
        twin.network.fc.weight.zero_()
        twin.network.fc.bias.zero_()
    assert average(images).abs().sum() > 0
    assert twin(images).abs().sum() == 0


@pytest.mark.parametrize(
    ("choice", "auto", "mode"),
    [
        (None, None, None),
        (None, "default", "default"),
        ("auto", "reduce-overhead", "reduce-overhead"),
        (False, "default", None),
        (True, None, "default"),
        ("max-autotune", None, "max-autotune"),
        ("aot_eager", None, "aot_eager"),
    ],
)
def test_choices(monkeypatch, choice, auto, mode):
    monkeypatch.setitem(compiling.AUTO, "cpu", auto)
    monkeypatch.setenv("CXX", "g++")
    assert compiling.chosen_mode(choice, "cpu", compiling.LONG_RUN) == mode


@pytest.mark.parametrize("choice", [None, "auto"])
def test_left_to_itself_a_short_run_is_eager_and_so_is_one_without_a_compiler(monkeypatch, choice):
    monkeypatch.setitem(compiling.AUTO, "cpu", "default")
    monkeypatch.setenv("CXX", "g++")
    assert compiling.chosen_mode(choice, "cpu", compiling.LONG_RUN - 1) is None
    monkeypatch.delenv("CXX")
    monkeypatch.setattr(compiling.shutil, "which", lambda name: None)
    assert compiling.chosen_mode(choice, "cpu", compiling.LONG_RUN) is None
    assert compiling.chosen_mode(True, "cpu", compiling.LONG_RUN) == "default", "asked for: an error follows"


def test_a_device_that_nobody_measured_runs_eagerly():
    assert compiling.chosen_mode(None, "npu") is None


def test_graph_modes_are_modes_of_torch():
    assert set(compiling.GRAPH_MODES) <= set(compiling.modes())


def test_an_unknown_mode_names_the_nearest():
    with pytest.raises(UserError, match=r"compile='reduce-overhaed'.*did you mean reduce-overhead"):
        compiling.chosen_mode("reduce-overhaed", "cpu")


@pytest.mark.parametrize(("device", "missing"), [("cpu", "a C\\+\\+ compiler"), ("cuda", "Triton")])
def test_a_missing_compiler_is_said_before_training(monkeypatch, device, missing):
    monkeypatch.setattr(compiling.shutil, "which", lambda name: None)
    monkeypatch.setattr(compiling, "find_spec", lambda name: None)
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(UserError, match=f"torch.compile needs {missing} on a {device} device"):
        compiling.compile_network(nn.Identity(), "default", device)


@pytest.mark.parametrize("mode", ["default", "reduce-overhead", "max-autotune"])
def test_inductor_is_told_the_mode_and_the_threads(monkeypatch, mode):
    told = {}
    monkeypatch.setattr(compiling, "missing_tool", lambda device: None)
    monkeypatch.setattr(nn.Module, "compile", lambda module, **keywords: told.update(keywords))
    compiling.compile_network(nn.Identity(), mode, "cuda")
    options = torch._inductor.list_mode_options(mode) | {"cpp.threads": torch.get_num_threads()}
    assert told == {"options": options, "dynamic": False}


class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3, 1, 1))

    def forward(self, x):
        return (self.weight * x).sin()


@pytest.mark.slow
@pytest.mark.skipif(compiling.missing_tool("cpu") is not None, reason="inductor needs a C++ compiler")
def test_loops_for_another_number_of_threads_are_not_taken_from_the_cache(tmp_path, monkeypatch):
    from torch._dynamo.utils import counters

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    images, before, found = torch.randn(2, 3, 32, 32), torch.get_num_threads(), []
    try:
        for threads in (2, 1, 1):
            torch.set_num_threads(threads)
            torch.compiler.reset()
            counters.clear()
            network = Scale()
            compiling.compile_network(network, "default", "cpu")
            output = network(images)
            torch.testing.assert_close(output, network.forward(images))
            output.sum().backward()
            found.append((counters["inductor"]["fxgraph_cache_hit"], counters["inductor"]["fxgraph_cache_miss"]))
    finally:
        torch.set_num_threads(before)
    assert found == [(0, 2), (0, 2), (2, 0)]  # forward and backward


def test_the_hook_leaves_other_models_alone():
    compiling.CompileHook().before_train(SimpleNamespace(model=nn.Identity()))


@pytest.fixture
def train(cifar10, tmp_path, monkeypatch, tiny_network):
    """Runs of two epochs of three batches, the last one smaller; the first try fails at the step that is named."""
    prepare, step = engine.prepare, ImageClassifier.train_step

    def run(folder, choice, fails_at=None):
        def changed(*arguments, **keywords):
            config = prepare(*arguments, **keywords)
            config.model.compile = choice
            return config

        steps = []

        def counted(self, data, optim_wrapper):
            steps.append(None)
            if len(steps) == fails_at:
                raise RuntimeError("power cut")
            return step(self, data, optim_wrapper)

        monkeypatch.setattr(engine, "prepare", changed)
        monkeypatch.setattr(ImageClassifier, "train_step", counted)
        place = tmp_path / folder
        outcome = engine.train(NAME, 0, data=cifar10, work_dir=place, results=tmp_path / f"{folder} results")
        return torch.load(place / "epoch_2.pth", weights_only=True)["state_dict"], outcome.result.environment.compile

    return run


def test_runs_are_compiled_resumed_and_recorded(train):
    whole, mode = train("whole", "eager")  # dynamo's graph, run as it is
    assert mode == "eager"
    with pytest.raises(RuntimeError, match="power cut"):
        train("parts", "eager", fails_at=5)
    resumed, _ = train("parts", "eager")
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


def test_an_eager_run_is_recorded_as_such(train):
    assert train("work", False)[1] == "no"
