"""Creates the tables and indexes of a new file."""

from __future__ import annotations

import sqlite3

from .ddl import TABLES
from .file_check import APPLICATION_ID, SCHEMA_VERSION

STATEMENTS = (
    *TABLES,
    "CREATE INDEX programs_of_process ON programs (process_id)",
    # Rows come in the order of their starts, so this index grows only at its end. It covers what is counted over time.
    "CREATE INDEX processes_by_time ON processes (recording_id, start_ns, end_ns, state, status, kernel, in_scope)",
)
"""The SQL statements that create the current schema."""


def create(connection: sqlite3.Connection) -> None:
    """Creates the tables in an empty file. Does nothing in a file that has tables."""
    if _is_made(connection):
        return
    connection.execute("BEGIN")
    with connection:
        # Free pages can then be given back to the file system. It can't be switched on later without a VACUUM. It also
        # takes the write lock, since two recorders may start on the same new file. BEGIN IMMEDIATE would come too late
        # for it: it makes the first page.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        if _is_made(connection):
            return
        for statement in STATEMENTS:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _is_made(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone() is not None
