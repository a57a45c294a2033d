"""Writes one recording: events, processes and counts, in short transactions.

The hot path binds as few values as possible, since each takes some 30 ns, and a None twice as much. So each kind of
event has its own table, in which nearly every value is known. Values that follow from others are generated columns,
and columns that are nearly always NULL, or always the same, are bound only in the rows that have another value.

A write is prepared first and executed later, perhaps by another thread and more than once. An execution that fails
changes nothing.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any, Protocol

from ..model import cgroup_place
from ..model.event_source import Counts
from ..model.events import KERNEL_KINDS, OPTIONAL_KINDS, Event, decode_exact
from ..model.process import Process
from ..model.recording import INTERRUPTED
from . import environment_ids, recording_totals
from .event_rows import EventRows, command_insert, event_inserts
from .incidents import Incident
from .process_rows import Link, ProcessWriter
from .recording_totals import Totals
from .write_batch import Batch

_COUNTED = tuple(kind.type for kind in KERNEL_KINDS)
_BLOCK = 1 << 20  # ids: more than the number of events that can wait to be written

_UPDATE_COUNTS = "UPDATE recordings SET {}, kept_short = ?, updated_ns = max(updated_ns, ?) WHERE id = ?".format(
    ", ".join(f"{kind.name}s_{what} = ?" for what in ("attempted", "written", "lost") for kind in KERNEL_KINDS)
)


class WritableFile(Protocol):
    """The part of a RecordingFile that a writer uses."""

    db: Any

    def writing(self) -> AbstractContextManager[None]: ...


class RecordingWriter:
    """Writes one recording of a RecordingFile. keeps_events: whether it writes the events of OPTIONAL_KINDS too."""

    def __init__(self, file: WritableFile, recording_id: int, keeps_events: bool = True) -> None:
        self.left_out: tuple[type[Event], ...] = () if keeps_events else OPTIONAL_KINDS
        """Kinds of events that need no rows."""
        self.id = recording_id
        self._file = file
        self._db = file.db
        self._ids: deque[range] = deque()  # reserved in the file, and not used yet
        self._prepared: dict[type[Event], int] = dict.fromkeys(_COUNTED, 0)
        self._written: dict[type[Event], int] = dict.fromkeys(_COUNTED, 0)
        self._processes = ProcessWriter(recording_id)
        self._insert_events = event_inserts(recording_id)
        self._insert_commands = command_insert(recording_id)
        self._insert_environments, self._insert_variables = environment_ids.inserts(recording_id)

    @property
    def written(self) -> tuple[int, ...]:
        """Events in the file, by kind; of kinds that are left out, those that are in its processes."""
        return tuple(self._written.values())

    @property
    def prepared(self) -> tuple[int, ...]:
        """Events that will be in the file when all prepared batches are executed, by kind."""
        return tuple(self._prepared.values())

    has_room = True  # write() writes at once
    waiting_bytes = 0
    committed_ns: int | None = None

    def await_room(self) -> None:
        """Returns at once: there is always room."""

    def reserve_ids(self, count: int) -> int:
        """Returns the first of `count` consecutive ids that no other recorder uses. Ids grow. Raises StorageError."""
        if not self.can_reserve_ids(count):
            self.fetch_ids(count)
        while len(self._ids[0]) < count:
            self._ids.popleft()
        first = self._ids[0].start
        self._ids[0] = self._ids[0][count:]
        return first

    def can_reserve_ids(self, count: int) -> bool:
        """True if that many consecutive ids are already fetched."""
        return any(len(each) >= count for each in list(self._ids))

    @property
    def needs_ids(self) -> bool:
        """True if it is time to fetch a block of ids in advance."""
        return sum(map(len, list(self._ids))) < _BLOCK // 2

    @property
    def has_enough_ids(self) -> bool:
        """True if there are enough ids for the largest number of events that one drain returns."""
        return self.can_reserve_ids(_BLOCK // 4)

    def fetch_ids(self, least: int = 0) -> None:
        """Reserves a block of ids in the file. Raises StorageError."""
        size = max(_BLOCK, least)
        with self._file.writing(), self._db.atomic():
            # Write first: this takes the lock, so no other recorder can commit in between.
            self._db.execute("UPDATE recordings SET id = id WHERE id = ?", [self.id])
            first = self._db.execute("SELECT coalesce(max(first_id + size), 1) FROM fact_blocks").fetchone()[0]
            self._db.execute("INSERT INTO fact_blocks VALUES (?, ?, ?)", [first, size, self.id])
        self._ids.append(range(first, first + size))  # append only: reserve_ids() may run in another thread

    def write(self, events: EventRows, processes: Iterable[Process], until_ns: int, links: Iterable[Link] = ()) -> None:
        """Writes events and processes in one transaction. Raises StorageError."""
        self.execute(self.prepare(events, processes, until_ns, links))

    def prepare(
        self, events: EventRows, processes: Iterable[Process], until_ns: int, links: Iterable[Link] = ()
    ) -> Batch:
        """Returns a batch for execute(). Batches must be executed in the order of these calls."""
        for kind in _COUNTED:
            self._prepared[kind] += events.counts[kind]
        return Batch(events, self._processes.sort(processes, links, events.command_ids), until_ns)

    def execute(self, batch: Batch) -> None:
        """Writes a batch. Raises StorageError; then nothing of the batch is written, and a retry is possible."""
        with self._file.writing(), self._db.atomic():
            self._insert_commands(self._db.conn, batch.events.commands)
            for inserts, rows in zip(self._insert_events, (batch.events.plain, batch.events.full), strict=True):
                for kind, values in rows.items():
                    inserts[kind](self._db.conn, values)
            self._insert_environments(self._db.conn, batch.events.environments)
            self._insert_variables(self._db.conn, batch.events.variables)
            self._processes.write(self._db.conn, batch.processes)
            self._db.execute("UPDATE recordings SET updated_ns = ? WHERE id = ?", [batch.until_ns, self.id])
        for kind in _COUNTED:
            self._written[kind] += batch.events.counts[kind]

    def write_processes(
        self,
        processes: Iterable[Process],
        links: Iterable[Link] = (),
        command_ids: Mapping[int, int | None] = MappingProxyType({}),
    ) -> None:
        """Inserts or updates rows of processes, and links rows to their parents, in the caller's transaction.

        command_ids: the ids of the command lines of all new events that have one, by the id of the event.
        """
        self._processes.write(self._db.conn, self._processes.sort(processes, links, command_ids))

    def forget_process(self, process_id: int) -> None:
        """Frees the memory for this process: its row will not change any more."""
        self._processes.forget(process_id)

    def write_counts(self, counts: Counts, until_ns: int) -> None:
        """Updates the counts of attempted, written and lost events.

        until_ns: Unix ns up to which all events are in the file; 0 if that is not known to be later than before.
        """
        with self._file.writing(), self._db.atomic():
            unknown = (None,) * len(_COUNTED)
            attempted, lost = (counts.attempted, counts.lost) if counts.are_known else (unknown, unknown)
            kept_short = counts.kept_short if counts.are_known else None
            values = (*attempted, *self.written, *lost, kept_short, until_ns, self.id)
            self._db.execute(_UPDATE_COUNTS, values)

    def write_cgroups(self, paths: Mapping[int, str | bytes | None]) -> None:
        """Adds cgroups: id -> path."""
        exact = {number: path and decode_exact(os.fsencode(path)) for number, path in paths.items()}
        rows = [(self.id, number, path, *cgroup_place.parse(path)) for number, path in exact.items()]
        self._add("INSERT OR IGNORE INTO cgroup_paths VALUES (?, ?, ?, ?, ?, ?)", rows)

    def write_directories(self, paths: Mapping[tuple[int, int], str | bytes]) -> None:
        """Adds working directories: (device, inode) -> path."""
        rows = [(self.id, *numbers, path) for numbers, path in paths.items()]
        self._add("INSERT OR IGNORE INTO working_directories VALUES (?, ?, ?, ?)", rows)

    def write_incident(self, incident: Incident) -> None:
        """Adds a time in which the file could not be written."""
        row = (self.id, incident.from_ns, incident.until_ns, incident.kind, incident.detail, incident.lost)
        self._add("INSERT OR IGNORE INTO incidents VALUES (?, ?, ?, ?, ?, ?)", [row])

    def _add(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        # Not insert_all(): if it ignores a row, it asks for its rowid, and these tables have none.
        with self._file.writing(), self._db.atomic():
            self._db.conn.executemany(statement, rows)

    def finish(self, status: str, ended_ns: int) -> None:
        """Ends the recording, and returns the ids that it didn't use. An interrupted recording gets no end."""
        with self._file.writing(), self._db.atomic():
            # Write first: after a read, a commit of another recorder would be an error at once (SQLITE_BUSY).
            self._db.execute(
                "UPDATE recordings SET status = ?, ended_ns = ?, updated_ns = ? WHERE id = ?",
                [status, None if status == INTERRUPTED else ended_ns, ended_ns, self.id],
            )
            for unused in self._ids:
                self._db.execute(
                    "UPDATE fact_blocks SET size = max(?1 - first_id, 0)"
                    " WHERE recording_id = ?2 AND first_id < ?3 AND first_id + size > ?1",
                    [unused.start, self.id, unused.stop],
                )
            self._db.execute("DELETE FROM fact_blocks WHERE recording_id = ? AND size <= 0", [self.id])

    def totals(self) -> Totals:
        """Returns the totals of what is written so far."""
        return recording_totals.count_totals(self._db.conn, self.id)
