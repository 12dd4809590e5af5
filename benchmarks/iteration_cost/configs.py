"""From a name to a config that can be measured: its task, its training size and batch, and no weights to load."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config

from benchmarks.errors import UserError
from benchmarks.iteration_cost.records import Precision
from benchmarks.training.toolboxes import dictionaries

#: default scope -> what `batches` generates
TASKS = {"mmdet": "det", "mmseg": "seg"}
LEARNING_RATE = 1e-6  # of random weights on random pixels: the steps cost what they cost, and nothing diverges


def load(name: str, precision: Precision | None = None) -> Config:
    """The config of an experiment's name, as the engine trains it, or of a file, as the host's tools/train.py does.

    precision: of training steps, None as the config has it.

    Raises UserError for an unknown name, an unreadable file, and a config that is neither MMDetection's nor
    MMSegmentation's.
    """
    from benchmarks.training import experiments, toolboxes

    path = Path(name)
    from_file = path.suffix == ".py" or path.is_file()
    config = _read(path) if from_file else experiments.experiment(name)
    task_of(config, name)
    if "model" not in config or "optim_wrapper" not in config:
        raise UserError(f"{name} has no {'optim_wrapper' if 'model' in config else 'model'}, so it cannot be trained")
    config.experiment = name
    if precision is not None:
        toolboxes.set_precision(config, amp=precision == "bf16")
    return config


def task_of(config: Config, name: str) -> str:
    """What the config's host does, "det" or "seg". Raises UserError for others."""
    scope = config.get("default_scope")
    if scope not in TASKS:
        raise UserError(
            f"{name} has default_scope {scope!r}; images are generated for mmdet and mmseg. Classification: "
            "slimbench throughput MODEL --dataset DATASET"
        )
    return TASKS[scope]


def input_size(config: Config, name: str) -> tuple[int, int]:
    """Height and width of training images: of `dataset`, the data preprocessor, or the pipeline's crop or resize.

    Raises UserError where none of them tells it.
    """
    if "dataset" in config and "input_size" in config.dataset:
        _, height, width = config.dataset.input_size
        return int(height), int(width)
    size = (config.model.get("data_preprocessor") or {}).get("size")
    if size:
        return int(size[0]), int(size[1])
    loader = config.get("train_dataloader") or {}
    steps = {step["type"]: step for step in dictionaries(loader.get("dataset", {})) if "type" in step}
    if steps.get("RandomCrop", {}).get("crop_size"):
        height, width = steps["RandomCrop"]["crop_size"]
        return int(height), int(width)
    scale = steps.get("Resize", {}).get("scale")
    if scale:  # OpenMMLab's scales are (width, height)
        return int(scale[1]), int(scale[0])
    raise UserError(f"{name} does not tell the size of its training images; give --input HEIGHTxWIDTH, as 600x850")


def batch_size(config: Config) -> int:
    """Images of a training step; 1 where the config does not tell."""
    return int((config.get("train_dataloader") or {}).get("batch_size", 1))


def num_classes(config: Config) -> int:
    """The smallest number of classes of the model's heads, so that labels below it fit all; 1 without any."""
    found = [int(part["num_classes"]) for part in dictionaries(config.model) if part.get("num_classes")]
    return min(found, default=1)


def without_weights(config: Config) -> Config:
    """A copy that loads no checkpoint and learns at LEARNING_RATE."""
    copied = Config(config._cfg_dict.to_dict())  # noqa: SLF001 (MMEngine's own copy shares the dictionary)
    for part in dictionaries(copied.model):
        init = part.get("init_cfg")
        if isinstance(init, dict) and init.get("type") == "Pretrained":
            part["init_cfg"] = None
        if isinstance(part.get("pretrained"), str):
            part["pretrained"] = None
    copied.optim_wrapper.optimizer.lr = LEARNING_RATE
    copied.load_from = None
    return copied


def _read(path: Path) -> Config:
    from benchmarks.training import toolboxes

    if not path.is_file():
        raise UserError(f"no config file {path}")
    try:
        return toolboxes.parse(path)
    except Exception as error:  # a config is a program: anything can go wrong in it
        raise UserError(f"{path} is no config that MMEngine reads: {type(error).__name__}: {error}") from error
