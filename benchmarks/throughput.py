"""Training images a second: the engine, a plain loop and the device's ceiling, in turn in one process.

The engine is the real one: the Runner with its hooks, data, optimizer and checkpoints drives the measurement. After
each of its slices the rivals (`throughput_rivals`) get a slice of the same length, so that whatever else the machine
does in the meantime disturbs all of them alike; ratios are taken slice by slice, and their median is what to trust.
"""

from __future__ import annotations

import contextlib
import statistics
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from mmengine.config import Config

from benchmarks import environment
from benchmarks.datasets import registry
from benchmarks.errors import UserError
from benchmarks.throughput_rivals import LEARNING_RATE, RIVALS, generate_cifar
from benchmarks.training import device as devices
from benchmarks.training import engine, experiments
from benchmarks.training.compiling import Choice, chosen_mode
from benchmarks.training.runner import closing
from benchmarks.training.stopwatch import Enough, Stopwatch


@dataclass(frozen=True)
class Throughput:
    """images_per_second: of "engine" and its rivals, one number a slice, the same slices for all.

    data: "real" or "generated" (random pixels in the same files). compile: the mode of torch.compile or "no".
    warm_up_s: the engine's first iterations, compilation included. outside: on a CPU, the share of the engine's time
    that it spends outside `train_step`, which is data and hooks. waits: on a GPU, how often an iteration waits for it.
    """

    experiment: str
    device: str
    threads: int
    torch: str
    batch: int
    precision: str
    compile: str
    data: str
    warm_up_s: float
    images_per_second: dict[str, tuple[float, ...]]
    outside: float | None = None
    waits: float | None = None

    def median(self, name: str = "engine") -> float:
        """Images a second."""
        return statistics.median(self.images_per_second[name])

    def quartiles(self, name: str = "engine") -> tuple[float, float]:
        """The first and the third."""
        low, _, high = statistics.quantiles(self.images_per_second[name], n=4, method="inclusive")
        return low, high

    def ratio(self, rival: str) -> tuple[float, float, float]:
        """The engine's images a second over the rival's, slice by slice: median, first and third quartile."""
        pairs = zip(self.images_per_second["engine"], self.images_per_second[rival], strict=True)
        low, middle, high = statistics.quantiles([mine / theirs for mine, theirs in pairs], n=4, method="inclusive")
        return middle, low, high


def measure(
    model: str,
    dataset: str = "cifar10",
    *,
    device: str | None = None,
    batch: int | None = None,
    precision: Literal["bf16", "fp32"] | None = None,
    compile: Choice = None,  # noqa: A002, the name of what it asks for
    seconds: float = 10.0,
    data: str | Path | None = None,
    rivals: Iterable[str] = RIVALS,
) -> Throughput:
    """Measure one model on one data set for about `seconds` an entrant (and the warm-up).

    batch, precision: None as the protocol has them. Without the data set, random pixels in its files are used.
    Raises UserError for an unknown model or data set, and where a data set that cannot be imitated is not found.
    """
    return measure_experiment(
        experiment_of(model, dataset),
        device=device,
        batch=batch,
        precision=precision,
        compile=compile,
        seconds=seconds,
        data=data,
        rivals=rivals,
    )


def measure_experiment(
    experiment: str,
    *,
    device: str | None = None,
    batch: int | None = None,
    precision: Literal["bf16", "fp32"] | None = None,
    compile: Choice = None,  # noqa: A002
    seconds: float = 10.0,
    data: str | Path | None = None,
    rivals: Iterable[str] = RIVALS,
) -> Throughput:
    """As `measure`, for an experiment by its name."""
    place = devices.check(device)
    kind = place.partition(":")[0]
    mode = chosen_mode(compile, kind)
    with tempfile.TemporaryDirectory() as folder, devices.used(place):
        config, origin = _config(experiment, data, Path(folder))
        if batch is not None:
            config.train_dataloader.batch_size = batch
        if precision == "fp32":
            optimizer = config.optim_wrapper.optimizer
            config.optim_wrapper = {"type": "OptimWrapper", "optimizer": optimizer}
        config.model.compile = mode or False
        stopwatch = Stopwatch(config, kind, seconds, tuple(rivals))
        with closing(engine.build_runner(config)) as runner, contextlib.suppress(Enough):
            runner.register_hook(stopwatch)
            try:
                runner.train()
            finally:
                stopwatch.close()
    return Throughput(
        experiment=experiment,
        device=environment.cpu_name() if kind == "cpu" else torch.cuda.get_device_name(place),
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        batch=config.train_dataloader.batch_size,
        precision="bf16" if config.optim_wrapper.get("dtype") else "fp32",
        compile=mode or "no",
        data=origin,
        warm_up_s=stopwatch.warm_up_s,
        images_per_second={name: tuple(found) for name, found in stopwatch.found.items()},
        outside=stopwatch.outside,
        waits=stopwatch.waits,
    )


def experiment_of(model: str, dataset: str) -> str:
    """The first experiment that trains this model on this data set; the engine does the same work in all of them.

    Raises UserError, with the nearest names, if there is none.
    """
    registry.get(dataset)
    names = [name for name in experiments.list_experiments(f"{dataset}/*/{model}") if "/smoke/" not in name]
    for name in names:
        if not experiments.experiment(name).protocol.get("evaluate_only"):
            return name
    experiments.matching(f"{dataset}/*/{model}")  # raises, with the nearest names
    raise UserError(f"no protocol of {dataset} trains {model}")


def _config(experiment: str, data: str | Path | None, folder: Path) -> tuple[Config, str]:
    """The experiment's config as it is to be measured, and whether its data are "real" or "generated"."""
    origin = "real"
    dataset = experiments.experiment(experiment).dataset.name
    try:
        config = engine.prepare(experiment, 0, data, folder / "work")
    except UserError:
        if data is not None or not dataset.startswith("cifar"):
            raise
        origin = "generated"
        config = engine.prepare(experiment, 0, generate_cifar(dataset, folder / "data"), folder / "work")
        config.train_dataloader.dataset.verify = False
    config.val_cfg = config.val_dataloader = config.val_evaluator = None
    config.test_cfg = config.test_dataloader = config.test_evaluator = None
    config.train_cfg.max_epochs = 100_000
    config.optim_wrapper.optimizer.lr = LEARNING_RATE
    config.param_scheduler = []
    return config, origin
