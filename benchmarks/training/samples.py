"""The pictures that stand beside a run's record in the ledger, where its config names some."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from backbones.adapters.mmengine import unwrap
from benchmarks.sample_files import Sample
from benchmarks.training import processes

if TYPE_CHECKING:
    from mmengine.config import Config

    from benchmarks.training.runner import BenchmarkRunner


def saved(config: Config, runner: BenchmarkRunner, folder: Path) -> tuple[Sample, ...]:
    """Write the pictures that the experiment's config names under `samples`, as the trained network makes them.

    Super-resolution names crops (`picture`, `scale`, `box`), detection and segmentation whole pictures (`picture`).
    None where the config names none, in other processes than the main one, and of pictures and scales that the
    experiment does not test.
    """
    crops = config.get("samples", [])
    if not crops or not processes.is_main_process():
        return ()
    model: Any = unwrap(runner.model)
    model.eval()
    data = runner.test_loop.dataloader.dataset
    if config.get("toolbox"):
        from benchmarks.prediction.samples import save as save_findings

        return save_findings(model, data, crops, folder)
    from benchmarks.super_resolution.samples import save

    tested = {(item["name"], item["scale"]) for item in data.items}

    def restore(inputs: Tensor, targets: Tensor, scale: int, name: str) -> Tensor:
        (found,) = model.test_step({"inputs": inputs, "targets": targets, "scale": scale, "name": name})
        outputs: Tensor = found["outputs"]
        return outputs

    return save(restore, data.root, [crop for crop in crops if (crop["picture"], crop["scale"]) in tested], folder)
