"""The command line: ``slimbench VERB``, one module of this folder a verb.

A verb is a module with a function ``command`` whose arguments typer reads. It imports only typer and the
standard library when it is loaded, and everything heavy inside the function, so that ``slimbench --help``
answers at once. A new module is a new verb; names that begin with an underscore are helpers.

Exit codes: 0 done, 1 the answer is no or a part of the work failed (``raise typer.Exit(1)``), 2 the user can
put it right (one line on stderr), 3 stopped at the time budget with work left, 130 interrupted, 143 terminated.
``SLIMBENCH_DEBUG=1`` shows the traceback behind the line.
"""

from __future__ import annotations

import errno
import importlib
import os
import pkgutil
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from backbones import UnknownModelError
from benchmarks import __version__
from benchmarks.errors import MissingDataError, UserError, did_you_mean

# The order of a working day; a verb that is not named here comes after these.
ORDER = (
    "models", "complexity", "reproduce",
    "data", "plan", "train", "submit", "test", "upscale", "predict", "throughput", "latency", "status", "env",
)  # fmt: skip
DEBUG = "SLIMBENCH_DEBUG"
HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}


def verbs() -> list[str]:
    """Names of all verbs, in the order in which ``--help`` lists them."""
    names = [module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")]
    return sorted(names, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))


class Verbs(TyperGroup):
    """Loads the module of a verb when the verb is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return verbs()

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in verbs():
            return None
        module = importlib.import_module(f"{__name__}.{cmd_name}")
        single = typer.Typer(add_completion=False, rich_markup_mode="rich", context_settings=HELP_OPTIONS)
        single.command(cmd_name)(module.command)
        command = get_command(single)
        command.name = cmd_name
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in verbs():
            near = did_you_mean(args[0], verbs()) or f"; there are {', '.join(verbs())}"
            raise UserError(f"no verb '{args[0]}'{near}")
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=Verbs,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings=HELP_OPTIONS,
    subcommand_metavar="VERB [ARGUMENTS]...",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"slimbench {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def slimbench(
    ctx: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Recompute every table of the SlimConv and Versatile Filters papers.

    `slimbench VERB --help` tells more about a verb.
    """
    if ctx.invoked_subcommand is None and not version:
        typer.echo(ctx.get_help())


def _fail(error: Exception, message: str, code: int) -> int:
    if os.environ.get(DEBUG, "") not in ("", "0"):
        traceback.print_exception(error)
    text = message if isinstance(error, MissingDataError) else " ".join(message.split())
    typer.secho(f"error: {text}", err=True, fg="red" if sys.stderr.isatty() else None)
    return code


def _usage(error: typer.TyperException) -> str:
    message = error.format_message().rstrip(".")
    message = message[:1].lower() + message[1:]
    context = getattr(error, "ctx", None)
    return f"{message} (see {context.command_path} --help)" if context is not None else message


def _discard(stream: Any) -> None:
    # The reader has gone; without this, the interpreter's last flush would complain about it.
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``slimbench`` with ``argv`` (the process's own arguments if None) and return the exit code."""
    command = get_command(app)
    try:
        result = command.main(args=argv, prog_name="slimbench", standalone_mode=False)
        sys.stdout.flush()
    except (UserError, UnknownModelError) as error:
        return _fail(error, str(error), 2)
    except typer.TyperException as error:
        return _fail(error, _usage(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        typer.echo("interrupted", err=True)
        return 130
    except OSError as error:
        if error.errno != errno.EPIPE:
            raise
        _discard(sys.stdout)
        return 1
    return result if isinstance(result, int) else 0
