"""From what a user names to the config of a detector or a segmentor: an experiment of ours, or any file of theirs."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from benchmarks.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from mmengine.config import Config

Host = Literal["mmdet", "mmseg"]
#: the toolbox -> what its networks are called, and the folder of our configs
TASKS: dict[Host, tuple[str, str]] = {"mmdet": ("a detector", "det"), "mmseg": ("a segmentor", "seg")}
_SUFFIXES = {".py", ".json", ".yaml", ".yml"}
_ANNOTATIONS = "Annotations"  # LoadAnnotations, LoadPanopticAnnotations: a user's picture has none


class Named(NamedTuple):
    """A config, the name under which the user knows it, and the toolbox whose network it has."""

    config: Config
    name: str
    host: Host


def read(name: str) -> Named:
    """The config called `name`: "voc-mini/overfit/deeplabv3plus_resnet50", or a file of MMDetection or MMSegmentation.

    What the config imports is imported, and the toolbox's own modules are registered.
    Raises UserError, one line, if there is none, if it cannot be read, if its network is no detector or segmentor, and
    if the toolbox is not installed.
    """
    path = _file(name)
    _install(name)
    from mmengine.config import Config

    from benchmarks.training.toolboxes import quiet

    try:
        with quiet():
            config = Config.fromfile(path)
    except Exception as error:  # a config is a program, it may raise anything
        raise UserError(f"cannot read config {name}: {type(error).__name__}: {error}") from error
    return Named(config, name, _host(config, name))


def dataset_of(config: Config) -> dict[str, Any]:
    """The config of the data set that is tested on, inside its wrappers; empty where the config names none."""
    found = (config.get("test_dataloader") or {}).get("dataset") or {}
    while "pipeline" not in found and ("dataset" in found or "datasets" in found):
        found = found["dataset"] if "dataset" in found else found["datasets"][0]
    return cast("dict[str, Any]", found)


def pipeline_of(named: Named) -> list[Any]:
    """The test pipeline for a picture that nobody has annotated. Raises UserError if the config has none."""
    steps = dataset_of(named.config).get("pipeline") or named.config.get("test_pipeline")
    if not steps:
        raise UserError(f"config {named.name} has no test pipeline (test_dataloader.dataset.pipeline)")
    return [step for step in steps if not _type_name(step).endswith(_ANNOTATIONS)]


def _file(name: str) -> Path:
    """The config's file. Raises UserError, with the nearest names."""
    from benchmarks.training.experiments import CONFIGS

    path = Path(name)
    if path.is_file():
        return path
    if path.suffix in _SUFFIXES:
        raise UserError(f"no config file {name}")
    ours = {
        f"{file.parts[-3]}/{file.parts[-2].replace('_', '-')}/{file.stem}": file
        for _, folder in TASKS.values()
        for file in sorted((CONFIGS / folder).glob("[!_]*/*/*.py"))
    }
    if name not in ours:
        hint = did_you_mean(name, ours)
        raise UserError(f"no experiment of detection or segmentation and no config file is called {name!r}{hint}")
    return ours[name]


def _install(name: str) -> None:
    """Let `import mmdet.models` work; see `backbones.adapters.mmcv_ext`."""
    if find_spec("mmcv") is None:
        raise UserError(f"mmcv is not installed, and {name} needs it: pip install 'slimbench[mm]'")
    from backbones.adapters.mmcv_ext import install

    try:
        install()
    except ImportError as error:
        raise UserError(str(error)) from error


def _host(config: Config, name: str) -> Host:
    """The toolbox whose network it is; its modules are registered afterwards."""
    from benchmarks.training.toolboxes import quiet

    model = config.get("model")
    if not model or "type" not in model:
        raise UserError(f"config {name} has no model: give one of a detector or a segmentor")
    scope = _scope(model["type"]) or config.get("default_scope")
    hosts = [host for host in TASKS if scope in (host, None)]
    for host in hosts:
        if find_spec(host) is None:
            if scope is None:
                continue
            raise UserError(f"{host} is not installed, and {name} is {TASKS[host][0]}'s: pip install 'slimbench[mm]'")
        with quiet():
            _register(host)
        if _is_a(host, model["type"]):
            return host
    what = f"its model is {_type_name(model)}{f' of {scope}' if scope else ''}"
    raise UserError(f"config {name} is no detector's of mmdet and no segmentor's of mmseg: {what}")


def _register(host: Host) -> None:
    try:
        if host == "mmdet":
            from mmdet.utils import register_all_modules
        else:
            from mmseg.utils import register_all_modules
    except (ImportError, AssertionError) as error:  # the hosts assert the versions that they need
        raise UserError(f"{host} cannot be imported: {error}") from error
    register_all_modules(init_default_scope=False)


def _is_a(host: Host, kind: Any) -> bool:
    if host == "mmdet":
        from mmdet import models, registry

        base = models.BaseDetector
    else:
        from mmseg import models, registry

        base = models.BaseSegmentor
    found = registry.MODELS.get(kind) if isinstance(kind, str) else kind
    return isinstance(found, type) and issubclass(found, base)


def _scope(kind: Any) -> str | None:
    """The toolbox that a type names itself: "mmseg" of "mmseg.EncoderDecoder", or of one of mmseg's classes."""
    if isinstance(kind, str):
        return kind.partition(".")[0] if "." in kind else None
    package = str(kind.__module__).partition(".")[0]
    return package if package in TASKS else None


def _type_name(part: Any) -> str:
    kind = part["type"]
    return str(kind).rpartition(".")[2] if isinstance(kind, str) else str(kind.__name__)
