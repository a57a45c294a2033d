"""`webpf vacuum`: gives the room of deleted rows back to the file system."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

from ..progress import NO_PROGRESS, Progress
from . import free_pages, reader, safe_open
from .delete import PAUSE_SECONDS
from .recording_file import RecordingFile


class Vacuumed(NamedTuple):
    """What a vacuum has done. goes_on: somebody records, so only free pages were given back, and no page rewritten."""

    bytes_before: int
    bytes_after: int
    goes_on: bool


def vacuum(path: Path, progress: Progress = NO_PROGRESS) -> Vacuumed:
    """Makes a file as small as it can be. While somebody records, only gives its free pages back, in small steps.

    Raises NotFound, DataError for a damaged file, StorageError if there is no room for a copy of it, and progress's
    Interrupted.
    """
    with reader.reading(path) as connection:
        progress.make_interruptible(connection)
        safe_open.check_for_changes(connection, path)
    size = path.stat().st_size
    file = RecordingFile(path)
    try:
        goes_on = file.mark_interrupted() > 0
        connection = file.connection
        with file.writing():
            progress.make_interruptible(connection)
            if goes_on:
                total = free_pages.count(connection)
                for free in free_pages.give_back(connection):
                    progress.report(max(total - free, 0), total)
                    time.sleep(PAUSE_SECONDS)
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            else:
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
                connection.execute("VACUUM")
    finally:
        file.close()
    return Vacuumed(size, path.stat().st_size, goes_on)
