"""Several files' recordings in one, with new numbers and nothing lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from . import catalog, newfile
from .errors import UsageError
from .store import Store
from .work import UNWATCHED, Work

_BY_ID = ("processes", "forks", "programs", "exits", "frees", "found", "missing")
_TABLES = ("recordings", *_BY_ID, "cgroup_paths", "working_directories", "incidents", "fact_blocks")
_STEP = 50_000  # ids
_FACT_IDS = ("id", "process_id", "parent_id", "first_id")


def merge(
    sources: Sequence[Path], target: Path, replaces: bool = False, work: Work = UNWATCHED
) -> dict[Path, list[int]]:
    """Writes all recordings of the sources into a new file; returns their numbers there, by source.

    replaces: whether a target that is there may be replaced. Raises NotFound or DataError for a source, UsageError for
    one that is still being recorded, work's Interrupted, and what newfile.path() raises.
    """
    if len({path.resolve() for path in sources}) < len(sources):
        raise UsageError("the same file is named twice", "webpf merge A B -o C")
    ids = sum(_check(source) for source in sources)
    with newfile.path(target, replaces) as made:
        store = Store(made)
        work.watch(store.db.conn)
        copied = _Copied(work, ids * len(_BY_ID))
        try:
            with store.writing():  # once, not into a log first: nobody else reads it yet
                store.db.execute("PRAGMA journal_mode = DELETE")
            return {source: _add(store, source, copied) for source in sources}
        finally:
            store.close()


def _check(source: Path) -> int:
    """How many ids it has. Raises UsageError for a file that is still being written."""
    with catalog.reading(source) as connection:
        catalog.which(connection, source, None)
        for row in catalog.recording_rows(connection):
            if row["status"] == "recording":
                raise UsageError(f"recording {row['id']} of {source} goes on", "merge it when it has ended")
        return _ids(connection)


def _add(store: Store, source: Path, copied: _Copied) -> list[int]:
    connection = store.db.conn
    assert connection is not None
    with store.writing():
        connection.execute("ATTACH ? AS source", [f"{source.absolute().as_uri()}?mode=ro"])
        try:
            with connection:
                return _copy(connection, copied)
        finally:
            connection.execute("DETACH source")


class _Copied:
    """How much is copied, counted in ids of facts, table by table."""

    def __init__(self, work: Work, total: int) -> None:
        self._work = work
        self._total = total
        self._done = 0

    def add(self, ids: int) -> None:
        self._done += ids
        self._work.at(self._done, self._total)


def _ids(connection: sqlite3.Connection, schema: str = "main") -> int:
    """The highest id of a fact that is taken."""
    sql = f"SELECT coalesce(max(first_id + size), 1) - 1 FROM {schema}.fact_blocks"
    return int(connection.execute(sql).fetchone()[0])


def _copy(connection: sqlite3.Connection, copied: _Copied) -> list[int]:
    """Every id moves by as much as is taken already, so what points to what stays."""
    recordings = connection.execute("SELECT coalesce(max(id), 0) FROM main.recordings").fetchone()[0]
    facts, last = _ids(connection), _ids(connection, "source")
    for table in _TABLES:
        there = {row[1] for row in connection.execute(f"PRAGMA source.table_info({table})")}
        columns = [row[1] for row in connection.execute(f"PRAGMA main.table_info({table})") if row[1] in there]
        moved = {"recording_id": recordings} | dict.fromkeys(_FACT_IDS, facts)
        if table == "recordings":
            moved = {"id": recordings}
        values = ", ".join(f"{column} + {moved[column]}" if column in moved else column for column in columns)
        insert = f"INSERT INTO main.{table} ({', '.join(columns)}) SELECT {values} FROM source.{table}"
        if table in _BY_ID:
            for first in range(1, last + 1, _STEP):
                connection.execute(f"{insert} WHERE id BETWEEN ? AND ? ORDER BY id", [first, first + _STEP - 1])
                copied.add(min(_STEP, last + 1 - first))
        elif columns:  # else it comes from before there was such a table
            connection.execute(f"{insert} ORDER BY 1")
    connection.execute("UPDATE main.recordings SET status = 'interrupted' WHERE status = 'recording'")
    return [
        row[0] for row in connection.execute("SELECT id FROM main.recordings WHERE id > ? ORDER BY id", [recordings])
    ]
