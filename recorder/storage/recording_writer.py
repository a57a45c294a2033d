"""Writes one recording: events, processes and counts, in short transactions.

The hot path binds as few None as it can: Python's sqlite3 looks for an adapter for each, some 0.4 us a value. So each
kind of event has a table of its own, in which hardly anything is unknown; what can be derived is a generated column,
and columns that are nearly always NULL are bound in those rows only in which they say something.

What is to be written is prepared first, and executed then, perhaps by another thread and more than once: an execution
that fails changes nothing.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from ..model.events import KERNEL_KINDS, decode_exact
from ..model.process import RUNNING, Process
from ..model.recording import INTERRUPTED
from ..model.source import Counts
from . import totals
from .columns import NO_PROGRAM, OF_FREE, Facts, fact_inserts, payload_bytes, process_inserts, process_row, program_row
from .incidents import Incident
from .totals import Totals

Link: TypeAlias = tuple[int, int]
"""A row whose parent became known late, and the row of that."""

_COUNTED = tuple(kind.type for kind in KERNEL_KINDS)
_BLOCK = 1 << 20  # ids: more than what can wait to be written
_VALUE_BYTES = 40  # what a number takes in a list: 8 of the pointer, 32 of the number

_UPDATE_COUNTS = "UPDATE recordings SET {}, kept_short = ?, updated_ns = ? WHERE id = ?".format(
    ", ".join(f"{kind.name}s_{what} = ?" for what in ("attempted", "written", "lost") for kind in KERNEL_KINDS)
)
_FREED = -len(OF_FREE)
_UPDATE_FREED = f"UPDATE processes SET {', '.join(f'{name} = ?' for name in OF_FREE)} WHERE id = ?"


class RecordingFile(Protocol):
    """The part of a Store that a writer uses."""

    db: Any

    def writing(self) -> AbstractContextManager[None]: ...


@dataclass
class ProcessRows:
    """Rows of processes, one behind the other: new ones and known ones, each without and with a program."""

    new: tuple[list[Any], list[Any]] = field(default_factory=lambda: ([], []))
    known: tuple[list[Any], list[Any]] = field(default_factory=lambda: ([], []))
    of_frees: list[tuple[Any, ...]] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)

    @property
    def values(self) -> int:
        """How many values they have."""
        return sum(map(len, (*self.new, *self.known))) + len(self.of_frees) * (len(OF_FREE) + 1) + 2 * len(self.links)


@dataclass(frozen=True)
class Batch:
    """What one transaction writes. until_ns: Unix ns up to which everything is in the file then."""

    facts: Facts
    processes: ProcessRows
    until_ns: int

    @property
    def bytes(self) -> int:
        """About what it takes in memory."""
        values = self.facts.values + self.processes.values
        return values * _VALUE_BYTES + payload_bytes(self.facts)


class RecordingWriter:
    """Writes one recording of a Store."""

    def __init__(self, store: RecordingFile, recording_id: int) -> None:
        self.id = recording_id
        self._store = store
        self._db = store.db
        self._ids: deque[range] = deque()  # that are reserved, and not used yet
        self._prepared = dict.fromkeys(_COUNTED, 0)
        self._written = dict.fromkeys(_COUNTED, 0)
        self._open: dict[int, tuple[Any, ...]] = {}  # by id, rows of processes that may still change
        self._insert_facts = fact_inserts(recording_id)
        self._insert_processes = process_inserts(recording_id, replaces=False)
        self._update_processes = process_inserts(recording_id, replaces=True)

    @property
    def written(self) -> tuple[int, ...]:
        """Events in the file, by kind."""
        return tuple(self._written.values())

    @property
    def prepared(self) -> tuple[int, ...]:
        """Events that are in the file once all that was prepared is executed, by kind."""
        return tuple(self._prepared.values())

    has_room = True  # what is written is written at once
    waiting_bytes = 0

    def await_room(self) -> None:
        """There is always room."""

    def reserve(self, count: int) -> int:
        """First of so many ids in a row that nobody else uses. Ids grow from call to call. Raises StorageError."""
        if not self.can_reserve(count):
            self.fetch_ids(count)
        while len(self._ids[0]) < count:
            self._ids.popleft()
        first = self._ids[0].start
        self._ids[0] = self._ids[0][count:]
        return first

    def can_reserve(self, count: int) -> bool:
        """Whether so many ids in a row have been fetched."""
        return any(len(each) >= count for each in list(self._ids))

    @property
    def needs_ids(self) -> bool:
        """Whether it is time to fetch some, so that they are there when they are needed."""
        return sum(map(len, list(self._ids))) < _BLOCK // 2

    @property
    def has_ids(self) -> bool:
        """Whether there are enough for all that is taken in at a time."""
        return self.can_reserve(_BLOCK // 4)

    def fetch_ids(self, least: int = 0) -> None:
        """Takes a block of ids. Raises StorageError."""
        size = max(_BLOCK, least)
        with self._store.writing(), self._db.atomic():
            # A write first, so that no other recorder can come in between.
            self._db.execute("UPDATE recordings SET id = id WHERE id = ?", [self.id])
            first = self._db.execute("SELECT coalesce(max(first_id + size), 1) FROM fact_blocks").fetchone()[0]
            self._db.execute("INSERT INTO fact_blocks VALUES (?, ?, ?)", [first, size, self.id])
        self._ids.append(range(first, first + size))  # never changed by who fetches: reserve() may run meanwhile

    def write(self, facts: Facts, processes: Iterable[Process], until_ns: int, links: Iterable[Link] = ()) -> None:
        """Events and processes in one transaction."""
        self.execute(self.prepare(facts, processes, until_ns, links))

    def prepare(self, facts: Facts, processes: Iterable[Process], until_ns: int, links: Iterable[Link] = ()) -> Batch:
        """What is to be executed, in the order of these calls."""
        for kind in _COUNTED:
            self._prepared[kind] += facts.how_many(kind)
        return Batch(facts, self._sort(processes, links), until_ns)

    def execute(self, batch: Batch) -> None:
        """Writes it. Raises StorageError; then nothing of it is written, and it can be tried again."""
        with self._store.writing(), self._db.atomic():
            for inserts, rows in zip(self._insert_facts, (batch.facts.plain, batch.facts.whole), strict=True):
                for kind, values in rows.items():
                    inserts[kind](self._db.conn, values)
            self._write_rows(batch.processes)
            self._db.execute("UPDATE recordings SET updated_ns = ? WHERE id = ?", [batch.until_ns, self.id])
        for kind in _COUNTED:
            self._written[kind] += batch.facts.how_many(kind)

    def write_processes(self, processes: Iterable[Process], links: Iterable[Link] = ()) -> None:
        """Inserts rows of processes, or brings them up to date, in the caller's transaction; links rows to parents."""
        self._write_rows(self._sort(processes, links))

    def _sort(self, processes: Iterable[Process], links: Iterable[Link]) -> ProcessRows:
        """Takes the programs of the processes: what is written needs no memory, and isn't written twice."""
        rows = ProcessRows(links=list(links))
        for process in processes:
            row = process_row(process)
            before = self._open.pop(process.id, None)
            if process.state == RUNNING or process.cpu_ns is None:
                self._open[process.id] = row
            program = process.take_program() if process.has_new_program else None
            plain, whole = rows.new if before is None else rows.known
            if program is not None and (before is not None or program != NO_PROGRAM):
                whole += row
                whole += program_row(program)
            elif before is None or before[:_FREED] != row[:_FREED]:
                plain += row
            else:
                rows.of_frees.append((*row[_FREED:], process.id))
        return rows

    def _write_rows(self, rows: ProcessRows) -> None:
        # A plain insert costs less than one that must look for a row that is there.
        for inserts, values in ((self._insert_processes, rows.new), (self._update_processes, rows.known)):
            for insert, of_one_shape in zip(inserts, values, strict=True):
                insert(self._db.conn, of_one_shape)
        self._db.conn.executemany(_UPDATE_FREED, rows.of_frees)
        self._db.conn.executemany("UPDATE processes SET parent_id = ?2 WHERE id = ?1", rows.links)

    def forget(self, process_id: int) -> None:
        """This process's row will not change any more."""
        self._open.pop(process_id, None)

    def write_counts(self, counts: Counts, until_ns: int) -> None:
        """Brings the counts of attempted, written and lost events up to date."""
        with self._store.writing(), self._db.atomic():
            unknown = (None,) * len(_COUNTED)
            attempted, lost = (counts.attempted, counts.lost) if counts.are_known else (unknown, unknown)
            kept_short = counts.kept_short if counts.are_known else None
            values = (*attempted, *self.written, *lost, kept_short, until_ns, self.id)
            self._db.execute(_UPDATE_COUNTS, values)

    def write_cgroups(self, paths: Mapping[int, str | bytes | None]) -> None:
        """Adds cgroups: id -> path."""
        rows = [(self.id, number, path and decode_exact(os.fsencode(path))) for number, path in paths.items()]
        self._add("INSERT OR IGNORE INTO cgroup_paths VALUES (?, ?, ?)", rows)

    def write_directories(self, paths: Mapping[tuple[int, int], str | bytes]) -> None:
        """Adds working directories: (device, inode) -> path."""
        rows = [(self.id, *numbers, path) for numbers, path in paths.items()]
        self._add("INSERT OR IGNORE INTO working_directories VALUES (?, ?, ?, ?)", rows)

    def write_incident(self, incident: Incident) -> None:
        """Adds a time in which the file could not be written."""
        row = (self.id, incident.from_ns, incident.until_ns, incident.kind, incident.detail, incident.lost)
        self._add("INSERT OR IGNORE INTO incidents VALUES (?, ?, ?, ?, ?, ?)", [row])

    def _add(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        # Not insert_all(): of one row that it ignores it asks for the rowid, which these tables have not.
        with self._store.writing(), self._db.atomic():
            self._db.conn.executemany(statement, rows)

    def finish(self, status: str, ended_ns: int) -> None:
        """Ends the recording, and gives back the ids that it didn't need. One that was interrupted has no end."""
        with self._store.writing(), self._db.atomic():
            # A write first: after a read, another recorder's commit in between would be an error at once.
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
        """What the recording holds by now."""
        return totals.of(self._db.conn, self.id)
