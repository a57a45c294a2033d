"""The option `--verbose`: before a command it is webpf's own, behind it the command's. Both do the same."""

from __future__ import annotations

from typing import Annotated, Any

import typer
import typer.main
from typer.core import TyperCommand

HELP = "Log to stderr what webpf does, with times (UTC)."


def start_log(context: typer.Context, is_wanted: bool) -> None:
    """Log until the command has ended, if that is wanted."""
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
    """A command with this option behind its own. Its function doesn't get it."""

    def __init__(self, *arguments: Any, params: list[Any] | None = None, **settings: Any) -> None:
        super().__init__(*arguments, params=[*(params or []), _option()], **settings)


def _option() -> Any:
    """As Typer makes it of a parameter."""
    only = typer.Typer(add_completion=False)

    @only.command()
    def command(verbose: Verbose = False) -> None: ...

    return typer.main.get_command(only).params[0]
