"""Crops of enlarged test pictures in colour, for the eye: what a network made, the truth, and bicubic enlargement.

The luminance is the network's, by the convention under which its PSNR is measured; the chroma is enlarged by bicubic.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from benchmarks import sample_files
from benchmarks.datasets.pictures import named_pictures, read_bytes
from benchmarks.sample_files import Sample
from benchmarks.super_resolution.colour import luminance_of_bytes, to_rgb, to_ycbcr
from benchmarks.super_resolution.resize import cropped, degraded

Restore = Callable[[Tensor, Tensor, int, str], Tensor]


def save(restore: Restore, root: str, crops: Sequence[Mapping[str, Any]], folder: Path) -> tuple[Sample, ...]:
    """Write three PNG files for each crop: `baby_x4.png` (the network's), `baby_x4_truth.png`, `baby_x4_bicubic.png`.

    restore: called with the enlarged luminance and the true one, each ``(1, 1, H, W)`` float32 in 0..1, the scale and
    the picture's name; returns the restored luminance of that shape. root: the folder of the test pictures. crops:
    dictionaries of `picture` (a name of `named_pictures`), `scale` and `box` (left, top, width, height in pixels).
    A crop whose picture is not there, or does not hold the box, is left out.
    """
    files = named_pictures(Path(root))
    saved = []
    for crop in crops:
        name, scale, box = str(crop["picture"]), int(crop["scale"]), (*map(int, crop["box"]),)
        if name not in files:
            continue
        truth = cropped(read_bytes(files[name]), scale)
        if not _holds(truth, box):
            continue
        bicubic, result = enlarged(restore, truth, scale, name)
        for shows, pixels in (("result", result), ("truth", _rgb(truth)), ("bicubic", bicubic)):
            file = f"{name}_x{scale}{'' if shows == 'result' else f'_{shows}'}.png"
            digest = sample_files.write(_png(pixels, box), folder / file)
            content = {"file": file, "picture": name, "scale": scale, "shows": shows, "box": box, "sha256": digest}
            saved.append(Sample.model_validate(content))
    return tuple(saved)


def enlarged(restore: Restore, truth: Tensor, scale: int, name: str = "") -> tuple[Tensor, Tensor]:
    """A picture reduced and enlarged again, by bicubic and by the network: two of ``(1, 3, H, W)`` uint8.

    truth: uint8 ``(1, 1 or 3, H, W)``, sides that `scale` divides.
    """
    luminance = luminance_of_bytes(truth).double() / 255
    inputs = degraded(luminance, scale)
    outputs = restore(inputs.float(), luminance.float(), scale, name).double().cpu()
    if truth.shape[1] == 1:
        return _bytes(inputs), _bytes(outputs)
    chroma = degraded(to_ycbcr(truth.double() / 255)[:, 1:], scale)
    bicubic, result = (_bytes(to_rgb(torch.cat([each, chroma], 1))) for each in (inputs, outputs))
    return bicubic, result


def _holds(pixels: Tensor, box: tuple[int, ...]) -> bool:
    left, top, width, height = box
    rows, columns = pixels.shape[-2:]
    return min(left, top) >= 0 and min(width, height) > 0 and left + width <= columns and top + height <= rows


def _bytes(images: Tensor) -> Tensor:
    return _rgb((images * 255).round().clamp(0, 255).to(torch.uint8))


def _rgb(pixels: Tensor) -> Tensor:
    return pixels.expand(-1, 3, -1, -1)


def _png(pixels: Tensor, box: tuple[int, ...]) -> bytes:
    left, top, width, height = box
    part = pixels[0, :, top : top + height, left : left + width].permute(1, 2, 0).contiguous()
    stream = io.BytesIO()
    Image.fromarray(part.numpy()).save(stream, format="PNG", optimize=True)
    return stream.getvalue()
