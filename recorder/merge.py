"""Several files' recordings in one, with new numbers and nothing lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from . import catalog, newfile
from .errors import UsageError
from .store import Store

_TABLES = (
    "recordings", "processes", "forks", "programs", "exits", "frees", "found", "missing",
    "cgroup_paths", "working_directories", "fact_blocks",
)  # fmt: skip
_FACT_IDS = ("id", "process_id", "parent_id", "first_id")


def merge(sources: Sequence[Path], target: Path, replaces: bool = False) -> dict[Path, list[int]]:
    """Writes all recordings of the sources into a new file; returns their numbers there, by source.

    replaces: whether a target that is there may be replaced. Raises NotFound or DataError for a source, UsageError for
    one that is still being recorded, and what newfile.path() raises.
    """
    if len({path.resolve() for path in sources}) < len(sources):
        raise UsageError("the same file is named twice", "webpf merge A B -o C")
    for source in sources:
        _check(source)
    with newfile.path(target, replaces) as made:
        store = Store(made)
        try:
            return {source: _add(store, source) for source in sources}
        finally:
            store.close()


def _check(source: Path) -> None:
    """Raises UsageError for a file that is still being written."""
    with catalog.reading(source) as connection:
        catalog.which(connection, source, None)
        for row in catalog.recording_rows(connection):
            if row["status"] == "recording":
                raise UsageError(f"recording {row['id']} of {source} goes on", "merge it when it has ended")


def _add(store: Store, source: Path) -> list[int]:
    connection = store.db.conn
    assert connection is not None
    with store.writing():
        connection.execute("ATTACH ? AS source", [f"{source.absolute().as_uri()}?mode=ro"])
        try:
            with connection:
                return _copy(connection)
        finally:
            connection.execute("DETACH source")


def _copy(connection: sqlite3.Connection) -> list[int]:
    """Every id moves by as much as is taken already, so what points to what stays."""
    recordings = connection.execute("SELECT coalesce(max(id), 0) FROM main.recordings").fetchone()[0]
    facts = connection.execute("SELECT coalesce(max(first_id + size), 1) - 1 FROM main.fact_blocks").fetchone()[0]
    for table in _TABLES:
        there = {row[1] for row in connection.execute(f"PRAGMA source.table_info({table})")}
        columns = [row[1] for row in connection.execute(f"PRAGMA main.table_info({table})") if row[1] in there]
        if not columns:  # an older file
            continue
        moved = {"recording_id": recordings} | dict.fromkeys(_FACT_IDS, facts)
        if table == "recordings":
            moved = {"id": recordings}
        values = [f"{column} + {moved[column]}" if column in moved else column for column in columns]
        connection.execute(
            f"INSERT INTO main.{table} ({', '.join(columns)}) SELECT {', '.join(values)} FROM source.{table} ORDER BY 1"
        )
    connection.execute("UPDATE main.recordings SET status = 'interrupted' WHERE status = 'recording'")
    return [
        row[0] for row in connection.execute("SELECT id FROM main.recordings WHERE id > ? ORDER BY id", [recordings])
    ]
