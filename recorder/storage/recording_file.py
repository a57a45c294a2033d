"""The only writer of recording files: opens them, begins recordings, and leaves one plain file at the end."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import StorageError
from ..host import file_owner, invocation, lock_holders, optional_modules
from ..host.liveness import is_recorder_alive
from ..log import get_logger, suppressed
from ..model.events import to_storable
from ..model.recording import GOING_ON, NO_EVENTS
from . import file_check, file_creation, reader, safe_open, schema, write_pauses
from .bulk_insert import insert_row
from .file_monitor import FileLost, FileMonitor
from .recording_writer import RecordingWriter

if TYPE_CHECKING:
    from sqlite_utils import Database

_log = get_logger(__name__)
_BUSY_SECONDS = 5.0  # at the start: how long to wait for a locked file
_RETRY_MS = 250  # later: the caller retries
_CHECKPOINT_PAGES = 8192
_GIVEN_AWAY_SECONDS, _RETRY_SECONDS = 0.5, 0.02


class RecordingFile:
    """An open recording file. Raises StorageError if a write fails; commits before it are kept.

    mode: see file_creation.create().
    """

    def __init__(self, path: Path, mode: int | None = None) -> None:
        file_check.check_writable(path)
        self.path = path
        self._identity = file_creation.create(path, mode)
        with self.writing():
            self.connection = self._opened()
            self.connection.execute("PRAGMA synchronous = NORMAL")
            # Some builds of SQLite write zeros over all that is deleted. Then each byte that retention deletes would
            # go through the log, while recording goes on.
            self.connection.execute("PRAGMA secure_delete = FAST")
            self.connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        self.monitor = FileMonitor(path, self._identity)
        self.may_pause = True
        self.check_room: Callable[[], None] = lambda: None
        """Called before each write by write_attempts; raises an error of SQLite's while nothing may be written."""

    @cached_property
    def db(self) -> Database:
        """The same connection as sqlite_utils has it. Not for a recorder: this import takes 8 MiB of memory."""
        # sqlite_utils imports both where they are installed, for types that webpf never stores. This takes 0.2 s.
        with optional_modules.hidden("pandas", "numpy"):
            from sqlite_utils import Database
        return Database(self.connection, execute_plugins=False)

    @contextlib.contextmanager
    def atomic(self) -> Iterator[None]:
        """Makes the block one transaction, which an exception rolls back. Blocks can't be nested."""
        self.connection.execute("BEGIN")
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            self.connection.rollback()  # does nothing if the error ended the transaction
            raise

    def _opened(self) -> sqlite3.Connection:
        """Opens the database in WAL mode. Retries for a while if it is locked, or the files beside it can't be written.

        A reader that runs as root and comes first creates these files, and only then gives them to the owner of the
        database. And SQLite doesn't wait for all locks of another recorder that starts on the same new file.
        """
        begun = time.monotonic()
        while True:
            try:
                return self._open()
            except sqlite3.OperationalError as error:
                if time.monotonic() - begun > self._patience(error):
                    raise
                time.sleep(_RETRY_SECONDS)

    def _patience(self, error: sqlite3.OperationalError) -> float:
        """Returns for how many seconds, at most, this error may pass by itself."""
        if "locked" in str(error):
            return _BUSY_SECONDS
        is_refused = any(words in str(error) for words in ("unable to open", "readonly"))
        return _GIVEN_AWAY_SECONDS if is_refused and any(map(os.path.lexists, file_owner.side_files(self.path))) else 0

    def _open(self) -> sqlite3.Connection:
        before = file_owner.open_descriptors()
        # mode=rw: a file that was removed must not be created again, perhaps in another place.
        # One thread at a time uses it: first the thread that opens it, later perhaps the thread of a WriteQueue.
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode=rw", uri=True, timeout=_BUSY_SECONDS, check_same_thread=False
        )
        try:
            file_owner.check_opened(self.path, self._identity, before)
            schema.create(connection)
            safe_open.check(connection, self.path)  # before the next line changes a file of another version
            connection.execute("PRAGMA journal_mode = WAL")
            file_owner.check_opened(self.path, self._identity, before)  # now also the files beside it
            safe_open.check_for_writing(connection, self.path)
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        except BaseException:
            connection.close()
            raise
        return connection

    def mark_interrupted(self) -> int:
        """Marks recordings whose recorder died as interrupted. Returns how many are still being recorded."""
        with self.writing():
            cursor = self.connection.execute("SELECT * FROM recordings WHERE status = 'recording'")
            found = list(reader.named_rows(cursor))
            dead = [[row["id"]] for row in found if not is_recorder_alive(row)]
            if dead:
                sql = "UPDATE recordings SET status = 'interrupted' WHERE id = ? AND status = 'recording'"
                with self.atomic():
                    self.connection.executemany(sql, dead)
        return len(found) - len(dead)

    def begin(self, columns: Mapping[str, Any]) -> RecordingWriter:
        """Begins a recording. columns: values for the columns of `recordings` that are known at the start."""
        with self.writing(), self.atomic():
            recording_id = self.insert(columns)
            self.connection.execute("UPDATE recordings SET chain = id WHERE id = ? AND segment = 1", [recording_id])
        return RecordingWriter(self, recording_id, columns["options"].get("events") != NO_EVENTS)

    def insert(self, columns: Mapping[str, Any]) -> int:
        """Inserts the row of a recording that begins, in the caller's transaction. Returns its number."""
        row = {key: to_storable(value) for key, value in columns.items()}
        row |= {"options": json.dumps(columns["options"]), "status": GOING_ON}
        return insert_row(self.connection, "recordings", row)

    def check_pauses(self) -> None:
        """Raises StorageError while nothing should be written: a reader keeps a large log, or too little is free."""
        if not self.may_pause:
            return
        with self.writing():
            write_pauses.check_log(self.connection, self.path)
            self.check_room()

    def limit_log(self, most_bytes: int) -> None:
        """Lets the log grow to this size, if no reader keeps it: then SQLite begins it anew."""
        with self.writing():
            [page] = self.connection.execute("PRAGMA page_size").fetchone()
            self.connection.execute(f"PRAGMA wal_autocheckpoint = {min(max(most_bytes // page, 1), _CHECKPOINT_PAGES)}")
            self.connection.execute(f"PRAGMA journal_size_limit = {most_bytes}")

    def retry_soon(self) -> None:
        """From now on, waits only a moment for a locked file: the caller retries by itself."""
        self.connection.execute(f"PRAGMA busy_timeout = {_RETRY_MS}")

    def close(self) -> None:
        """Merges the log into the file, unless another process has it open: then the last process does that."""
        with contextlib.suppress(sqlite3.Error):
            self.connection.execute("PRAGMA busy_timeout = 500")
        try:
            self.monitor.check()
        except FileLost as lost:
            self._leave(lost)
            return
        with suppressed(__name__, "making one plain file", sqlite3.Error):
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self.connection.execute("PRAGMA journal_mode = DELETE")
        self.connection.close()
        _log.info("%s is closed", self.path)
        file_owner.give_to_invoking_user(self.path, self._identity)

    def _leave(self, lost: FileLost) -> None:
        """Closes a file that no longer is at its path, without harm to another file that may be there now.

        When SQLite closes a database, it removes the log beside it by name. That log could belong to the other file.
        So the connection stays open, and only a log that this process has open is emptied and removed.
        """
        logs = [path for path in file_owner.side_files(self.path) if self._is_ours(path)]
        if not lost.is_overwritten:
            with suppressed(__name__, "writing the log into the file", sqlite3.Error):
                self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for path in logs:
            with suppressed(__name__, f"removing {path}", OSError):
                if path.name.endswith("-wal"):
                    os.truncate(path, 0)
                if not lock_holders.find(self.path):  # else another process uses them already, with the new file
                    path.unlink()
        self.abandon()

    def _is_ours(self, path: Path) -> bool:
        with contextlib.suppress(OSError):
            ours = map(file_owner.identity_of, file_owner.open_descriptors().values())
            return file_owner.identity_of(path.lstat()) in ours
        return False

    def abandon(self) -> None:
        """Keeps the connection open until this process ends: closing it could wait for a disk, or remove files."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self.connection))

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Raises SQLite's errors in the block as StorageError. Its __cause__ is the original error."""
        try:
            yield
        except (sqlite3.DatabaseError, MemoryError) as error:
            raise self.failure(error) from error

    def failure(self, error: Exception) -> StorageError:
        """Returns the error to raise when an error of SQLite ends the recording."""
        hint = invocation.retry_at_home("--db", self.path)
        if isinstance(error, write_pauses.LogTooLarge | write_pauses.NothingToDelete):
            return StorageError(f"{self.path} is not written: {error}; what was committed before is kept", hint)
        if "locked" in str(error):
            holder = lock_holders.describe(self.path) or "by another process"
            return StorageError(f"{self.path} is locked {holder}; what was committed before is kept", hint)
        return StorageError(f"{self.path}: {error}; what was committed before is kept", hint)
