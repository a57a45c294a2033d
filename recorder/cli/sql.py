"""The command `sql`: runs a SELECT of the user's own on a recording file."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from .options import Format, RowFormat
from .recording_choice import Db, WholeFile, choose_file
from .row_options import Limit, row_output, style_for

_STANDARD_INPUT = "-"
_EXAMPLE = "webpf sql 'SELECT * FROM process_list'"


def sql(
    statement: Annotated[str, typer.Argument(metavar="SQL", help="The statement; - reads it from standard input.")],
    file: WholeFile = None,
    db: Db = None,
    format: RowFormat = Format.table,
    limit: Limit = None,
) -> None:
    """Run SQL of your own, which only reads.

    docs/schema.md describes the tables. Numbers in a table have the units that the names of their columns end in: _ns,
    _ms, _kib or _bytes.
    """
    from ..analysis.foreign_sql import ForeignSql
    from ..output.row_formats import write_rows
    from ..storage import reader

    path = choose_file(file, db)
    source = sys.stdin.read() if statement == _STANDARD_INPUT else statement
    with row_output(format) as output, reader.reading(path) as connection:
        columns, rows = ForeignSql("SQL", source, hint=_EXAMPLE).run(connection, source)
        write_rows(columns, rows, format.value, limit, output, style_for(reader.recordings(connection)))
