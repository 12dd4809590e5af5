"""A config's network as the hosts train and test it, without Runner and data: one training step, one image."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import HOOKS, MODELS, init_default_scope
from mmengine.utils import import_modules_from_strings
from torch import nn

import backbones
from benchmarks.iteration_cost import configs
from benchmarks.iteration_cost.batches import Batch
from benchmarks.iteration_cost.records import Mode
from benchmarks.settling import settling

_MASKS = "VersatileMaskHook"  # the hook that changes what a step computes


def prepare(config: Config) -> None:
    """Import what the config needs, before its network is built and memory is watched."""
    from backbones.adapters.mmcv_ext import install

    install()  # a plain MMDetection config has no custom_imports that would do it
    if config.get("custom_imports"):
        import_modules_from_strings(**config.custom_imports)
    init_default_scope(config.default_scope)
    if (config.get("env_cfg") or {}).get("cudnn_benchmark"):
        torch.backends.cudnn.benchmark = True


class Network:
    """Built from a config that `prepare` has seen, with random weights, on a device.

    regions: rows that the region extractor of a two-stage detector was given in the last iteration; None without one.
    mask_hook: whether the config trains learned masks with VersatileMaskHook; None without learned masks.
    channels_last: whether weights are stored so, as in our experiments.
    """

    def __init__(self, config: Config, task: str, batch: int, size: tuple[int, int], device: str) -> None:
        self.config = configs.without_weights(config)
        classes = configs.num_classes(config)
        self.batches = {"training": Batch(task, batch, size, classes), "inference": Batch(task, 1, size, classes)}
        self.device = device
        self.model: Any = revert_sync_batchnorm(MODELS.build(self.config.model))  # there is one process
        self.model.init_weights()
        self.model.to(device)
        self.channels_last = bool(self.config.get("toolbox"))  # as `BenchmarkRunner.wrap_model`
        if self.channels_last:
            self.model.to(memory_format=torch.channels_last)
        self.regions: int | None = None
        extractor = getattr(getattr(self.model, "roi_head", None), "bbox_roi_extractor", None)
        for one in extractor if isinstance(extractor, nn.ModuleList) else [extractor]:
            if one is not None:
                one.register_forward_hook(self._count_regions)
        settle_statistics(self.model, self.batches["inference"])
        self._wrapper: Any = None
        hooks = [hook for hook in self.config.get("custom_hooks") or () if hook["type"] == _MASKS]
        self._mask_hook = HOOKS.build(hooks[0]) if hooks else None
        self.mask_hook = self._mask_hook is not None if any(backbones.learnable_layers(self.model)) else None

    def iterate(self, mode: Mode, iterations: int) -> None:
        """Train or infer so many times, and wait until it is done. Raises ValueError if the loss is not finite."""
        if mode == "training":
            self._train(iterations)
        else:
            self._infer(iterations)
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()

    def _train(self, iterations: int) -> None:
        if self._wrapper is None:
            self._begin_training()
        self.model.train()
        batch = self.batches["training"]
        logged: dict[str, Any] = {}
        for _ in range(iterations):
            self.regions = None
            logged = self.model.train_step(batch.fresh(), optim_wrapper=self._wrapper)
        loss = float(logged["loss"].detach())
        if not math.isfinite(loss):
            raise ValueError(f"the loss is {loss}, and times of such numbers say nothing")

    def _infer(self, iterations: int) -> None:
        self.model.eval()
        batch = self.batches["inference"]
        with torch.no_grad():
            for _ in range(iterations):
                self.regions = None
                self.model.val_step(batch.fresh())

    def _begin_training(self) -> None:
        self._wrapper = build_optim_wrapper(self.model, self.config.optim_wrapper)
        self._wrapper.initialize_count_status(self.model, 0, 10**9)  # as the loops do, for accumulated gradients
        if self._mask_hook is not None:
            runner = SimpleNamespace(model=self.model, optim_wrapper=self._wrapper, param_schedulers=[])
            self._mask_hook.before_run(runner)
            self._mask_hook.before_train(runner)

    def _count_regions(self, module: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
        self.regions = (self.regions or 0) + len(arguments[1])


def settle_statistics(model: Any, batch: Batch) -> None:
    """Give each batch norm the mean and the variance of what it gets from one batch, layer after layer.

    Frozen norms (`norm_eval`) use the statistics that the weights came with. Random weights came with none, and in a
    residual network with mean 0 and variance 1 features double from block to block until regions degenerate and the
    second stage has less to do than it will have.
    """
    model.eval()
    with torch.no_grad(), settling(model):
        model.val_step(batch.fresh())
