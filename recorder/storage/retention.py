"""Retention: deletes the oldest segments while a chain is recorded, so that the file stays within its limits.

It works in the thread that writes the file, for a moment at a time, so that writes go on in between. It deletes the
segments of its own chain, and of chains that have ended: those of recorders that ran before. Other recordings stay.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import StorageError
from ..log import get_logger
from ..model.limits import SEGMENTS, Limits
from . import deletion, free_pages, incidents, write_pauses
from .write_pauses import NothingToDelete

if TYPE_CHECKING:
    from .recording_file import RecordingFile

_log = get_logger(__name__)

_SLICE_SECONDS = 0.05  # of work at a time
_LONG_SLICE_SECONDS = 0.5  # of work at a time while the file is larger than wanted: what is recorded waits meanwhile
_CHECK_SECONDS = 0.5  # between two looks at the limits, unless the file is too large
_RETRY_SECONDS = 60.0  # after a deletion that gave nothing back, for instance because of a reader
_SEGMENTS = """SELECT id, started_ns, coalesce(ended_ns, updated_ns) AS until_ns FROM recordings AS r
WHERE chain IS NOT NULL AND status <> 'recording' AND id <> ?1
    AND (chain = (SELECT chain FROM recordings WHERE id = ?1)
        OR NOT EXISTS (SELECT * FROM recordings WHERE chain = r.chain AND status = 'recording'))
ORDER BY until_ns, id LIMIT 1"""


class _Segment(NamedTuple):
    id: int
    started_ns: int
    until_ns: int


class Retention:
    """Keeps a file within limits. now: returns Unix ns. current: returns the number of the segment being recorded.

    All but is_segment_full is for the writing thread.
    """

    def __init__(self, file: RecordingFile, limits: Limits, now: Callable[[], int], current: Callable[[], int]) -> None:
        self._file = file
        self._limits = limits
        self._now = now
        self._current = current
        self._work: Iterator[Any] | None = None
        self._next_check = 0.0
        self._useless_until = 0.0
        self._is_out_of_room = False
        self._segment, self._began_bytes, self._freed = 0, 0, 0
        self.is_segment_full = False
        """Whether the segment being recorded should end before its time."""

    def tidy(self) -> None:
        """Works for a moment, if there is something to do."""
        begun = time.monotonic()
        try:
            self._measure_segment()
            while self._has_work():  # at least one step each time, however slow the machine is
                assert self._work is not None
                before = self._used_bytes()
                if next(self._work, self) is self:
                    self._work = None
                self._freed += max(before - self._used_bytes(), 0)
                if time.monotonic() - begun >= self._slice_seconds():
                    break
        except (sqlite3.Error, StorageError) as error:  # what was begun goes on at the next attempt
            _log.info("nothing can be deleted now: %s", error)
            self._work, self._next_check = None, time.monotonic() + _CHECK_SECONDS

    def check_room(self) -> None:
        """Raises NothingToDelete while nothing more may be written, because of --keep-free."""
        if self._is_out_of_room:
            raise NothingToDelete("too little space is free (--keep-free), and no older segment can be deleted")

    def _slice_seconds(self) -> float:
        return _LONG_SLICE_SECONDS if self._is_too_large() else _SLICE_SECONDS

    def _has_work(self) -> bool:
        if self._work is None and (time.monotonic() >= self._next_check or self._is_too_large()):
            self._work = self._find_work()
            if self._work is None:
                self._next_check = time.monotonic() + _CHECK_SECONDS
        return self._work is not None

    def _find_work(self) -> Iterator[Any] | None:
        connection = self._connection
        if self._limits.log_bytes is not None:  # a deletion leaves a large one
            write_pauses.shorten_log(connection, self._file.path, self._limits.log_bytes)
        begun = deletion.find_begun(connection)
        if begun:
            return self._delete(_Segment(begun[0], 0, 0), None)
        row = connection.execute(_SEGMENTS, [self._current()]).fetchone()
        oldest = None if row is None else _Segment(*row)
        reason = self._exceeded(oldest)
        self._is_out_of_room = reason == "--keep-free" and (oldest is None or time.monotonic() < self._useless_until)
        if reason is None or oldest is None or self._is_out_of_room:
            return free_pages.give_back(connection) if free_pages.count(connection) and reason else None
        return self._delete(oldest, reason)

    def _exceeded(self, oldest: _Segment | None) -> str | None:
        """Returns the option whose limit is exceeded, or None."""
        limits = self._limits
        keep_ns = None if limits.keep_seconds is None else round(limits.keep_seconds * 1e9)
        if keep_ns is not None and oldest is not None and oldest.until_ns < self._now() - keep_ns:
            return "--keep"
        if self._is_too_large():
            return "--max-size"
        if self._free_bytes() < self._least_free():
            return "--keep-free"
        return None

    def _is_too_large(self) -> bool:
        """Whether the file is almost as large as it may be: a segment grows while others are deleted.

        Of a log that a reader keeps, only its usual size counts: a deletion would make it larger, not smaller.
        """
        most, log_bytes = self._limits.most_bytes, self._limits.log_bytes
        if most is None or log_bytes is None:
            return False
        return self._used_bytes() + min(write_pauses.log_size(self._file.path), log_bytes) > most - 2 * most // SEGMENTS

    def _delete(self, segment: _Segment, reason: str | None) -> Iterator[Any]:
        """Deletes a segment, and gives its room back. reason: the option; None: a deletion that was begun goes on."""
        connection, before = self._connection, self._file_size()
        yield from deletion.delete(connection, segment.id)
        yield from free_pages.give_back(connection)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        given_back = before - self._file_size()
        if reason == "--keep-free" and given_back <= 0:
            self._useless_until = time.monotonic() + _RETRY_SECONDS
        if reason is not None:
            _log.info("recording %d is deleted (%s): %d bytes are given back", segment.id, reason, given_back)
            detail = f"{reason}: recording {segment.id}; {max(given_back, 0)} bytes went back to the file system"
            values = (self._current(), segment.started_ns, segment.until_ns, incidents.DELETED, detail, 0)
            with connection:
                connection.execute("INSERT OR REPLACE INTO incidents VALUES (?, ?, ?, ?, ?, ?)", values)

    def _measure_segment(self) -> None:
        if self._segment == 0 and self._limits.log_bytes is not None:
            self._file.limit_log(self._limits.log_bytes)
        if self._segment != self._current():
            self._segment, self._began_bytes, self._freed = self._current(), self._used_bytes(), 0
        size, most = self._used_bytes() - self._began_bytes + self._freed, self._limits.segment_bytes
        self.is_segment_full = most is not None and size > most

    @property
    def _connection(self) -> sqlite3.Connection:
        return self._file.connection

    def _used_bytes(self) -> int:
        """Returns the size of the pages that are in use."""
        values = [self._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size")]
        return int((values[0] - free_pages.count(self._connection)) * values[1])

    def _file_size(self) -> int:
        return self._file.path.stat().st_blocks * 512

    def _free_bytes(self) -> int:
        found = os.statvfs(self._file.path)
        return found.f_bavail * found.f_frsize

    def _least_free(self) -> float:
        if self._limits.free_bytes is not None:
            return self._limits.free_bytes
        if self._limits.free_share is not None:
            found = os.statvfs(self._file.path)
            return found.f_blocks * found.f_frsize * self._limits.free_share
        return 0
