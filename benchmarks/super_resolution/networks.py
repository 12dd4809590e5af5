"""The network, with its weights, that a user's --model and --checkpoint mean."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from benchmarks.errors import UserError, did_you_mean

BICUBIC = "bicubic"
VDSR_SCALES = (2, 3, 4)  # Kim et al., 2016: one network for all of them


class Trained(NamedTuple):
    """network: in evaluation mode, channels last. scales: that it was trained for, () for any. source: its weights'."""

    network: nn.Module
    scales: tuple[int, ...]
    source: str


def trained(model: str, checkpoint: Path | None = None, seed: int | None = None) -> Trained:
    """The network of a name of the catalogue, or of an experiment, with the weights of a file or of its training.

    Without a checkpoint the weights are those of the experiment's newest readable one under work_dirs/, of the seed or
    the lowest that there is. Raises UserError for a model that does not enlarge pictures, and where there are no
    weights, or some that do not fit.
    """
    if model == BICUBIC:
        if checkpoint is not None:
            raise UserError("--model bicubic has no weights; leave --checkpoint out or name a network")
        return Trained(nn.Identity(), (), "no weights")
    from benchmarks.training.weights import load_strictly, network_weights, read_checkpoint

    config = _config(model) if "/" in model else None
    name = config.model.name if config is not None else model
    network = _network(name)
    if checkpoint is not None:
        path, content = checkpoint, read_checkpoint(checkpoint)
    elif config is not None:
        path, content = _own_checkpoint(config, seed)
    else:
        raise UserError(f"{model} needs weights: {_how_to_get(model)}")
    load_strictly(network, network_weights(content), str(path), name)
    network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Trained(network, _scales(config, content), f"{path}{_progress(content)}")


def names() -> list[str]:
    """The models of the catalogue that enlarge pictures: from one channel to one channel, without classes."""
    import backbones

    specs = map(backbones.model_spec, backbones.list_models())
    return [spec.name for spec in specs if not spec.num_classes and spec.input_size[0] == 1]


def _network(name: str) -> nn.Module:
    import backbones

    known = names()
    if name not in known:
        kind = "enlarges no pictures" if name in backbones.list_models() else "is no model"
        near = did_you_mean(name, known) or f"; there are {', '.join([BICUBIC, *known])}"
        raise UserError(f"{name} {kind}{near}")
    network: nn.Module = backbones.create_model(name)
    return network


def _config(name: str) -> Any:
    """An experiment's config; of weights that another protocol trains, that one's."""
    from benchmarks.training.experiments import experiment

    config = experiment(name)
    if config.model.type != "SuperResolver":
        raise UserError(f"{name} enlarges no pictures; 'slimbench train \"set5/*\"' lists the experiments that do")
    if source := config.protocol.get("weights_of", ""):
        return experiment(f"{source}/{config.model.name}")
    return config


def _own_checkpoint(config: Any, seed: int | None) -> tuple[Path, dict[str, Any]]:
    """The newest checkpoint of the experiment's training that can be read; a training may be writing there."""
    from benchmarks.training.checkpoint_files import checkpoint_files
    from benchmarks.training.safe_loading import load_safely

    complaint = ""
    for folder in _seed_folders(config.experiment) if seed is None else [_folder(config.experiment, seed)]:
        for path in checkpoint_files(folder):
            try:
                return path, load_safely(path)
            except UserError as error:
                complaint = complaint or f" ({error})"
    whose = f"{config.experiment} has no checkpoint in {_folder(config.experiment, seed)}{complaint}"
    raise UserError(f"{whose}: {_how_to_get(config.model.name, config)}")


def _folder(experiment: str, seed: int | None) -> Path:
    from benchmarks.training.engine import work_folder

    return work_folder(experiment, seed) if seed is not None else work_folder(experiment, 0).parent


def _seed_folders(experiment: str) -> list[Path]:
    """The folders of its trainings, the lowest seed first."""
    found = [(path.name.removeprefix("seed"), path) for path in _folder(experiment, None).glob("seed*")]
    return [path for _, path in sorted((int(seed), path) for seed, path in found if seed.isdecimal())]


def _how_to_get(model: str, config: Any = None) -> str:
    trains = config is None or not config.protocol.get("evaluate_only", False)
    experiment = config.experiment if config is not None and trains else f"set5/paper/{model}"
    then = "" if config is not None and trains else f" and give --model {experiment}"
    return f"train it (slimbench train {experiment}){then}, or name a file of weights with --checkpoint"


def _scales(config: Any, content: dict[str, Any]) -> tuple[int, ...]:
    """What the weights were trained for, as far as they tell; the experiment's word otherwise, or VDSR's."""
    from benchmarks.training.experiments import experiment

    maker = content.get("experiment")
    if isinstance(maker, str) and maker:
        with contextlib.suppress(UserError):  # of another time
            config = experiment(maker)
    loader = config.get("train_dataloader") if config is not None else None
    return tuple(loader.dataset.get("scales", VDSR_SCALES)) if loader else VDSR_SCALES


def _progress(content: dict[str, Any]) -> str:
    epoch = content.get("epoch")
    return f", {epoch} epochs" if isinstance(epoch, int) else ""
