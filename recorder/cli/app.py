"""The command line: options in, text and exit code out. Nothing else; heavy modules are imported where they're used."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import __version__
from ..errors import DataError, NoPermission, Unavailable
from ..host.invocation import sudo_command
from ..model import argv
from . import diff, export, record, tree, web
from .options import DEFAULT_DB, Db, File, Format, Recording, RowFormat

if TYPE_CHECKING:
    from ..model.recording import Recording as Recorded

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


def _names() -> list[str]:
    from ..analysis import saved_queries

    return saved_queries.names()


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


@app.command()
def query(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Saved query; without it, they are listed.", autocompletion=_names),
    ] = None,
    parameter: Annotated[
        list[str] | None, typer.Option("--param", "-p", metavar="KEY=VALUE", help="Value of a parameter.")
    ] = None,
    recording: Recording = None,
    db: Db = DEFAULT_DB,
    format: RowFormat = Format.table,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=0, help="At most so many rows; a table: 50.")
    ] = None,
) -> None:
    """Run a saved query over a recording, or list the saved queries."""
    from ..analysis import pid_owner, saved_queries
    from ..output.messages import say, write_lines
    from ..output.rows import write_rows
    from .spool import spooled

    if name is None:
        saved = [saved_queries.load(each).about() for each in saved_queries.names()]
        if format is Format.json:
            write_lines(json.dumps(saved, indent=2).splitlines())
        elif format is Format.ndjson:
            write_lines(map(json.dumps, saved))
        else:
            rows = [(each["name"], each["title"], each["description"]) for each in saved]
            write_rows(["name", "title", "description"], rows, format.value, limit, sys.stdout)
        return
    wanted = saved_queries.load(name)
    given = saved_queries.given(parameter or [])
    if recording is not None:
        given["recording"] = str(recording)
    with spooled(sys.stdout) as output, saved_queries.run(db, wanted, given) as result:
        write_rows(result.columns, result.rows, format.value, limit, output)
        lines = [pid_owner.note_of_query(db, wanted, given), *(each.caveat for each in result.recordings)]
    for line in lines:
        if line:
            say(line)


@app.command()
def recordings(db: Db = DEFAULT_DB, format: RowFormat = Format.table) -> None:
    """List the recordings that a file holds."""
    from ..output.rows import write_rows
    from ..storage import reader

    with reader.reading(db) as connection:
        counts = reader.process_counts(connection)
        rows = [_listed(recording, counts.get(recording.id, 0)) for recording in reader.recordings(connection)]
    write_rows(_LISTED, rows, format.value, None, sys.stdout)


_LISTED = ["id", "name", "status", "started", "seconds", "processes", "lost", "host", "kernel"]


def _listed(recording: Recorded, processes: int) -> tuple[Any, ...]:
    """What is listed of a recording: its start in local time, its length in seconds."""
    from ..output import units

    known = recording.started_ns is not None and recording.until_ns is not None  # else the file is damaged
    return (
        recording.id,
        recording.name,
        recording.status,
        units.zoned_moment(recording.started_ns) if recording.started_ns is not None else None,
        round((recording.until_ns - recording.started_ns) / 1e9, 1) if known else None,
        processes,
        recording.lost,
        recording.host,
        recording.kernel,
    )


@app.command()
def rebuild(db: Db = DEFAULT_DB, recording: Recording = None) -> None:
    """Make the processes of a recording again from its raw facts; default: of all recordings of the file."""
    from ..output.messages import say
    from ..storage import rebuild as rebuilding
    from .progress_bar import LongWork

    with LongWork("the rebuild") as work:
        rebuilt = rebuilding.rebuild(db, recording, work)
    for number, processes in rebuilt.items():
        say(f"recording {number}: {processes:,} processes rebuilt")


@app.command()
def verify(
    file: File = DEFAULT_DB,
) -> None:
    """Check a file: SQLite's integrity, balanced books, and processes that follow from the raw facts."""
    from ..output.escape import safe
    from ..storage import verify as verifying
    from .progress_bar import LongWork
    from .spool import spooled

    problems: list[str] = []
    with LongWork("the verification") as work, spooled(sys.stdout) as output:
        for finding in verifying.verify(file, work):
            work.clear()
            output.write(safe(f"{'WRONG' if finding.problems else 'ok':6} {finding.summary}") + "\n")
            output.writelines(safe(f"{'':6} {problem}") + "\n" for problem in finding.problems)
            output.flush()
            problems += finding.problems
    if problems:
        mending = (
            f"webpf rebuild --db {argv.file_word(file)}" if all(each.startswith("pairing") for each in problems) else ""
        )
        raise DataError(f"{file} is not what it should be, in {len(problems)} ways", mending)


@app.command()
def doctor(db: Db = DEFAULT_DB) -> None:
    """Say what this machine has, and lacks, of what recording needs."""
    from ..kernel import doctor as examination
    from ..output.messages import write_lines

    checks = examination.examine(db, sudo_command(["record", "--dry-run"]))
    for check in checks:
        mark = {True: "ok", False: "MISSING", None: "-"}[check.ok]
        write_lines([f"{mark:8} {check.name:14} {check.found}"])
        if check.ok is False and check.mend:
            write_lines([f"{'':8} {'':14} -> {check.mend}"])
    missing = [check.name for check in checks if check.ok is False]
    if missing:
        raise typer.Exit((NoPermission if missing == ["privileges"] else Unavailable).exit_code)


app.command()(tree.tree)


@app.command()
def report(file: File = DEFAULT_DB, recording: Recording = None) -> None:
    """Tell the story of a recording: how busy it was, what ran alone, what decided the time, what was repeated."""
    from ..analysis import report as reports
    from ..output.messages import say, write_lines
    from ..storage import reader

    with reader.reading(file) as connection:
        found = reader.find(connection, file, recording)
        lines = list(reports.lines(connection, found))
    write_lines(lines)
    if found.caveat:
        say(found.caveat)


app.command()(diff.diff)
app.command()(export.export)
app.command()(export.merge)
app.command()(web.browse)
app.command()(web.datasette_config)
