"""The command `query`: runs a saved query, prints its SQL or its help, or lists all queries."""

from __future__ import annotations

import json
import shlex
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
from .row_options import Columns, Limit, Sort, row_output, style_for, write_heading, write_own
from .scope_options import takes_scope

if TYPE_CHECKING:
    from ..analysis.row_order import RowOrder
    from ..analysis.saved_queries import SavedQuery

_HELP_IS_OF = "webpf.query"  # key of the query that --help is about
QueryName = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME",
        help="Saved query to run, or the path of one of your own, FILE.sql. Default: list them all.",
        autocompletion=completion.complete_query,
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
ShowsSql = Annotated[
    bool, typer.Option("--sql", help="Print the SQL that would run, with the parameters and the order that are given.")
]


class QueryCommand(TyperCommand):
    """The command `query`. If a saved query is named, --help shows its parameters, its columns and an example."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parses args as TyperCommand does. Raises UsageError if --help is asked about a query that doesn't exist."""
        if not ctx.resilient_parsing:
            options, _, _ = self.make_parser(ctx).parse_args(list(args))
            name = options.get("name")
            if options.get("help") and isinstance(name, str):
                from ..analysis import own_queries

                ctx.meta[_HELP_IS_OF] = own_queries.load(name)
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


COMMAND_SETTINGS = {"cls": QueryCommand}


@takes_scope
def query(
    name: QueryName = None,
    file: File = None,
    parameter: Parameters = None,
    recording: Recording = None,
    db: Db = None,
    format: RowFormat = Format.table,
    limit: Limit = None,
    sort: Sort = None,
    columns: Columns = None,
    shows_sql: ShowsSql = False,
    scope: Scope = EVERYTHING,
    on: fleet_query.On = None,
    host: fleet_query.Hosts = None,
    per_recording: fleet_query.PerRecording = False,
    engine: fleet_query.EngineOption = None,
) -> None:
    """Run a saved query, or list all of them.

    `webpf query NAME --help` shows the parameters and columns of a query. Own queries are files NAME.sql in the folders
    of $WEBPF_QUERIES (separated by colons), and in ~/.config/webpf/queries.
    """
    if name is None:
        if shows_sql:
            raise UsageError("--sql needs the name of a query", "webpf query lifetimes --sql")
        _list(format, limit)
        return
    from ..analysis import query_values, row_order

    if file is not None and "=" in file and not exists(file):
        raise UsageError(f"-p is missing before {file}", f"webpf query {argv.word(name)} -p {argv.word(file)}")
    wanted = _load(name)
    given = query_values.parse(parameter or [])
    order = row_order.parse(sort, columns)
    options = fleet_query.FleetOptions(on, host or [], per_recording, engine)
    fleet_query.check_options(options, name, (file, db, recording))
    if on is not None:
        fleet_query.run_query(wanted, given, options, format, limit, shows_sql, order, scope)
    elif shows_sql:
        _write_sql(wanted, choose(file, db, recording), given, limit, scope, order)
    else:
        _run(wanted, choose(file, db, recording), given, format, limit, scope, order)


def _load(name: str) -> SavedQuery:
    """Returns a query. Says so if there is an own one of the same name."""
    from ..analysis import own_queries
    from ..output.messages import say

    wanted = own_queries.load(name)
    for note in own_queries.notes_about(wanted):
        say(note)
    return wanted


def _write_sql(
    wanted: SavedQuery, chosen: Chosen, given: dict[str, str], limit: int | None, scope: Scope, order: RowOrder
) -> None:
    """Prints the SQL that would run. A file is opened only to look up the names of recordings."""
    from ..analysis import query_values
    from ..output.messages import write_lines
    from ..storage import reader

    if not scope.is_everything:
        message = "--sql prints SQL for a whole recording: webpf extract makes a file of a part"
        raise UsageError(message, f"webpf extract {' '.join(scope.filters) or '--since -1h'} -o part.db")
    if chosen.recording is not None:
        given["recording"] = chosen.recording
    names = [name for name in query_values.RECORDING_PARAMETERS if not given.get(name, "1").isdigit()]
    if names:
        with reader.reading(chosen.path) as connection:
            given |= {name: str(reader.find(connection, chosen.path, given[name]).id) for name in names}
    query_values.check(wanted.name, wanted.parameters, given)
    write_lines(wanted.script_with(given, order, limit).splitlines())


def _run(
    wanted: SavedQuery,
    chosen: Chosen,
    given: dict[str, str],
    format: Format,
    limit: int | None,
    scope: Scope,
    order: RowOrder,
) -> None:
    from ..analysis import pid_owner, saved_queries
    from ..output.messages import say
    from ..output.row_formats import write_rows

    if chosen.recording is not None:
        given["recording"] = chosen.recording
    with row_output(format) as output, saved_queries.run(chosen.path, wanted, given, scope, order) as result:
        write_heading(result.heading, format, output)
        write_rows(result.columns, result.rows, format.value, limit, output, style_for(result.recordings))
        lines = [
            None if format is Format.table else result.about,
            pid_owner.describe_owners_for(result, wanted, given),
            *(each.caveat for each in result.recordings),
        ]
    for line in lines:
        if line:
            say(line)


def _list(format: Format, limit: int | None) -> None:
    from ..analysis import own_queries
    from ..output.messages import say, write_lines

    queries, notes = own_queries.load_all()
    saved = [each.as_dict() for same in own_queries.by_theme(queries).values() for each in same]
    if format is Format.json:
        write_lines(json.dumps(saved, indent=2).splitlines())
    elif format is Format.ndjson:
        write_lines(map(json.dumps, saved))
    else:
        columns = ["name", "title", "theme", "description"]
        write_own(columns, [tuple(each[column] for column in columns) for each in saved], format, limit)
    for note in notes:
        say(note)
