"""One look for all figures: colours that colour-blind readers tell apart, one font, files without timestamps."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's palette; every kind also has a name beside its marker, so colour never stands alone.
KINDS: dict[str, tuple[str, str]] = {
    "baseline": ("#000000", "baseline"),
    "method": ("#0072B2", "the paper's method"),
    "other": ("#D55E00", "another method"),
    "quoted": ("#999999", "quoted by the paper"),
    "control": ("#009E73", "our control"),
}
PROXY_COLOUR = "#CC79A7"
INK = "#333333"
PROXY_AREA = 34.0
ONE_SIZE = 0.2  # of the largest marker, where a figure's markers are all of one size
SIZE = (8.0, 5.0)
# Left, bottom, width, height of the axes, and the two legends on their right; in parts of the figure.
AXES = (0.085, 0.105, 0.67, 0.825)
LEGEND_TOP = (0.765, 0.95)
LEGEND_BOTTOM = (0.765, 0.085)
DPI = 200

RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "pdf.fonttype": 42,
    "svg.hashsalt": "slimbench",
    "path.simplify": False,
}


@dataclass(frozen=True)
class Areas:
    """Maps a quantity to marker areas in points squared, proportional to it; ``largest`` gets ``biggest``."""

    largest: float
    biggest: float = 420.0
    unknown: float = 36.0

    def __call__(self, value: float | None) -> float:
        """Return the area for ``value``, and a fixed small one where it is not known."""
        return self.unknown if value is None else self.biggest * value / self.largest

    def references(self) -> list[float]:
        """Return three round values that span the sizes shown, for the legend."""
        return sorted({_round_down(self.largest * part) for part in (0.25, 0.5, 1.0)})


def applied() -> AbstractContextManager[None]:
    """Return a context in which matplotlib draws in this style and in no style of the user's."""
    from matplotlib import style

    return style.context(["default", RC])


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write ``stem.png`` and ``stem.pdf`` without dates or versions, so that equal figures are equal files."""
    png, pdf = (stem.with_name(f"{stem.name}.{kind}") for kind in ("png", "pdf"))  # a stem may hold a point
    with applied():
        figure.savefig(png, dpi=DPI, metadata={"Software": None})
        figure.savefig(pdf, metadata={"CreationDate": None, "Creator": None, "Producer": None})
    return [png, pdf]


def _round_down(value: float) -> float:
    """Return the largest of 1, 2, 3, 4, 5, ... times a power of ten that is not above ``value``."""
    power: float = 10.0 ** int(f"{value:e}".partition("e")[2])
    return float(f"{int(value / power) * power:.12g}")
