"""From an experiment's name to its config: `cifar10/proxy-10e/resnet56_cifar` is `cifar10/proxy_10e.py` + a model.

A protocol is one file in `mmconfigs/<task>/<data set>/`; every model of the catalogue that fits the data set's input is
an experiment of it, so families need no copies. A file may also hold families of protocols, as data:

    variants = {
        "lambda0.01": dict(
            description="weight of the masks' orthogonality 0.01 instead of 0.1",  # appended to the protocol's
            changes={"custom_hooks.VersatileMaskHook.weight": 0.01},                # a hook is named by its type
            models=["*_l_versatile_*"],                                             # optional: patterns
        ),
    }

makes `paper-400e-lambda0.01` of `paper_400e.py`. `protocol.evaluate_only` marks a protocol that tests weights and
trains none; `protocol.weights_of` names the protocol that trains them.

In detection and segmentation each experiment is a file, a config that MMDetection's or MMSegmentation's own tools take,
too: `voc07/paper-7e/faster_rcnn_c4_resnet101_voc` is `mmconfigs/det/voc07/paper_7e/faster_rcnn_c4_resnet101_voc.py`.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.utils import import_modules_from_strings

from benchmarks.errors import UserError, did_you_mean
from benchmarks.training import toolboxes

CONFIGS = Path(__file__).resolve().parents[2] / "mmconfigs"
TASKS = ("cls", "sr", *toolboxes.TASKS)


class _Source(NamedTuple):
    """Where a protocol comes from: its file, and which of the file's variants it is, if any; or a folder of configs."""

    path: Path
    variant: str = ""

    @property
    def first(self) -> Path:
        """The file that tells the protocol: any of a folder's does."""
        return min(self.path.glob("[!_]*.py")) if self.path.is_dir() else self.path


def list_protocols() -> dict[str, Path]:
    """Config files, or folders of them, by "<data set>/<protocol>", variants included."""
    return {name: source.path for name, source in _sources().items()}


def list_experiments(pattern: str = "*") -> list[str]:
    """Names of all experiments that match a shell-style pattern, sorted."""
    names = [f"{protocol}/{model}" for protocol in _sources(_folder_of(pattern)) for model in _models_for(protocol)]
    return sorted(fnmatch.filter(names, pattern))


def matching(pattern: str) -> list[str]:
    """As `list_experiments`; raises UserError, with the nearest names, if none matches."""
    names = list_experiments(pattern)
    if not names:
        raise UserError(f"no experiment matches {pattern!r}{_nearest(pattern.strip('*?'))}")
    return names


def experiment(name: str) -> Config:
    """The MMEngine config of an experiment. Raises UserError, with the nearest names, if there is none.

    Beside the Runner's keys it has `experiment` (the name), `protocol` and `dataset`, which go into the ledger.
    """
    protocol, _, model = name.rpartition("/")
    sources = _sources(_folder_of(name))
    if protocol not in sources or model not in _models_for(protocol):
        raise UserError(f"no experiment {name!r}{_nearest(name)}")
    path = sources[protocol].path
    if path.is_dir():
        config = toolboxes.read(path / f"{model}.py", path.parents[1].name)
        toolboxes.load(config)
    else:
        config = Config(_protocol_config(protocol)._cfg_dict.to_dict(), filename=str(path))
        config.model.name = model
        import_modules_from_strings(**config.custom_imports)
    config.experiment = name
    return config


def model_of(config: Config) -> str:
    """The name of an experiment's network."""
    return str(config.experiment.rpartition("/")[2])


def protocol(name: str) -> dict[str, Any]:
    """What "<data set>/<protocol>" says of itself: name, proxy, epochs, description, evaluate_only, weights_of.

    And `variant_of`, the protocol whose file a variant stands in, "" for others. Raises UserError.
    """
    sources = _sources(_folder_of(name))
    if name not in sources:
        raise UserError(f"no protocol {name!r}{did_you_mean(name, _sources())}")
    suffix = sources[name].variant
    own: dict[str, Any] = _protocol_config(name).protocol.to_dict()
    base = name.removesuffix(f"-{suffix}") if suffix else ""
    return {"evaluate_only": False, "weights_of": "", "variant_of": base, **own}


def data_of(name: str) -> tuple[str, ...]:
    """The data sets that the training of an experiment reads: the one that it is tested on, and its own if it has one.

    Raises UserError if there is no such protocol.
    """
    family = name.rpartition("/")[0]
    tested: str = family.partition("/")[0]
    protocol(family)
    loader = _protocol_config(family).get("train_dataloader") or {}
    own: str = loader.get("dataset", {}).get("name", tested)
    return tuple(dict.fromkeys((tested, own)))


def _nearest(name: str) -> str:
    """The nearest experiments; first the protocol is put right, since thousands of names differ in one letter."""
    protocol = name.rpartition("/")[0]
    if protocol in _sources():
        return did_you_mean(name, [f"{protocol}/{known}" for known in _models_for(protocol)])
    near = [known for known in _sources() if did_you_mean(protocol, [known])]
    return did_you_mean(name, [f"{known}/{other}" for known in near for other in _models_for(known)])


def _folder_of(pattern: str) -> str:
    """The data set of a pattern that names one; an empty string for all, so that others need not be read."""
    folder = pattern.partition("/")[0]
    return folder if any((CONFIGS / task / folder).is_dir() for task in TASKS) else ""


@cache
def _sources(folder: str = "") -> dict[str, _Source]:
    """All protocols of a data set, or of all of them."""
    pattern = f"{folder or '[!_]*'}/[!_]*"
    paths = sorted(path for task in TASKS for path in (CONFIGS / task).glob(pattern))
    found: dict[str, _Source] = {}
    for path in paths:
        name = f"{path.parent.name}/{path.stem.replace('_', '-')}"
        if path.is_dir() and any(path.glob("[!_]*.py")):
            found[name] = _Source(path)
        if path.suffix != ".py":
            continue
        found[name] = _Source(path)
        found.update({f"{name}-{suffix}": _Source(path, suffix) for suffix in _file(path).get("variants", {})})
    return dict(sorted(found.items()))


@cache
def _file(path: Path) -> Config:
    # Without what it imports, which only `experiment` needs: lists stay fast.
    return toolboxes.parse(path)


@cache
def _protocol_config(protocol: str) -> Config:
    source = _sources(_folder_of(protocol))[protocol]
    content: dict[str, Any] = _file(source.first)._cfg_dict.to_dict()
    variants = content.pop("variants", {})
    content = {key: value for key, value in content.items() if not key.startswith("_")}
    if source.variant:
        _vary(content, source.variant, variants[source.variant])
    return Config(content, filename=str(source.first))


def _vary(content: dict[str, Any], suffix: str, variant: Mapping[str, Any]) -> None:
    """Make a variant out of its file's content, in place."""
    own = content["protocol"]
    own["name"] = f"{own['name']}-{suffix}"
    own["description"] = f"{own['description']}; {variant['description']}"
    if "models" in variant:
        own["models"] = variant["models"]
    for key, value in variant["changes"].items():
        *parents, last = key.split(".")
        place: Any = content
        for step in parents:
            place = _item(place, step) if isinstance(place, list) else place.setdefault(step, {})
        place[last] = value


def _item(items: list[Any], kind: str) -> Any:
    """The member of a list of hooks or the like whose `type` is `kind`."""
    (found,) = (item for item in items if item["type"] == kind)
    return found


@cache
def _models_for(protocol: str) -> tuple[str, ...]:
    """Models of the catalogue that take the images and have classes if the data have, any number, among the protocol's.

    In a folder of configs, those that have one.
    `dataset.trained_size` stands where networks are tested on images of another size than they are made for.
    """
    if (folder := _sources(_folder_of(protocol))[protocol].path).is_dir():
        return tuple(sorted(path.stem for path in folder.glob("[!_]*.py")))
    import backbones

    config = _protocol_config(protocol)
    size = tuple(config.dataset.get("trained_size", config.dataset.input_size))
    patterns = config.protocol.get("models", ["*"])
    classes = config.dataset.num_classes > 0
    specs = map(backbones.model_spec, backbones.list_models())
    names = [spec.name for spec in specs if tuple(spec.input_size) == size and (spec.num_classes > 0) == classes]
    return tuple(name for name in names if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns))
