from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from backbones.naming import UnknownModelError, did_you_mean

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("name", "choices", "text"),
    [
        ("sc_resnet5", ["sc_resnet50", "vgg"], "; did you mean sc_resnet50?"),
        ("resnet50", ["sc_resnet50", "resnet101"], "; did you mean sc_resnet50, resnet101?"),
        ("xyz", ["sc_resnet50"], ""),
        ("", ["a"], ""),
        ("abc", [], ""),
    ],
)
def test_nearest_names(name: str, choices: list[str], text: str) -> None:
    assert did_you_mean(name, choices) == text


def test_at_most_so_many() -> None:
    assert did_you_mean("abcd", [f"abcd{i}" for i in range(9)], limit=2).count(",") == 1


def test_the_error_is_a_key_error_that_reads_well() -> None:
    error = UnknownModelError("sc_resnet5", ["sc_resnet50"])
    assert isinstance(error, KeyError)
    assert str(error) == "no model 'sc_resnet5'; did you mean sc_resnet50?"
    assert error.name == "sc_resnet5"


def test_importing_the_package_costs_nothing() -> None:
    code = "import sys, backbones, backbones.naming; print([m for m in ('torch', 'numpy', 'timm') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
