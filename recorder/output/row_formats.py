"""Writes rows as a table, CSV, JSON or newline-delimited JSON."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TextIO

from ..model import argv
from .escape import safe

TABLE_ROWS = 50

_FORMULA = re.compile("'*[=+@\uff1d\uff0b\uff0d\uff20-]")  # some spreadsheets accept wide forms too


def write_rows(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], format: str, limit: int | None, output: TextIO
) -> None:
    """Writes rows as `table`, `csv`, `json` or `ndjson`. Values of bytes are written as an argv, quoted for a shell.

    limit: number of rows; None means 50 rows of a table, and all rows in other formats.
    """
    printable: Iterator[tuple[Any, ...]] = (
        tuple(argv.quote(v[: argv.MAX_ARGV_BYTES], len(v)) if isinstance(v, bytes) else v for v in row) for row in rows
    )
    if format == "table":
        # Imported here because it imports rich, which is slow.
        from . import table

        table.write(columns, printable, TABLE_ROWS if limit is None else limit, output)
        return
    if limit is not None:
        printable = islice(printable, limit)
    if format == "csv":
        _write_csv(columns, printable, output)
    elif format == "ndjson":
        for row in printable:
            output.write(json.dumps(dict(zip(columns, row, strict=True))) + "\n")
    else:
        _write_json(columns, printable, output)


def _write_csv(columns: Sequence[str], rows: Iterator[tuple[Any, ...]], output: TextIO) -> None:
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(tuple(_csv_text(value) if isinstance(value, str) else value for value in row) for row in rows)


def _csv_text(text: str) -> str:
    """Escapes control characters, and puts a quote before text that a spreadsheet would take as a formula.

    Text with quotes before such a character gets one more quote, so that removing one always gives the original text.
    """
    escaped = safe(text)
    return f"'{escaped}" if _FORMULA.match(escaped) else escaped


def _write_json(columns: Sequence[str], rows: Iterator[tuple[Any, ...]], output: TextIO) -> None:
    separator = "["
    for row in rows:
        output.write(f"{separator}\n  {json.dumps(dict(zip(columns, row, strict=True)))}")
        separator = ","
    output.write("[]\n" if separator == "[" else "\n]\n")
