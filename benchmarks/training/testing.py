"""Test a checkpoint on an experiment's test images, and write what came out into the ledger."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Any

from mmengine.config import Config

from benchmarks import environment, ledger
from benchmarks.datasets import registry
from benchmarks.training import device as devices
from benchmarks.training import evaluation, records, samples
from benchmarks.training.engine import Outcome, build_runner, prepare
from benchmarks.training.runner import closing
from benchmarks.training.weights import read_checkpoint


def test(
    name: str,
    checkpoint: str | os.PathLike[str],
    *,
    data: str | os.PathLike[str] | None = None,
    results: str | os.PathLike[str] | None = None,
    work_dir: str | os.PathLike[str] | None = None,
    device: str | None = None,
) -> Outcome:
    """Test a checkpoint on the experiment's test images, in float32, and record it with the checkpoint's SHA-256.

    The file may be ours, MMEngine's, a bare state dict or VDSR's authors' MATLAB file, and must fit the model exactly.
    What is measured on a user's own data stays in `work_dir`, unless `results` says otherwise.
    Raises UserError if it is missing, unreadable or of another architecture.
    """
    content = read_checkpoint(checkpoint)
    meta = content.get("meta")
    told = meta if isinstance(meta, dict) else content  # MMEngine's checkpoint tells it in "meta", ours at the top
    seed, epoch = (records.plain_int(told.get(key)) for key in ("seed", "epoch"))
    config = prepare(name, seed, data, work_dir, test_only=True)
    config.work_dir = str(Path(config.work_dir) / "test")
    config.custom_hooks = []
    config.default_hooks = {"checkpoint": None}
    with devices.used(devices.check(device)), closing(build_runner(config)) as runner:
        model: Any = runner.model
        evaluation.load_weights(config, getattr(model, "network", model), content, checkpoint)
        started, tick = records.now(), time.monotonic()
        metrics = runner.test()
        seconds = time.monotonic() - tick
        pictures = samples.saved(config, runner, Path(config.work_dir) / records.SAMPLES)
        own = registry.get(config.dataset.name).private
        digest = hashlib.sha256(Path(checkpoint).read_bytes()).hexdigest()
        result = records.run_record(
            config,
            seed,
            runner,
            origin="test",
            run_id=f"test-{digest[:12]}{_data_id(config) if own else ''}",
            status="finished",
            metrics=records.measured(metrics),
            epochs_done=epoch,
            wall_time_s=round(seconds, 1),
            started_at=started,
            git=environment.git_state(),
            checkpoint=f"sha256:{digest}",
            trained_as=evaluation.trained_as(config, told),
            samples=pictures,
            notes=["test of a checkpoint, float32"],
        )
    if own and not results:
        results = Path(config.work_dir) / "results"
    root = records.results_root(config.protocol.name, config.work_dir, results)
    return Outcome(result, ledger.write(result, root, Path(config.work_dir) / records.SAMPLES))


def _data_id(config: Config) -> str:
    """What tells the results of a checkpoint on one folder from those on another."""
    checksum = registry.get(config.dataset.name).checksum(config.data_place, False)
    return f"-on-{checksum.partition(':')[2][:8]}"
