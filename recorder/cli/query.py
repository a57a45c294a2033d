"""The command that runs saved queries: options in, rows out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..errors import UsageError
from .options import Format, RowFormat
from .recording_choice import Db, File, Recording, choose


def _names() -> list[str]:
    from ..analysis import saved_queries

    return saved_queries.names()


def query(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Saved query; without it, they are listed.", autocompletion=_names),
    ] = None,
    file: File = None,
    parameter: Annotated[
        list[str] | None, typer.Option("--param", "-p", metavar="KEY=VALUE", help="Value of a parameter.")
    ] = None,
    recording: Recording = None,
    db: Db = None,
    format: RowFormat = Format.table,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=0, help="At most so many rows; a table: 50.")
    ] = None,
) -> None:
    """Run a saved query, or list them."""
    if name is None:
        _list(format, limit)
        return
    from ..analysis import pid_owner, saved_queries
    from ..output.messages import say
    from ..output.rows import write_rows
    from .spool import spooled

    if file is not None and "=" in file and not Path(file).exists():
        raise UsageError(f"-p is missing before {file}", f"webpf query {name} -p {file}")
    chosen = choose(file, db, recording)
    wanted = saved_queries.load(name)
    given = saved_queries.given(parameter or [])
    if chosen.recording is not None:
        given["recording"] = chosen.recording
    with spooled(sys.stdout) as output, saved_queries.run(chosen.path, wanted, given) as result:
        write_rows(result.columns, result.rows, format.value, limit, output)
        lines = [pid_owner.note_of_query(chosen.path, wanted, given), *(each.caveat for each in result.recordings)]
    for line in lines:
        if line:
            say(line)


def _list(format: Format, limit: int | None) -> None:
    from ..analysis import saved_queries
    from ..output.messages import write_lines
    from ..output.rows import write_rows

    saved = [saved_queries.load(each).about() for each in saved_queries.names()]
    if format is Format.json:
        write_lines(json.dumps(saved, indent=2).splitlines())
    elif format is Format.ndjson:
        write_lines(map(json.dumps, saved))
    else:
        rows = [(each["name"], each["title"], each["description"]) for each in saved]
        write_rows(["name", "title", "description"], rows, format.value, limit, sys.stdout)
