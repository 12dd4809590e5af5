"""``count_config``: an OpenMMLab config -> Complexity, in the parts that the config names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.complexity.conventions import DEFAULT_CONVENTION
from benchmarks.complexity.counting import count
from benchmarks.complexity.records import Complexity, InputSize, check_input
from benchmarks.errors import UserError

_INSTALL = {"mmdet": "'slimbench[mm]'", "mmseg": "'slimbench[mm]'", "mmpretrain": "onedl-mmpretrain"}


def is_config(text: str) -> bool:
    """Tell a config's path from a model's name."""
    return text.endswith((".py", ".json", ".yaml", ".yml"))


def count_config(
    path: str | os.PathLike[str],
    input_size: InputSize | None = None,
    convention: str = DEFAULT_CONVENTION,
    *,
    proposals: int | None = None,
) -> Complexity:
    """Count the network of a config of MMDetection, MMSegmentation or MMPretrain for one image, on the meta device.

    What the network's parts are (backbone, neck, heads) the config's names of them say. See :func:`count`.

    Args:
        path: the config. No weights are read and no data are needed.
        input_size: (channels, height, width); by default ``dataset.input_size``, which configs of this project have.
        convention: a name of :data:`CONVENTIONS`.
        proposals: regions of the image in the second stage, by default ``test_cfg.rpn.max_per_img``.

    Raises:
        UserError: the config cannot be read, its host is not installed, its network cannot be built or is of a kind
            that cannot be counted, the size of the image is not known; and what :func:`count` raises.
    """
    from benchmarks.complexity.openmmlab import TwoStage, whole_network

    label = os.fspath(path)
    with _quiet():
        config = _read(Path(path))
        size = _input_size(config, input_size, label)
        try:
            network = whole_network(_build(config))
        except UserError as error:
            raise UserError(f"{label}: {error}") from error
        if isinstance(network, TwoStage) and network.proposals is None:
            if proposals is None:
                raise UserError(f"{label} has no model.test_cfg.rpn.max_per_img; say --proposals")
            network.proposals = proposals
        cost = count(network, size, convention, name=label, proposals=proposals)
    _check_parts(cost)
    return cost


def _read(path: Path) -> Any:
    if not path.is_file():
        raise UserError(f"no config {path}")
    if not any(find_spec(host) for host in _INSTALL):
        raise UserError(f"{path}: none of {', '.join(_INSTALL)} is installed: pip install {_INSTALL['mmdet']}")
    from mmengine.config import Config

    from backbones.adapters.mmcv_ext import install

    install()
    try:
        config = Config.fromfile(path)
    except Exception as error:
        raise UserError(f"{path} cannot be read as a config: {_first_line(error)}") from error
    if not isinstance(config.get("model"), dict) or "type" not in config.model:
        raise UserError(
            f"{path} has no model with a type, as configs of MMDetection, MMSegmentation and MMPretrain have; networks "
            "of the catalogue are counted by their names"
        )
    return config


def _input_size(config: Any, asked: InputSize | None, label: str) -> InputSize:
    size = asked or (config.get("dataset") or {}).get("input_size")
    if size is None:
        raise UserError(f"{label} has no dataset.input_size; say for what image to count, such as --input 3x800x1333")
    return check_input(tuple(size))


def _build(config: Any) -> nn.Module:
    scope = config.get("default_scope")
    if scope in _INSTALL and find_spec(scope) is None:
        raise UserError(f"{scope}, whose config it is, is not installed: pip install {_INSTALL[scope]}")
    from mmengine.registry import DefaultScope

    try:
        registry = import_module(f"{scope or 'mmengine'}.registry").MODELS
        with DefaultScope.overwrite_default_scope(scope):
            try:
                with torch.device("meta"):
                    built: nn.Module = registry.build(config.model)
            except (NotImplementedError, RuntimeError):  # a builder that reads numbers back from tensors
                built = registry.build(config.model)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"its network cannot be built: {_first_line(error)}") from error
    return built


def _check_parts(cost: Complexity) -> None:
    """Refuse a count with a part missing: one that has layers, none of which was run."""
    for part in cost.parts:
        if part.params and not part.macs and part.name != "auxiliary_head":
            raise UserError(f"{cost.model}: {part.name} was not run as its kind of network usually is; not counted")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what MMEngine tells on standard output, which is for the counts."""
    if find_spec("mmengine") is None:
        yield
        return
    from mmengine.logging import MMLogger

    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
