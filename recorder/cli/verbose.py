"""The option `--verbose`. It can stand before a command or after it, and does the same in both places."""

from __future__ import annotations

from typing import Annotated, Any

import typer
import typer.main
from typer.core import TyperCommand

HELP = "Log what webpf does to stderr, with UTC times."


def start_log(context: typer.Context, is_wanted: bool) -> None:
    """Starts the log if `is_wanted`. The log stops when the command has ended."""
    if is_wanted:
        from ..output import log_writer
        from . import versions

        end = log_writer.start()
        if end is not None:
            context.call_on_close(end)
            versions.log()


Verbose = Annotated[
    bool,
    typer.Option("--verbose", "-v", callback=start_log, is_eager=True, expose_value=False, help=HELP),
]


class VerboseCommand(TyperCommand):
    """A command that has --verbose as its last option. The command's function doesn't get its value."""

    def __init__(self, *arguments: Any, params: list[Any] | None = None, **settings: Any) -> None:
        super().__init__(*arguments, params=[*(params or []), _option()], **settings)


def _option() -> Any:
    """Returns the option as Typer makes it from a parameter of a function."""
    only = typer.Typer(add_completion=False)

    @only.command()
    def command(verbose: Verbose = False) -> None: ...

    return typer.main.get_command(only).params[0]
