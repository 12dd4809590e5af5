"""From a run to its record: what the ledger stores, and what stays in the work folder so that nobody trains twice."""

from __future__ import annotations

import hashlib
import math
import os
import socket
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.hooks import EMAHook

from backbones.adapters.mmengine import unwrap
from benchmarks import environment, ledger
from benchmarks.datasets import registry
from benchmarks.errors import UserError
from benchmarks.training import processes, toolboxes, total_batch
from benchmarks.training.experiments import model_of
from benchmarks.training.runner import BenchmarkRunner

RESULT = "result.json"
SAMPLES = "result"
FAILURE = "failed.txt"


def run_record(config: Config, seed: int, runner: BenchmarkRunner, **fields: Any) -> ledger.RunResult:
    """The validated record of a run; `fields` are those of RunResult that only the caller knows."""
    return ledger.RunResult.model_validate({**describe(config, seed, runner), "finished_at": now(), **fields})


def keep(result: ledger.RunResult, work_dir: str | os.PathLike[str], results: Path) -> Path:
    """Write the record into the work folder, then into the ledger; returns its path there. The main process's job.

    The pictures that it lists are in the work folder's `SAMPLES`.
    """
    path = Path(work_dir) / RESULT
    temporary = path.with_name(f".{RESULT}.tmp")
    temporary.write_text(ledger.dumps(result), encoding="utf-8", newline="\n")
    temporary.replace(path)
    remember_failure(work_dir, None)
    return ledger.write(result, results, Path(work_dir) / SAMPLES)


def kept(work_dir: str | os.PathLike[str], name: str, seed: int) -> ledger.RunResult | None:
    """The record of the run that came to its end in this folder, if one did. Raises UserError if it is of another."""
    path = Path(work_dir) / RESULT
    if not path.is_file():
        return None
    try:
        result = ledger.read(path)
    except (OSError, ValueError):
        return None  # the checkpoints beside it tell as much
    if (result.identity, result.seed) != (name, seed):
        theirs = f"{result.identity} seed {result.seed}"
        raise UserError(f"{path} belongs to {theirs}, not to {name} seed {seed}; give another --work-dir")
    return result


def remember_failure(work_dir: str | os.PathLike[str], error: Exception | None) -> None:
    """Note beside the checkpoints why a run failed; None forgets it. An error is no result, so no record is made."""
    path = Path(work_dir) / FAILURE
    if error is None:
        path.unlink(missing_ok=True)
        return
    first = (str(error).strip().splitlines() or [""])[0]
    path.write_text(f"{type(error).__name__}: {first}\n", encoding="utf-8")


def results_root(
    protocol: str, work_dir: str | os.PathLike[str], results: str | os.PathLike[str] | None = None
) -> Path:
    """The ledger; for the smoke protocol, which measures nothing, the run's own folder unless one is named."""
    if not results and (protocol == "smoke" or protocol.startswith("smoke-b")):  # "-b": with another total batch
        return Path(work_dir) / "results"
    return ledger.results_dir(results)


def run_id(runner: BenchmarkRunner) -> str:
    """When and where the run began: stays the same through resumptions, differs between machines."""
    stamp = runner.started_at[:19].replace("-", "").replace(":", "")
    digest = hashlib.sha256(f"{runner.started_at} {socket.gethostname()} {runner.work_dir}".encode()).hexdigest()
    return f"{stamp}Z-{digest[:6]}"


def describe(config: Config, seed: int, runner: BenchmarkRunner) -> dict[str, Any]:
    """The part of a RunResult that is known before the run."""
    test_data = config.test_dataloader.dataset
    splits = {"test": _images(runner.test_loop.dataloader.dataset)}
    if config.train_dataloader is not None:
        splits["train"] = _images(runner.train_dataloader.dataset)
    verify = test_data.get("verify", True)
    return {
        "dataset": {
            "name": config.dataset.name,
            "checksum": registry.get(config.dataset.name).checksum(config.data_place, verify),
            "splits": dict(sorted(splits.items(), reverse=True)),
        },
        "protocol": {key: config.protocol[key] for key in ("name", "proxy", "epochs", "description")},
        "model": model_of(config),
        "input_size": tuple(config.dataset.input_size),
        "num_classes": config.dataset.num_classes,
        "seed": seed,
        "environment": run_environment(config, runner),
        "total_batch": None if config.train_dataloader is None else total_batch.total_batch(config),
    }


def _images(dataset: Any) -> int:
    """How many images there are, those that a RepeatDataset has several times counted once."""
    while hasattr(dataset, "dataset"):
        dataset = dataset.dataset
    return len(dataset)


def run_environment(config: Config, runner: BenchmarkRunner) -> environment.Environment:
    """Versions, the device that the run used (not those that the machine has beside it), precision and layout."""
    import torch

    autocast = (config.optim_wrapper or {}).get("dtype")
    gpu = None
    if next(runner.model.parameters()).device.type == "cuda":
        count = processes.get_world_size()
        gpu = torch.cuda.get_device_name() + (f" x{count}" if count > 1 else "")
    found = environment.collect(
        precision=f"{autocast} autocast" if autocast else "float32",
        memory_format="channels_last" if config.model.get("channels_last", True) else "contiguous",
        compile=getattr(unwrap(runner.model), "compiled_mode", None) or "no",
    )
    packages = toolboxes.packages(config) if config.get("toolbox") else {}
    return found.model_copy(update={"gpu": gpu, "packages": packages})


def notes_of(runner: BenchmarkRunner) -> list[str]:
    """What a reader of the accuracy must know: which weights were tested, and where the run was resumed."""
    averaged = any(isinstance(hook, EMAHook) for hook in runner.hooks)
    weights = "exponential moving average of the weights at the end" if averaged else "last weights"
    notes = [f"recorded: {weights}, float32, all test images; the curve is watched in the training precision"]
    trained_on = runner.train_dataloader.dataset
    if (name := getattr(trained_on, "name", "")) and name != runner.cfg.dataset.name:
        notes.append(f"trained on {name}, {registry.get(name).checksum(trained_on.root, True)}")
    count = processes.get_world_size()
    if count > 1:
        own = f"each process's own {total_batch.total_batch(runner.cfg) // count} images"
        notes.append(
            f"{count} processes; batch norm over {'all images' if runner.cfg.get('sync_bn') else own} of a step"
        )
    epoch, batch = runner.resumed_from
    if runner.resumptions:
        times = f"{runner.resumptions} times, last " if runner.resumptions > 1 else ""
        notes.append(f"resumed {times}after epoch {epoch}{f', batch {batch}' if batch else ''}")
    return notes


def now() -> datetime:
    """This second, in UTC."""
    return datetime.now(timezone.utc).replace(microsecond=0)


def plain_int(value: object) -> int:
    """The number a foreign checkpoint may or may not hold; 0 where it does not."""
    return value if isinstance(value, int) and value >= 0 else 0


def measured(metrics: dict[str, float]) -> tuple[ledger.Metric, ...]:
    """What the evaluator returned as the ledger's metrics, whose units follow from their names.

    Raises UserError where one is no number.
    """
    for name, value in metrics.items():
        if math.isnan(value):
            raise UserError(f"{name} is nan: the network's weights make no numbers of its input, nothing is recorded")
    return tuple(
        ledger.Metric(name=name, value=round(float(value), 4), unit=_unit(name), split="test")
        for name, value in metrics.items()
    )


def _unit(name: str) -> str:
    """The unit: dB for PSNR, 1 for SSIM, % for what is a share of the test images."""
    return "dB" if "psnr" in name else "1" if "ssim" in name else "%"


def columns(curve: Iterable[dict[str, Any]]) -> dict[str, tuple[int | float | None, ...]]:
    """From one dictionary an epoch to one list a quantity, in a fixed order, others by name behind them."""
    points = list(curve)
    order = ["epoch", "train_loss", "top1_accuracy", "lr", "mask_penalty", "share_of_ones", "masks_changed", "seconds"]
    order += sorted({name for point in points for name in point} - set(order))
    present = [name for name in order if any(name in point for point in points)]
    return {name: tuple(point.get(name) for point in points) for name in present}
