"""Copies tables between recording files. The source is attached to the connection of the new file as `source`."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from ..model.events import ALL_KINDS
from ..progress import Progress
from . import safe_open

TABLES_BY_ID = ("commands", "processes", *(kind.table for kind in ALL_KINDS), "program_environments")
"""The tables with the most rows. Their ids are event ids."""

TABLES = (
    "recordings", *TABLES_BY_ID,
    "environment_variables", "cgroup_paths", "working_directories", "incidents", "fact_blocks",
)  # fmt: skip
"""All tables."""

NO_NAMES: Mapping[str, str] = {}
_STEP = 50_000  # rows


class CopyProgress:
    """Reports how many rows of the largest tables are copied. total: how many rows they have."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0

    def add(self, rows: int) -> None:
        """Reports that this many more rows are copied. Raises Interrupted."""
        self._done += rows
        self._progress.report(self._done, self._total)


def count_rows(connection: sqlite3.Connection, old_names: Mapping[str, str] = NO_NAMES) -> int:
    """Returns how many rows the largest tables of a file have. An older file may lack some of them.

    old_names: of tables that the file names differently.
    """
    existing = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    names = [name for table in TABLES_BY_ID if (name := old_names.get(table, table)) in existing]
    return sum(int(connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]) for name in names)


def copy_table(
    connection: sqlite3.Connection,
    path: Path,
    table: str,
    values: Mapping[str, str],
    progress: CopyProgress,
    old_names: Mapping[str, str] = NO_NAMES,
) -> None:
    """Copies a table. path: the source file, for messages.

    values: for each column of the new table, an SQL expression over the columns of the source. old_names: of tables
    that the source names differently.
    Raises DataError for rows that belong to no recording, and sqlite3.Error.
    """
    old = old_names.get(table, table)
    insert = f"INSERT INTO main.{table} ({', '.join(values)}) SELECT {', '.join(values.values())} FROM source.{old}"
    if table not in TABLES_BY_ID:
        connection.execute(f"{insert} ORDER BY 1")
        return
    # Copy _STEP rows at a time. There may be gaps of any size between ids.
    step = f"SELECT max(id), count(*) FROM (SELECT id FROM source.{old} WHERE id > ? ORDER BY id LIMIT {_STEP})"
    has_recording = "recording_id IN (SELECT id FROM source.recordings)"
    after = 0
    while (found := connection.execute(step, [after]).fetchone())[1]:
        last, rows = found
        # After a merge, a row without a recording would belong to a recording of the next file.
        inserted = connection.execute(
            f"{insert} WHERE id > ? AND id <= ? AND {has_recording} ORDER BY id", [after, last]
        )
        if inserted.rowcount != rows:
            raise safe_open.damage_error(path, f"rows of {old} belong to no recording")
        progress.add(rows)
        after = last


def stored_columns(connection: sqlite3.Connection, schema: str, table: str) -> list[str]:
    """Returns the columns that are not generated; an empty list if there is no such table. schema: main or source."""
    return [row[1] for row in connection.execute(f"PRAGMA {schema}.table_info({table})")]
