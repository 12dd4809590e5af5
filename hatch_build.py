"""Build hook: compile the inference kernels into the package, where a C compiler is there."""

from __future__ import annotations

import importlib.util
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

KERNELS = Path("backbones") / "kernels"


class KernelsHook(BuildHookInterface):  # type: ignore[misc]
    """Put the library into the wheel, or beside its sources for an editable installation."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel":
            return
        path = Path(self.root) / KERNELS / "build.py"
        spec = importlib.util.spec_from_file_location("slimbench_kernels_build", path)
        if spec is None or spec.loader is None:
            raise FileNotFoundError(path)
        build = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(build)
        if version == "editable":
            target = path.parent / build.NAME
        else:
            self._folder = tempfile.TemporaryDirectory()
            target = Path(self._folder.name) / build.NAME
        try:
            build.build(target)
        except (build.BuildError, OSError) as error:
            self.app.display_warning(f"The inference kernels are left out, PyTorch does their work: {error}")
            return
        if version != "editable":
            build_data["force_include"][str(target)] = str(KERNELS / build.NAME)
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
