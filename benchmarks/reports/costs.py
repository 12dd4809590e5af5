"""What fills an open cell, and what that costs: a command, and a rule of thumb whose basis is stated."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter

from benchmarks.published import PAPERS

# A backward pass costs about two forward ones.
TRAINING_PASSES = 3
NOT_CONFIGURED = "not configured yet"
# Experiments of this protocol test the authors' released weights and train nothing.
RELEASED = "released"


class Protocol(BaseModel):
    """A protocol that tables name: what it is and what it takes.

    ``macs_per_second`` is the training throughput assumed on ``hardware``; ``basis`` says where it comes from.
    Description and epochs are the config's where there is one (``configured``), and those of ``protocols.yaml`` where
    there is none yet. ``weights_of``: it tests the weights that another protocol trains.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str
    epochs: int
    images: int
    configured: bool = False
    weights_of: str = ""
    hardware: str
    macs_per_second: float
    basis: str

    def seconds(self, macs: int) -> float:
        """Return the estimated training time of a network of ``macs`` multiply-accumulates an image."""
        return TRAINING_PASSES * macs * self.images * self.epochs / self.macs_per_second


@lru_cache(maxsize=4)
def protocols(file: Path = PAPERS / "protocols.yaml") -> dict[str, Protocol]:
    """Return ``<dataset>/<protocol>`` -> protocol; a variant costs what the protocol costs that it varies."""
    from benchmarks.training import experiments

    costs: dict[str, dict[str, Any]] = yaml.safe_load(file.read_text(encoding="utf-8"))
    merged = {name: {**content} for name, content in costs.items()}
    for name in experiments.list_protocols():
        own = experiments.protocol(name)
        known = costs.get(name) or costs.get(own["variant_of"])
        if known is not None:
            said = {key: own[key] for key in ("description", "epochs", "weights_of")}
            merged[name] = {**known, **said, "configured": True}
    return TypeAdapter(dict[str, Protocol]).validate_python(merged)


def training(dataset: str, protocol: str, model: str, macs: int | None) -> str:
    """Say how to fill a cell by training: the command, then what it costs as far as that is known."""
    known = protocols().get(f"{dataset}/{protocol}")
    command = f"slimbench train {(known and known.weights_of) or f'{dataset}/{protocol}'}/{model}"
    if known is None:
        return command
    cost = "" if macs is None else f"about {duration(known.seconds(macs))} on {known.hardware}"
    remarks = ", ".join(filter(None, (cost, "" if known.configured else NOT_CONFIGURED)))
    after = f", then slimbench test {dataset}/{protocol}/{model} --checkpoint FILE" if known.weights_of else ""
    return f"{command} ({remarks}){after}" if remarks else f"{command}{after}"


def evaluation(dataset: str, model: str, protocol: str = RELEASED) -> str:
    """Say how to fill a cell by testing the authors' released weights."""
    known = protocols().get(f"{dataset}/{protocol}")
    missing = "" if known is None or known.configured else f", {NOT_CONFIGURED}"
    return f"slimbench test {dataset}/{protocol}/{model} --checkpoint FILE (the authors' weights, minutes{missing})"


def basis(dataset: str, protocol: str) -> str:
    """Return the protocol in words with the basis of its costs; empty for an unknown one."""
    known = protocols().get(f"{dataset}/{protocol}")
    if known is None or known.epochs == 0:
        return ""
    return (
        f"{protocol}: {known.description}. Estimated cost: {TRAINING_PASSES} x MACs x images x epochs at "
        f"{_plain(known.macs_per_second)} MACs a second on {known.hardware} ({known.basis})."
    )


def _plain(number: float) -> str:
    return f"{number:.3g}".replace("e+", "e")


def duration(seconds: float) -> str:
    """Return ``seconds`` as a reader says them: minutes, hours or days, two digits at most."""
    for size, unit, limit in ((60.0, "minutes", 90 * 60), (3600.0, "hours", 48 * 3600)):
        if seconds < limit:
            return f"{max(1, round(seconds / size))} {unit}"
    days = seconds / 86400
    return f"{days:.1f} days" if days < 10 else f"{days:.0f} days"
