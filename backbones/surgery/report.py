"""What an operation did to a network: replaced, left alone and why, and what became of the weights."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from torch import nn

_LOG = logging.getLogger("backbones.surgery")
_ATTRIBUTE = "_surgery_report"


class SurgeryError(ValueError):
    """The network offers no place where the operator could go, or a replacement does not fit."""


@dataclass(frozen=True)
class Change:
    """One layer: its name in the network, what it is now (or why it was left), what became of its weights."""

    name: str
    outcome: str
    weights: str = ""


@dataclass
class SurgeryReport:
    """Lists of what was replaced, resized and left; ``str(report)`` is readable."""

    operation: str
    replaced: list[Change] = field(default_factory=list)
    resized: list[Change] = field(default_factory=list)
    left: list[Change] = field(default_factory=list)

    def summary(self) -> str:
        """One line: how many layers, and the fate of their weights."""
        fates: dict[str, int] = {}
        for change in (*self.replaced, *self.resized):
            fates[change.weights] = fates.get(change.weights, 0) + 1
        weights = ", ".join(f"{count} {fate}" for fate, count in fates.items())
        return (
            f"{self.operation}: {len(self.replaced)} convolutions replaced, {len(self.resized)} layers resized, "
            f"{len(self.left)} left; weights: {weights}"
        )

    def __str__(self) -> str:
        lines = [self.summary()]
        for title, changes in (("replaced", self.replaced), ("resized", self.resized), ("left", self.left)):
            lines += [f"  {title} {c.name}: {c.outcome}" + (f" ({c.weights})" if c.weights else "") for c in changes]
        return "\n".join(lines)


def attach(model: nn.Module, report: SurgeryReport, *, quiet: bool) -> None:
    """Keep the report with the model and say its one line aloud (logger ``backbones.surgery``)."""
    object.__setattr__(model, _ATTRIBUTE, [*getattr(model, _ATTRIBUTE, []), report])
    if not quiet:
        _LOG.warning("%s", report.summary())


def surgery_report(model: nn.Module) -> list[SurgeryReport]:
    """Return the reports of :func:`slim` and :func:`versatile` on this model, oldest first; maybe none."""
    return list(getattr(model, _ATTRIBUTE, []))
