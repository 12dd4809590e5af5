"""slimbench env: versions, hardware, commit: what is stored with every result."""

from __future__ import annotations

from typing import Annotated

import typer


def command(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Print what is stored about this machine with every result."""
    import json

    from rich.console import Console
    from rich.table import Table

    from backbones import kernels
    from backbones.adapters import mmcv_ext
    from benchmarks import environment

    described = environment.collect().model_dump(exclude={"precision", "memory_format", "compile", "packages"})
    described["mmcv"] = environment.version_of("onedl-mmcv", "mmcv", "mmcv-lite")
    described["mmcv_operators"] = mmcv_ext.in_use()
    described["kernels"] = kernels.in_use()
    described.update({f"git_{key}": value for key, value in environment.git_state().model_dump().items()})
    if as_json:
        typer.echo(json.dumps(described, indent=2))
        return
    table = Table(show_header=False, box=None)
    for key, value in described.items():
        table.add_row(key.replace("_", " "), "-" if value is None else str(value))
    Console().print(table)
