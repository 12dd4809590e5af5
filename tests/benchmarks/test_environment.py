from __future__ import annotations

import json
import subprocess

import pytest
import torch

from benchmarks import environment
from benchmarks.cli import main


@pytest.fixture
def repository(tmp_path):
    def git(*arguments):
        command = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e@example.org", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "-qm", "first")
    return tmp_path, git("rev-parse", "HEAD")


def test_a_clean_checkout_has_its_commit_and_untracked_files_are_no_dirt(repository):
    folder, commit = repository
    (folder / "untracked").write_text("")
    assert environment.git_state(folder) == environment.GitState(commit=commit, dirty=False)


def test_a_changed_file_makes_it_dirty(repository):
    folder, commit = repository
    (folder / "file").write_text("two")
    assert environment.git_state(folder) == environment.GitState(commit=commit, dirty=True)


def test_outside_a_checkout_there_is_no_commit(tmp_path):
    assert environment.git_state(tmp_path) == environment.GitState(commit=None, dirty=None)


def test_collect_describes_this_process():
    found = environment.collect(precision="float32")
    assert found.torch == torch.__version__
    assert found.cpu_threads == torch.get_num_threads()
    assert (found.gpu is None) == (not torch.cuda.is_available())
    assert found.precision == "float32"
    assert found.device


def test_a_distribution_that_is_missing_has_no_version():
    assert environment.version_of("no-such-distribution") is None
    assert environment.version_of("no-such-distribution", "pytest") == pytest.__version__


def test_the_verb_prints_a_table_and_json(capsys):
    assert main(["env", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["torch"] == torch.__version__
    assert {"python", "mmengine", "cpu", "git_commit", "git_dirty"} <= set(printed)
    assert main(["env"]) == 0
    assert torch.__version__ in capsys.readouterr().out
