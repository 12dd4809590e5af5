"""What a run measured, as lines for the terminal: a line a metric, or a line a scale in super-resolution.

What has a name with a dot in it belongs to one class or one picture, and is shown where that is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from benchmarks.ledger import Metric

_ENLARGED = re.compile(r"(?P<of>bicubic_)?(?P<kind>psnr|ssim)_x(?P<scale>\d+)(?:\.(?P<picture>.+))?")
_Values = dict[tuple[str, str], float]


def of_metrics(name: str, metrics: Sequence[Metric], *, each: bool = False) -> list[str]:
    """The metrics of a run, each line beginning with `name`.

    Those of enlargement stand in one line a scale, bicubic's and the network's PSNR and SSIM side by side; with
    `each`, the PSNR of every picture follows in lines of the same form, and other tasks show each class.
    """
    lines: list[str] = []
    scales: dict[int, _Values] = {}
    pictures: dict[tuple[int, str], _Values] = {}
    for metric in metrics:
        match = _ENLARGED.fullmatch(metric.name)
        if match is None and "." in metric.name and not each:
            continue
        if match is None:
            lines.append(f"{name}: {metric.name} {metric.value:.2f} {metric.unit}")
            continue
        scale, picture, key = int(match["scale"]), match["picture"], (match["of"] or "", match["kind"])
        (pictures.setdefault((scale, picture), {}) if picture else scales.setdefault(scale, {}))[key] = metric.value
    lines += [f"{name}: x{scale}  {_both(values)}" for scale, values in sorted(scales.items())]
    if each:
        width = max((len(picture) for _, picture in pictures), default=0)
        lines += [
            f"{name}: x{scale} {picture:{width}}  {_both(values)}"
            for (scale, picture), values in sorted(pictures.items())
        ]
    return lines


def _both(values: _Values) -> str:
    titles = {"bicubic_": "bicubic", "": "network"}
    sides = [f"{title} {_quality(of, values)}" for of, title in titles.items() if (of, "psnr") in values]
    return ", ".join(sides)


def _quality(of: str, values: _Values) -> str:
    told = f"{values[of, 'psnr']:5.2f} dB"
    return f"{told} SSIM {values[of, 'ssim']:.4f}" if (of, "ssim") in values else told
