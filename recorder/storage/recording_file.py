"""The only writer of recording files: opens them, begins recordings, and makes a plain file of them in the end."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from ..errors import StorageError
from ..host import file_owner, invocation, lock_holders
from ..host.liveness import is_recorder_alive
from ..log import get_logger, suppressed
from ..model.events import to_storable
from . import file_check, opening, schema
from .file_watch import FileLost, FileWatch
from .recording_writer import RecordingWriter

_log = get_logger(__name__)
_BUSY_SECONDS = 5.0  # at the start, for who has it locked to let go
_RETRY_MS = 250  # later: whoever writes tries again
_CHECKPOINT_PAGES = 8192
_ATTEMPTS, _ATTEMPT_SECONDS = 25, 0.02


class Store:
    """An open recording file. Raises StorageError where writing fails; what was committed before stays."""

    def __init__(self, path: Path) -> None:
        file_check.check_writable(path)
        self.path = path
        self._identity = file_check.create(path)
        with self.writing():
            self.db = self._opened()
            self.db.execute("PRAGMA synchronous = NORMAL")
            self.db.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        self.watch = FileWatch(path, self._identity)

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
        return is_refused and any(map(os.path.lexists, file_owner.side_files(self.path)))

    def _open(self) -> Database:
        before = file_owner.open_descriptors()
        # mode=rw: what is not there any more is not made anew, in another place perhaps.
        # By one thread at a time: that which opens it, and then perhaps that of a WriteQueue.
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode=rw", uri=True, timeout=_BUSY_SECONDS, check_same_thread=False
        )
        db = Database(connection, execute_plugins=False)
        try:
            file_owner.check_opened(self.path, self._identity, before)
            schema.create(connection)
            opening.check(connection, self.path)  # before the next line changes what isn't for this version to change
            db.execute("PRAGMA journal_mode = WAL")
            file_owner.check_opened(self.path, self._identity, before)  # with the files beside it
            opening.check_for_writing(connection, self.path)
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
            row = {key: to_storable(value) for key, value in about.items()}
            row |= {"options": json.dumps(about["options"]), "status": "recording"}
            recording_id = self.db.table("recordings").insert(row).last_rowid
        assert recording_id is not None
        return RecordingWriter(self, recording_id)

    def retry_soon(self) -> None:
        """From now on, who finds it locked waits for a moment only, and tries again."""
        self.db.execute(f"PRAGMA busy_timeout = {_RETRY_MS}")

    def close(self) -> None:
        """Makes the file one plain file again, unless another process has it open: the last one does it then."""
        with contextlib.suppress(sqlite3.Error):
            self.db.execute("PRAGMA busy_timeout = 500")
        try:
            self.watch.check()
        except FileLost as lost:
            self._leave(lost)
            return
        with suppressed(__name__, "making one plain file", sqlite3.Error):
            self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self.db.execute("PRAGMA journal_mode = DELETE")
        self.db.close()
        _log.info("%s is closed", self.path)
        file_owner.give_to_invoking_user(self.path, self._identity)

    def _leave(self, lost: FileLost) -> None:
        """Another file may be at the path by now, and this one's log beside it: it must not be taken for the other's.

        SQLite removes the files beside the database by name when it closes one, so here it doesn't get to that.
        """
        logs = [path for path in file_owner.side_files(self.path) if self._is_ours(path)]
        if not lost.is_overwritten:
            with suppressed(__name__, "writing the log into the file", sqlite3.Error):
                self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for path in logs:
            with suppressed(__name__, f"removing {path}", OSError):
                if path.name.endswith("-wal"):
                    os.truncate(path, 0)
                if not lock_holders.find(self.path):  # else they are in use already, with what is there now
                    path.unlink()
        self.abandon()

    def _is_ours(self, path: Path) -> bool:
        with contextlib.suppress(OSError):
            ours = map(file_owner.identity_of, file_owner.open_descriptors().values())
            return file_owner.identity_of(path.lstat()) in ours
        return False

    def abandon(self) -> None:
        """Leaves the connection open until this process ends: to close it would wait for a disk, or remove files."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self.db.conn))

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Turns what SQLite says of a failed write into a StorageError, whose cause that is."""
        try:
            yield
        except (sqlite3.DatabaseError, MemoryError) as error:
            raise self.failure(error) from error

    def failure(self, error: Exception) -> StorageError:
        """What is told, if SQLite's error is the end."""
        hint = invocation.retry_at_home("--db", self.path)
        if "locked" in str(error):
            holder = lock_holders.describe(self.path) or "by another process"
            return StorageError(f"{self.path} is locked {holder}; what was committed before is kept", hint)
        return StorageError(f"{self.path}: {error}; what was committed before is kept", hint)
