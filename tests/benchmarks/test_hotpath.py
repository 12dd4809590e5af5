"""Iterations in which nothing waits for the device, and a log that is the same as MMEngine's."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.training import engine
from benchmarks.training.classifier import ImageClassifier
from benchmarks.training.hotpath import DeferredRuntimeInfoHook
from benchmarks.training.runner import closing

NAME = "cifar10/smoke/resnet56_cifar"
BATCHES = 10  # of 8 images in each of 2 epochs; the losses are logged every 5


@pytest.fixture
def run(cifar10, tmp_path, tiny_network):
    def start(hook, folder="work"):
        config = engine.prepare(NAME, 0, cifar10, tmp_path / folder)
        config.train_dataloader.batch_size = 8
        config.train_cfg.max_epochs = 2
        config.default_hooks.logger.interval = 5
        config.default_hooks.runtime_info = {"type": hook}
        config.val_cfg = config.val_dataloader = config.val_evaluator = None
        config.visualizer = {"type": "Visualizer", "vis_backends": [{"type": "LocalVisBackend"}], "name": folder}
        # Closed, or a run that begins within the same second goes on in the message hub of the one before.
        with closing(engine.build_runner(config)) as runner:
            runner.train()
        return runner

    return start


class OnGpu(torch.Tensor):
    """A tensor that says it is on a GPU, so that hooks treat it as one whose value must be waited for."""

    device = property(lambda self: torch.device("cuda"))


class Watch(TorchDispatchMode):
    """Notes (iteration, operation) for every operation that returns only when a GPU has done all its work."""

    WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "_unique2", "is_nonzero")

    def __init__(self):
        super().__init__()
        self.iteration = -1
        self.found = []

    def note(self, name):
        if self.iteration >= 0:
            self.found.append((self.iteration, name))

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function._schema.name.removeprefix("aten::")
        indices = args[1] if name in ("index", "index_put_") else ()
        if name in self.WAITING or any(index is not None and index.dtype == torch.bool for index in indices):
            self.note(name)
        return function(*args, **(kwargs or {}))


@pytest.fixture
def watch(monkeypatch):
    watch = Watch()
    forward, step = ImageClassifier.forward, ImageClassifier.train_step

    def forward_on_gpu(self, inputs, labels=None, mode="tensor"):
        losses = forward(self, inputs, labels, mode)
        return {name: loss.as_subclass(OnGpu) for name, loss in losses.items()}

    def numbered_step(self, data, optim_wrapper):
        watch.iteration += 1
        return step(self, data, optim_wrapper)

    def noted(name):
        original = getattr(torch.Tensor, name)

        def call(self, *args, **kwargs):
            watch.note(name)
            with torch._C.DisableTorchFunctionSubclass():  # or it comes here a second time
                return original(self, *args, **kwargs)

        return call

    monkeypatch.setattr(ImageClassifier, "forward", forward_on_gpu)
    monkeypatch.setattr(ImageClassifier, "train_step", numbered_step)
    for name in ("item", "tolist", "cpu", "numpy"):
        monkeypatch.setattr(torch.Tensor, name, noted(name))
    return watch


def test_nothing_waits_for_the_device_but_where_losses_are_logged(run, watch):
    with watch:
        run("DeferredRuntimeInfoHook")
    assert watch.iteration + 1 == 2 * BATCHES
    assert {iteration % 5 for iteration, _ in watch.found} == {4}, watch.found
    inside = [name for iteration, name in watch.found if iteration % BATCHES == 4]
    assert inside == ["tolist"] * 2, "one read, of all losses together, where an epoch does not end"


def test_the_watch_sees_what_mmengine_reads_in_each_iteration(run, watch):
    with watch:
        run("RuntimeInfoHook")
    assert {iteration for iteration, _ in watch.found} == set(range(2 * BATCHES))


def test_the_log_is_the_one_of_mmengine(run, tmp_path):
    logs = []
    for hook in ("RuntimeInfoHook", "DeferredRuntimeInfoHook"):
        run(hook, hook)
        (written,) = (tmp_path / hook).glob("*/vis_data/scalars.json")
        points = [json.loads(line) for line in written.read_text().splitlines()]
        logs.append([{k: v for k, v in point.items() if k not in ("time", "data_time")} for point in points])
    assert logs[0] == logs[1]
    assert len(logs[0]) == 4
    assert logs[0][0].keys() >= {"loss", "loss_cls", "lr", "epoch", "iter", "step"}


@pytest.fixture
def fake_runner():
    """A runner of one epoch of 2,500 iterations, as far as the hook looks at it."""
    from mmengine.logging import MessageHub

    dataset = SimpleNamespace(metainfo={})
    loader = type("Loader", (list,), {"dataset": dataset})(range(2500))
    values = dict.fromkeys(("epoch", "iter", "max_epochs", "max_iters"), 0)
    wrapper = SimpleNamespace(get_lr=lambda: {"lr": [0.1]})
    return SimpleNamespace(
        message_hub=MessageHub(f"test {id(loader)}"), train_dataloader=loader, optim_wrapper=wrapper, hooks=[], **values
    )


def test_a_history_does_not_grow_for_ever(fake_runner):
    hook = DeferredRuntimeInfoHook(interval=7, history=20)
    hook.before_train(fake_runner)
    for index in range(2500):
        hook.before_train_iter(fake_runner, index)
        hook.after_train_iter(fake_runner, index, outputs={"loss": torch.tensor(float(index)), "given": index})
    scalars = fake_runner.message_hub.log_scalars
    assert scalars["train/loss"].data[0].tolist() == list(range(2480, 2500)), "the last of an epoch are read too"
    assert len(scalars["train/lr"].data[0]) == 20
    assert scalars["train/given"].current() == 2499


def test_an_epochs_losses_are_kept_by_default(fake_runner):
    hook = DeferredRuntimeInfoHook()
    hook.before_train(fake_runner)
    for index in range(2500):
        hook.after_train_iter(fake_runner, index, outputs={"loss": torch.tensor(1.0)})
    assert len(fake_runner.message_hub.log_scalars["train/loss"].data[0]) == 2500


def test_an_interval_below_one_is_refused():
    with pytest.raises(ValueError, match="interval must be at least 1, not 0"):
        DeferredRuntimeInfoHook(interval=0)


def test_a_fused_optimizer_does_for_masks_what_the_plain_one_does():
    """Groups of their own for H, without weight decay, and the rule after each step."""
    from torch import nn

    import backbones
    from backbones.adapters.mmengine import mask_agents, split_mask_groups
    from backbones.ops import LearnableVersatileConv2d

    trained = []
    for fused in (False, True):
        torch.manual_seed(0)
        model = nn.Sequential(LearnableVersatileConv2d(3, 8, 3), nn.BatchNorm2d(8), LearnableVersatileConv2d(8, 4, 3))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, fused=fused)
        split_mask_groups(optimizer, [], mask_agents(model), 30.0)
        optimizer.register_step_post_hook(lambda *_, model=model: backbones.after_step(model))
        for _ in range(3):
            (model(torch.ones(4, 3, 8, 8)).square().mean() + backbones.mask_penalty(model)).backward()
            optimizer.step()
            optimizer.zero_grad()
        assert all(0 <= agent.min() <= agent.max() <= 1 for agent in mask_agents(model))
        trained.append(model.state_dict())
    for name, expected in trained[0].items():
        torch.testing.assert_close(trained[1][name], expected, msg=name)
