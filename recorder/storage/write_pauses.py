"""Why writing to a recording file pauses though SQLite could write: its log is too large, or too little space is free.

The log beside the file grows for as long as a reader holds an old state of the file.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ..host import file_owner, lock_holders

MOST_BYTES = 256 << 20


class LogTooLarge(sqlite3.OperationalError):
    """The log is larger than its limit, and an open reader keeps SQLite from emptying it."""


class NothingToDelete(sqlite3.OperationalError):
    """The file system has too little free space, and no segment is left that could be deleted."""


def check_log(connection: sqlite3.Connection, path: Path) -> None:
    """Empties a log that is larger than the limit. Raises LogTooLarge if a reader prevents this, with its pid."""
    log = file_owner.side_files(path)[0]
    if _size(log) <= MOST_BYTES:
        return
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    if _size(log) > MOST_BYTES:
        reader = lock_holders.describe(path) or "by another process"
        raise LogTooLarge(f"the log is {_size(log) >> 20} MiB large, and kept {reader}")


def _size(log: Path) -> int:
    try:
        return log.stat().st_size
    except OSError:
        return 0
