"""The only writer of recording files: facts, processes and what is said about a recording, in short transactions.

The hot path binds as few None as it can: Python's sqlite3 looks for an adapter for each, some 0.4 us a value. So each
kind of fact has a table of its own, in which nothing is unknown, and what can be derived is a generated column.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from sqlite_utils import Database

from . import dbfile, ownership, schema, totals
from .errors import StorageError
from .events import KINDS, Exec, Exit, Fork, Free, text
from .liveness import is_recorder_alive
from .process import RUNNING, Process
from .rows import TABLES, Facts, fact_insert, how_many, process_inserts, process_row, program_row
from .source import Counts
from .totals import Totals

_COUNTED = (Fork, Exec, Exit, Free)
_ProcessRows: TypeAlias = tuple[list[Any], list[Any]]  # without and with a program, one row behind the other

_UPDATE_COUNTS = "UPDATE recordings SET {}, updated_ns = ? WHERE id = ?".format(
    ", ".join(f"{kind}s_{what} = ?" for what in ("attempted", "written", "lost") for kind in KINDS)
)
_BLOCK = 65536
_BUSY_SECONDS = 60.0
_CHECKPOINT_PAGES = 8192
_ATTEMPTS, _ATTEMPT_SECONDS = 25, 0.02


class Store:
    """An open recording file. Raises StorageError where writing fails; what was committed before stays."""

    def __init__(self, path: Path) -> None:
        dbfile.check_writable(path)
        self._path = path
        self._identity = dbfile.create(path)
        with self.writing():
            self.db = self._opened()
            self.db.execute("PRAGMA synchronous = NORMAL")
            self.db.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")

    def _opened(self) -> Database:
        """The database, with its log. Again for a while, if that can't be written.

        A reader of root's that comes first makes the files beside it, and gives them to the owner of the file, but not
        in the same moment.
        """
        for _ in range(_ATTEMPTS):
            try:
                return self._open()
            except sqlite3.OperationalError as error:
                if not self._may_be_given_away(error):
                    raise
                time.sleep(_ATTEMPT_SECONDS)
        return self._open()

    def _may_be_given_away(self, error: sqlite3.OperationalError) -> bool:
        is_refused = any(words in str(error) for words in ("unable to open", "readonly"))
        return is_refused and any(map(os.path.lexists, ownership.side_files(self._path)))

    def _open(self) -> Database:
        before = ownership.open_descriptors()
        # mode=rw: what is not there any more is not made anew, in another place perhaps.
        connection = sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=rw", uri=True, timeout=_BUSY_SECONDS)
        db = Database(connection, execute_plugins=False)
        try:
            ownership.check_opened(self._path, self._identity, before)
            schema.migrate(db)
            db.execute("PRAGMA journal_mode = WAL")
            ownership.check_opened(self._path, self._identity, before)  # with the files beside it
            db.execute("BEGIN IMMEDIATE")
            db.execute("ROLLBACK")
        except BaseException:
            connection.close()
            raise
        return db

    def mark_interrupted(self) -> int:
        """Recordings whose recorder is gone without having ended them are marked so; returns how many go on."""
        going_on = 0
        with self.writing():
            for row in list(self.db["recordings"].rows_where("status = 'recording'")):
                if is_recorder_alive(row):
                    going_on += 1
                else:
                    self.db.execute(
                        "UPDATE recordings SET status = 'interrupted' WHERE id = ? AND status = 'recording'",
                        [row["id"]],
                    )
        return going_on

    def begin(self, about: Mapping[str, Any]) -> RecordingWriter:
        """Starts a recording. about: the columns of `recordings` that are known at the start."""
        with self.writing():
            row = {key: _storable(value) for key, value in about.items()}
            row |= {"options": json.dumps(about["options"]), "status": "recording"}
            recording_id = self.db.table("recordings").insert(row).last_rowid
        assert recording_id is not None
        return RecordingWriter(self, recording_id)

    def close(self) -> None:
        """Makes the file one plain file again, unless another process has it open: the last one does it then."""
        with contextlib.suppress(sqlite3.OperationalError):
            self.db.execute("PRAGMA busy_timeout = 500")
            self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self.db.execute("PRAGMA journal_mode = DELETE")
        self.db.close()
        ownership.give_to_invoking_user(self._path, self._identity)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Turns what SQLite says of a failed write into a StorageError."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise StorageError(
                f"{self._path}: {error}; what was committed before is kept", "free some space, or choose another --db"
            ) from error


class RecordingWriter:
    """Writes one recording of a Store."""

    def __init__(self, store: Store, recording_id: int) -> None:
        self.id = recording_id
        self._store = store
        self._db = store.db
        self._next_id = self._end_of_block = 0
        self._written = dict.fromkeys(_COUNTED, 0)
        self._open: dict[int, tuple[Any, ...]] = {}  # by id, rows of processes that may still change
        self._insert_facts = {kind: fact_insert(kind, recording_id) for kind in TABLES}
        self._insert_processes = process_inserts(recording_id, "INSERT")
        self._replace_processes = process_inserts(recording_id, "INSERT OR REPLACE")

    @property
    def written(self) -> tuple[int, ...]:
        """Facts in the file, by kind."""
        return tuple(self._written.values())

    def reserve(self, count: int) -> int:
        """First of so many fact ids in a row that nobody else uses. Ids grow from call to call."""
        if self._next_id + count > self._end_of_block:
            size = max(_BLOCK, count)
            with self._store.writing(), self._db.atomic():
                # A write first, so that no other recorder can come in between.
                self._db.execute("UPDATE recordings SET id = id WHERE id = ?", [self.id])
                first = self._db.execute("SELECT coalesce(max(first_id + size), 1) FROM fact_blocks").fetchone()[0]
                self._db.execute("INSERT INTO fact_blocks VALUES (?, ?, ?)", [first, size, self.id])
            if first != self._end_of_block:
                self._next_id = first
            self._end_of_block = first + size
        self._next_id += count
        return self._next_id - count

    def write(self, facts: Facts, processes: Iterable[Process], until_ns: int) -> None:
        """Facts and processes in one transaction."""
        with self._store.writing(), self._db.atomic():
            for kind, values in facts.items():
                self._insert_facts[kind](self._db.conn, values)
            self.write_processes(processes)
            self._db.execute("UPDATE recordings SET updated_ns = ? WHERE id = ?", [until_ns, self.id])
        for kind in _COUNTED:
            self._written[kind] += how_many(facts, kind)

    def write_processes(self, processes: Iterable[Process]) -> None:
        """Inserts or replaces rows of processes, within the caller's transaction."""
        new: _ProcessRows = ([], [])
        known: _ProcessRows = ([], [])
        cpu_only: list[tuple[int | None, int]] = []
        for process in processes:
            row = process_row(process)
            before = self._open.pop(process.id, None)
            if process.state == RUNNING or process.cpu_ns is None:
                self._open[process.id] = row
            if before is not None and before[:-1] == row[:-1]:  # a new program would show in the count of execs
                cpu_only.append((process.cpu_ns, process.id))
                continue
            plain, program = known if before else new
            if process.filename is None and process.argv is None:
                plain += row
            else:
                program += row
                program += program_row(process)
        # A plain insert costs less than one that must look for a row to replace.
        for inserts, rows in ((self._insert_processes, new), (self._replace_processes, known)):
            for insert, of_one_shape in zip(inserts, rows, strict=True):
                insert(self._db.conn, of_one_shape)
        self._db.conn.executemany("UPDATE processes SET cpu_ns = ? WHERE id = ?", cpu_only)

    def forget(self, process_id: int) -> None:
        """This process's row will not change any more."""
        self._open.pop(process_id, None)

    def write_counts(self, counts: Counts, until_ns: int) -> None:
        """Brings the counts of attempted, written and lost facts up to date."""
        with self._store.writing(), self._db.atomic():
            self._db.execute(_UPDATE_COUNTS, (*counts.attempted, *self.written, *counts.lost, until_ns, self.id))

    def write_cgroups(self, paths: Mapping[int, str | None]) -> None:
        """Adds cgroups: id -> path."""
        rows = [(self.id, number, _storable(path)) for number, path in paths.items()]
        self._add("INSERT OR IGNORE INTO cgroup_paths VALUES (?, ?, ?)", rows)

    def write_directories(self, paths: Mapping[tuple[int, int], str]) -> None:
        """Adds working directories: (device, inode) -> path."""
        rows = [(self.id, *numbers, path) for numbers, path in paths.items()]
        self._add("INSERT OR IGNORE INTO working_directories VALUES (?, ?, ?, ?)", rows)

    def _add(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        # Not insert_all(): of one row that it ignores it asks for the rowid, which these tables have not.
        with self._store.writing(), self._db.atomic():
            self._db.conn.executemany(statement, rows)

    def finish(self, status: str, ended_ns: int) -> None:
        """Ends the recording, and gives back the fact ids that it didn't need."""
        with self._store.writing(), self._db.atomic():
            # A write first: after a read, another recorder's commit in between would be an error at once.
            self._db.execute(
                "UPDATE recordings SET status = ?, ended_ns = ?, updated_ns = ? WHERE id = ?",
                [status, ended_ns, ended_ns, self.id],
            )
            self._db.execute(
                "UPDATE fact_blocks SET size = ? - first_id"
                " WHERE recording_id = ? AND first_id = (SELECT max(first_id) FROM fact_blocks)",
                [self._next_id, self.id],
            )
            self._db.execute("DELETE FROM fact_blocks WHERE recording_id = ? AND size <= 0", [self.id])

    def totals(self) -> Totals:
        """What the recording holds by now."""
        return totals.of(self._db.conn, self.id)


def _storable(value: Any) -> Any:
    """Text from the system, of which any bytes may be part (a name that was given, a path), as SQLite takes it."""
    return text(os.fsencode(value)) if isinstance(value, str) else value
