"""What each process of a test of several processes does. Nothing here is a test.

The processes come from a fork server that has imported everything once: a fresh interpreter takes seconds to do it.
"""

from __future__ import annotations

import copy
import itertools
import multiprocessing
import os
import signal
import socket
import traceback
from pathlib import Path
from typing import ClassVar

import torch
import torch.distributed as torch_dist
from mmengine.hooks import Hook
from torch import nn
from torch.utils.data import Dataset

# With the main module preloaded as well, pytest would run in the server
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["benchmarks.training.engine", "benchmarks.training.launch", "benchmarks.cli.train"])
PATIENCE_S = 300  # well below launch.TIMEOUT_S: who waits for that counts as hung
COUNT = itertools.count()


class Network(nn.Module):
    """A convolution, one with learnable masks, a layer to class scores; `norm` makes a normalisation or nothing."""

    def __init__(self, num_classes=10, norm=nn.Identity):
        super().__init__()
        from backbones.ops import LearnableVersatileConv2d

        self.conv = nn.Conv2d(3, 8, 3, stride=4)
        self.norm = norm(8)
        self.masked = LearnableVersatileConv2d(8, 8, 3, stride=2, s=2)
        self.fc = nn.Linear(8, num_classes)

    def forward(self, x):
        return self.fc(torch.relu(self.masked(torch.relu(self.norm(self.conv(x))))).mean((2, 3)))


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch norm with the statistics of all processes' images: SyncBatchNorm's formula, on the CPU, equal shares."""

    def forward(self, x):
        if not self.training or not torch_dist.is_initialized():
            return super().forward(x)
        from torch.distributed.nn.functional import all_reduce

        processes = torch_dist.get_world_size()
        mean = all_reduce(x.mean((0, 2, 3))) / processes
        square = all_reduce((x * x).mean((0, 2, 3))) / processes
        var = square - mean * mean
        scale = self.weight * (var + self.eps).rsqrt()
        return (x - mean[:, None, None]) * scale[:, None, None] + self.bias[:, None, None]


class Images(Dataset):
    """Random images whose mean colour depends on the label; shifted by an amount that depends on the epoch."""

    metainfo: ClassVar = {}

    def __init__(self, count):
        draw = torch.Generator().manual_seed(11)
        self.labels = torch.arange(count) % 10
        palette = torch.randn(10, 3, 1, 1, generator=draw)
        self.images = palette[self.labels] + torch.randn(count, 3, 16, 16, generator=draw)
        self.shift = 0

    def set_epoch(self, seed, epoch):
        self.shift = (seed + epoch) % 5

    def __len__(self):
        return len(self.labels)

    def __getitems__(self, indices):
        return {"inputs": self.images[indices].roll(self.shift, 3), "labels": self.labels[indices]}


def batch_norm_and_dropout(channels):
    return nn.Sequential(nn.BatchNorm2d(channels), nn.Dropout(0.3))


NORMS = {
    "none": nn.Identity,
    "batch": nn.BatchNorm2d,
    "shared": SharedBatchNorm,
    "dropout": batch_norm_and_dropout,
}


def use_network(norm="none"):
    """Every name of the catalogue makes the network above."""
    import backbones

    backbones.create_model = lambda name, num_classes=10, **kwargs: Network(num_classes, NORMS[norm])


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start(function, *arguments, processes=2):
    """Run `function(rank, *arguments)` in as many processes, as torchrun would; their exit codes (None: hung)."""
    port = free_port()
    started = [
        CONTEXT.Process(target=_enter, args=(rank, processes, port, function, arguments), daemon=True)
        for rank in range(processes)
    ]
    for process in started:
        process.start()
    try:
        for process in started:
            process.join(PATIENCE_S)
        return [process.exitcode for process in started]
    finally:
        for process in started:
            if process.is_alive():
                process.kill()


def _enter(rank, processes, port, function, arguments):
    os.environ.update(
        RANK=str(rank),
        WORLD_SIZE=str(processes),
        LOCAL_RANK=str(rank),
        LOCAL_WORLD_SIZE=str(processes),
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
        CUDA_VISIBLE_DEVICES="",
    )
    torch.set_num_threads(1)
    try:
        code = function(rank, *arguments)
    except BaseException:  # noqa: BLE001 (told through the exit code)
        traceback.print_exc()
        os._exit(1)
    os._exit(code or 0)


def mmengine_config(work_dir, images=77, total=16, epochs=2, launcher="none", average=False):
    """A config for MMEngine's own Runner: float32, SGD with momentum, masks, a falling learning rate."""
    from mmengine.config import Config

    loader = {
        "dataset": {"type": Images, "count": 23},
        "sampler": {"type": "EpochSampler", "shuffle": False, "round_up": False},
        "collate_fn": {"type": "identity_collate"},
        "batch_size": 7,
        "num_workers": 0,
    }
    train = {
        **loader,
        "dataset": {"type": Images, "count": images},
        "sampler": {"type": "EpochSampler", "shuffle": True},
        "batch_size": total,
    }
    return Config(
        {
            "experiment": "cifar10/tiny/network",
            "protocol": {"name": "tiny", "proxy": True, "epochs": epochs, "description": "tiny"},
            "model": {"type": "ImageClassifier", "name": "network", "num_classes": 10},
            "train_dataloader": train,
            "val_dataloader": loader,
            "val_evaluator": {"type": "Top1Accuracy"},
            "train_cfg": {"type": "EpochBasedTrainLoop", "max_epochs": epochs},
            "val_cfg": {},
            "optim_wrapper": {"type": "OptimWrapper", "optimizer": {"type": "SGD", "lr": 0.2, "momentum": 0.9}},
            "param_scheduler": [{"type": "LinearLR", "start_factor": 1.0, "end_factor": 0.2, "end": epochs}],
            "default_hooks": {"checkpoint": None},
            "custom_hooks": [
                {"type": "VersatileMaskHook", "weight": 0.1},
                {"type": "DistributedHook"},
                {"type": "StopOnDivergenceHook"},
                {"type": "CurveHook"},
                *([{"type": "WeightAverageHook", "momentum": 0.1}] if average else []),
            ],
            "randomness": {"seed": 5},
            "default_scope": "mmengine",
            "log_level": "ERROR",
            "work_dir": str(work_dir),
            "experiment_name": f"test {next(COUNT)}",
            "launcher": launcher,
        }
    )


def train_to_the_end(config, resume=False, ours=False):
    """Weights (with buffers), the curve, and one number that tells the state of random draws.

    With MMEngine's own Runner, or with ours, which can go on from a checkpoint.
    """
    from mmengine.runner import Runner

    from benchmarks.training import averaging
    from benchmarks.training.runner import BenchmarkRunner

    assert averaging, "importing it registers WeightAverageHook"
    config.resume = resume
    runner = (BenchmarkRunner if ours or resume else Runner).from_cfg(config)
    runner.train()
    model = runner.model.module if hasattr(runner.model, "module") else runner.model
    return {"weights": model.state_dict(), "curve": runner.curve, "draw": torch.rand(1).item()}


def stop_early(config):
    """Train with our Runner; the second process wants to stop in the fourth step, and all save and stop."""
    from benchmarks.training.runner import BenchmarkRunner
    from benchmarks.training.stopping import StoppedError

    config = copy.deepcopy(config)
    config.default_hooks = {"checkpoint": {"type": "AtomicCheckpointHook"}}
    config.custom_hooks.append({"type": Fate, "deed": "stopped"})
    try:
        BenchmarkRunner.from_cfg(config).train()
    except StoppedError as stop:
        return stop.iteration
    return None


def train_scenarios(rank, scenarios, folder):
    """Each scenario (name, norm, stop, options of mmengine_config) on all processes, one after the other.

    stop: "" for none, "go on" to stop early and go on, "leave" to stop early only.
    """
    from benchmarks.training import launch

    with launch.processes("pytorch", "cpu"):
        for name, norm, stop, options in scenarios:
            use_network(norm)
            config = config_for_two(Path(folder) / name, **options)
            stopped_at = stop_early(config) if stop else None
            ended = {} if stop == "leave" else train_to_the_end(config, resume=bool(stop), ours=name == "whole")
            torch.save({**ended, "stopped_at": stopped_at}, Path(folder) / f"{name}-{rank}.pth")


def config_for_two(work_dir, **options):
    from benchmarks.training import launch, total_batch

    config = mmengine_config(work_dir, launcher="pytorch", **options)
    launch.configure(config, "pytorch", "cpu")
    total_batch.share(config, 2)
    return config


def train_until(rank, deed, folder):
    """The second process does `deed` in its fourth step; what the process then says is in `<deed>-<rank>.txt`."""
    from mmengine.runner import Runner

    from benchmarks.training import launch

    said = ""
    try:
        with launch.processes("pytorch", "cpu"):
            use_network()
            config = config_for_two(Path(folder) / deed)
            config.custom_hooks.append({"type": Fate, "deed": deed})
            Runner.from_cfg(config).train()
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise
    finally:
        (Path(folder) / f"{deed}-{rank}.txt").write_text(said)


class Fate(Hook):
    """Something happens to the second process in its fourth step."""

    def __init__(self, deed):
        self.deed = deed

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if torch_dist.get_rank() == 1 and runner.iter == 3:
            if self.deed == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.deed == "stopped":
                runner.stopper.request(signal.SIGTERM)
            if self.deed == "spoiled":
                data_batch["inputs"].fill_(float("nan"))


def command_line(rank, arguments, folder):
    """`slimbench` with these arguments; what the process prints goes to `out-<rank>.txt`."""
    import contextlib

    from benchmarks.cli import main

    use_network()
    with (Path(folder) / f"out-{rank}.txt").open("w") as printed, contextlib.redirect_stdout(printed):
        return main(arguments)
