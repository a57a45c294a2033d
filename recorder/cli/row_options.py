"""The options that choose order and columns of rows, and how rows look to people."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from .options import Format
from .output_spool import spooled

if TYPE_CHECKING:
    from ..model.recording import Recording
    from ..output.row_style import RowStyle

Sort = Annotated[
    str | None,
    typer.Option(
        "--sort", metavar="COLUMN[:desc]", help="Sort by this column; unknown values come last. Default: as the query."
    ),
]
Columns = Annotated[
    str | None,
    typer.Option("--columns", metavar="A,B,...", help="Show only these columns, in this order. Default: all."),
]
Limit = Annotated[
    int | None, typer.Option("--limit", metavar="N", min=0, help="Show at most N rows. Default: all; in a table 50.")
]


def style_for(recordings: Sequence[Recording]) -> RowStyle:
    """Returns how rows about these recordings look: with times of their machine, and its users if it is this one."""
    from ..host import machine_id
    from ..output.row_style import RowStyle

    machines = {each.row.get("machine_id") for each in recordings}
    is_here = len(machines) == 1 and machines == {machine_id.hashed()} - {None}
    return RowStyle(recordings[-1].time_zone if recordings else None, is_here)


@contextmanager
def row_output(format: Format) -> Iterator[TextIO]:
    """Opens standard output for rows, in a block that reads a recording file. A long table is shown in a pager."""
    with spooled(sys.stdout, pages=format is Format.table) as output:
        yield output


def write_heading(heading: str, format: Format, output: TextIO) -> None:
    """Writes above a table what it is about."""
    if format is Format.table and heading:
        from ..output import table  # imports rich, which is slow

        table.write_heading(heading, output)


def write_own(columns: Sequence[str], rows: Iterable[Sequence[Any]], format: Format, limit: int | None) -> None:
    """Writes rows that were made here, from no file that is still open."""
    from ..output.row_formats import write_rows
    from ..output.row_style import RowStyle

    with row_output(format) as output:
        write_rows(columns, rows, format.value, limit, output, RowStyle())
