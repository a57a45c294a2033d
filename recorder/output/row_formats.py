"""Writes rows as a table, CSV, JSON or newline-delimited JSON."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import tzinfo
from itertools import islice
from typing import Any, TextIO

from ..model import argv
from . import units
from .column_kinds import is_moment
from .escape import safe
from .row_style import RowStyle

TABLE_ROWS = 50

_FORMULA = re.compile("'*[=+@\uff1d\uff0b\uff0d\uff20-]")  # some spreadsheets accept wide forms too


def write_rows(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    format: str,
    limit: int | None,
    output: TextIO,
    style: RowStyle | None = None,
) -> None:
    """Writes rows as `table`, `csv`, `json` or `ndjson`. Values of bytes are written as an argv, quoted for a shell.

    All but tables have exact numbers. With a style, the same time as text follows each time: after end_ns comes end.
    limit: number of rows; None means 50 rows of a table, and all rows in other formats.
    """
    printable: Iterator[Sequence[Any]] = map(_printable, rows)
    if format == "table":
        # Imported here because it imports rich, which is slow.
        from . import table

        table.write(columns, printable, TABLE_ROWS if limit is None else limit, output, style)
        return
    if limit is not None:
        printable = islice(printable, limit)
    if style is not None:
        columns, printable = _with_times(columns, printable, style.zone)
    if format == "csv":
        _write_csv(columns, printable, output)
    elif format == "ndjson":
        for row in printable:
            output.write(json.dumps(dict(zip(columns, row, strict=True))) + "\n")
    else:
        _write_json(columns, printable, output)


def _printable(row: Sequence[Any]) -> Sequence[Any]:
    if bytes not in map(type, row):  # which is quicker than a look at each value, as there may be a million rows
        return row
    return [argv.quote(v[: argv.MAX_ARGV_BYTES], len(v)) if isinstance(v, bytes) else v for v in row]


def _with_times(
    columns: Sequence[str], rows: Iterator[Sequence[Any]], zone: tzinfo | None
) -> tuple[Sequence[str], Iterator[Sequence[Any]]]:
    """Adds a column with the time as text after each column of times, unless there is one of this name."""
    names = {at: column.removesuffix("_ns") for at, column in enumerate(columns) if is_moment(column)}
    names = {at: name for at, name in names.items() if name not in columns}
    if not names:
        return columns, rows
    wider = [each for at, column in enumerate(columns) for each in (column, *([names[at]] if at in names else []))]

    def widen(row: Sequence[Any]) -> Sequence[Any]:
        cells = list(row)
        for at in reversed(names):  # from the right, so that the positions to the left stay
            value = row[at]
            cells.insert(at + 1, units.zoned_moment(value, zone, "milliseconds") if isinstance(value, int) else None)
        return cells

    return wider, map(widen, rows)


def _write_csv(columns: Sequence[str], rows: Iterator[Sequence[Any]], output: TextIO) -> None:
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(tuple(_csv_text(value) if isinstance(value, str) else value for value in row) for row in rows)


def _csv_text(text: str) -> str:
    """Escapes control characters, and puts a quote before text that a spreadsheet would take as a formula.

    Text with quotes before such a character gets one more quote, so that removing one always gives the original text.
    """
    escaped = safe(text)
    return f"'{escaped}" if _FORMULA.match(escaped) else escaped


def _write_json(columns: Sequence[str], rows: Iterator[Sequence[Any]], output: TextIO) -> None:
    separator = "["
    for row in rows:
        output.write(f"{separator}\n  {json.dumps(dict(zip(columns, row, strict=True)))}")
        separator = ","
    output.write("[]\n" if separator == "[" else "\n]\n")
