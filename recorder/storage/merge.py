"""Several files' recordings in one, with new numbers and nothing lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import DataError, UsageError
from ..model import argv
from ..model.events import GREATEST
from ..model.recording import GOING_ON
from ..progress import UNWATCHED, Work
from . import atomic_file, opening, reader, soundness, table_copy
from .recording_file import Store
from .table_copy import BY_ID, Copied

_FACT_IDS = ("id", "process_id", "parent_id", "first_id")
_FULL = ("full", "disk I/O", "readonly")  # what SQLite says where it is the new file that can't be written


class _Source(NamedTuple):
    """A file, with the highest numbers that it uses and how many rows it has."""

    path: Path
    recordings: int
    events: int
    rows: int


def merge(
    sources: Sequence[Path], target: Path, replaces: bool = False, work: Work = UNWATCHED
) -> dict[Path, list[int]]:
    """Writes all recordings of the sources into a new file; returns their numbers there, by source.

    replaces: whether a target that is there may be replaced. Raises NotFound or DataError for a source, UsageError for
    one that is still being recorded, work's Interrupted, and what atomic_file.path() raises.
    """
    if len({path.resolve() for path in sources}) < len(sources):
        raise UsageError("the same file is named twice", "webpf merge a.db b.db -o all.db")
    looked_at = [_look_at(path) for path in sources]
    if max(sum(source.events for source in looked_at), sum(source.recordings for source in looked_at)) > GREATEST:
        raise DataError("all these files together have numbers that are too large for one")
    with atomic_file.path(target, replaces) as made:
        store = Store(made)
        work.watch(store.db.conn)
        copied = Copied(work, sum(source.rows for source in looked_at))
        try:
            with store.writing():  # once, not into a log first: nobody else reads it yet
                store.db.execute("PRAGMA journal_mode = DELETE")
            taken = _Source(target, 0, 0, 0)
            merged = {}
            for source in looked_at:
                merged[source.path] = _add(store, source, taken, copied)
                taken = taken._replace(
                    recordings=taken.recordings + source.recordings, events=taken.events + source.events
                )
            return merged
        finally:
            store.close()


def _look_at(path: Path) -> _Source:
    """Raises UsageError for a file that is still being written, DataError for one with numbers that can't be."""
    with reader.reading(path) as connection:
        reader.find(connection, path)
        for recording in reader.recordings(connection):
            if recording.status == GOING_ON:
                hint = f"webpf recordings --db {argv.file_word(path)}"
                raise UsageError(f"recording {recording.id} of {path} goes on: merge it when it has ended", hint)
        for problem in (*soundness.problems_of_blocks(connection), *soundness.problems_of_ids(connection)):
            raise opening.damaged(path, problem)
        last = {table: _number(connection, f"max(id) FROM {table}") for table in ("recordings", *BY_ID)}
        reserved = _number(connection, "max(first_id + size) - 1 FROM fact_blocks")
        rows = table_copy.count_rows(connection)
        return _Source(path, last.pop("recordings"), max(reserved, *last.values()), rows)


def _number(connection: sqlite3.Connection, selected: str) -> int:
    return int(connection.execute(f"SELECT {selected}").fetchone()[0] or 0)


def _add(store: Store, source: _Source, taken: _Source, copied: Copied) -> list[int]:
    connection = store.db.conn
    assert connection is not None
    with store.writing():
        connection.execute("ATTACH ? AS source", [f"{source.path.absolute().as_uri()}?mode=ro"])
        try:
            with connection:
                return _copy(connection, source, taken, copied)
        except sqlite3.DatabaseError as error:
            if any(word in str(error) for word in _FULL):
                raise
            raise opening.unreadable(source.path, error) from error
        finally:
            connection.execute("DETACH source")


def _copy(connection: sqlite3.Connection, source: _Source, taken: _Source, copied: Copied) -> list[int]:
    """Every id moves by as much as is taken already, so what points to what stays."""
    for table in table_copy.TABLES:
        moved = {"recording_id": taken.recordings} | dict.fromkeys(_FACT_IDS, taken.events)
        if table == "recordings":
            moved = {"id": taken.recordings}
        columns = table_copy.stored_columns(connection, "main", table)
        values = {name: f"{name} + {moved[name]}" if name in moved else name for name in columns}
        table_copy.copy(connection, source.path, table, values, copied)
    connection.execute("UPDATE main.recordings SET status = 'interrupted' WHERE status = 'recording'")
    sql = "SELECT id FROM main.recordings WHERE id > ? ORDER BY id"
    return [row[0] for row in connection.execute(sql, [taken.recordings])]
