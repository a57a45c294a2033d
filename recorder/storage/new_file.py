"""A new recording file that is filled from other files, and appears at its path when it is complete."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ..progress import NO_PROGRESS, Progress
from . import atomic_file
from .recording_file import RecordingFile


@contextlib.contextmanager
def making(target: Path, replaces: bool, progress: Progress = NO_PROGRESS) -> Iterator[RecordingFile]:
    """Yields an empty file without a log: no other process reads it yet. It is gone if the block raises an error.

    replaces: whether an existing target may be replaced. Raises what atomic_file.open_path() raises, and StorageError.
    """
    with atomic_file.open_path(target, replaces) as temporary:
        file = RecordingFile(temporary)
        try:
            progress.make_interruptible(file.connection)
            with file.writing():
                file.connection.execute("PRAGMA journal_mode = DELETE")
            yield file
        finally:
            file.close()
