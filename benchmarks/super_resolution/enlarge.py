"""Enlarge a whole picture: luminance by a network, chroma and transparency by bicubic interpolation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.errors import UserError
from benchmarks.precision import without_tf32
from benchmarks.super_resolution.colour import to_rgb, to_ycbcr
from benchmarks.super_resolution.resize import REACH, bicubic
from benchmarks.super_resolution.tiling import automatic_tile, parts, reach

Image = TypeVar("Image", "np.ndarray[tuple[int, ...], np.dtype[np.generic]]", Tensor)
WHITE = {torch.uint8: 255, torch.uint16: 65_535, torch.float32: 1, torch.float64: 1}
LEAST_ALPHA = 1 / 16  # below it nothing of a colour can be seen, and a quotient says nothing


def upscale(
    image: Image,
    network: nn.Module,
    scale: int,
    tile: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Image:
    """Enlarge an image ``scale`` times at either side.

        image = numpy.asarray(PIL.Image.open("parrot.png"))            # (H, W, 3), uint8
        larger = upscale(image, network, 2)                            # (2 H, 2 W, 3), uint8

    Luminance (ITU-R BT.601) is enlarged by bicubic interpolation and then given to the network; chroma and alpha are
    enlarged by bicubic interpolation, colours weighted by alpha. A grey image is its own luminance. The result is
    clipped, and rounded where the type has whole numbers. What a tile is computed from reaches as far beyond it as the
    network sees, so that the result does not depend on the tiles but for the last bits of a float32.

    Args:
        image: an array ``(H, W)`` or ``(H, W, C)`` or a tensor ``(N, C, H, W)``; C is 1 (grey), 2 (grey, alpha),
            3 (RGB) or 4 (RGB, alpha). uint8, uint16, or float32 or float64 in 0..1.
        network: ``(N, 1, H, W) -> (N, 1, H, W)``, in evaluation mode, on the device that is to compute, in float32.
            Convolutions are much faster on a CPU after ``network.to(memory_format=torch.channels_last)``.
            ``torch.nn.Identity()`` is bicubic interpolation.
        scale: 2 or more.
        tile: the largest side of a part that is computed at once, in pixels of the result, surroundings not counted.
            0 for the whole image at once; None to choose by the device and its free memory.
        progress: called with the number of tiles that are done, and of all.

    Returns:
        An image of the same kind, layout and type.

    Raises:
        ValueError: for another shape, type or scale, or a network that changes an image's size.
        UserError: if the network's output is not finite.
    """
    if isinstance(image, Tensor):
        return _upscaled(image, network, scale, tile, progress)
    if image.ndim not in {2, 3}:
        raise ValueError(f"an array of shape {image.shape}: an image is (H, W) or (H, W, C)")
    own = np.require(image[..., None] if image.ndim == 2 else image, requirements=["C", "W"])  # or torch warns
    as_tensor = torch.from_numpy(own).permute(2, 0, 1)[None]
    larger = _upscaled(as_tensor, network, scale, tile, progress)[0].permute(1, 2, 0).numpy()
    return larger.reshape(*larger.shape[:2], *image.shape[2:])


def _upscaled(
    image: Tensor, network: nn.Module, scale: int, tile: int | None, progress: Callable[[int, int], object] | None
) -> Tensor:
    _check(image, scale, tile)
    (count, channels, height, width), white = image.shape, WHITE[image.dtype]
    device = next((parameter.device for parameter in network.parameters()), image.device)
    if tile is None:
        tile = automatic_tile(network, device)
    cut = list(parts(height, width, max(1, tile // scale) if tile else max(height, width)))
    margin = -(-reach(network) // scale) + REACH if len(cut) > 1 else 0
    # Channels last, as files are, so that an array of the result needs no copy.
    result = image.new_empty((count, height * scale, width * scale, channels)).permute(0, 3, 1, 2)
    for done, part in enumerate(cut):
        wide = part.with_margin(margin, height, width)
        seen = image[..., wide.top : wide.bottom, wide.left : wide.right].to(device, torch.float64) / white
        larger = _larger(seen, network, scale)
        inner = larger[
            ...,
            (part.top - wide.top) * scale : (part.bottom - wide.top) * scale,
            (part.left - wide.left) * scale : (part.right - wide.left) * scale,
        ]
        inner = (inner * white).clamp(0, white)
        result[..., part.top * scale : part.bottom * scale, part.left * scale : part.right * scale] = (
            inner if white == 1 else inner.round()
        ).to(image)
        if progress is not None:
            progress(done + 1, len(cut))
    return result


def _check(image: Tensor, scale: int, tile: int | None) -> None:
    if image.dim() != 4 or image.shape[1] not in {1, 2, 3, 4} or 0 in image.shape:
        raise ValueError(f"an image of shape {tuple(image.shape)} (N, C, H, W): C is 1, 2, 3 or 4, and no side is 0")
    if image.dtype not in WHITE:
        raise ValueError(f"an image of {image.dtype}: it is uint8, uint16, float32 or float64")
    if scale < 2:
        raise ValueError(f"scale {scale}: it is 2 or more")
    if tile is not None and tile < 0:
        raise ValueError(f"tile {tile}: it is a number of pixels, or 0 for the whole image")


@torch.inference_mode()
def _larger(image: Tensor, network: nn.Module, scale: int) -> Tensor:
    """An image in float64 with all its channels, enlarged; not clipped."""
    # In float64: positions in float32 would depend on where a tile begins.
    size = (image.shape[2] * scale, image.shape[3] * scale)
    if image.shape[1] in {1, 3}:
        return _with_details(bicubic(image, size), network)
    colours, alpha = image[:, :-1], bicubic(image[:, -1:], size)
    # Weighted by alpha, or the colours that lie hidden under transparent pixels would shine through at the edges.
    visible = bicubic(colours * image[:, -1:], size) / alpha.clamp(min=LEAST_ALPHA)
    colours = torch.where(alpha > LEAST_ALPHA, visible, bicubic(colours, size))
    return torch.cat([_with_details(colours, network), alpha], 1)


def _with_details(larger: Tensor, network: nn.Module) -> Tensor:
    if larger.shape[1] == 1:
        return _detailed(larger, network)
    ycbcr = to_ycbcr(larger)
    return to_rgb(torch.cat([_detailed(ycbcr[:, :1], network), ycbcr[:, 1:]], 1))


def _detailed(luminance: Tensor, network: nn.Module) -> Tensor:
    with without_tf32():
        found: Tensor = network(luminance.float().contiguous(memory_format=torch.channels_last))
    if found.shape != luminance.shape:
        raise ValueError(f"the network makes {tuple(found.shape)} of {tuple(luminance.shape)}")
    if not found.isfinite().all():
        raise UserError("the network's output is not finite; are these the weights of a training that diverged?")
    return found.double()
