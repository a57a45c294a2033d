"""Limits a connection to a scope: temporary tables with the rows of the scope shadow the tables of the file.

SQLite finds a temporary table before the table of the file that has the same name. So whatever reads the file then,
reads the scope. A view or a common table expression in its place would make some queries quadratic.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ..model.recording import Recording
from ..model.scope import EVERYTHING, Scope
from . import ddl, reader, schema, scope_base, scope_ids, scope_tables

_NAME = re.compile(r"CREATE TABLE (\w+)")


class Scoped(NamedTuple):
    """What a connection reads. recording: the only one that it shows, or one as a whole.

    about: for people: machine, stretch of time, recordings and filters; None for a recording as a whole. id: the latest
    row of the process that was asked for.
    """

    recording: Recording
    about: str | None
    id: int | None


def find(
    connection: sqlite3.Connection,
    path: Path,
    wanted: int | str | None = None,
    scope: Scope = EVERYTHING,
    tables: Collection[str] = scope_tables.TABLES,
    id: int | None = None,
) -> Scoped:
    """Finds the recording that is wanted, and limits a read-only connection to the scope.

    wanted: number or name; None: the latest recording, or the latest chain with something in the scope. tables: those
    that will be read. id: of a process that the recording must have. Raises NotFound if nothing is in the scope, and
    UsageError for times that don't exist.
    """
    base = scope_base.find(connection, path, wanted, scope, id)
    if base is None:
        return Scoped(
            reader.find(connection, path, _recording_of(connection, id) if wanted is None else wanted), None, id
        )
    with making_temporary_tables(connection):
        processes = scope_ids.find(connection, base, scope, "main")
        about = describe(base.description, scope, processes)
        latest = connection.execute("SELECT latest_id FROM temp.scope_ids WHERE id = ?", [id]).fetchone()
        _create_tables(connection)
        scope_tables.fill(connection, base, "main", "temp", about, tables)
        _create_indexes(connection)
        for table in (*scope_ids.TABLES, *scope_tables.OWN_TABLES):
            connection.execute(f"DROP TABLE IF EXISTS temp.{table}")
    return Scoped(reader.recordings(connection)[0], about, id if latest is None else latest[0])


@contextmanager
def making_temporary_tables(connection: sqlite3.Connection) -> Iterator[None]:
    """Allows temporary tables within the block, which is one transaction, on a read-only connection."""
    connection.execute("PRAGMA query_only = OFF")  # it forbids temporary tables too; the file is open for reading only
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.commit()
        connection.execute("PRAGMA query_only = ON")


def describe(base: str, scope: Scope, processes: int) -> str:
    """Returns what a scope is, for people. base: machines, stretch of time and recordings."""
    filters = f" with {' '.join(scope.filters)}" if scope.filters else ""
    count = "1 process" if processes == 1 else f"{processes:,} processes"
    return f"{base}: {count}{filters}; sums are of whole processes"


def _recording_of(connection: sqlite3.Connection, id: int | None) -> int | None:
    row = connection.execute("SELECT recording_id FROM processes WHERE id = ?", [id]).fetchone()
    return None if row is None else int(row[0])


def _create_tables(connection: sqlite3.Connection) -> None:
    for statement in ddl.TABLES:
        name = _NAME.search(statement)
        if name is not None:
            connection.execute(statement.replace("CREATE TABLE", "CREATE TEMP TABLE", 1))


def _create_indexes(connection: sqlite3.Connection) -> None:
    for statement in schema.STATEMENTS:
        if statement.startswith("CREATE INDEX "):
            connection.execute(statement.replace("CREATE INDEX ", "CREATE INDEX temp.", 1))
