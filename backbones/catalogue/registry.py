"""The register of named models: what a name is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from torch import nn

from backbones.naming import UnknownModelError

Paper = Literal["slimconv", "versatile", "both"]
Builder = Callable[..., nn.Module]


@dataclass(frozen=True)
class ModelSpec:
    """A named model: what it is made of, and the input that the papers give it.

    ``num_classes`` is 0 where the network has no classes (super-resolution, a backbone without its classifier);
    its builder then takes no such argument.
    """

    name: str
    paper: Paper
    method: str
    source: str
    build: Builder
    baseline: str = ""
    input_size: tuple[int, int, int] = (3, 224, 224)
    num_classes: int = 1000


_CATALOGUE: dict[str, ModelSpec] = {}


def list_models(pattern: str = "*") -> list[str]:
    """Return the names that match ``pattern`` (``*``, ``?``, ``[...]`` as in timm), sorted."""
    return sorted(name for name in _CATALOGUE if fnmatchcase(name, pattern))


def model_spec(name: str) -> ModelSpec:
    """Return what is known of a named model.

    Raises:
        UnknownModelError: with the nearest names.
    """
    try:
        return _CATALOGUE[name]
    except KeyError:
        raise UnknownModelError(name, _CATALOGUE) from None


def create_model(name: str, **kwargs: Any) -> nn.Module:
    """Build a named model, newly initialised.

    Args:
        name: one of :func:`list_models`.
        **kwargs: for the baseline's builder, ``num_classes`` among them.

    Raises:
        UnknownModelError: with the nearest names.
    """
    spec = model_spec(name)
    classes = {"num_classes": spec.num_classes} if spec.num_classes else {}
    return spec.build(**{**classes, **kwargs})


def add(spec: ModelSpec) -> None:
    """Register a model; its name must be new."""
    if spec.name in _CATALOGUE:
        raise ValueError(f"two models are called {spec.name!r}")
    _CATALOGUE[spec.name] = spec


def derive(name: str, baseline: str, paper: Paper, method: str, operate: Callable[[nn.Module], nn.Module]) -> None:
    """Register a model that is a registered baseline after an operation."""
    base = _CATALOGUE[baseline]

    def build(**kwargs: Any) -> nn.Module:
        return operate(base.build(**kwargs))

    add(ModelSpec(name, paper, method, "slimbench", build, baseline, base.input_size, base.num_classes))
