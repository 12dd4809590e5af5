"""From an experiment's name to its config: `cifar10/proxy-10e/resnet56_cifar` is `cifar10/proxy_10e.py` + a model.

A protocol is one file in `mmconfigs/cls/<data set>/`; every model of the catalogue that fits the data set's input and
classes is an experiment of it, so families need no copies.
"""

from __future__ import annotations

import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

from mmengine.config import Config

from benchmarks.errors import UserError, did_you_mean

CONFIGS = Path(__file__).resolve().parents[2] / "mmconfigs" / "cls"


def list_protocols() -> dict[str, Path]:
    """Config files by "<data set>/<protocol>"."""
    files = sorted(path for path in CONFIGS.glob("[!_]*/*.py") if not path.name.startswith("_"))
    return {f"{path.parent.name}/{path.stem.replace('_', '-')}": path for path in files}


def list_experiments(pattern: str = "*") -> list[str]:
    """Names of all experiments that match a shell-style pattern, sorted."""
    names = [f"{protocol}/{model}" for protocol in list_protocols() for model in _models_for(protocol)]
    return sorted(fnmatch.filter(names, pattern))


def matching(pattern: str) -> list[str]:
    """As `list_experiments`; raises UserError, with the nearest names, if none matches."""
    names = list_experiments(pattern)
    if not names:
        raise UserError(f"no experiment matches {pattern!r}{did_you_mean(pattern.strip('*?'), list_experiments())}")
    return names


def experiment(name: str) -> Config:
    """The MMEngine config of an experiment. Raises UserError, with the nearest names, if there is none.

    Beside the Runner's keys it has `experiment` (the name), `protocol` and `dataset`, which go into the ledger.
    """
    protocol, _, model = name.rpartition("/")
    if protocol not in list_protocols() or model not in _models_for(protocol):
        raise UserError(f"no experiment {name!r}{did_you_mean(name, list_experiments())}")
    config = _protocol_config(protocol).copy()
    config = Config(config._cfg_dict.to_dict(), filename=str(list_protocols()[protocol]))
    config.experiment = name
    config.model.name = model
    return config


@cache
def _protocol_config(protocol: str) -> Config:
    return Config.fromfile(list_protocols()[protocol])


@cache
def _models_for(protocol: str) -> tuple[str, ...]:
    """Models of the catalogue whose input and number of classes are the data set's."""
    import backbones

    dataset: dict[str, Any] = _protocol_config(protocol).dataset
    wanted = (tuple(dataset["input_size"]), dataset["num_classes"])
    specs = map(backbones.model_spec, backbones.list_models())
    return tuple(spec.name for spec in specs if (tuple(spec.input_size), spec.num_classes) == wanted)
