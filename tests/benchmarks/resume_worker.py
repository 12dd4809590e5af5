"""A training that a test kills and starts again. Nothing here is a test.

The processes come from a fork server that has imported everything once: a fresh interpreter takes seconds to do it.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import random
import signal
import time

import numpy as np
import torch
from mmengine.config import Config
from torch import nn

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["benchmarks.training.engine", "benchmarks.training.launch", "benchmarks.cli.train"])
NAME = "cifar10/smoke/resnet56_cifar"
EPOCHS = 3


class Network(nn.Module):
    """Learnable masks, batch norm, dropout, and draws from every random number generator that there is."""

    def __init__(self, num_classes=10):
        super().__init__()
        from backbones.ops import LearnableVersatileConv2d

        self.conv = nn.Conv2d(3, 8, 3, stride=4)
        self.bn = nn.BatchNorm2d(8)
        self.masked = LearnableVersatileConv2d(8, 8, 3, stride=2, s=2)
        self.fc = nn.Linear(8, num_classes)

    def forward(self, x):
        x = torch.relu(self.masked(torch.relu(self.bn(self.conv(x))))).mean((2, 3))
        if self.training:
            x = nn.functional.dropout(x, 0.2) * (1 + 0.1 * random.random() + 0.1 * np.random.rand())  # noqa: NPY002
        return self.fc(x)


def configure(monkeypatch, interval_s=0.0, batch_size=16, hooks=({"type": "EMAHook", "momentum": 0.1},)):
    """Let the smoke protocol train `Network` for EPOCHS epochs, saving every `interval_s` seconds."""
    import backbones
    from benchmarks.training import engine, journal

    # What takes longer than the training: a picture, MMEngine's layout of the config and its look at the compilers.
    monkeypatch.setattr(journal, "draw_curve", lambda *_: None)
    monkeypatch.setattr(Config, "pretty_text", "")
    monkeypatch.setattr(engine.BenchmarkRunner, "_log_env", lambda *_: None)
    monkeypatch.setattr(backbones, "create_model", lambda name, num_classes=10, **kwargs: Network(num_classes))
    plain = engine.prepare

    def prepare(*arguments):
        config = plain(*arguments)
        config.train_cfg.max_epochs = EPOCHS
        config.train_dataloader.batch_size = batch_size
        config.default_hooks.checkpoint.interval_s = interval_s
        config.param_scheduler = [
            {"type": "LinearLR", "start_factor": 0.1, "end": EPOCHS, "convert_to_iter_based": True}
        ]
        config.custom_hooks = [*config.custom_hooks, *hooks]
        return config

    monkeypatch.setattr(engine, "prepare", prepare)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def train(folder, data, results, die_at=None, after=0, pause_s=0.0):
    """Train in a process of its own, which kills itself at the call number `after` of a place named `die_at`.

    pause_s: waits so long in each iteration, so that a fast machine, too, gives others time to kill it.
    """
    import pytest

    from benchmarks.training import checkpoint_files, engine, hooks, records

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
        configure(patch)
        calls = iter(range(after))

        def mine(original):
            def call(*arguments, **keywords):
                if next(calls, None) is None:
                    die()
                return original(*arguments, **keywords)

            return call

        if die_at == "before the file is whole":
            patch.setattr(checkpoint_files.os, "fsync", mine(os.fsync))
        elif die_at == "before the file has its name":
            patch.setattr(checkpoint_files, "_remember_name", mine(checkpoint_files._remember_name))
        elif die_at == "before old files are removed":
            patch.setattr("benchmarks.training.checkpoints.prune", mine(checkpoint_files.prune))
        elif die_at == "in the validation":
            patch.setattr(hooks.CurveHook, "after_val_epoch", mine(hooks.CurveHook.after_val_epoch))
        elif die_at == "in an iteration":
            patch.setattr(Network, "forward", mine(Network.forward))
        elif die_at == "after the test":
            patch.setattr(records, "keep", mine(records.keep))
        if pause_s:
            forward = Network.forward
            patch.setattr(Network, "forward", lambda network, x: time.sleep(pause_s) or forward(network, x))
        engine.train(NAME, 3, data=data, work_dir=folder, results=results)
