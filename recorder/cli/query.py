"""The command `query`: runs a saved query, prints its SQL or its help, or lists all queries."""

from __future__ import annotations

import json
import shlex
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from ..errors import UsageError
from ..host.paths import exists
from ..model import argv
from ..model.scope import EVERYTHING, Scope
from . import completion, fleet_query
from .options import Format, RowFormat
from .recording_choice import Chosen, Db, File, Recording, choose
from .scope_options import takes_scope

if TYPE_CHECKING:
    from ..analysis.saved_queries import SavedQuery

_HELP_IS_OF = "webpf.query"  # key of the query that --help is about
QueryName = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME", help="Saved query to run. Default: list them all.", autocompletion=completion.complete_query
    ),
]
Parameters = Annotated[
    list[str] | None,
    typer.Option(
        "--param",
        "-p",
        metavar="KEY=VALUE",
        help="Set a parameter. Can be repeated.",
        autocompletion=completion.complete_parameter,
    ),
]
Limit = Annotated[
    int | None, typer.Option("--limit", metavar="N", min=0, help="Show at most N rows. Default: all; in a table 50.")
]
ShowsSql = Annotated[bool, typer.Option("--sql", help="Print the SQL of the query instead of running it.")]


class QueryCommand(TyperCommand):
    """The command `query`. If a saved query is named, --help shows its parameters, its columns and an example."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parses args as TyperCommand does. Raises UsageError if --help is asked about a query that doesn't exist."""
        if not ctx.resilient_parsing:
            options, _, _ = self.make_parser(ctx).parse_args(list(args))
            name = options.get("name")
            if options.get("help") and isinstance(name, str):
                from ..analysis import saved_queries

                ctx.meta[_HELP_IS_OF] = saved_queries.load(name)
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Writes the help of the named query, or else the help of the command."""
        query = ctx.meta.get(_HELP_IS_OF)
        if query is None:
            super().format_help(ctx, formatter)
            return
        from ..analysis import query_header

        required = [f"-p {each.name}={each.type.upper()}" for each in query.parameters if each.required]
        formatter.write_usage(
            f"{ctx.command_path} {query.name}", " ".join([*required, "[-p KEY=VALUE]... [OPTIONS] [FILE]"])
        )
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(query.title)
            formatter.write_paragraph()
            formatter.write_text(query.description)
        with formatter.section("Parameters"):
            formatter.write_dl([(each.name, f"{each.form}; {each.description}") for each in query.parameters])
        with formatter.section("Columns"):
            formatter.write_dl(list(query.columns.items()))
        with formatter.section("Over a fleet (--on)"):
            formatter.write_text(query_header.FLEET[query.fleet])
        with formatter.section("In a stretch of time (--since, --until)"):
            formatter.write_text(query_header.SCOPE[query.scope])
        with formatter.section("Example"):
            formatter.write_text(" ".join([ctx.command_path, query.name, *map(shlex.quote, query.example)]))
        formatter.write_paragraph()
        formatter.write_text(f"For the options see: {ctx.command_path} --help")


@takes_scope
def query(
    name: QueryName = None,
    file: File = None,
    parameter: Parameters = None,
    recording: Recording = None,
    db: Db = None,
    format: RowFormat = Format.table,
    limit: Limit = None,
    shows_sql: ShowsSql = False,
    scope: Scope = EVERYTHING,
    on: fleet_query.On = None,
    host: fleet_query.Hosts = None,
    per_recording: fleet_query.PerRecording = False,
    engine: fleet_query.EngineOption = None,
) -> None:
    """Run a saved query, or list all of them.

    `webpf query NAME --help` shows the parameters and columns of a query.
    """
    if name is None:
        if shows_sql:
            raise UsageError("--sql needs the name of a query", "webpf query lifetimes --sql")
        _list(format, limit)
        return
    from ..analysis import saved_queries
    from ..output.messages import write_lines

    if file is not None and "=" in file and not exists(file):
        raise UsageError(f"-p is missing before {file}", f"webpf query {argv.word(name)} -p {argv.word(file)}")
    wanted = saved_queries.load(name)
    given = saved_queries.parse_parameters(parameter or [])
    options = fleet_query.FleetOptions(on, host or [], per_recording, engine)
    fleet_query.check_options(options, name, (file, db, recording), scope)
    if on is not None:
        fleet_query.run_query(wanted, given, options, format.value, limit, shows_sql)
    elif shows_sql:
        write_lines(wanted.script.splitlines())
    else:
        _run(wanted, choose(file, db, recording), given, format, limit, scope)


def _run(
    wanted: SavedQuery, chosen: Chosen, given: dict[str, str], format: Format, limit: int | None, scope: Scope
) -> None:
    from ..analysis import pid_owner, saved_queries
    from ..output.messages import say
    from ..output.row_formats import write_rows
    from .output_spool import spooled

    if chosen.recording is not None:
        given["recording"] = chosen.recording
    with spooled(sys.stdout) as output, saved_queries.run(chosen.path, wanted, given, scope) as result:
        write_rows(result.columns, result.rows, format.value, limit, output)
        lines = [
            result.about,
            pid_owner.describe_owners_for(result, wanted, given),
            *(each.caveat for each in result.recordings),
        ]
    for line in lines:
        if line:
            say(line)


def _list(format: Format, limit: int | None) -> None:
    from ..analysis import saved_queries
    from ..output.messages import write_lines
    from ..output.row_formats import write_rows

    saved = [saved_queries.load(each).as_dict() for each in saved_queries.names()]
    if format is Format.json:
        write_lines(json.dumps(saved, indent=2).splitlines())
    elif format is Format.ndjson:
        write_lines(map(json.dumps, saved))
    else:
        rows = [(each["name"], each["title"], each["description"]) for each in saved]
        write_rows(["name", "title", "description"], rows, format.value, limit, sys.stdout)
