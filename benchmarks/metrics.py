"""Every quantity that a published table prints: where its number comes from and how it is shown.

A metric is either *counted* (an attribute of ``benchmarks.complexity.Complexity``) or *run* (a metric of a result in
the ledger). An error is 100 minus the accuracy that the ledger holds, so that one run serves both kinds of column.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True)
class Metric:
    """One quantity.

    Attributes:
        label: What a reader calls it.
        noun: The unit after a power of ten, as in "1e9 MACs"; empty where the unit stands alone ("%").
        counted: The attribute of ``Complexity`` that holds it; empty for metrics that only a run can give.
        run: The ledger's metric that holds it; empty for counted ones.
        complement: The value is 100 minus the ledger's.
        reduction: The value is by how many percent the count is below that of the column's baseline.
        gain: What a gain is counted in; empty where no difference is taken (a latency is compared as a ratio).
    """

    label: str
    noun: str = ""
    counted: str = ""
    run: str = ""
    complement: bool = False
    reduction: bool = False
    gain: str = ""

    def from_run(self, value: float) -> float:
        """Return this metric for the ledger's ``value``: itself, or 100 minus it for an error."""
        return 100.0 - value if self.complement else value

    def from_counts(self, count: int, baseline: int | None = None) -> Decimal:
        """Return this metric for a ``count``: itself, or its reduction from the ``baseline``'s in percent."""
        if baseline is None or not self.reduction:
            return Decimal(count)
        return 100 - 100 * Decimal(count) / Decimal(baseline)


METRICS: dict[str, Metric] = {
    "params": Metric("parameters", noun="parameters", counted="params"),
    "macs": Metric("MACs", noun="MACs", counted="macs"),
    "mul": Metric("multiplications", noun="MUL", counted="mul"),
    "add": Metric("additions", noun="ADD", counted="add"),
    "weight_bytes": Metric("storage of weights", noun="bytes", counted="weight_bytes"),
    "bit_ops": Metric("bit operations", noun="BitOps", counted="macs"),
    "params_reduction": Metric("reduction of parameters", counted="params", reduction=True),
    "top1_error": Metric("top-1 error", run="top1_accuracy", complement=True, gain="points"),
    "top5_error": Metric("top-5 error", run="top5_accuracy", complement=True, gain="points"),
    "top1_accuracy": Metric("accuracy", run="top1_accuracy", gain="points"),
    "miou": Metric("mIoU", run="miou", gain="points"),
    "pixel_accuracy": Metric("pixel accuracy", run="pixel_accuracy", gain="points"),
    "map": Metric("mAP", run="map", gain="points"),
    "map50": Metric("mAP at IoU 0.5", run="map50", gain="points"),
    "map50_11point": Metric("mAP at IoU 0.5, mean of 11 recalls", run="map50_11point", gain="points"),
    "map50_area": Metric("mAP at IoU 0.5, area under the curve", run="map50_area", gain="points"),
    "map75": Metric("mAP at IoU 0.75", run="map75", gain="points"),
    "psnr": Metric("PSNR", run="psnr", gain="dB"),
    "psnr_x2": Metric("PSNR of twofold enlargement", run="psnr_x2", gain="dB"),
    "psnr_x3": Metric("PSNR of threefold enlargement", run="psnr_x3", gain="dB"),
    "psnr_x4": Metric("PSNR of fourfold enlargement", run="psnr_x4", gain="dB"),
    # One picture of a data set: shown, and no claim of its own.
    "psnr_x4.baby": Metric("PSNR of baby, fourfold", run="psnr_x4.baby"),
    "psnr_x2.butterfly": Metric("PSNR of butterfly, twofold", run="psnr_x2.butterfly"),
    "latency": Metric("latency", run="latency"),
    "gpu_memory": Metric("GPU memory", run="gpu_memory"),
}
