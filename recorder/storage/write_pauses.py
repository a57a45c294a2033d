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
    size = shorten_log(connection, path, MOST_BYTES)
    if size > MOST_BYTES:
        reader = lock_holders.describe(path) or "by another process"
        raise LogTooLarge(f"the log is {size >> 20} MiB large, and kept {reader}")


def shorten_log(connection: sqlite3.Connection, path: Path, most_bytes: int) -> int:
    """Empties a log that is larger than this, unless a reader keeps it. Returns its size then. Raises sqlite3.Error."""
    if log_size(path) > most_bytes:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return log_size(path)


def log_size(path: Path) -> int:
    """Returns the size of the log beside a file in bytes; 0 if there is none."""
    try:
        return file_owner.side_files(path)[0].stat().st_size
    except OSError:
        return 0
