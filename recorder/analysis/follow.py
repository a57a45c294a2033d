"""Follows a recording while it is made: which processes started and ended since the last look, over all segments.

The file is opened for each look and closed after it. So no transaction and no lock is held in between, and the recorder
can make one plain file at its end. A look reads the rows that are new, and those of the processes that were alive.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ..model.recording import GOING_ON, INTERRUPTED, Recording
from ..model.scope import EVERYTHING, Scope
from ..model.zone import Zone
from ..storage import reader
from .followed_process import AGAIN, FIRST, NEW, FollowedProcess, RowReader

GRACE_SECONDS = 1.0
"""How long an ended process is held back until its CPU time is known: the kernel reports that when it frees it."""

_LATENCY_NS = 10_000_000_000
"""How long before the begin of a segment a process can have started that is first recorded in it."""

_BLOCKS = "SELECT first_id, first_id + size FROM fact_blocks WHERE recording_id = ? ORDER BY first_id DESC"


@dataclass
class Look:
    """What a look found. started, ended: in the order of these events. lost: events, so far, in the segments that were
    followed. at_ns: Unix ns up to which the recording is complete. end: why it is over; None while it goes on.
    """

    started: list[FollowedProcess] = field(default_factory=list)
    ended: list[FollowedProcess] = field(default_factory=list)
    lost: int = 0
    at_ns: int = 0
    end: str | None = None


class Follower:
    """Follows a recording, and then the next segments of its chain. alive: by their ids, those that run now.

    scope: which processes are shown. With `since`, it begins with what has ended since then, in all segments of the
    chain; else with what ends from now on.
    """

    def __init__(
        self,
        path: Path,
        wanted: str | None = None,
        scope: Scope = EVERYTHING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.alive: dict[int, FollowedProcess] = {}
        self.recording: Recording | None = None
        self.reads_alive_again = False
        """Whether `alive` must be current: what runs can execute another program."""
        self._path = path
        self._wanted = wanted
        self._since_ns: int | None = None
        self._scope = scope
        self._rows = RowReader(scope)
        self._clock = clock
        self._last_id = 0
        self._lost_before = 0
        self._held: dict[int, tuple[FollowedProcess, float]] = {}  # ended, and until when they are held back

    def look(self) -> Look:
        """Reads what is new. Raises NotFound or DataError."""
        found = Look()
        with reader.reading(self._path) as connection:
            self._rows.prepare(connection)
            connection.execute("BEGIN")  # all statements see the same commit
            if self.recording is None:
                for each in self._first_recordings(connection):
                    self._begin(connection, each, found)
            else:
                self._go_on(connection, found)
            while (following := self._next_segment(connection)) is not None:
                self._change_segment(connection, following, found)
            self._finish(connection, found)
        found.started.sort(key=lambda process: (process.start_ns, process.id))
        found.ended.sort(key=lambda process: (process.end_ns or process.start_ns, process.id))
        return found

    @property
    def is_waiting(self) -> bool:
        """Whether ended processes are held back."""
        return bool(self._held)

    def _first_recordings(self, connection: sqlite3.Connection) -> list[Recording]:
        """Returns the recording to begin with; with a `since`, the segments of its chain from then on."""
        latest = reader.find(connection, self._path, self._wanted)
        self._since_ns, _ = self._scope.stretch(Zone.of_recording(latest.row), time.time_ns())
        chain = latest.row.get("chain")
        if chain is None or self._since_ns is None:
            return [latest]
        segments = [each for each in reader.recordings(connection) if each.row.get("chain") == chain]
        return [each for each in segments if each.until_ns >= self._since_ns and each.id <= latest.id]

    def _begin(self, connection: sqlite3.Connection, recording: Recording, found: Look) -> None:
        """Takes what a recording has so far."""
        if self.recording is not None:
            self._lost_before += self.recording.lost or 0
        self.recording = recording
        since = recording.until_ns + 1 if self._since_ns is None else self._since_ns
        rows = self._rows.read(connection, FIRST, recording=recording.id, since=since)
        self.alive = {process.id: process for process in rows if process.state == "running"}
        found.ended += [process for process in rows if process.state != "running"]
        self._last_id = _last_id(connection, recording.id)

    def _go_on(self, connection: sqlite3.Connection, found: Look) -> None:
        assert self.recording is not None
        ids = json.dumps([*self.alive, *self._held])
        again = self._rows.read(connection, AGAIN, ids=ids, with_alive=self.reads_alive_again)
        new = self._rows.read(connection, NEW, last=self._last_id, recording=self.recording.id)
        for process in new:
            self._last_id = process.id
            found.started.append(process)
            if process.state == "running":
                self.alive[process.id] = process
        self.alive |= {process.id: process for process in again if process.state == "running"}
        self._take_ended((process for process in (*again, *new) if process.state != "running"), found)

    def _take_ended(self, processes: Iterable[FollowedProcess], found: Look) -> None:
        """Adds what has ended to `found`, or holds it back for a moment until its costs are known."""
        now = self._clock()
        for process in processes:
            self.alive.pop(process.id, None)
            _, until = self._held.get(process.id, (process, now + GRACE_SECONDS))
            if process.freed_ns is None and process.end_ns is not None and now < until:
                self._held[process.id] = process, until
            else:
                self._held.pop(process.id, None)
                found.ended.append(process)

    def _next_segment(self, connection: sqlite3.Connection) -> Recording | None:
        assert self.recording is not None
        sql = "SELECT min(id) FROM recordings WHERE chain = ? AND id > ?"
        (number,) = connection.execute(sql, [self.recording.row.get("chain"), self.recording.id]).fetchone()
        return None if number is None else reader.recordings(connection, number)[0]

    def _change_segment(self, connection: sqlite3.Connection, following: Recording, found: Look) -> None:
        """Goes on with the next segment. What is alive has another row there; the start says that it is the same."""
        assert self.recording is not None
        known = {_identity(process, self.recording) for process in self.alive.values()}
        begun_ns = following.started_ns - _LATENCY_NS
        self._lost_before += _lost(connection, self.recording)
        self.recording = following
        rows = self._rows.read(connection, NEW, last=_first_id(connection, following.id) - 1, recording=following.id)
        self._last_id = _last_id(connection, following.id)
        self.alive = {process.id: process for process in rows if process.state == "running"}
        found.started += [
            each for each in rows if each.start_ns >= begun_ns and _identity(each, following) not in known
        ]
        self._take_ended([process for process in rows if process.state != "running"], found)

    def _finish(self, connection: sqlite3.Connection, found: Look) -> None:
        """Sets what is said of the recording, and gives out all that is held back if the recording is over."""
        assert self.recording is not None
        self.recording = reader.find(connection, self._path, self.recording.id)
        found.lost = self._lost_before + (self.recording.lost or 0)
        found.at_ns = self.recording.until_ns
        if self.recording.status != GOING_ON:
            ending = "was interrupted" if self.recording.status == INTERRUPTED else "has ended"
            found.end = f"recording {self.recording.id} {ending}"
            found.ended += [process for process, _ in self._held.values()]
            self._held.clear()


def _identity(process: FollowedProcess, recording: Recording) -> tuple[int, int]:
    """Returns what tells a process from all others of a boot. Each segment measures the offset of the clock anew."""
    return process.pid, process.start_ns - (recording.clock_offset_ns or 0)


def _lost(connection: sqlite3.Connection, recording: Recording) -> int:
    found = connection.execute("SELECT lost FROM recordings WHERE id = ?", [recording.id]).fetchone()
    return int(found[0] or 0) if found else 0  # retention can have deleted it


def _first_id(connection: sqlite3.Connection, recording: int) -> int:
    """Returns the first id that a recording can have given to a process."""
    sql = "SELECT min(first_id) FROM fact_blocks WHERE recording_id = ?"
    return int(connection.execute(sql, [recording]).fetchone()[0] or 0)


def _last_id(connection: sqlite3.Connection, recording: int) -> int:
    """Returns the id of the latest process of a recording: of the latest block of ids that has one."""
    for first, end in connection.execute(_BLOCKS, [recording]).fetchall():
        sql = "SELECT max(id) FROM processes WHERE id >= ? AND id < ?"
        (last,) = connection.execute(sql, [first, end]).fetchone()
        if last is not None:
            return int(last)
    return 0
