"""Many rows into a table with few calls: for each, Python's sqlite3 gives the interpreter lock away and takes it back.

With 32 rows a statement, an insert costs less than half of what it costs row by row (executemany).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import Any

_ROWS = 32


class BulkInsert:
    """Inserts rows of one shape. values: one SQL expression for each column, most of them a question mark."""

    def __init__(self, table: str, columns: Sequence[str], values: Sequence[str], verb: str = "INSERT") -> None:
        head = f"{verb} INTO {table} ({', '.join(columns)}) VALUES "
        row = f"({', '.join(values)})"
        self._one = head + row
        self._many = head + ", ".join([row] * _ROWS)

    def __call__(self, connection: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Inserts the rows in their order, within the caller's transaction."""
        full = len(rows) // _ROWS * _ROWS
        if full:
            groups = (rows[at : at + _ROWS] for at in range(0, full, _ROWS))
            connection.executemany(self._many, (tuple(chain.from_iterable(group)) for group in groups))
        connection.executemany(self._one, rows[full:])
