"""One thread a worker, the seed of every test its own; the compiled library, where a test asks for it."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from backbones.kernels import build, library


@pytest.fixture(autouse=True)
def quiet_machine() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The library that is installed, or one of these sources."""
    if library.get() is not None:
        return library.load(Path(build.__file__).parent / build.NAME)
    try:
        return library.load(build.build(tmp_path_factory.mktemp("kernels") / build.NAME))
    except build.BuildError as error:
        pytest.skip(str(error))


@pytest.fixture(params=["avx512", "avx2", "portable"])
def isa(request: pytest.FixtureRequest, compiled: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The library with each instruction set that the processor has."""
    name: str = request.param
    if compiled.slim_use(name.encode()) is None:
        pytest.skip(f"this processor has no {name}")
    monkeypatch.setattr(library, "get", lambda: compiled)
    yield name
    compiled.slim_use(None)


@pytest.fixture
def best(compiled: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library with the best instruction set."""
    monkeypatch.setattr(library, "get", lambda: compiled)


@pytest.fixture(params=["library", "torch"])
def either(request: pytest.FixtureRequest, compiled: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> str:
    """With the library and without it."""
    name: str = request.param
    monkeypatch.setattr(library, "get", lambda: compiled if name == "library" else None)
    return name
