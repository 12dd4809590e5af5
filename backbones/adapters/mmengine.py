"""Everything that binary masks need in an MMEngine training run, in one hook.

    custom_imports = dict(imports=["backbones.adapters.mmengine"])
    custom_hooks = [dict(type="VersatileMaskHook", weight=0.1)]

Learnable versatile filters (Versatile Filters, section 4) need an orthogonality penalty in the loss (Eq. 14), a rule
after each optimizer step (Eq. 22-25) and agents H that weight decay does not pull towards zero. The hook does all
three for any model whose `train_step` calls `parse_losses`, as those of MMDetection, MMSegmentation and MMPretrain do:

- *The penalty* becomes one more entry of the loss dictionary (`loss_masks`), because `parse_losses` is wrapped. So it
  is scaled by an AMP loss scaler and divided among accumulated batches exactly as the other losses are, it shows in
  the log, and under DDP (where the wrapper calls `module.parse_losses`) its gradient joins H's before the reduction.
- *The rule* runs as a post-hook of `torch.optim.Optimizer.step`: not in iterations that only accumulate gradients, and
  not when a loss scaler skips a step.
- *The groups* are split once the optimizer and the schedulers exist: H moves to groups of its own, without weight
  decay or momentum and at `mask_lr_scale` times the learning rate; the schedulers go on to steer both.

Runners without `before_run` between optimizer and resume (DeepSpeed and other strategies of FlexibleRunner) are not
supported: there, call `backbones.mask_penalty`, `after_step` and `parameter_groups` yourself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from torch import nn

import backbones

__all__ = ["VersatileMaskHook"]


@HOOKS.register_module()
class VersatileMaskHook(Hook):
    """Penalty, step rule and parameter groups of learnable masks; a model without such masks is left alone.

    weight: lambda of Eq. 14. mask_lr_scale: learning rate of H relative to the weights', 1 of which leaves masks
    practically random. In a trial (CIFAR-10, ResNet-8, one seed) 0.99 % changed in 400 iterations at 30, 5.2 % in 200
    at 300; and half as many with weight 0.1 as with 0, for the pull of the penalty goes to a mask's own side: under the
    rule "clipped" it piles up in H, which soon lies at 0 or 1, where masks stay as they are.

    Each epoch logs `train/share_of_ones` and `train/masks_changed`, both shares of all mask entries in 0..1.
    """

    priority = "ABOVE_NORMAL"

    def __init__(self, weight: float = 0.1, mask_lr_scale: float = 30.0) -> None:
        if weight < 0 or mask_lr_scale <= 0:
            raise ValueError(f"weight must be >= 0 and mask_lr_scale > 0, not {weight} and {mask_lr_scale}")
        self.weight = weight
        self.mask_lr_scale = mask_lr_scale
        self._handles: list[Any] = []
        self._before: dict[str, torch.Tensor] = {}
        self._resumed = False

    def before_run(self, runner: Any) -> None:
        agents = mask_agents(unwrap(runner.model))
        if agents and hasattr(runner.optim_wrapper, "param_groups"):
            schedulers = runner.param_schedulers or []
            for optimizer, its_schedulers in _optimizers(runner.optim_wrapper, schedulers):
                split_mask_groups(optimizer, its_schedulers, agents, self.mask_lr_scale)

    def before_train(self, runner: Any) -> None:
        model = unwrap(runner.model)
        if not mask_agents(model):
            return
        if self.weight > 0:
            vars(model)["parse_losses"] = self._with_penalty(model, getattr(model, "parse_losses"))  # noqa: B009
        for optimizer, _ in _optimizers(runner.optim_wrapper, []):
            handle = optimizer.register_step_post_hook(lambda *_: backbones.after_step(model))
            self._handles.append(handle)

    def after_train(self, runner: Any) -> None:
        vars(unwrap(runner.model)).pop("parse_losses", None)
        while self._handles:
            self._handles.pop().remove()

    def before_train_epoch(self, runner: Any) -> None:
        if not self._resumed:
            self._before = backbones.snapshot_masks(unwrap(runner.model))
        self._resumed = False

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        if self._before:  # within an epoch: what it began with
            checkpoint["masks_before_epoch"] = self._before

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        if runner._resume and "masks_before_epoch" in checkpoint:  # noqa: SLF001 (EMAHook asks the same way)
            device = next(runner.model.parameters()).device
            self._before = {name: masks.to(device) for name, masks in checkpoint["masks_before_epoch"].items()}
            self._resumed = True

    def after_train_epoch(self, runner: Any) -> None:
        if not self._before:
            return
        model = unwrap(runner.model)
        changed = backbones.masks_changed(self._before, backbones.snapshot_masks(model))
        self._before = {}
        statistics = backbones.mask_statistics(model)
        runner.message_hub.update_scalar("train/share_of_ones", statistics["share_of_ones"])
        runner.message_hub.update_scalar("train/masks_changed", changed)

    def _with_penalty(self, model: nn.Module, parse_losses: Callable[[dict[str, Any]], Any]) -> Callable[..., Any]:
        def parse_losses_and_masks(losses: dict[str, Any]) -> Any:
            return parse_losses({**losses, "loss_masks": backbones.mask_penalty(model, self.weight)})

        return parse_losses_and_masks


def unwrap(model: nn.Module) -> nn.Module:
    """The user's model inside DistributedDataParallel and its like."""
    inner: nn.Module = model.module if is_model_wrapper(model) else model  # type: ignore[assignment]
    return inner


def mask_agents(model: nn.Module) -> list[nn.Parameter]:
    """The parameters H of all learnable versatile convolutions that are to be learned."""
    return [layer.agent for _, layer in backbones.learnable_layers(model) if layer.agent.requires_grad]


def split_mask_groups(
    optimizer: torch.optim.Optimizer, schedulers: Iterable[Any], agents: Iterable[nn.Parameter], lr_scale: float
) -> None:
    """Move `agents` to parameter groups of their own, in place, and let MMEngine's `schedulers` know of these groups.

    A new group inherits the settings of the group it left, with weight decay 0, momentum 0 and lr times `lr_scale`.
    """
    wanted = {id(agent) for agent in agents}
    schedulers = list(schedulers)
    for index, group in enumerate(list(optimizer.param_groups)):
        moved = [parameter for parameter in group["params"] if id(parameter) in wanted]
        if not moved or group.get("masks"):  # before_run is called again by Runner.test
            continue
        group["params"] = [parameter for parameter in group["params"] if id(parameter) not in wanted]
        settings = {key: value for key, value in group.items() if key != "params"}
        settings.update(weight_decay=0.0, masks=True)
        if "momentum" in settings:
            settings.update(momentum=0.0, nesterov=False)
        for key in ("lr", "initial_lr"):
            if key in settings:
                settings[key] = settings[key] * lr_scale
        optimizer.add_param_group({"params": moved, **settings})
        for scheduler in schedulers:
            scale = lr_scale if scheduler.param_name == "lr" else 1.0
            scheduler.base_values.append(scheduler.base_values[index] * scale)


def _optimizers(optim_wrapper: Any, schedulers: Any) -> list[tuple[torch.optim.Optimizer, list[Any]]]:
    """Each optimizer with its schedulers, for one OptimWrapper or an OptimWrapperDict (several optimizers)."""
    if hasattr(optim_wrapper, "optimizer"):
        return [(optim_wrapper.optimizer, list(schedulers))]
    by_name = schedulers if isinstance(schedulers, dict) else {}
    return [(wrapper.optimizer, list(by_name.get(name, []))) for name, wrapper in optim_wrapper.items()]
