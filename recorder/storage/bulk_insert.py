"""Many rows into a table with few calls: for each, Python's sqlite3 gives the interpreter lock away and takes it back.

With 32 rows a statement, an insert costs less than half of what it costs row by row (executemany). Rows come as one
flat list, for a slice of it is bound as it is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

_ROWS = 32


class BulkInsert:
    """Inserts rows of one shape. values: one SQL expression for each column, most of them a question mark.

    conflict: what to do with a row that is there already, as SQL.
    """

    def __init__(self, table: str, columns: Sequence[str], values: Sequence[str], conflict: str = "") -> None:
        head = f"INSERT INTO {table} ({', '.join(columns)}) VALUES "
        row = f"({', '.join(values)})"
        self._one = f"{head}{row} {conflict}"
        self._many = f"{head}{', '.join([row] * _ROWS)} {conflict}"
        self._width = row.count("?")

    def __call__(self, connection: sqlite3.Connection, values: list[Any]) -> None:
        """Inserts rows, given one behind the other, in their order, within the caller's transaction."""
        width, many = self._width, self._width * _ROWS
        full = len(values) // many * many
        if full:
            connection.executemany(self._many, (values[at : at + many] for at in range(0, full, many)))
        connection.executemany(self._one, (values[at : at + width] for at in range(full, len(values), width)))
