"""One number a slice of time, and what is told of them: median and quartiles, validated wherever they are stored."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Strict(BaseModel):
    """What records are made of: no field that the schema does not have, no number that is none."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Spread(Strict):
    """One number a slice, with their median, first and third quartile."""

    median: float = Field(gt=0)
    low: float = Field(gt=0)
    high: float = Field(gt=0)
    slices: tuple[float, ...] = Field(min_length=2)

    @classmethod
    def of(cls, slices: Sequence[float]) -> Spread:
        """The spread of these numbers, two at least."""
        low, middle, high = statistics.quantiles(slices, n=4, method="inclusive")
        return cls(median=middle, low=low, high=high, slices=tuple(slices))

    @model_validator(mode="after")
    def _true(self) -> Spread:
        found = statistics.quantiles(self.slices, n=4, method="inclusive")
        if not all(abs(a - b) <= 1e-9 * b for a, b in zip((self.low, self.median, self.high), found, strict=True)):
            raise ValueError(f"median and quartiles of the slices are {found}")
        return self


def ratios(own: Sequence[float], base: Sequence[float]) -> tuple[float, ...]:
    """Slice by slice."""
    return tuple(mine / theirs for mine, theirs in zip(own, base, strict=True))
