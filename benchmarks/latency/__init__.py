"""Latency and memory of networks, each against a baseline that takes turns with it in one process.

    found = measure(["sc_resnet50:compiled", "separate_l_versatile_resnet50_s4:deployed"], "resnet50:compiled")

*What is timed.* Inference: a call of the network on a batch that is there already, without gradients. Training:
forward pass, the mean square of the outputs, backward pass; no optimizer and no penalty of masks. Weights are random
(batch norms have the statistics of the input), images are normal noise, the same for all.

*Modes.* `eager`: PyTorch as it is. `compiled`: the best it offers, inductor with frozen weights (`modes.FROZEN`).
`deployed`: `backbones.deploy(network)`; `deployed+compiled`: both. `ncnn`: in the package of that name, batch 1 on the
CPU. What another mode computes is compared with the eager network first, so that no time is that of another network.

*How.* After the warm-up the networks and a product of matrices take one run each, round after round, in an order that
is drawn for each round (`timing`). Ratios are taken run by run, so that they hold on a busy machine too; times only on
an idle one. The interval of a ratio is that of order statistics at 95 %: it needs no distribution, only rounds that do
not depend on one another. The share of the peak is that of the matrix product of the same round.

*Memory* is the network's weights and the most that a call takes from PyTorch's allocator beside them (`memory`).
"""

from __future__ import annotations

from benchmarks.latency.measuring import BASELINE, measure
from benchmarks.latency.records import MODES, SHELF, Entrant, MatrixProduct, Measurement, Mode, Ratio

__all__ = ["BASELINE", "MODES", "SHELF", "Entrant", "MatrixProduct", "Measurement", "Mode", "Ratio", "measure"]
