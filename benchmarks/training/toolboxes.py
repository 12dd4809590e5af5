"""Experiments that are MMDetection's or MMSegmentation's own configs: what the one training engine makes of them.

Such a config is complete for the toolbox's own tools/train.py. Here the toolbox's model, losses, pipelines, optimizer
and schedule stay, and hooks, samplers, loop and evaluators become the engine's: atomic checkpoints, exact resumption,
time budgets, and metrics by the ledger's names.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.utils import import_modules_from_strings

from benchmarks.datasets.locate import ENVIRONMENT_VARIABLE as ROOT_VARIABLE
from benchmarks.environment import version_of
from benchmarks.errors import UserError

#: folder in mmconfigs/ -> (the toolbox, what it is installed by, the module of our metrics)
TASKS = {
    "det": ("mmdet", "onedl-mmdetection", "benchmarks.training.detection"),
    "seg": ("mmseg", "onedl-mmsegmentation", "benchmarks.training.segmentation"),
}
_EVALUATORS = {"CocoMetric": "CocoQuality", "VOCMetric": "VocQuality", "IoUMetric": "SegmentationQuality"}
_CHOICES = {"metric", "eval_mode", "iou_metrics"}  # of what is measured: ours measure all of it
_HOOKS = [
    {"type": "DistributedHook"},
    {"type": "StopOnDivergenceHook"},
    {"type": "CurveHook"},
]


def read(path: Path, task: str) -> Config:
    """The config in `path` as the engine runs it. Raises UserError where the toolbox is not installed.

    `toolbox` says whose it is. Training is in bfloat16 under autocast, with channels_last, as in the other tasks. The
    batch is the total one of all processes: `auto_scale_lr.base_batch_size` where the config has it, which counts on
    several GPUs, and the loader's otherwise.
    """
    toolbox, package, metrics = TASKS[task]
    if find_spec(toolbox) is None:
        how = "pip install 'slimbench[mm]', or tox -e slimbench-mm"
        raise UserError(f"{path.stem} is an experiment of {package}, which is not installed: {how}")
    config = parse(path)
    content = config._cfg_dict.to_dict()
    for key in ("visualizer", "vis_backends", "default_hooks", "work_dir"):
        content.pop(key, None)
    own = list(content.get("custom_imports", {}).get("imports", []))
    imports = [*own, "benchmarks.training", metrics]
    content |= {
        "toolbox": toolbox,
        "package": package,
        "custom_imports": {"imports": imports, "allow_failed_imports": False},
        "log_processor": {"by_epoch": True},
        "default_hooks": {
            "runtime_info": {"type": "DeferredRuntimeInfoHook"},
            "logger": {"type": "LoggerHook", "interval": 50},
            "checkpoint": {"type": "AtomicCheckpointHook", "keep": 2},
        },
        "custom_hooks": [*content.get("custom_hooks", []), *_HOOKS],
    }
    # Both together were 1.6 times as fast on one core with Faster R-CNN, 1.7 times with DeepLabv3+ (R-50),
    # 1.07 times with Sc-MobileNetV2 in it.
    set_precision({"experiment": path.stem, **content}, amp=True)
    _train_by_rounds_or_epochs(content)
    for split in ("val", "test"):
        content[f"{split}_dataloader"]["sampler"] = {"type": "EpochSampler", "shuffle": False, "round_up": False}
        content[f"{split}_evaluator"] = _ours(content[f"{split}_evaluator"])
    return Config(content, filename=str(path))


def parse(path: Path) -> Config:
    """The file as it stands, without what it imports and with its own default of where data lie.

    MMEngine tells on the terminal, for each file, that it found SLIMBENCH_DATA, which our own commands read elsewhere.
    """
    hidden = os.environ.pop(ROOT_VARIABLE, None)
    try:
        return Config.fromfile(path, import_custom_modules=False)
    finally:
        if hidden is not None:
            os.environ[ROOT_VARIABLE] = hidden


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what the toolboxes say while they are imported, of optional packages that we do not use."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def load(config: Config) -> None:
    """Import what the config names, without what the toolboxes and pycocotools have to say on the terminal."""
    with quiet():
        import_modules_from_strings(**config.custom_imports)
        # All of it, which MMEngine would import later, when the Runner asks for a data set.
        import_module(f"{config.toolbox}.utils").register_all_modules(init_default_scope=False)
    if reader := sys.modules.get("pycocotools.coco"):
        vars(reader)["print"] = lambda *_, **__: None


def packages(config: Config) -> dict[str, str]:
    """Versions of the toolbox and of mmcv, and whose operators mmcv runs."""
    from backbones.adapters import mmcv_ext

    names = {"mmcv": ("onedl-mmcv", "mmcv"), config.toolbox: (config.package, config.package.removeprefix("onedl-"))}
    found = {name: version_of(*distributions) or "unknown" for name, distributions in names.items()}
    return {**found, "mmcv operators": mmcv_ext.in_use() or "none"}


def set_precision(config: Any, amp: bool) -> None:
    """Train under torch.autocast in bfloat16, on any device, or in float32; any experiment's config, in place."""
    wrapper = config["optim_wrapper"]
    for key in ("dtype", "loss_scale"):
        wrapper.pop(key, None)
    kind = wrapper.get("type", "OptimWrapper")
    exchangeable = ("OptimWrapper", "AutocastOptimWrapper", "AmpOptimWrapper")
    if kind in exchangeable:
        wrapper["type"] = "AutocastOptimWrapper" if amp else "OptimWrapper"
    if amp:
        wrapper["dtype"] = "bfloat16"
    elif kind not in exchangeable:
        raise UserError(f"--no-amp: {kind}, the optimizer wrapper of {config['experiment']}, trains in bfloat16 only")


def refuse_to_compile(config: Config, choice: bool) -> None:
    """Raises UserError where `choice` asks to compile a network whose images come in all sizes."""
    if choice and config.get("toolbox"):
        raise UserError(
            f"--compile: {config.experiment} is {config.toolbox}'s, whose images differ in size; leave it out"
        )


def refuse_sync_bn(config: Config) -> None:
    """Raises UserError for a detector: statistics are frozen there, and not all of MMDetection minds that."""
    if config.get("toolbox") == "mmdet":
        which = f"{config.experiment} is a detector, whose batch norms must stay"
        raise UserError(f"--sync-bn: {which} as they are; leave it out")


def place_data(config: Config, root: str | os.PathLike[str]) -> None:
    """Point every path below the config's `data_folder` into `root`, in place."""
    folder = config.get("data_folder", "data")

    def moved(value: Any) -> Any:
        if isinstance(value, str) and (value == folder or value.startswith(f"{folder}/")):
            return str(Path(root, *Path(value).relative_to(folder).parts)) + ("/" if value.endswith("/") else "")
        return value

    for key in [f"{split}_{part}" for split in ("train", "val", "test") for part in ("dataloader", "evaluator")]:
        if config.get(key) is not None:
            config[key] = _mapped(config[key].to_dict() if hasattr(config[key], "to_dict") else config[key], moved)


def check_weights(config: Config) -> None:
    """Raises UserError if a file of weights that the training starts from is not there."""
    for part in dictionaries(config.model):
        checkpoint = str(part.get("checkpoint") or "")
        if part.get("type") == "Pretrained" and "://" not in checkpoint and not Path(checkpoint).is_file():
            raise UserError(
                f"{config.experiment} starts from the weights {checkpoint}, which are not there: put ImageNet weights "
                f"there, SlimConv's authors' or of what `slimbench train 'imagenet/*/{Path(checkpoint).stem}'` lists"
            )


def _train_by_rounds_or_epochs(content: dict[str, Any]) -> None:
    """The engine's loop and sampler in place of the toolbox's."""
    loader, loop = content["train_dataloader"], content["train_cfg"]
    total = (content.get("auto_scale_lr") or {}).get("base_batch_size") or loader["batch_size"]
    content.pop("auto_scale_lr", None)
    loader["batch_size"] = total
    if total == 1:
        loader.pop("batch_sampler", None)  # there is nothing to group
    loader["sampler"] = {"type": "EpochSampler", "shuffle": True}
    loader["dataset"] = {"type": "SeededItems", "dataset": loader["dataset"]}
    if loop.get("type") == "IterBasedTrainLoop" or loop.get("by_epoch") is False:
        iterations, interval = loop["max_iters"], loop.get("val_interval", 1000)
        if iterations % interval:
            raise UserError(
                f"max_iters = {iterations} is no multiple of val_interval = {interval}, which the rounds are"
            )
        loader["sampler"] = {"type": "RoundSampler", "length": interval * total}
        content["train_cfg"] = {"type": "EpochBasedTrainLoop", "max_epochs": iterations // interval, "val_interval": 1}


def _ours(evaluator: Any) -> Any:
    if isinstance(evaluator, list):
        return [_ours(one) for one in evaluator]
    settings = {key: value for key, value in evaluator.items() if key not in _CHOICES}
    return {**settings, "type": _EVALUATORS[evaluator["type"]]} if evaluator["type"] in _EVALUATORS else evaluator


def _mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """A nest of dictionaries and lists with every leaf changed."""
    if isinstance(value, dict):
        return {key: _mapped(part, change) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_mapped(part, change) for part in value)
    return change(value)


def dictionaries(value: Any) -> Iterator[dict[str, Any]]:
    """Every dictionary in a nest of dictionaries and lists, the outer ones first."""
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        yield from dictionaries(part)
