"""Super-resolution for MMEngine: the model, what is measured, and VDSR's clipping of gradients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS, MODELS, OPTIM_WRAPPERS
from torch import Tensor

from benchmarks.errors import UserError
from benchmarks.super_resolution.quality import psnr, ssim
from benchmarks.training.classifier import AutocastOptimWrapper
from benchmarks.training.network import NetworkModel


@MODELS.register_module(force=True)
class SuperResolver(NetworkModel):
    """`backbones.create_model(name)` that restores enlarged luminance, trained with the squared error.

    inputs, targets (N, 1, H, W) in 0..1. mode "loss" returns dict(loss_sr=scalar), half the squared error summed over
    the pixels of a patch, mean over the batch (Kim et al., 2016, section 4.2, whose learning rate belongs to this
    scale); "predict" returns one dict(outputs, targets, inputs, scale, name); "tensor" returns the outputs. For the
    other arguments see `NetworkModel`.
    """

    def __init__(self, name: str, **kwargs: Any) -> None:
        import backbones

        super().__init__(backbones.create_model(name), **kwargs)

    def forward(
        self, inputs: Tensor, targets: Tensor | None = None, mode: str = "tensor", scale: int = 0, name: str = ""
    ) -> Any:
        outputs = self.outputs(inputs)
        if mode == "tensor":
            return outputs
        if mode not in ("loss", "predict") or targets is None:
            raise ValueError(f"no mode {mode!r}; it is one of 'loss' and 'predict', with targets, and 'tensor'")
        if mode == "loss":
            return {"loss_sr": (outputs.float() - targets).square().sum() / (2 * len(inputs))}
        return [{"outputs": outputs, "targets": targets, "inputs": inputs, "scale": scale, "name": name}]


def to_8_bit(images: Tensor) -> Tensor:
    """Images in 0..1, clipped and rounded to the 256 values that a picture file holds."""
    return (images.double() * 255).round().clamp(0, 255) / 255


@METRICS.register_module(force=True)
class EnlargementQuality(BaseMetric):
    """PSNR in dB and SSIM of luminance at each scale, of the network and of bicubic enlargement.

    As in the literature on Set5: truth and result rounded to 8 bits, the reduced picture between them not, `scale`
    rows and columns left out at each side, the mean of the pictures' values. `psnr_x2`, `ssim_x2`, `bicubic_psnr_x2`,
    `bicubic_ssim_x2`, ...; and, for each picture, `psnr_x2.<picture>`.

    brief: only `psnr_x2`, ..., for the validation during training.
    Raises UserError for a picture that is restored exactly, whose PSNR is infinite.
    """

    def __init__(self, brief: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.brief = brief

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        for sample in data_samples:
            scale, truth = sample["scale"], to_8_bit(sample["targets"])
            outputs, bicubic = to_8_bit(sample["outputs"]), to_8_bit(sample["inputs"])
            found = {"psnr": psnr(outputs, truth, scale)}
            if not self.brief:
                found["ssim"] = ssim(outputs, truth, scale)
                found["bicubic_psnr"], found["bicubic_ssim"] = psnr(bicubic, truth, scale), ssim(bicubic, truth, scale)
            if math.inf in found.values():  # no number for a mean or a record
                raise UserError(
                    f"{sample['name']} at scale {scale} is restored without any error, so its PSNR is infinite (is it "
                    "of one colour?); leave the picture out"
                )
            self.results.append({"scale": scale, "name": sample["name"], **found})

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        metrics: dict[str, float] = {}
        for scale in sorted({result["scale"] for result in results}):
            of_scale = [result for result in results if result["scale"] == scale]
            for name in of_scale[0].keys() - {"scale", "name"}:
                metrics[f"{name}_x{scale}"] = sum(result[name] for result in of_scale) / len(of_scale)
        metrics = dict(sorted(metrics.items()))
        if not self.brief:
            metrics |= {
                f"{kind}_x{result['scale']}.{result['name']}": result[kind]
                for result in results
                for kind in ("psnr", "bicubic_psnr")
            }
        return metrics


@OPTIM_WRAPPERS.register_module(force=True)
class AdjustableClippingOptimWrapper(AutocastOptimWrapper):
    """VDSR's adjustable gradient clipping (Kim et al., 2016, section 3.2): every gradient to [-theta/lr, theta/lr].

    So a step of plain SGD moves no weight by more than theta, whatever the learning rate, which each group of
    parameters has of its own. theta is not printed; configs state their choice.

    The agents H of learned masks, at a multiple of the learning rate, have the same bound on their steps: without one
    the first steps of VDSR's training are up to 300 long, where masks live in [0, 1]. In a trial (x2 to x4, batch 16)
    36 % of all masks had changed after five of them, and the network was dead, its details zero everywhere; with the
    bound 0.02 %, and it learned.

    Raises ValueError unless theta is positive.
    """

    def __init__(self, *args: Any, theta: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if theta <= 0:
            raise ValueError(f"theta must be positive, not {theta}")
        self.theta = theta

    def step(self, **kwargs: Any) -> None:
        for group in self.optimizer.param_groups:
            if group["lr"] > 0:
                torch.nn.utils.clip_grad_value_(group["params"], self.theta / group["lr"])
        super().step(**kwargs)
