"""The Typer app with the commands, and the function that runs it.

Only the command that is called is imported and built: all of them together take longer than many a command runs.
Commands in turn import heavy modules only when they run.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Annotated, NamedTuple

import typer

from .verbose import Verbose

# What Typer raises for a command line that it can't parse. It has no public name of its own.
_ParseError: type[Exception] = typer.BadParameter.__mro__[1]


class _Command(NamedTuple):
    """Where a command's function is, or the app of a group of commands; and command lines that can be pasted."""

    module: str
    attribute: str
    examples: tuple[str, ...]


def _command(place: str, *examples: str) -> _Command:
    module, _, attribute = place.partition(".")
    return _Command(module, attribute, examples)


# In the order of the help. The settings of a command, besides, are its module's COMMAND_SETTINGS.
_COMMANDS = {
    "record": _command(
        "record.record",
        "sudo webpf record --duration 5m",
        "sudo webpf record -- make -j2",
        "sudo webpf record --user www-data",
    ),
    "stream": _command(
        "stream.stream",
        "sudo webpf stream --duration 10 > events.ndjson",
        "sudo webpf stream --full --duration 5m > events.ndjson",
    ),
    "replay": _command(
        "replay.replay", "webpf replay events.ndjson --db host.db", "webpf replay - --db host.db --name host"
    ),
    "query": _command(
        "query.query",
        "webpf query",
        "webpf query lifetimes --limit 10",
        "webpf query failures --sort lifetime:desc --columns end,comm,exit,args",
        "webpf query execs ci.db -p pid=4711",
    ),
    "sql": _command(
        "sql.sql",
        "webpf sql 'SELECT comm, count(*) AS runs FROM processes GROUP BY comm ORDER BY runs DESC'",
        "webpf sql - ci.db --format csv",
    ),
    "report": _command("reports.report", "webpf report", "webpf report ci.db:2"),
    "tree": _command("reports.tree", "webpf tree", "webpf tree ci.db --pid 4711 --depth 3"),
    "watch": _command(
        "watch.watch", "sudo webpf watch", "webpf watch --failed", "webpf watch --since -10m --format ndjson"
    ),
    "top": _command("top.top", "sudo webpf top", "webpf top --user www-data"),
    "diff": _command("diff.diff", "webpf diff", "webpf diff 1 2 --fail-if 'wall>10%'", "webpf diff before.db after.db"),
    "recordings": _command("recordings.recordings", "webpf recordings", "webpf recordings ci.db --format json"),
    "browse": _command("web.browse", "webpf browse", "webpf browse ci.db --no-open --port 8001"),
    "export": _command("export.export", "webpf export -o trace.json", "webpf export ci.db --to parquet -o all"),
    "extract": _command(
        "extract.extract",
        "webpf extract ci.db --recording 2 -o two.db",
        "webpf extract --since 'yesterday 22:00' --until 04:00 -o night.db",
        "webpf extract --under 4711 --redact '--token[= ]\\S+' -o part.db",
    ),
    "merge": _command("maintenance.merge", "webpf merge host1.db host2.db -o all.db"),
    "import": _command("fleet.import_tree", "webpf import all -o all.db", "webpf import all --host 'web*' -o web.db"),
    "upgrade": _command("upgrade.upgrade", "webpf upgrade ci.db"),
    "verify": _command("maintenance.verify", "webpf verify ci.db"),
    "rebuild": _command("maintenance.rebuild", "webpf rebuild ci.db"),
    "compact": _command("maintenance.compact", "webpf compact ci.db", "webpf compact ci.db:2"),
    "delete": _command("deletion.delete", "webpf delete ci.db --recording 3", "webpf delete --before -30d"),
    "vacuum": _command("deletion.vacuum", "webpf vacuum ci.db"),
    "doctor": _command("maintenance.doctor", "sudo webpf doctor"),
    "compile": _command("bpf_programs.compile_programs", "sudo webpf compile -o /usr/local/lib/webpf.bpf"),
    "program": _command("bpf_programs.program", "webpf program"),
    "datasette-config": _command("web.datasette_config", "webpf datasette-config ci.db > webpf.yml"),
    "service": _command("service.app"),
    "fleet": _command("fleet_query.app"),
}


def build(name: str | None = None) -> typer.Typer:
    """Returns the app with this command alone; None: with all."""
    app = typer.Typer(
        name="webpf",
        help="Record every process that this machine starts, with eBPF, into a SQLite file, and show how long each"
        " lived.",
        invoke_without_command=True,
        context_settings={"help_option_names": ["-h", "--help"]},
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_main)
    for each in _COMMANDS if name is None else [name]:
        _add(app, each, _COMMANDS[each])
    return app


def _add(app: typer.Typer, name: str, command: _Command) -> None:
    module = import_module(f".{command.module}", __package__)
    added = getattr(module, command.attribute)
    if isinstance(added, typer.Typer):
        app.add_typer(added)
        return
    epilog = "\b\nExamples:\n" + "\n".join(f"  {each}" for each in command.examples)  # \b: keep the line breaks
    app.command(name, epilog=epilog, **getattr(module, "COMMAND_SETTINGS", {}))(added)


def _called() -> str | None:
    """Returns the command that is called; None if it isn't there, or the help of all commands may be wanted."""
    first = next((word for word in sys.argv[1:] if word not in ("--verbose", "-v")), None)
    return first if first in _COMMANDS else None


def _show_version(wanted: bool) -> None:
    if wanted:
        from . import versions

        typer.echo("\n".join(versions.lines()))
        raise typer.Exit


def run() -> int:
    """Runs the command line in sys.argv and returns the exit code. Raises WebpfError."""
    try:
        code = build(_called())(standalone_mode=False)
    except _ParseError as error:
        from . import parser_errors

        raise parser_errors.explain_parser_error(error) from None
    except typer.Exit as ending:
        code = ending.exit_code
    except typer.Abort:  # older versions of Typer raise it at Ctrl-C
        raise KeyboardInterrupt from None
    return code if isinstance(code, int) else 0


def _main(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_show_version,
            is_eager=True,
            help="Show the versions of webpf, BCC, the kernel, Python and SQLite, and exit.",
        ),
    ] = False,
    verbose: Verbose = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
