"""Train one experiment through MMEngine's Runner, and write what came out into the ledger."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from mmengine.config import Config
from rich.console import Console

from benchmarks import environment, ledger
from benchmarks.datasets import registry
from benchmarks.errors import UserError
from benchmarks.sample_files import Sample
from benchmarks.training import device as devices
from benchmarks.training import evaluation, journal, launch, processes, records, samples, toolboxes, total_batch
from benchmarks.training.checkpoint_files import checkpoint_files
from benchmarks.training.experiments import experiment
from benchmarks.training.hooks import DivergedError, passes
from benchmarks.training.lock import locked
from benchmarks.training.progress import ProgressHook
from benchmarks.training.runner import BenchmarkRunner, closing
from benchmarks.training.stopping import StoppedError, Stopper, signals_stop


@dataclass(frozen=True)
class Outcome:
    """What came of a run: a record, or where it stopped.

    result, path: the record and its file in the ledger; None if the run was stopped. already: it had come to its end
    before. stopped_at: (whole epochs, iterations) that are done. stopped_by: "time budget", "SIGINT" or "SIGTERM", also
    where a signal came too late to stop this run.
    left_s: estimated seconds of training left, None where this process trained nothing.
    """

    result: ledger.RunResult | None
    path: Path | None
    already: bool = False
    stopped_at: tuple[int, int] | None = None
    stopped_by: str | None = None
    left_s: float | None = None


def work_folder(name: str, seed: int, work_dir: str | os.PathLike[str] | None = None) -> Path:
    """Where checkpoints and logs of a run are: `work_dir`, or `work_dirs/<name>/seed<seed>`."""
    return Path(work_dir) if work_dir else Path("work_dirs") / name / f"seed{seed}"


def prepare(
    name: str,
    seed: int = 0,
    data: str | os.PathLike[str] | None = None,
    work_dir: str | os.PathLike[str] | None = None,
    batch_size: int | None = None,
    scale_lr: bool = False,
    test_only: bool = False,
) -> Config:
    """The experiment's config with seed, data folder, work folder and total batch filled in. Raises UserError.

    test_only: without training, whose images need not be there.
    """
    if seed < 0:
        raise UserError(f"--seed {seed}: a seed is 0 or more")
    config = experiment(name)
    total_batch.change(config, batch_size, scale_lr)
    name = config.experiment
    if test_only:
        config.update(dict.fromkeys(("train_dataloader", "train_cfg", "optim_wrapper", "param_scheduler")))
    config.data_place = registry.get(config.dataset.name).locate(data)
    if config.get("toolbox"):
        toolboxes.place_data(config, config.data_place)
        if not test_only:
            toolboxes.check_weights(config)
    else:
        for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
            if loader is not None:  # a training may have images of its own
                loader.dataset.root = registry.get(loader.dataset.get("name", config.dataset.name)).locate(data)
    config.randomness = {"seed": seed}
    config.work_dir = str(work_folder(name, seed, work_dir))
    config.experiment_name = f"{name} seed {seed}"  # of its log
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
    time_budget_s: float | None = None,
    launcher: str = "none",
    compile: bool | None = None,  # noqa: A002 (torch's and the command line's name for it)
    device: str | None = None,
    tensorboard: bool = False,
    batch_size: int | None = None,
    scale_lr: bool = False,
    sync_bn: bool = False,
    amp: bool | None = None,
) -> Outcome:
    """Train an experiment to its end, test the last weights and record the run.

    Goes on from the newest readable checkpoint in `work_dir` (default `work_dirs/<name>/seed<seed>`) if `resume`; such
    a run equals an uninterrupted one. The same seed on the same machine with the same versions gives the same weights.
    A run that has come to its end, diverged or not, is not trained again; only its record is returned.

    time_budget_s: seconds until the call must return; what is done by then is saved. Ctrl-C and SIGTERM save and stop,
    too. launcher: "none", or how this process was started (benchmarks.training.launch). compile: torch.compile on or
    off; None as the config says. device: "cpu", "cuda", "cuda:1", ...; None takes a GPU where there is one.
    batch_size, scale_lr: another total batch, a protocol of its own (benchmarks.training.total_batch). sync_bn: batch
    norm over the images of all processes, on GPUs. amp: bfloat16 under autocast, or float32; None as the config says.

    Raises UserError, and whatever else went wrong (noted in the work folder's `failed.txt`); the checkpoints stay.
    A diverged run is recorded and returned.
    """
    stopper = Stopper(time_budget_s)
    wanted = experiment(name)
    evaluation.refuse_to_train(wanted)  # before a folder is made
    total_batch.change(wanted, batch_size, scale_lr)
    protocol_name, name = name, wanted.experiment
    folder = work_folder(name, seed, work_dir)
    with launch.processes(launcher, device) as place, locked(folder) if place.is_main else contextlib.nullcontext():
        ended = processes.from_main(records.kept(folder, name, seed) if place.is_main else None)
        if not resume and (ended or checkpoint_files(folder)):
            held = f"{len(checkpoint_files(folder))} checkpoints of an earlier run"
            raise UserError(f"{folder} holds {held}; remove it to start anew")
        if ended is not None:
            return _recorded_again(ended, folder, results, place.is_main)
        config = prepare(protocol_name, seed, data, work_dir, batch_size, scale_lr)
        config.resume = resume
        total_batch.share(config, place.world)
        if sync_bn:
            toolboxes.refuse_sync_bn(config)
            config.sync_bn = "torch"
        elif config.get("sync_bn") and launch.backend(device) == "gloo":
            config.sync_bn = None  # a toolbox's config asks for it by itself, and a CPU has none
        if compile is not None:
            toolboxes.refuse_to_compile(config, compile)
            if not config.get("toolbox"):
                config.model.compile = compile
        if amp is not None:
            toolboxes.set_precision(config, amp)
        if tensorboard:
            journal.log_to_tensorboard(config)
        launch.configure(config, launcher, device)
        with _failures_noted(folder), devices.used(devices.check(device)):
            return _train(config, seed, results, stopper, console)


def build_runner(config: Config) -> BenchmarkRunner:
    """BenchmarkRunner.from_cfg with the type that it returns."""
    runner: BenchmarkRunner = BenchmarkRunner.from_cfg(config)
    return runner


def _train(
    config: Config, seed: int, results: str | os.PathLike[str] | None, stopper: Stopper, console: Console | None
) -> Outcome:
    git, root = environment.git_state(), records.results_root(config.protocol.name, config.work_dir, results)
    with closing(build_runner(config)) as runner, signals_stop(stopper):
        runner.stopper = stopper
        progress = ProgressHook(config.experiment, console)
        for hook in (stopper, progress, journal.JsonLogHook()):
            runner.register_hook(hook)
        status, metrics, reason, pictures = "finished", dict[str, float](), "", tuple[Sample, ...]()
        try:
            runner.train()
            former = processes.from_main(root / config.experiment / f"seed{seed}-{records.run_id(runner)}.json")
            if runner.resumed_from == (runner.max_epochs, 0) and processes.from_main(former.is_file()):
                return Outcome(ledger.read(former), former, already=True)  # of a version that kept no records
            metrics = runner.test()
            pictures = samples.saved(config, runner, Path(config.work_dir) / records.SAMPLES)
        except DivergedError as error:
            status, reason = "diverged", str(error)
        except StoppedError as stop:
            journal.write_line(config.work_dir, "end", status="stopped", by=stop.why, iteration=stop.iteration)
            left = progress.seconds_left(runner, stop.iteration)
            return Outcome(None, None, stopped_at=(stop.epoch, stop.iteration), stopped_by=stop.why, left_s=left)
        finally:
            progress.close()
        result = records.run_record(
            config,
            seed,
            runner,
            origin="train",
            run_id=records.run_id(runner),
            status=status,
            metrics=records.measured(metrics),
            epochs_done=int(passes(runner, runner.epoch)),
            wall_time_s=round(runner.wall_time_s, 1),
            started_at=runner.started_at,
            git=git,
            curves=records.columns(runner.curve),
            samples=pictures,
            notes=[reason] * bool(reason) + records.notes_of(runner),
        )
    asked = [name for name in processes.every_ones(stopper.signal_name) if name is not None]
    stopped_by = asked[0] if asked else None
    if not processes.is_main_process():
        return Outcome(result, root / result.relative_path, stopped_by=stopped_by)
    path = records.keep(result, config.work_dir, root)
    journal.write_line(config.work_dir, "end", status=status, **{one.name: one.value for one in result.metrics})
    journal.draw_curve(result, config.work_dir)
    return Outcome(result, path, stopped_by=stopped_by)


def _recorded_again(
    result: ledger.RunResult, folder: Path, results: str | os.PathLike[str] | None, is_main: bool
) -> Outcome:
    """The record of a run that came to its end earlier; written once more where the ledger does not have it."""
    root = records.results_root(result.protocol.name, folder, results)
    path = root / result.relative_path
    if is_main and not path.is_file():
        ledger.write(result, root, folder / records.SAMPLES)
    return Outcome(result, path, already=True)


@contextlib.contextmanager
def _failures_noted(folder: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if processes.is_main_process():
            journal.write_line(folder, "end", status="failed", error=f"{type(error).__name__}: {error}")
            with contextlib.suppress(OSError):  # the disk may be what failed
                records.remember_failure(folder, error)
        if isinstance(error, torch.OutOfMemoryError):
            first = str(error).strip().splitlines()[0]
            raise UserError(f"out of memory on the GPU: {first}; the checkpoints in {folder} are kept") from error
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise UserError(
                f"no space left on the disk of {error.filename or folder}; the checkpoints are kept"
            ) from error
        raise
