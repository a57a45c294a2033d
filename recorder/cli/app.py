"""The Typer app with all commands, and the function that runs it. Commands import heavy modules only when they run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from . import (
    bpf_programs,
    deletion,
    diff,
    export,
    extract,
    fleet,
    fleet_query,
    maintenance,
    query,
    record,
    recordings,
    replay,
    reports,
    service,
    sql,
    stream,
    top,
    upgrade,
    watch,
    web,
)
from .verbose import Verbose, VerboseCommand

# What Typer raises for a command line that it can't parse. It has no public name of its own.
_ParseError: type[Exception] = typer.BadParameter.__mro__[1]

app = typer.Typer(
    name="webpf",
    help="Record every process that this machine starts, with eBPF, into a SQLite file, and show how long each lived.",
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from . import versions

        typer.echo("\n".join(versions.lines()))
        raise typer.Exit


def run() -> int:
    """Runs the command line in sys.argv and returns the exit code. Raises WebpfError."""
    try:
        code = app(standalone_mode=False)
    except _ParseError as error:
        from . import parser_errors

        raise parser_errors.explain_parser_error(error) from None
    except typer.Exit as ending:
        code = ending.exit_code
    except typer.Abort:  # older versions of Typer raise it at Ctrl-C
        raise KeyboardInterrupt from None
    return code if isinstance(code, int) else 0


@app.callback()
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


def _add(command: Callable[..., None], *examples: str, **settings: Any) -> None:
    """Adds a command. examples: command lines that can be pasted, shown at the end of its help."""
    epilog = "\b\nExamples:\n" + "\n".join(f"  {example}" for example in examples)  # \b: keep the line breaks
    app.command(epilog=epilog, **settings)(command)


_add(
    record.record,
    "sudo webpf record --duration 5m",
    "sudo webpf record -- make -j2",
    "sudo webpf record --user www-data",
    cls=record.RecordCommand,
    context_settings=record.COMMAND_SETTINGS,
)
_add(
    stream.stream,
    "sudo webpf stream --duration 10 > events.ndjson",
    "sudo webpf stream --full --duration 5m > events.ndjson",
    cls=VerboseCommand,
)
_add(
    replay.replay,
    "webpf replay events.ndjson --db host.db",
    "webpf replay - --db host.db --name host",
    cls=VerboseCommand,
)
_add(
    query.query,
    "webpf query",
    "webpf query lifetimes --limit 10",
    "webpf query failures --sort lifetime:desc --columns end,comm,exit,args",
    "webpf query execs ci.db -p pid=4711",
    cls=query.QueryCommand,
)
_add(
    sql.sql,
    "webpf sql 'SELECT comm, count(*) AS runs FROM processes GROUP BY comm ORDER BY runs DESC'",
    "webpf sql - ci.db --format csv",
)
_add(reports.report, "webpf report", "webpf report ci.db:2")
_add(reports.tree, "webpf tree", "webpf tree ci.db --pid 4711 --depth 3")
_add(
    watch.watch,
    "sudo webpf watch",
    "webpf watch --failed",
    "webpf watch --since -10m --format ndjson",
)
_add(top.top, "sudo webpf top", "webpf top --user www-data")
_add(diff.diff, "webpf diff", "webpf diff 1 2 --fail-if 'wall>10%'", "webpf diff before.db after.db")
_add(recordings.recordings, "webpf recordings", "webpf recordings ci.db --format json")
_add(web.browse, "webpf browse", "webpf browse ci.db --no-open --port 8001")
_add(export.export, "webpf export -o trace.json", "webpf export ci.db --to parquet -o all")
_add(
    extract.extract,
    "webpf extract ci.db --recording 2 -o two.db",
    "webpf extract --since 'yesterday 22:00' --until 04:00 -o night.db",
    "webpf extract --under 4711 --redact '--token[= ]\\S+' -o part.db",
)
_add(maintenance.merge, "webpf merge host1.db host2.db -o all.db")
_add(fleet.import_tree, "webpf import all -o all.db", "webpf import all --host 'web*' -o web.db", name="import")
_add(upgrade.upgrade, "webpf upgrade ci.db")
_add(maintenance.verify, "webpf verify ci.db")
_add(maintenance.rebuild, "webpf rebuild ci.db")
_add(maintenance.compact, "webpf compact ci.db", "webpf compact ci.db:2")
_add(deletion.delete, "webpf delete ci.db --recording 3", "webpf delete --before -30d")
_add(deletion.vacuum, "webpf vacuum ci.db")
_add(maintenance.doctor, "sudo webpf doctor")
_add(bpf_programs.compile_programs, "sudo webpf compile -o /usr/local/lib/webpf.bpf", name="compile")
_add(bpf_programs.program, "webpf program")
_add(web.datasette_config, "webpf datasette-config ci.db > webpf.yml")
app.add_typer(service.app)
app.add_typer(fleet_query.app)
