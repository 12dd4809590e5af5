"""A small table with a cell of every status, a counter that needs no torch, and the runs that go with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import yaml

from benchmarks import ledger
from benchmarks.errors import UserError
from benchmarks.reports import costs
from benchmarks.reports.sources import Provenance, Run

PAPER = {
    "short": "Sample",
    "title": "A sample paper: with a subtitle",
    "authors": "A. Author, B. Author",
    "venue": "Nowhere",
    "year": 2020,
    "references": {"[7]": "C. Author, Another paper & more, 2019"},
}


def _row(label: str, model: str, error: str, macs: str, params: str, **more: object) -> dict[str, object]:
    values = {"error": error, "macs": macs, "params": params}
    return {"label": label, "group": "g", "kind": "method", "model": model, "values": values} | more


def table() -> dict[str, object]:
    """Return the raw table; tests change it before they write it."""
    return {
        "number": "1",
        "caption": "Errors of 100 % & more",
        "where": "Section 2",
        "dataset": "cifar10",
        "protocol": "paper-400e",
        "input": "3x32x32",
        "classes": 10,
        "columns": [
            {"id": "error", "label": "Error", "metric": "top1_error", "unit": "%", "better": "lower"},
            {"id": "macs", "label": "FLOPs", "metric": "macs", "scale": 1e8, "better": "lower"},
            {"id": "params", "label": "#Param_s", "metric": "params", "scale": 1e5, "better": "lower"},
        ],
        "figure": {"x": "macs", "y": "error", "size": "params", "caption": "Error against MACs"},
        "groups": [{"id": "g", "label": "Ours & theirs"}, {"id": "q", "label": "Quoted"}],
        "rows": [
            _row("Baseline", "base", "6.5", "1.3", "8.5", kind="baseline"),
            _row("S_1 (32×4d)", "small", "6.8", "0.6", "4.3"),
            _row(
                "Odd",
                "odd",
                "7.0",
                "0.5",
                "2.2",
                cells={"params": {"explanation": "The paper divides by 4, Eq. 6 by 5."}, "macs": {"note": "A note."}},
            ),
            _row("Tested", "tested", "7.10", "0.6", "4.3", released=True),
            _row("Later", "later", "5.0", "2.0", "9.9", planned="model not built yet"),
            _row("Locked", "base", "5.5", "1.3", "8.5", cells={"error": {"blocked": "the data are gone"}}),
            _row("Theirs [7]", "", "6.9", "-", "7.3", group="q", kind="quoted", quoted_from="[7]"),
            {"label": "Random", "group": "q", "kind": "control", "model": "base", "ours": True},
        ],
        "notes": ["The table's caption is wrong."],
    }


def write_table(root: Path, raw: dict[str, object] | str, name: str = "sample/table1") -> Path:
    """Write a table (and its paper) below ``root`` and return ``root``."""
    file = root / f"{name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(raw if isinstance(raw, str) else yaml.safe_dump(raw, allow_unicode=True), encoding="utf-8")
    (file.parent / "paper.yaml").write_text(yaml.safe_dump(PAPER), encoding="utf-8")
    return root


@dataclass(frozen=True)
class Numbers:
    params: int
    macs: int
    mul: int = 0
    add: int = 0
    weight_bytes: int = 0


class SampleCounter:
    """Counts from a dictionary; remembers what it was asked for."""

    KNOWN: ClassVar[dict[str, Numbers]] = {
        "base": Numbers(853_018, 125_492_864),
        "small": Numbers(428_890, 62_742_144),
        "odd": Numbers(181_834, 52_000_000),
        "tested": Numbers(430_200, 66_000_000),
    }

    def __init__(self, failing: str = "") -> None:
        self.failing = failing
        self.asked: list[tuple[str, str, str, int | None]] = []

    def __call__(self, model: str, input_size: str, convention: str, classes: int | None) -> Numbers:
        self.asked.append((model, input_size, convention, classes))
        if model == self.failing:
            raise UserError(f"counting {model} failed: RuntimeError: boom")
        return self.KNOWN[model]

    def models(self) -> list[str]:
        return list(self.KNOWN)


PROVENANCE = Provenance(
    commit="0123456789abcdef0123456789abcdef01234567",
    dirty=False,
    device="A processor, 2 threads",
    versions="Python 3.11.7, torch 2.6.0, mmengine 0.10.12",
    arithmetic="bfloat16 autocast, channels_last",
    wall_time_s=5400.0,
    finished="2026-01-02",
)


# What fills the sample's open cells, and its cost: reports of it depend on no config and import no engine.
PROTOCOLS = {
    "cifar10/paper-400e": costs.Protocol(
        description="SGD, 400 epochs",
        epochs=400,
        images=50_000,
        configured=True,
        hardware="2 CPU cores",
        macs_per_second=1.25e11,
        basis="a guess",
    )
}


def run(
    model: str, value: float = 0.0, protocol: str = "paper-400e", *, seed: int = 0, epochs: int = 400, **more: object
) -> Run:
    """Return a finished run's top-1 accuracy."""
    fields = {
        "dataset": "cifar10",
        "protocol": protocol,
        "proxy": protocol.startswith("proxy"),
        "trained": protocol != "released",
        "model": model,
        "seed": seed,
        "metric": "top1_accuracy",
        "value": value,
        "epochs": epochs,
        "path": f"cifar10/{protocol}/{model}/seed{seed}-x.json",
        "curve": protocol != "released",
        "provenance": PROVENANCE,
    }
    return Run(**(fields | more))  # type: ignore[arg-type]


RUNS = [
    run("base", 93.4),
    run("base", 93.8, seed=1),
    run("base", 88.0, "proxy-10e", epochs=10),
    run("small", 88.25, "proxy-10e", epochs=10),
    run("tested", 92.81, "released", epochs=0),
]


def result(
    model: str = "base", seed: int = 0, metrics: Sequence[tuple[str, float]] = (("test", 88.0),), **more: object
) -> ledger.RunResult:
    """Return a result of two epochs; ``metrics`` are top-1 accuracies by split."""
    content = {
        "run_id": "20260101T000000Z-abc123",
        "dataset": {"name": "cifar10", "checksum": "sha256:" + "0" * 64, "splits": {"train": 50000, "test": 10000}},
        "protocol": {"name": "proxy-2e", "proxy": True, "epochs": 2, "description": "two epochs"},
        "model": model,
        "input_size": [3, 32, 32],
        "num_classes": 10,
        "seed": seed,
        "status": "finished",
        "metrics": [{"name": "top1_accuracy", "value": value, "unit": "%", "split": split} for split, value in metrics],
        "epochs_done": 2,
        "wall_time_s": 12.5,
        "started_at": "2026-01-01T23:59:48Z",
        "finished_at": "2026-01-02T00:00:00Z",
        "environment": {
            "python": "3.11.7", "torch": "2.6.0", "torchvision": "0.21.0", "mmengine": "0.10.12", "slimbench": "0.1.0",
            "platform": "Linux x86_64", "cpu": "A processor", "cpu_threads": 2,
        },
        "git": {"commit": "a" * 40, "dirty": False},
        "curves": {"epoch": [1, 2], "train_loss": [1.5, 0.5], "top1_accuracy": [70.0, 88.0]},
    }  # fmt: skip
    return ledger.RunResult.model_validate(content | more)
