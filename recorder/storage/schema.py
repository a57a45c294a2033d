"""How a new file gets its tables and indexes."""

from __future__ import annotations

import sqlite3

from .ddl import TABLES
from .file_check import APPLICATION_ID, SCHEMA_VERSION

STATEMENTS = (
    *TABLES,
    "CREATE INDEX programs_of_process ON programs (process_id)",
    # Rows come in the order of their starts, so this grows at its end only; what is counted over time is all in it.
    "CREATE INDEX processes_by_time ON processes (recording_id, start_ns, end_ns, state, status, kernel)",
)
"""What the current schema is made by."""


def create(connection: sqlite3.Connection) -> None:
    """Makes the tables of an empty file; a file that has any is left as it is."""
    if _is_made(connection):
        return
    connection.execute("BEGIN IMMEDIATE")  # so that two recorders that start on a new file don't both make the tables
    with connection:
        if _is_made(connection):
            return
        for statement in STATEMENTS:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _is_made(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone() is not None
