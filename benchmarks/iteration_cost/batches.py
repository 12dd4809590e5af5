"""Generated batches in the form in which the hosts' loaders hand them to `train_step` and `val_step`."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

BOXES = 8  # an image; COCO has 7.3 on average
BLOCKS = 8  # a mask is a grid of so many by so many blocks of one class each
IGNORED = 255


class Batch:
    """Images of random pixels with truth. task: "det" or "seg"; size: (height, width)."""

    def __init__(self, task: str, images: int, size: tuple[int, int], classes: int, seed: int = 0) -> None:
        draw = torch.Generator().manual_seed(seed)
        self.images = [torch.randint(0, 256, (3, *size), generator=draw, dtype=torch.uint8) for _ in range(images)]
        make = _detection if task == "det" else _segmentation
        self.samples = [make(size, classes, draw) for _ in range(images)]

    def fresh(self) -> dict[str, list[Any]]:
        """The batch with copied truth: hosts pad and convert it in place."""
        return {"inputs": list(self.images), "data_samples": copy.deepcopy(self.samples)}


def _metainfo(size: tuple[int, int]) -> dict[str, Any]:
    return {
        "img_id": 0, "img_path": "generated.png", "ori_shape": size, "img_shape": size, "pad_shape": size,
        "scale_factor": (1.0, 1.0), "flip": False, "flip_direction": None,
    }  # fmt: skip


def _detection(size: tuple[int, int], classes: int, draw: torch.Generator) -> Any:
    """Boxes of an eighth to a half of the image's sides, anywhere."""
    from mmdet.structures import DetDataSample
    from mmdet.structures.bbox import HorizontalBoxes
    from mmengine.structures import InstanceData

    height, width = size
    sides = torch.tensor([width, height])
    extents = (0.125 + 0.375 * torch.rand(BOXES, 2, generator=draw)) * sides
    corners = torch.rand(BOXES, 2, generator=draw) * (sides - extents)
    sample = DetDataSample(metainfo=_metainfo(size))
    sample.gt_instances = InstanceData(
        bboxes=HorizontalBoxes(torch.cat([corners, corners + extents], 1)),
        labels=torch.randint(classes, (BOXES,), generator=draw),
    )
    sample.ignored_instances = InstanceData(
        bboxes=HorizontalBoxes(torch.zeros(0, 4)), labels=torch.zeros(0, dtype=torch.long)
    )
    return sample


def _segmentation(size: tuple[int, int], classes: int, draw: torch.Generator) -> Any:
    """Blocks of a class each, one in twenty ignored."""
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    blocks = torch.randint(classes, (BLOCKS, BLOCKS), generator=draw)
    blocks[torch.rand(BLOCKS, BLOCKS, generator=draw) < 0.05] = IGNORED
    rows, columns = (torch.arange(extent) * BLOCKS // extent for extent in size)
    mask: Tensor = blocks[rows][:, columns]
    sample = SegDataSample(metainfo=_metainfo(size))
    sample.gt_sem_seg = PixelData(data=mask[None])
    return sample
