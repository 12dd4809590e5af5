"""What holds for all entrants of a measurement, and the images that all of them get."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.complexity.records import InputSize
from benchmarks.latency.records import Dtype, Layout, Task

DTYPES: dict[Dtype, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}
FORMATS: dict[Layout, torch.memory_format] = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}


@dataclass(frozen=True)
class Setting:
    """What holds for all entrants of a measurement. place: "cpu" or "cuda:1"."""

    task: Task
    place: str
    batch: int
    input_size: InputSize
    dtype: Dtype
    layout: Layout

    @property
    def device(self) -> str:
        return self.place.partition(":")[0]

    def wait(self) -> None:
        """Until the device is done."""
        if self.device == "cuda":
            torch.cuda.synchronize(self.place)

    def images(self) -> Tensor:
        """The same normal noise for all, in fp32 and in the layout."""
        draw = torch.Generator().manual_seed(0)
        images = torch.randn(self.batch, *self.input_size, generator=draw)
        return images.to(self.place).contiguous(memory_format=FORMATS[self.layout])
