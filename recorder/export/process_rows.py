"""Exports the rows of the table `processes`, with their command lines, as CSV or JSON lines."""

from __future__ import annotations

import sqlite3
from typing import TextIO

from ..model.recording import Recording
from ..output.row_formats import write_rows
from ..progress import NO_PROGRESS, Progress, count_processes, report_rows
from ..storage import process_select


def write_csv(
    connection: sqlite3.Connection, recording: Recording, out: TextIO, progress: Progress = NO_PROGRESS
) -> None:
    """Writes a header line, and one line per process, including kernel threads."""
    _write(connection, recording, "csv", out, progress)


def write_ndjson(
    connection: sqlite3.Connection, recording: Recording, out: TextIO, progress: Progress = NO_PROGRESS
) -> None:
    """Writes one JSON object per line for each process, including kernel threads."""
    _write(connection, recording, "ndjson", out, progress)


def _write(connection: sqlite3.Connection, recording: Recording, format: str, out: TextIO, progress: Progress) -> None:
    columns = [column.name for column in process_select.columns()]
    cursor = connection.execute(f"{process_select.select()} WHERE p.recording_id = ? ORDER BY p.id", [recording.id])
    write_rows(columns, report_rows(cursor, progress, count_processes(connection, recording.id)), format, None, out)
