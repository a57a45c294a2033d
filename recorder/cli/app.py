"""The command line: options in, text and exit code out. Nothing else; heavy modules are imported where they're used."""

from __future__ import annotations

from typing import Annotated

import typer

from ..version import __version__
from . import diff, export, maintenance, query, record, reports, upgrade, web

# What Typer raises for a command line that it can't parse. It has no public name of its own.
_ParseError: type[Exception] = typer.BadParameter.__mro__[1]

app = typer.Typer(
    name="webpf",
    help="Records every process that this machine starts, with eBPF, into SQLite; and tells how long each lived.",
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"webpf {__version__}")
        raise typer.Exit


def run() -> int:
    """Runs the command line in sys.argv; returns the exit code. Raises WebpfError."""
    try:
        code = app(standalone_mode=False)
    except _ParseError as error:
        from . import usage

        raise usage.of_parser(error) from None
    except typer.Exit as ending:
        code = ending.exit_code
    except typer.Abort:  # what older versions make of Ctrl-C
        raise KeyboardInterrupt from None
    return code if isinstance(code, int) else 0


@app.callback()
def _main(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


app.command(cls=record.RecordCommand, context_settings=record.COMMAND_SETTINGS)(record.record)
app.command()(record.stream)
app.command(cls=query.QueryCommand)(query.query)
for _command in (
    reports.report,
    reports.tree,
    diff.diff,
    maintenance.recordings,
    web.browse,
    export.export,
    maintenance.merge,
    upgrade.upgrade,
    maintenance.verify,
    maintenance.rebuild,
    maintenance.doctor,
    web.datasette_config,
):
    app.command()(_command)
