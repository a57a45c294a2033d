"""Copies the tables of one recording file into another, which has the first attached as `source`."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from ..model.events import ALL_KINDS
from ..progress import Work
from . import opening

BY_ID = ("processes", *(kind.table for kind in ALL_KINDS))
"""The tables with most rows. Their ids are events' numbers."""

TABLES = ("recordings", *BY_ID, "cgroup_paths", "working_directories", "incidents", "fact_blocks")
"""All tables."""

_STEP = 50_000  # rows


class Copied:
    """How much is copied, counted in rows of the tables that have most. total: how many there are."""

    def __init__(self, work: Work, total: int) -> None:
        self._work = work
        self._total = total
        self._done = 0

    def add(self, rows: int) -> None:
        """Reports so many rows more. Raises Interrupted."""
        self._done += rows
        self._work.at(self._done, self._total)


def count_rows(connection: sqlite3.Connection) -> int:
    """Rows of a file in the tables that have most."""
    return sum(int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]) for table in BY_ID)


def copy(connection: sqlite3.Connection, path: Path, table: str, values: Mapping[str, str], copied: Copied) -> None:
    """Copies a table. path: of the source.

    values: by column of the new file, SQL for its value, made of the columns of the source.
    Raises DataError for rows that belong to no recording, and sqlite3.Error.
    """
    insert = f"INSERT INTO main.{table} ({', '.join(values)}) SELECT {', '.join(values.values())} FROM source.{table}"
    if table not in BY_ID:
        connection.execute(f"{insert} ORDER BY 1")
        return
    # So many rows at a time, by their ids, between which there may be gaps of any size.
    step = f"SELECT max(id), count(*) FROM (SELECT id FROM source.{table} WHERE id > ? ORDER BY id LIMIT {_STEP})"
    its_own = "recording_id IN (SELECT id FROM source.recordings)"
    after = 0
    while (found := connection.execute(step, [after]).fetchone())[1]:
        last, rows = found
        # One that belonged to no recording here would, after a merge, belong to one of the next file there.
        inserted = connection.execute(f"{insert} WHERE id > ? AND id <= ? AND {its_own} ORDER BY id", [after, last])
        if inserted.rowcount != rows:
            raise opening.damaged(path, f"rows of {table} belong to no recording")
        copied.add(rows)
        after = last


def stored_columns(connection: sqlite3.Connection, schema: str, table: str) -> list[str]:
    """Columns that are not generated. schema: main or source. None if there is no such table."""
    return [row[1] for row in connection.execute(f"PRAGMA {schema}.table_info({table})")]
