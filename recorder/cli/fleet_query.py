"""Queries of many machines: `query --on`, and the command `fleet sql`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UsageError
from ..fleet.engine_name import EngineName
from ..model import argv
from ..model.scope import Scope
from .options import Format
from .row_options import row_output, write_heading

if TYPE_CHECKING:
    from ..analysis.row_order import RowOrder
    from ..analysis.saved_queries import SavedQuery

On = Annotated[
    str | None,
    typer.Option(
        "--on", metavar="DIR", help="Read all recordings that webpf export --to parquet wrote into DIR, not a file."
    ),
]
Hosts = Annotated[
    list[str] | None,
    typer.Option("--host", metavar="GLOB", help="With --on: only hosts with such a name. Can be repeated."),
]
PerRecording = Annotated[
    bool, typer.Option("--per-recording", help="With --on: run the query once for each recording, not over all.")
]
EngineOption = Annotated[
    EngineName | None,
    typer.Option("--engine", help="With --on: what reads the files. Default: duckdb.", show_default=False),
]


@dataclass(frozen=True)
class FleetOptions:
    """The options of `query` that are for a fleet."""

    on: str | None
    hosts: Sequence[str]
    per_recording: bool
    engine: EngineName | None


def check_options(options: FleetOptions, query: str, named: Sequence[str | None]) -> None:
    """Raises UsageError if options contradict each other. named: FILE, --db and --recording."""
    command = f"webpf query {argv.word(query)} --on"
    if options.on is None:
        only = {"--host": bool(options.hosts), "--per-recording": options.per_recording, "--engine": options.engine}
        for option, is_given in only.items():
            if is_given:
                raise UsageError(f"{option} is for recordings in a folder, which --on names", f"{command} fleet/")
    elif any(each is not None for each in named):
        message = "--on reads the recordings in a folder, so FILE, --db and --recording can't be given too"
        raise UsageError(message, f"{command} {argv.word(options.on)}")


def run_query(
    query: SavedQuery,
    given: dict[str, str],
    options: FleetOptions,
    format: Format,
    limit: int | None,
    shows_sql: bool,
    order: RowOrder,
    scope: Scope,
) -> None:
    """Runs a saved query over a fleet, or prints the SQL that would run."""
    from ..output.messages import say, write_lines
    from ..output.row_formats import write_rows
    from ..output.row_style import RowStyle

    if shows_sql and order.changes_rows:
        message = "with --on, --sql prints the query in its own order: webpf itself sorts the rows of a fleet"
        raise UsageError(message, f"webpf query {argv.word(query.name)} --on {argv.word(options.on or '')} --sql")
    root = Path(options.on or ".").absolute()
    engine = options.engine or EngineName.duckdb
    _require(engine, runs=not shows_sql)
    from ..fleet import fleet_query, script

    wanted = fleet_query.FleetQuery(query, root, given, engine, options.hosts, options.per_recording, scope)
    if shows_sql:
        write_lines(script.join(fleet_query.write_script(wanted)))
        return
    with fleet_query.run(wanted) as result:
        columns, rows = order.apply_to_rows(result.columns, result.rows)
        with row_output(format) as output:
            write_heading(result.heading, format, output)
            write_rows(columns, rows, format.value, limit, output, RowStyle())
    for line in (None if format is Format.table else result.about, *result.caveats):
        if line:
            say(line)


def _require(engine: EngineName, runs: bool) -> None:
    """Raises Unavailable if a package is missing. The packages must be there before modules of `fleet` are imported.

    runs: whether the engine runs; else only its SQL is written.
    """
    from ..host.optional_modules import require

    require(f"the engine {engine.value}", *([engine.package] if runs else []), "sqlglot", "pyarrow")


_EXAMPLES = "\b\nExamples:\n  webpf fleet sql > fleet.sql\n  webpf fleet sql --engine spark --on /srv/fleet"
app = typer.Typer(name="fleet", no_args_is_help=True, rich_markup_mode=None)


@app.callback(epilog=_EXAMPLES)
def _fleet() -> None:
    """Prepare queries of many machines.

    webpf export --to parquet writes their recordings into a folder, and webpf query --on reads it.
    """


@app.command(epilog=_EXAMPLES)
def sql(
    engine: Annotated[EngineName, typer.Option("--engine", help="In the language of this engine.")] = EngineName.duckdb,
    on: Annotated[
        Path | None, typer.Option("--on", metavar="DIR", help="The folder with the recordings. Default: fleet.")
    ] = None,
) -> None:
    """Print views and queries as SQL.

    The SQL is for a DuckDB, ClickHouse or Spark of your own. It runs as it is. Of ClickHouse, only one process is
    tested, not a cluster.
    """
    from ..output.messages import write_lines

    _require(engine, runs=False)
    from ..fleet import script

    write_lines(script.write_all(engine, on))
