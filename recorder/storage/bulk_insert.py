"""Inserts many rows into a table with few calls into SQLite.

For each call, Python's sqlite3 releases the interpreter lock and takes it again. With 32 rows per statement, an insert
costs less than half of executemany() with one row per statement. The rows come as one flat list, because a slice of
it can be bound without a copy of each row.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

_ROWS = 32


def insert_row(connection: sqlite3.Connection, table: str, row: Mapping[str, Any]) -> int:
    """Inserts one row within the caller's transaction. row: values by column. Returns its rowid."""
    marks = ", ".join("?" * len(row))
    inserted = connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", [*row.values()])
    assert inserted.lastrowid is not None
    return inserted.lastrowid


class BulkInsert:
    """Inserts rows of one shape. values: one SQL expression per column, most of them a question mark.

    conflict: SQL for rows that already exist (ON CONFLICT ...).
    """

    def __init__(self, table: str, columns: Sequence[str], values: Sequence[str], conflict: str = "") -> None:
        head = f"INSERT INTO {table} ({', '.join(columns)}) VALUES "
        row = f"({', '.join(values)})"
        self._one = f"{head}{row} {conflict}"
        self._many = f"{head}{', '.join([row] * _ROWS)} {conflict}"
        self._width = row.count("?")

    def __call__(self, connection: sqlite3.Connection, values: list[Any]) -> None:
        """Inserts rows in order within the caller's transaction. values: the values of all rows, concatenated."""
        width, many = self._width, self._width * _ROWS
        full = len(values) // many * many
        if full:
            connection.executemany(self._many, (values[at : at + many] for at in range(0, full, many)))
        connection.executemany(self._one, (values[at : at + width] for at in range(full, len(values), width)))
