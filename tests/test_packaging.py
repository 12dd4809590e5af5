"""What the package promises to tools: names, versions, pins, environments."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import benchmarks

ROOT = Path(__file__).resolve().parents[1]


def distribution() -> metadata.Distribution:
    try:
        return metadata.distribution("slimbench")
    except metadata.PackageNotFoundError:
        pytest.skip("slimbench is not installed; tox installs it")


def requirements(extra: str) -> list[Requirement]:
    everything = [Requirement(line) for line in distribution().requires or []]
    return [each for each in everything if each.marker is None or each.marker.evaluate({"extra": extra})]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    parsed = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {
        pin.name.lower(): str(pin.specifier).removeprefix("==")
        for pin in parsed
        if pin.marker is None or pin.marker.evaluate()
    }


def tox() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "tox.ini", encoding="utf-8")
    return parser


def test_the_version_is_one() -> None:
    assert distribution().version == benchmarks.__version__
    assert f"## {benchmarks.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f'version: "{benchmarks.__version__}"' in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_the_console_script_is_the_module() -> None:
    (script,) = distribution().entry_points.select(group="console_scripts", name="slimbench")
    from benchmarks import cli

    assert script.load() is cli.main
    text = [
        subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
        for command in ([sys.executable, "-m", "benchmarks", "--help"], ["slimbench", "--help"])
    ]
    assert text[0] == text[1]


@pytest.mark.parametrize("extra", ["", "mm", "ncnn", "dev"])
def test_every_direct_dependency_has_a_pin_inside_its_range(extra: str) -> None:
    for requirement in requirements(extra):
        if requirement.name == "tox":  # it makes the environments, so it cannot be pinned inside one
            continue
        assert requirement.name.lower() in pins(), f"constraints.txt does not pin {requirement.name}"
        assert requirement.specifier.contains(pins()[requirement.name.lower()]), requirement


def test_what_is_installed_is_what_is_pinned() -> None:
    for name, version in pins().items():
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # an extra that this environment does not have
        assert installed.partition("+")[0] == version, name


def test_types_are_shipped() -> None:
    for package in ("backbones", "benchmarks"):
        assert (ROOT / package / "py.typed").is_file()


def test_every_table_has_an_environment() -> None:
    """`tox -e reproduce-NAME` exists for `all` and for the short name of every table that is data."""
    papers = ROOT / "benchmarks" / "papers"
    names = {"all"} | {file.stem for file in papers.glob("*/table*.yaml")}
    assert "table1" in names
    (section,) = [name for name in tox().sections() if name.startswith("testenv:reproduce-")]
    listed = re.fullmatch(r"testenv:reproduce-\{([\w,-]+)\}", section)
    assert listed is not None
    assert names <= set(listed.group(1).split(","))


def test_the_reproduce_environments_hold_no_package_of_their_own() -> None:
    (section,) = [name for name in tox().sections() if name.startswith("testenv:reproduce-")]
    assert tox()[section]["skip_install"] == "true"
    assert "env_dir" not in tox()[section]  # tox wipes a folder that several names share


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt", "tox.ini", ".ci/run"])
def test_no_package_source_is_named(name: str) -> None:
    """A mirror or an offline store works as well as the public registry only where none is named."""
    text = (ROOT / name).read_text(encoding="utf-8")
    assert re.search(r"index[-_ ]?url|find[-_ ]links|https?://", text, re.IGNORECASE) is None


def test_the_readme_points_at_what_exists() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert targets
    assert [target for target in targets if "://" not in target and not (ROOT / target).exists()] == []


def test_the_readme_names_every_verb() -> None:
    from benchmarks import cli

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in cli.verbs() if f"| `slimbench {name}" not in text] == []
