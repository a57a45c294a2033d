"""Exports the rows of the table `processes` as CSV or JSON lines."""

from __future__ import annotations

import sqlite3
from typing import TextIO

from ..model.recording import Recording
from ..output.rows import write_rows
from ..progress import UNWATCHED, Work, counted, processes
from ..storage import soundness

_ROWS = "SELECT {} FROM processes WHERE recording_id = ? ORDER BY id"


def write_csv(connection: sqlite3.Connection, recording: Recording, out: TextIO, work: Work = UNWATCHED) -> None:
    """Writes a header line, and one line per process, including kernel threads."""
    _write(connection, recording, "csv", out, work)


def write_ndjson(connection: sqlite3.Connection, recording: Recording, out: TextIO, work: Work = UNWATCHED) -> None:
    """Writes one JSON object per line for each process, including kernel threads."""
    _write(connection, recording, "ndjson", out, work)


def _write(connection: sqlite3.Connection, recording: Recording, format: str, out: TextIO, work: Work) -> None:
    columns = list(soundness.schema_columns()["processes"])
    cursor = connection.execute(_ROWS.format(", ".join(columns)), [recording.id])
    write_rows(columns, counted(cursor, work, processes(connection, recording.id)), format, None, out)
