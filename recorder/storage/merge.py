"""Merges the recordings of several files into a new file. They get new numbers, and keep all rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import DataError, UsageError
from ..model import argv
from ..model.events import GREATEST
from ..model.recording import GOING_ON
from ..progress import NO_PROGRESS, Progress
from . import new_file, reader, safe_open, schema_check, table_copy
from .recording_file import RecordingFile
from .table_copy import TABLES_BY_ID, CopyProgress

EVENT_IDS = ("id", "process_id", "parent_id", "command_id", "environment_id", "first_id")
"""The columns that hold event ids, in all tables; but `id` of `recordings` is not one."""
_FULL = ("full", "disk I/O", "readonly")  # in SQLite's message if the new file can't be written


class _SourceFile(NamedTuple):
    """A file to merge: the highest recording number and event id that it uses, and how many rows it has."""

    path: Path
    last_recording: int
    last_id: int
    rows: int


class _Offsets(NamedTuple):
    """What is added to the recording numbers and event ids of a file."""

    recordings: int = 0
    ids: int = 0


def merge(
    sources: Sequence[Path], target: Path, replaces: bool = False, progress: Progress = NO_PROGRESS
) -> dict[Path, list[int]]:
    """Writes all recordings of the sources into a new file. Returns their new numbers, by source.

    replaces: whether an existing target may be replaced. Raises NotFound or DataError for a source, UsageError for a
    source that is still being recorded, progress's Interrupted, and what atomic_file.open_path() raises.
    """
    if len({path.resolve() for path in sources}) < len(sources):
        raise UsageError("the same file is named twice", "webpf merge a.db b.db -o all.db")
    inputs = [_inspect(path) for path in sources]
    if max(sum(source.last_id for source in inputs), sum(source.last_recording for source in inputs)) > GREATEST:
        raise DataError("the numbers in these files together are too large for one file")
    with new_file.making(target, replaces, progress) as file:
        copied = CopyProgress(progress, sum(source.rows for source in inputs))
        offsets = _Offsets()
        merged = {}
        for source in inputs:
            merged[source.path] = _add(file, source, offsets, copied)
            offsets = _Offsets(offsets.recordings + source.last_recording, offsets.ids + source.last_id)
        return merged


def _inspect(path: Path) -> _SourceFile:
    """Reads what a merge must know of a file. Raises UsageError during a recording, DataError for invalid numbers."""
    with reader.reading(path) as connection:
        reader.find(connection, path)
        for recording in reader.recordings(connection):
            if recording.status == GOING_ON:
                hint = f"webpf recordings --db {argv.file_word(path)}"
                raise UsageError(f"recording {recording.id} of {path} goes on: merge it when it has ended", hint)
        for problem in (*schema_check.find_block_problems(connection), *schema_check.find_id_problems(connection)):
            raise safe_open.damage_error(path, problem)
        last = {table: _number(connection, f"max(id) FROM {table}") for table in ("recordings", *TABLES_BY_ID)}
        reserved = _number(connection, "max(first_id + size) - 1 FROM fact_blocks")
        rows = table_copy.count_rows(connection)
        return _SourceFile(path, last.pop("recordings"), max(reserved, *last.values()), rows)


def _number(connection: sqlite3.Connection, selected: str) -> int:
    return int(connection.execute(f"SELECT {selected}").fetchone()[0] or 0)


def _add(file: RecordingFile, source: _SourceFile, offsets: _Offsets, copied: CopyProgress) -> list[int]:
    connection = file.connection
    with file.writing():
        connection.execute("ATTACH ? AS source", [f"{source.path.absolute().as_uri()}?mode=ro"])
        try:
            with connection:
                return _copy(connection, source, offsets, copied)
        except sqlite3.DatabaseError as error:
            if any(word in str(error) for word in _FULL):
                raise
            raise safe_open.unreadable_error(source.path, error) from error
        finally:
            connection.execute("DETACH source")


def _copy(connection: sqlite3.Connection, source: _SourceFile, offsets: _Offsets, copied: CopyProgress) -> list[int]:
    """Copies all rows. All numbers and ids grow by the offsets, so references between rows stay right."""
    for table in table_copy.TABLES:
        added = {"recording_id": offsets.recordings} | dict.fromkeys(EVENT_IDS, offsets.ids)
        if table == "recordings":
            added = {"id": offsets.recordings, "chain": offsets.recordings}
        columns = table_copy.stored_columns(connection, "main", table)
        values = {name: f"{name} + {added[name]}" if name in added else name for name in columns}
        table_copy.copy_table(connection, source.path, table, values, copied)
    connection.execute("UPDATE main.recordings SET status = 'interrupted' WHERE status = 'recording'")
    sql = "SELECT id FROM main.recordings WHERE id > ? ORDER BY id"
    return [row[0] for row in connection.execute(sql, [offsets.recordings])]
