"""The learning-rate rule: a config's learning rate belongs to its `batch_size`, which is the run's total batch.

With W processes each takes 1/W of the total batch, so the learning rate stays as printed and the result stands for the
protocol. Another total batch is a run of another protocol, by the linear rule (Goyal et al., "Accurate, Large Minibatch
SGD", 2017, section 2.1): B/total times the learning rate; it never stands for the paper.
"""

from __future__ import annotations

from typing import Any

from mmengine.config import Config

from benchmarks.errors import UserError

WHY = (
    "the learning rate belongs to the total batch; a public config lost 16 points of accuracy to another total batch "
    "at the same learning rate"
)


def total_batch(config: Config) -> int:
    """Images that all processes together take in a step, before or after `share`."""
    told = (config.get("auto_scale_lr") or {}).get("base_batch_size")
    return int(told or config.train_dataloader.batch_size)


def change(config: Config, batch_size: int | None, scale_lr: bool = False) -> None:
    """Give an experiment's config another total batch and the learning rate of the linear rule, in place.

    The protocol's name gets the suffix "-b<batch_size>" and `proxy` is set, so that no paper's column shows the run.
    The protocol's own batch, or None, changes nothing. Raises UserError for another one without `scale_lr`.
    """
    total = total_batch(config)
    if batch_size is None or batch_size == total:
        return
    if batch_size < 1:
        raise UserError(f"--batch-size {batch_size}: a batch has at least 1 image")
    if not scale_lr:
        raise UserError(
            f"--batch-size {batch_size} is not the total batch {total} of {config.protocol.name}: {WHY}. Leave it out "
            f"(several processes share {total}), or add --scale-lr to train with {batch_size / total:.4g} times the "
            f"learning rate, which is then another protocol, {_renamed(config, batch_size)}"
        )
    scale = batch_size / total
    config.optim_wrapper.optimizer.lr *= scale
    for scheduler in _each(config.get("param_scheduler")):
        for key in ("eta_min", "eta_max"):  # the others are relative to the learning rate
            if isinstance(scheduler.get(key), (int, float)):
                scheduler[key] *= scale
    protocol, _, model = config.get("experiment", "").rpartition("/")
    if protocol:
        config.experiment = f"{protocol}-b{batch_size}/{model}"
    config.protocol.description += f"; total batch {batch_size} instead of {total}, learning rate times {scale:.4g}"
    config.protocol.name = _renamed(config, batch_size)
    config.protocol.proxy = True
    config.train_dataloader.batch_size = batch_size


def share(config: Config, processes: int) -> None:
    """Deal the total batch out to the processes, in place; the learning rate stays. Raises UserError if it cannot.

    `auto_scale_lr.base_batch_size`, MMEngine's key, keeps the total, and `DistributedHook` compares with it.
    """
    total = total_batch(config)
    if total % processes:
        fitting = ", ".join(str(number) for number in range(1, total + 1) if total % number == 0)
        raise UserError(
            f"{processes} processes cannot share the total batch {total} of {config.protocol.name} equally: "
            f"start {fitting} of them"
        )
    config.auto_scale_lr = {"base_batch_size": total, "enable": False}
    config.train_dataloader.batch_size = total // processes


def check(batch_size: int, processes: int, auto_scale_lr: dict[str, Any] | None) -> None:
    """For a Runner that was not started by slimbench: is `batch_size` a process's part of the config's total batch?

    Raises UserError unless `auto_scale_lr` holds the total, or is enabled so that MMEngine scales the learning rate.
    """
    settings = auto_scale_lr or {}
    total = settings.get("base_batch_size")
    if processes == 1 or settings.get("enable") or total == batch_size * processes:
        return
    held = f"the total batch {total}" if total else f"{batch_size}, the total batch of its protocol,"
    wanted = total or batch_size
    example = f"train_dataloader.batch_size={wanted // processes} auto_scale_lr.base_batch_size={wanted}"
    raise UserError(
        f"{processes} processes with batch_size={batch_size} take {batch_size * processes} images a step, and the "
        f"config's learning rate is that of {held}; {WHY}. Set {example}, or auto_scale_lr.enable=True with "
        f"base_batch_size={wanted} to scale the learning rate (another protocol)"
    )


def _renamed(config: Config, batch_size: int) -> str:
    return f"{config.protocol.name}-b{batch_size}"


def _each(schedulers: Any) -> list[dict[str, Any]]:
    if schedulers is None:
        return []
    return [schedulers] if isinstance(schedulers, dict) else list(schedulers)
