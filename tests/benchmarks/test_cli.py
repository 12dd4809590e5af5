"""The command line as a user meets it; the verbs themselves are tested each in a file of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import __version__, cli

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"torch", "torchvision", "timm", "mmengine", "pandas", "matplotlib", "numpy", "pydantic", "ptflops"}


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "100", **environment},
    )


@pytest.fixture
def verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Write a verb with the given body into a folder that the command line looks into; return its name."""
    monkeypatch.setattr(cli, "__path__", [*cli.__path__, str(tmp_path)])
    monkeypatch.delenv(cli.DEBUG, raising=False)

    def write(body: str) -> str:
        name = f"verb_{tmp_path.name.replace('-', '_')}"
        monkeypatch.delitem(sys.modules, f"benchmarks.cli.{name}", raising=False)
        lines = "".join(f"    {line}\n" for line in body.splitlines())
        (tmp_path / f"{name}.py").write_text(f'def command():\n    """Say nothing."""\n{lines}', encoding="utf-8")
        return name

    return write


@pytest.mark.skipif(os.name == "nt", reason="needs the processor time of child processes")
def test_help_is_fast() -> None:
    """Half a second on an idle core; processor time, and the best of three, because tests run beside each other."""

    def seconds() -> float:
        before = os.times()
        assert run("--help").returncode == 0
        after = os.times()
        return sum(after[2:4]) - sum(before[2:4])

    assert min(seconds() for _ in range(3)) < (1.0 if "PYTEST_XDIST_WORKER" in os.environ else 0.5)


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from benchmarks.cli import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    modules = set(done.stderr.split())
    assert "benchmarks.cli.reproduce" in modules
    assert HEAVY.isdisjoint(modules), sorted(HEAVY & modules)


def test_help_lists_every_verb_with_its_first_line() -> None:
    text = run("--help").stdout
    for name in cli.verbs():
        (line,) = [line for line in text.splitlines() if line.lstrip("│ ").startswith(f"{name} ")]
        assert len(line.strip("│ ").split()) > 3, f"{name} has no description"


def test_a_new_module_is_a_new_verb(verb: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    name = verb("print('done')")
    assert name in cli.verbs()
    assert cli.verbs()[-1] == name
    assert cli.main([name]) == 0
    assert capsys.readouterr().out == "done\n"


def test_helpers_are_no_verbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "_helper.py").touch()
    monkeypatch.setattr(cli, "__path__", [str(tmp_path)])
    assert cli.verbs() == []


def test_version() -> None:
    assert run("--version").stdout == f"slimbench {__version__}\n"


def test_without_a_verb_help_is_shown() -> None:
    done = run()
    assert done.returncode == 0
    assert "Usage: slimbench" in done.stdout


def test_unknown_verb_names_the_nearest(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(cli, "verbs", lambda: ["models", "complexity"])
    assert cli.main(["modles"]) == 2
    assert capsys.readouterr().err == "error: no verb 'modles'; did you mean models?\n"
    assert cli.main(["xyzzy"]) == 2
    assert capsys.readouterr().err == "error: no verb 'xyzzy'; there are models, complexity\n"


def test_unknown_option_is_one_line() -> None:
    done = run("--versoin")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: no such option: --versoin")
    assert done.stderr.endswith("(see slimbench --help)\n")
    assert done.stderr.count("\n") == 1


def test_user_error_is_one_line_and_exit_code_2(verb: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    name = verb("from benchmarks.errors import UserError\nraise UserError('no table\\n   x')")
    assert cli.main([name]) == 2
    assert capsys.readouterr() == ("", "error: no table x\n")


def test_debug_shows_the_traceback_too(
    verb: Callable[[str], str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(cli.DEBUG, "1")
    assert cli.main([verb("from benchmarks.errors import UserError\nraise UserError('no table')")]) == 2
    text = capsys.readouterr().err
    assert text.startswith("Traceback")
    assert text.endswith("error: no table\n")


def test_unknown_model_is_a_users_error(verb: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    name = verb("import backbones\nbackbones.create_model('sc_resnet5')")
    assert cli.main([name]) == 2
    text = capsys.readouterr().err
    assert text.startswith("error: no model 'sc_resnet5'; did you mean ")
    assert "sc_resnet50" in text


def test_our_own_mistakes_keep_their_traceback(verb: Callable[[str], str]) -> None:
    with pytest.raises(ZeroDivisionError):
        cli.main([verb("1 / 0")])


def test_interrupt_is_130(verb: Callable[[str], str]) -> None:
    assert cli.main([verb("raise KeyboardInterrupt")]) == 130


def test_exit_code_of_a_verb_is_kept(verb: Callable[[str], str]) -> None:
    assert cli.main([verb("import typer\nraise typer.Exit(1)")]) == 1


@pytest.mark.skipif(os.name == "nt", reason="a shell pipe as POSIX has it")
def test_a_reader_that_leaves_is_met_with_silence() -> None:
    code = (
        "import os, sys; from benchmarks.cli import main; "
        "r, w = os.pipe(); os.close(r); os.dup2(w, 1); sys.exit(main(['--help']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stderr == ""
