"""What people see: rows as a table, CSV or JSON, and one-line messages on stderr."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, TextIO

from ..model import argv
from .escape import safe

TABLE_ROWS = 50

_FORMULA = re.compile("'*[=+@\uff1d\uff0b\uff0d\uff20-]")  # also as wide characters, which some spreadsheets take too


def say(message: str) -> None:
    """One line on stderr. Never fails: a recording goes on when its terminal has gone."""
    try:
        sys.stderr.write(f"webpf: {safe(message)}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        # What stays in the buffer would fail again when Python ends, and become its exit code.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def write_lines(lines: Iterable[str]) -> None:
    """Writes lines to standard output, with nothing in them that a terminal would act on."""
    for line in lines:
        sys.stdout.write(safe(line) + "\n")


def duration(seconds: float) -> str:
    """A duration for people: 812 us, 3.20 ms, 1.52 s, 2 min 5 s, 3 h 12 min."""
    if seconds < 999.5e-6:
        return f"{seconds * 1e6:.0f} us"
    if seconds < 0.999995:
        return f"{seconds * 1e3:.2f} ms"
    if seconds < 59.995:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60:,} h {minutes % 60} min"


def write_rows(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], format: str, limit: int | None, output: TextIO
) -> None:
    """Writes rows as `table` (50 of them unless limit says otherwise), `csv`, `json` or `ndjson` (all of them)."""
    printable: Iterator[tuple[Any, ...]] = (
        tuple(argv.quote(v[: argv.LONGEST], len(v)) if isinstance(v, bytes) else v for v in row) for row in rows
    )
    if format == "table":
        # Here, for it takes rich with it.
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
    """Text that a spreadsheet doesn't take for a formula, nor a terminal for a command, as behind `| head`.

    Text that has quotes before such a character gets one more, so that taking one away always gives the text again.
    """
    harmless = safe(text)
    return f"'{harmless}" if _FORMULA.match(harmless) else harmless


def _write_json(columns: Sequence[str], rows: Iterator[tuple[Any, ...]], output: TextIO) -> None:
    separator = "["
    for row in rows:
        output.write(f"{separator}\n  {json.dumps(dict(zip(columns, row, strict=True)))}")
        separator = ","
    output.write("[]\n" if separator == "[" else "\n]\n")


def describe_recording(recording: Mapping[str, Any], columns: Sequence[str]) -> tuple[Any, ...]:
    """A row of `recordings` for people: its start in local time, its length in seconds."""
    started_ns, ended_ns = recording["started_ns"], recording["ended_ns"] or recording["updated_ns"]
    shown: dict[str, Any] = {**recording, "started": None, "seconds": None}
    if started_ns is not None:
        with contextlib.suppress(OSError, OverflowError, ValueError):  # no time that a calendar has
            started = datetime.fromtimestamp(started_ns / 1e9).astimezone()
            shown["started"] = started.isoformat(sep=" ", timespec="seconds")
        if ended_ns is not None:
            shown["seconds"] = round((ended_ns - started_ns) / 1e9, 1)
    return tuple(shown[column] for column in columns)
