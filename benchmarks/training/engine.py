"""Train or test one experiment through MMEngine's Runner, and write what came out into the ledger."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from mmengine.config import Config
from rich.console import Console

from benchmarks import environment, ledger
from benchmarks.datasets import registry
from benchmarks.errors import UserError
from benchmarks.training.checkpoints import checkpoint_files, load_safely, load_strictly, network_weights
from benchmarks.training.experiments import experiment
from benchmarks.training.hooks import DivergedError
from benchmarks.training.progress import ProgressHook
from benchmarks.training.runner import BenchmarkRunner

_TEST_NOTE = "recorded accuracy: last weights, float32, all test images; the curve is watched in the training precision"


@dataclass(frozen=True)
class Outcome:
    """result and the ledger file it is in; `already` says that the run had been finished before."""

    result: ledger.RunResult
    path: Path
    already: bool = False


def prepare(
    name: str,
    seed: int = 0,
    data: str | os.PathLike[str] | None = None,
    work_dir: str | os.PathLike[str] | None = None,
) -> Config:
    """The experiment's config with seed, data folder and work folder filled in. Raises UserError."""
    if seed < 0:
        raise UserError(f"--seed {seed}: a seed is 0 or more")
    config = experiment(name)
    root = registry.get(config.dataset.name).locate(data)
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        loader.dataset.root = root
    config.randomness = {"seed": seed}
    config.work_dir = str(Path(work_dir) if work_dir else Path("work_dirs") / name / f"seed{seed}")
    return config


def train(
    name: str,
    seed: int = 0,
    *,
    data: str | os.PathLike[str] | None = None,
    work_dir: str | os.PathLike[str] | None = None,
    results: str | os.PathLike[str] | None = None,
    resume: bool = True,
    console: Console | None = None,
) -> Outcome:
    """Train an experiment to its end, test the last weights and record the run.

    Goes on from the newest readable checkpoint in `work_dir` (default `work_dirs/<name>/seed<seed>`) if `resume`; such
    a run equals an uninterrupted one, since order and augmentation follow from seed and epoch. The same seed on the
    same machine with the same versions gives the same weights.
    Raises UserError; KeyboardInterrupt leaves the last epoch's checkpoint. A diverged run is recorded and returned.
    """
    config = prepare(name, seed, data, work_dir)
    if not resume and (old := checkpoint_files(config.work_dir)):
        raise UserError(f"{config.work_dir} holds {len(old)} checkpoints of an earlier run; remove it to start anew")
    config.resume = resume
    git = environment.git_state()
    runner = build_runner(config)
    progress = ProgressHook(name, console)
    runner.register_hook(progress)
    status, notes, metrics = "finished", [_TEST_NOTE], {}
    try:
        runner.train()
        previous = results_root(config, results) / f"{name}/seed{seed}-{run_id(runner)}.json"
        if runner.resumed_from == runner.max_epochs and previous.is_file():
            return Outcome(ledger.read(previous), previous, already=True)
        metrics = runner.test()
    except DivergedError as error:
        status = "diverged"
        notes = [str(error)]
    finally:
        progress.close()
    if runner.resumed_from:
        notes.append(f"resumed after epoch {runner.resumed_from}")
    result = ledger.RunResult.model_validate(
        {
            **describe(config, seed, runner),
            "origin": "train",
            "run_id": run_id(runner),
            "status": status,
            "metrics": percentages(metrics),
            "epochs_done": runner.epoch,
            "wall_time_s": round(runner.wall_time_s, 1),
            "started_at": runner.started_at,
            "finished_at": now(),
            "git": git,
            "curves": columns(runner.curve),
            "notes": notes,
        }
    )
    return Outcome(result, ledger.write(result, results_root(config, results)))


def test(
    name: str,
    checkpoint: str | os.PathLike[str],
    *,
    data: str | os.PathLike[str] | None = None,
    results: str | os.PathLike[str] | None = None,
    work_dir: str | os.PathLike[str] | None = None,
) -> Outcome:
    """Test a checkpoint on the experiment's test images, in float32, and record it with the checkpoint's SHA-256.

    The file must fit the model exactly. Raises UserError if it is missing, unreadable or of another architecture.
    """
    content = load_safely(checkpoint)
    seed = plain_int(content.get("seed"))
    config = prepare(name, seed, data, work_dir)
    config.work_dir = str(Path(config.work_dir) / "test")
    for key in ("train_dataloader", "train_cfg", "optim_wrapper", "param_scheduler"):
        config[key] = None
    config.custom_hooks = []
    config.default_hooks = {"checkpoint": None}
    runner = build_runner(config)
    load_strictly(runner.model.network, network_weights(content), os.fspath(checkpoint), config.model.name)
    started, tick = now(), time.monotonic()
    metrics = runner.test()
    seconds = time.monotonic() - tick
    digest = hashlib.sha256(Path(checkpoint).read_bytes()).hexdigest()
    result = ledger.RunResult.model_validate(
        {
            **describe(config, seed, runner),
            "origin": "test",
            "run_id": f"test-{digest[:12]}",
            "status": "finished",
            "metrics": percentages(metrics),
            "epochs_done": plain_int(content.get("epoch")),
            "wall_time_s": round(seconds, 1),
            "started_at": started,
            "finished_at": now(),
            "git": environment.git_state(),
            "checkpoint": f"sha256:{digest}",
            "notes": ["test of a checkpoint, float32"],
        }
    )
    return Outcome(result, ledger.write(result, results_root(config, results)))


def build_runner(config: Config) -> BenchmarkRunner:
    """BenchmarkRunner.from_cfg with the type that it returns."""
    runner: BenchmarkRunner = BenchmarkRunner.from_cfg(config)
    return runner


def results_root(config: Config, results: str | os.PathLike[str] | None) -> Path:
    """The ledger; for the smoke protocol, which measures nothing, the run's own folder unless one is named."""
    if config.protocol.name == "smoke" and not results:
        return Path(config.work_dir) / "results"
    return ledger.results_dir(results)


def run_id(runner: BenchmarkRunner) -> str:
    """When and where the run began: stays the same through resumptions, differs between machines."""
    stamp = runner.started_at[:19].replace("-", "").replace(":", "")
    digest = hashlib.sha256(f"{runner.started_at} {socket.gethostname()} {runner.work_dir}".encode()).hexdigest()
    return f"{stamp}Z-{digest[:6]}"


def describe(config: Config, seed: int, runner: BenchmarkRunner) -> dict[str, Any]:
    """The part of a RunResult that is known before the run."""
    test_data = config.test_dataloader.dataset
    splits = {"test": len(runner.test_loop.dataloader.dataset)}
    if config.train_dataloader is not None:
        splits["train"] = len(runner.train_dataloader.dataset)
    verify = test_data.get("verify", True)
    autocast = (config.optim_wrapper or {}).get("dtype")
    return {
        "dataset": {
            "name": config.dataset.name,
            "checksum": registry.get(config.dataset.name).checksum(test_data.root, verify),
            "splits": dict(sorted(splits.items(), reverse=True)),
        },
        "protocol": {key: config.protocol[key] for key in ("name", "proxy", "epochs", "description")},
        "model": config.model.name,
        "input_size": tuple(config.dataset.input_size),
        "num_classes": config.dataset.num_classes,
        "seed": seed,
        "environment": environment.collect(
            precision=f"{autocast} autocast" if autocast else "float32",
            memory_format="channels_last" if config.model.get("channels_last", True) else "contiguous",
        ),
    }


def now() -> datetime:
    """This second, in UTC."""
    return datetime.now(timezone.utc).replace(microsecond=0)


def plain_int(value: object) -> int:
    """The number a foreign checkpoint may or may not hold; 0 where it does not."""
    return value if isinstance(value, int) and value >= 0 else 0


def percentages(metrics: dict[str, float]) -> tuple[ledger.Metric, ...]:
    """What the evaluator returned as the ledger's metrics; all of ours are percentages of the test images."""
    return tuple(
        ledger.Metric(name=name, value=round(float(value), 4), unit="%", split="test")
        for name, value in metrics.items()
    )


def columns(curve: Iterable[dict[str, Any]]) -> dict[str, tuple[int | float | None, ...]]:
    """From one dictionary an epoch to one list a quantity, in a fixed order."""
    points = list(curve)
    order = ("epoch", "train_loss", "top1_accuracy", "lr", "mask_penalty", "share_of_ones", "masks_changed", "seconds")
    present = [name for name in order if any(name in point for point in points)]
    return {name: tuple(point.get(name) for point in points) for name in present}
