"""`webpf delete`: deletes the recordings that the user names from a file, and gives their room back."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from ..errors import NotFound, StorageError, UsageError
from ..model import argv
from ..model.moments import Moment
from ..model.recording import DELETED, GOING_ON, Recording
from ..model.zone import Zone
from ..progress import NO_PROGRESS, Progress
from . import deletion, free_pages, reader, safe_open
from .recording_file import RecordingFile

PAUSE_SECONDS = 0.02
"""After each transaction while somebody records, so that the recorder gets the lock."""


class Deleted(NamedTuple):
    """What was deleted. recordings: their numbers. rows: of large tables. bytes_before, bytes_after: of the file."""

    recordings: tuple[int, ...]
    rows: int
    bytes_before: int
    bytes_after: int


def delete(
    path: Path, wanted: Sequence[int | str] = (), before: Moment | None = None, progress: Progress = NO_PROGRESS
) -> Deleted:
    """Deletes these recordings (numbers or names), or those that had ended before a moment in the zone of each.

    Deletions that were begun and did not end go on too; if this one is interrupted, another call goes on. Raises
    NotFound, DataError for a damaged file, UsageError for a segment in the middle of a chain, StorageError for a
    recording that goes on, and progress's Interrupted.
    """
    with reader.reading(path) as connection:
        progress.make_interruptible(connection)
        named = [reader.find(connection, path, each) for each in wanted]
        safe_open.check_for_changes(connection, path)
    size = path.stat().st_size
    file = RecordingFile(path)
    try:
        goes_on = file.mark_interrupted() > 0
        known = reader.recordings(file.connection)
        begun = [each for each in known if each.options.get(DELETED)]
        chosen = {each.id for each in (*named, *begun)} if before is None else _ended_before(path, known, before)
        chosen |= {each.id for each in begun}
        _check(path, known, chosen)
        with file.writing():
            progress.make_interruptible(file.connection)
            rows = _delete(file, sorted(chosen), progress, PAUSE_SECONDS if goes_on else 0)
    finally:
        file.close()
    return Deleted(tuple(sorted(chosen)), rows, size, path.stat().st_size)


def _ended_before(path: Path, known: Sequence[Recording], before: Moment) -> set[int]:
    """Returns the recordings that had ended before a moment. Raises NotFound if there are none."""
    now_ns = time.time_ns()
    ended = [each for each in known if each.status != GOING_ON]
    found = {each.id for each in ended if each.until_ns < before.unix_ns(Zone.of_recording(each.row), now_ns)}
    if not found:
        raise NotFound(f"no recording of {path} had ended by then", f"webpf recordings {argv.file_word(path)}")
    return found


def _check(path: Path, known: Sequence[Recording], chosen: Collection[int]) -> None:
    """Raises StorageError for a recording that goes on, and UsageError if a chain would lose a segment in its middle.

    What ran across a missing segment would begin twice, and nothing could say that it is one process.
    """
    listed = f"webpf recordings {argv.file_word(path)}"
    chains: dict[int, list[Recording]] = {}
    for each in known:
        if each.id in chosen and each.status == GOING_ON:
            raise StorageError(f"recording {each.id} of {path} goes on: delete it when it has ended", listed)
        if each.row["chain"] is not None:
            chains.setdefault(each.row["chain"], []).append(each)
    for segments in chains.values():
        segments.sort(key=lambda each: (each.row["segment"] or 0, each.id))
        kept = [at for at, each in enumerate(segments) if each.id not in chosen]
        gap = next((at for at, following in pairwise(kept) if following > at + 1), None)
        if gap is not None:
            earlier = [f"--recording {each.id}" for each in segments[: gap + 2]]
            message = f"recording {segments[gap + 1].id} is in the middle of a chain: delete those before it too"
            raise UsageError(message, f"webpf delete {argv.file_word(path)} {' '.join(earlier)}")


def _delete(file: RecordingFile, recordings: Sequence[int], progress: Progress, pause: float) -> int:
    """Deletes recordings, and gives their pages back. Returns how many rows they had."""
    connection = file.connection
    expected = {number: deletion.count_rows(connection, number) for number in recordings}
    total, deleted = sum(expected.values()), 0
    is_thorough = deletion.count_everywhere(connection, recordings) != total
    for number in recordings:
        for rows in deletion.delete(connection, number, is_thorough):
            deleted += rows
            progress.report(min(deleted, total), total)
            time.sleep(pause)
    for _ in free_pages.give_back(connection):
        progress.report(total, total)
        time.sleep(pause)
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()  # if somebody records, close() doesn't do that
    return deleted
