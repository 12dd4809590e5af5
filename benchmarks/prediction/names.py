"""The names and colours of a network's classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.errors import UserError
from benchmarks.prediction.configs import Named, dataset_of

Colour = tuple[int, int, int]


class Classes(NamedTuple):
    """One name and one colour (red, green, blue) a class. remark: what a user should know of them, if anything."""

    names: tuple[str, ...]
    palette: list[Colour]
    remark: str = ""


def of(named: Named, count: int | None, noted: Mapping[str, Any]) -> Classes:
    """The classes of a config's network.

    count: how many the network has, None where it does not say. noted: what the checkpoint says of the data that it
    was trained on; its names are taken where they are others than the config's, with a warning.
    Raises UserError if the config's data set names another number of classes, or nobody says how many there are.
    """
    dataset, meta = dataset_of(named.config), _metainfo(named)
    names = meta.get("classes")
    if names and count is not None and len(names) != count:
        kind = dataset.get("type", "metainfo")
        raise UserError(
            f"config {named.name}: its network has {count} classes, its data set ({kind}) names {len(names)}"
        )
    trained, remark = _names(noted.get("classes")), ""
    if trained and trained != names and (count is None or len(trained) == count):
        if names:
            differ = f"the checkpoint names its classes {_few(trained)}, the config {_few(names)}"
            remark = f"{differ}: the checkpoint's are used"
        names, meta = trained, dict(noted)
    if not names and count is None:
        raise UserError(f"config {named.name} does not say what its classes are (test_dataloader.dataset.metainfo)")
    names = names or tuple(f"class {index}" for index in range(count or 0))
    palette = meta.get("palette")
    if not isinstance(palette, Sequence) or isinstance(palette, str) or len(palette) != len(names):
        palette = colour_map(len(names), first=0 if named.host == "mmseg" else 1)
    return Classes(names, [(int(red), int(green), int(blue)) for red, green, blue in palette], remark)


def colour_map(count: int, first: int = 0) -> list[Colour]:
    """PASCAL VOC's colours of the classes from `first` on, of which 0 is black.

    A colour's bits from the highest down are the class's bits from the lowest up, in turns for red, green and blue.
    """
    return [
        (*(sum(((index >> (3 * bit + channel)) & 1) << (7 - bit) for bit in range(8)) for channel in range(3)),)  # type: ignore[misc]
        for index in range(first, first + count)
    ]


def _metainfo(named: Named) -> dict[str, Any]:
    """What the test data set's type and the config say of its classes; `classes` is a tuple of names."""
    dataset = dataset_of(named.config)
    kind = dataset.get("type")
    registry = import_module(f"{named.host}.registry").DATASETS
    found = registry.get(kind) if isinstance(kind, str) else kind
    meta = dict(getattr(found, "METAINFO", {})) | dict(dataset.get("metainfo") or {})
    names = meta.get("classes")
    if isinstance(names, str):  # MMEngine: a file with a name a line
        try:
            names = Path(names).read_text(encoding="utf-8").split("\n")
        except OSError as error:
            raise UserError(f"config {named.name}: no file {names} with the names of the classes") from error
    return meta | {"classes": _names(names)}


def _names(given: Any) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(str(name) for name in given or () if name)


def _few(names: Sequence[str]) -> str:
    return f"{', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"
