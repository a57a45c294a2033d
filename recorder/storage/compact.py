"""Drops the raw events of finished recordings, and gives their room back to the file system.

This happens in short transactions, so that recorders can go on writing to the same file.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from ..errors import StorageError
from ..model import argv
from ..model.recording import GOING_ON, NO_EVENTS
from ..progress import NO_PROGRESS, Progress
from . import free_pages, reader, row_checks, safe_open
from .recording_file import RecordingFile

_STEP = 20_000  # rows in one transaction
_PAUSE_SECONDS = 0.05  # after a transaction, for the recorders that wait for the lock
_WITHOUT_OPTIONS = """SELECT id FROM recordings
WHERE CASE WHEN json_valid(options) THEN json_type(options) END IS NOT 'object'"""


class Compacted(NamedTuple):
    """What a compaction has done.

    recordings: numbers of those that have no raw events now. events: how many were dropped. bytes_before, bytes_after:
    size of the file. going_on: numbers of the recordings that are unchanged because they go on.
    """

    recordings: tuple[int, ...]
    events: int
    bytes_before: int
    bytes_after: int
    going_on: tuple[int, ...]


def compact(path: Path, recording: int | str | None = None, progress: Progress = NO_PROGRESS) -> Compacted:
    """Drops the forks, exits and frees of one recording, or of all finished recordings of the file.

    If it is interrupted, another call drops the rest. Raises NotFound for an unknown recording, DataError for a damaged
    file, StorageError for a recording that goes on (for all: if no other has ended), and progress's Interrupted.
    """
    with reader.reading(path) as connection:
        only = None if recording is None else reader.find(connection, path, recording).id
        progress.make_interruptible(connection)
        safe_open.check_for_changes(connection, path)
        for (number,) in connection.execute(_WITHOUT_OPTIONS):
            raise safe_open.damage_error(path, f"the options of recording {number} are not an object of JSON")
    before = path.stat().st_size
    file = RecordingFile(path)
    try:
        file.mark_interrupted()
        known = [each for each in reader.recordings(file.connection) if only in (None, each.id)]
        going_on = tuple(each.id for each in known if each.status == GOING_ON)
        ended = tuple(each.id for each in known if each.status != GOING_ON)
        if going_on and not ended:
            message = f"recording {going_on[0]} of {path} goes on: compact it when it has ended"
            raise StorageError(message, f"webpf recordings {argv.file_word(path)}")
        events = _Compaction(file, ended, progress, _PAUSE_SECONDS if going_on else 0).run()
    finally:
        file.close()
    return Compacted(ended, events, before, path.stat().st_size, going_on)


class _Compaction:
    """Compacts these recordings. pause: seconds after each transaction."""

    def __init__(self, file: RecordingFile, recordings: Collection[int], progress: Progress, pause: float) -> None:
        self._file = file
        self._connection = file.connection
        self._is_chosen = f"recording_id IN ({', '.join(map(str, recordings))})"
        self._numbers = recordings
        self._progress = progress
        self._pause = pause

    def run(self) -> int:
        """Returns how many events were dropped."""
        counts = {table: self._number(f"SELECT count(*) FROM {table}") for table in row_checks.TABLES}
        with self._file.writing():
            self._progress.make_interruptible(self._connection)
            self._mark()
            dropped = passed = 0
            for table, rows in counts.items():
                dropped += self._drop(table, passed, sum(counts.values()))
                passed += rows
            self._give_back()
        return dropped

    def _mark(self) -> None:
        """Notes first that the recordings have no raw events: then verify and rebuild don't expect them any more."""
        sql = "UPDATE recordings SET options = json_set(options, '$.events', ?) WHERE id = ?"
        with self._connection:
            self._connection.executemany(sql, [(NO_EVENTS, number) for number in self._numbers])

    def _drop(self, table: str, passed: int, total: int) -> int:
        """Drops the events of one kind. passed: rows of the kinds before it, of `total`. Returns how many it drops."""
        step = f"SELECT max(id), count(*) FROM (SELECT id FROM {table} WHERE id > ? ORDER BY id LIMIT {_STEP})"
        dropped = after = 0
        while (found := self._connection.execute(step, [after]).fetchone())[1]:
            last, rows = found
            with self._connection:
                sql = f"DELETE FROM {table} WHERE id > ? AND id <= ? AND {self._is_chosen}"
                dropped += self._connection.execute(sql, [after, last]).rowcount
            passed += rows
            after = last
            self._progress.report(passed, total)
            time.sleep(self._pause)
        return dropped

    def _give_back(self) -> None:
        total = free_pages.count(self._connection)
        for free in free_pages.give_back(self._connection):
            self._progress.report(max(total - free, 0), total)
            time.sleep(self._pause)

    def _number(self, sql: str) -> int:
        return int(self._connection.execute(sql).fetchone()[0])
