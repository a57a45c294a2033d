"""Writes one recording: events, processes and counts, in short transactions.

The hot path binds as few values as possible, since each takes some 30 ns, and a None twice as much. So each kind of
event has its own table, in which nearly every value is known. Values that follow from others are generated columns,
and columns that are nearly always NULL, or always the same, are bound only in the rows that have another value.

A write is prepared first and executed later, perhaps by another thread and more than once. An execution that fails
changes nothing.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any, Protocol

from ..model import cgroup_place
from ..model.event_source import Counts
from ..model.events import KERNEL_KINDS, OPTIONAL_KINDS, Event, Free, decode_exact
from ..model.process import Process
from ..model.recording import INTERRUPTED
from . import event_ids, recording_totals
from .event_ids import EventIds
from .event_rows import EventRows
from .incidents import Incident
from .process_rows import Link, ProcessSorter
from .recording_inserts import RecordingInserts
from .recording_totals import Totals
from .write_batch import Batch

_COUNTED = tuple(kind.type for kind in KERNEL_KINDS)

_UPDATE_COUNTS = "UPDATE recordings SET {}, kept_short = ?, updated_ns = max(updated_ns, ?) WHERE id = ?".format(
    ", ".join(f"{kind.name}s_{what} = ?" for what in ("attempted", "written", "lost") for kind in KERNEL_KINDS)
)
_END = "UPDATE recordings SET status = ?, ended_ns = ?, updated_ns = ? WHERE id = ?"
_ADD_FREES = """UPDATE recordings SET frees_attempted = frees_attempted + ?1, frees_written = frees_written + ?1
WHERE id = ?2"""


class WritableFile(Protocol):
    """The part of a RecordingFile that a writer uses."""

    connection: sqlite3.Connection

    def writing(self) -> AbstractContextManager[None]: ...

    def atomic(self) -> AbstractContextManager[None]: ...


class RecordingWriter:
    """Writes one recording of a RecordingFile. keeps_events: whether it writes the events of OPTIONAL_KINDS too.

    recording_id: None for the next segment of a chain, until begin_as(). ids: event ids that are reserved for it.
    """

    def __init__(
        self, file: WritableFile, recording_id: int | None, keeps_events: bool = True, ids: Iterable[range] = ()
    ) -> None:
        self.left_out: tuple[type[Event], ...] = () if keeps_events else OPTIONAL_KINDS
        """Kinds of events that need no rows."""
        self._file = file
        self._connection = file.connection
        self._ids = EventIds(ids)
        self._prepared: dict[type[Event], int] = dict.fromkeys(_COUNTED, 0)
        self._written: dict[type[Event], int] = dict.fromkeys(_COUNTED, 0)
        self._processes = ProcessSorter()
        self._inserts = None if recording_id is None else RecordingInserts(recording_id)

    def begin_as(self, inserts: RecordingInserts) -> None:
        """Says which number the recording has got in the file."""
        self._inserts = inserts

    @property
    def has_begun(self) -> bool:
        """Whether the recording is in the file."""
        return self._inserts is not None

    @property
    def id(self) -> int:
        """The number of the recording, which must have begun."""
        return self._begun.recording_id

    @property
    def _begun(self) -> RecordingInserts:
        assert self._inserts is not None, "nothing is written before the recording begins"
        return self._inserts

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
        if not self._ids.can_take(count):
            self.fetch_ids(count)
        return self._ids.take(count).start

    def can_reserve_ids(self, count: int) -> bool:
        """True if that many consecutive ids are already fetched."""
        return self._ids.can_take(count)

    @property
    def needs_ids(self) -> bool:
        """True if it is time to fetch a block of ids in advance."""
        return self._ids.are_few

    @property
    def has_enough_ids(self) -> bool:
        """True if there are enough ids for the largest number of events that one drain returns."""
        return self._ids.are_enough

    def fetch_ids(self, least: int = 0) -> None:
        """Reserves a block of ids in the file. Raises StorageError."""
        with self._file.writing(), self._file.atomic():
            fetched = event_ids.fetch(self._connection, self.id, least)
        self._ids.add(fetched)  # reserve_ids() may run in another thread

    def pass_ids(self, kept: int) -> tuple[range, ...]:
        """Takes the ids for the next segment of the chain away, except `kept` of them."""
        own = self._ids.take(kept) if self._ids.can_take(kept) else range(0)
        passed = self._ids.take_all()
        self._ids.add(own)
        return passed

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
        with self._file.writing(), self._file.atomic():
            self._begun.insert(self._connection, batch)
            self._connection.execute("UPDATE recordings SET updated_ns = ? WHERE id = ?", [batch.until_ns, self.id])
        self.add_written(batch)

    def execute_late(self, batch: Batch) -> None:
        """Writes frees that came after the recording ended, and adds them to its counts. Raises as execute()."""
        with self._file.writing(), self._file.atomic():
            self._begun.insert(self._connection, batch)
            self._connection.execute(_ADD_FREES, [batch.events.counts[Free], self.id])
        self.add_written(batch)

    def add_written(self, batch: Batch) -> None:
        """Counts the events of a batch that is in the file now."""
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
        self._begun.processes.write(self._connection, self._processes.sort(processes, links, command_ids))

    def forget_process(self, process_id: int) -> None:
        """Frees the memory for this process: its row will not change any more."""
        self._processes.forget(process_id)

    def write_counts(self, counts: Counts, until_ns: int) -> None:
        """Updates the counts of attempted, written and lost events.

        until_ns: Unix ns up to which all events are in the file; 0 if that is not known to be later than before.
        """
        with self._file.writing(), self._file.atomic():
            self.update_counts(counts, self.written, until_ns)

    def update_counts(self, counts: Counts, written: tuple[int, ...], until_ns: int) -> None:
        """Updates the counts in the caller's transaction; see write_counts()."""
        unknown = (None,) * len(_COUNTED)
        attempted, lost = (counts.attempted, counts.lost) if counts.are_known else (unknown, unknown)
        kept_short = counts.kept_short if counts.are_known else None
        self._connection.execute(_UPDATE_COUNTS, (*attempted, *written, *lost, kept_short, until_ns, self.id))

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
        with self._file.writing(), self._file.atomic():
            self._connection.executemany(statement, rows)

    def finish(self, status: str, ended_ns: int) -> None:
        """Ends the recording, and returns the ids that it didn't use. An interrupted recording gets no end."""
        with self._file.writing(), self._file.atomic():
            self.end(status, ended_ns)
            event_ids.give_back(self._connection, self.id, self._ids.unused)

    def end(self, status: str, ended_ns: int) -> None:
        """Ends the recording in the caller's transaction."""
        # Write first: after a read, a commit of another recorder would be an error at once (SQLITE_BUSY).
        self._connection.execute(_END, [status, None if status == INTERRUPTED else ended_ns, ended_ns, self.id])

    def totals(self) -> Totals:
        """Returns the totals of what is written so far."""
        return recording_totals.count_totals(self._connection, self.id)
