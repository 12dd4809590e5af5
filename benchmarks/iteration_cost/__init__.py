"""Seconds an iteration and peak memory of detectors and segmentors, each against a baseline in the same run.

    report = measure("mmconfigs/.../deeplabv3plus_resnet50.py", ["mmconfigs/.../deeplabv3plus_sc_resnet50.py"])

*What is timed.* Training is the host's own `train_step`: data preprocessor, forward, losses, backward, optimizer step,
and with `VersatileMaskHook` the masks' penalty and rule. Inference is `val_step` of one image: forward and
post-processing, in float32. An experiment is trained as our engine does it (bfloat16, channels_last), a config file as
it stands. Reading and augmenting images, other hooks, metrics and checkpoints are not in it.

*How.* Each network lives in a process of its own (`worker`). The processes take slices of time in turn, A B C A B C,
and only one computes at a time, so that whatever else the machine does disturbs all of them alike. Ratios are taken
slice by slice: they hold on a busy machine too, seconds only on an idle one.

*Memory* is the most that the network's process held beyond what it held before the network was built: resident memory
on a CPU, PyTorch's allocations on a GPU (not CUDA's own context). It is read while the network warms up, inference
before the first training step. On Linux the allocator gives back what is freed at once while memory is read
(`memory`); in a usual run it keeps some of it, and the process is larger by 10 or 20 %, more or less by chance.

*On what.* Generated images, boxes and masks (`batches`) of one size and number for all networks, so that no data set
need be there. Weights are random, nothing is downloaded; the statistics of batch norms are those of a generated image
(`network`), so that frozen ones do not let features grow from block to block. The learning rate is tiny.

`keep` puts a measurement into the ledger, `kept` reads all that are there (`keeping`).
"""

from __future__ import annotations

from benchmarks.iteration_cost.keeping import keep, kept, prepare
from benchmarks.iteration_cost.measuring import measure
from benchmarks.iteration_cost.records import MODES, Cost, Entrant, Mode, Report, read, write
from benchmarks.spread import Spread

__all__ = [
    "MODES", "Cost", "Entrant", "Mode", "Report", "Spread", "keep", "kept", "measure", "prepare", "read", "write",
]  # fmt: skip
