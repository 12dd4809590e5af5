"""Measurements that the ledger keeps: `results/iteration-costs/<name>.json`, from which a report's page is made."""

from __future__ import annotations

from benchmarks import kept_records, ledger
from benchmarks.iteration_cost.records import Report, short_name


def file_name(report: Report) -> str:
    """As `deeplabv3plus_resnet50-257x257-b2-intel-xeon-processor-20261122T081131-060421Z.json`."""
    height, width = report.input_size
    return kept_records.file_name(
        short_name(report.baseline.name),
        f"{height}x{width}",
        f"b{report.batch}",
        device=report.environment.device,
        started_at=report.started_at,
    )


SHELF = kept_records.Shelf(ledger.ITERATION_COSTS, Report, file_name)
prepare, keep, kept = SHELF.prepare, SHELF.keep, SHELF.kept
