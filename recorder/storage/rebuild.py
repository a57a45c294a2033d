"""Rebuilds the processes of a recording from its raw events, for example after a bug in pairing was fixed."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ..errors import DataError, StorageError
from ..model import argv
from ..model.recording import GOING_ON, Recording
from ..progress import NO_PROGRESS, Progress
from . import event_reader, reader, safe_open
from .command_ids import args_of
from .event_rows import TABLES
from .recording_file import RecordingFile
from .recording_writer import RecordingWriter

_BATCH = 10_000


def rebuild(path: Path, recording: int | str | None = None, progress: Progress = NO_PROGRESS) -> dict[int, int | None]:
    """Rebuilds one recording, or all recordings of the file. Returns how many processes each then has, by its number.

    A recording without raw events stays as it is; its number of processes is None. Everything happens in one
    transaction: if anything fails, the file is unchanged. Raises NotFound for an unknown recording, StorageError for
    one that is still being written, DataError if no recording has raw events, and progress's Interrupted.
    """
    only = _check(path, recording, progress)
    file = RecordingFile(path)
    try:
        file.connection.text_factory = safe_open.decode_text
        file.mark_interrupted()
        known = [each for each in reader.recordings(file.connection) if only in (None, each.id)]
        for each in known:
            if each.status == GOING_ON:
                raise StorageError(
                    f"recording {each.id} goes on: end it first", f"webpf recordings {argv.file_word(path)}"
                )
        with file.writing(), file.db.atomic():
            progress.make_interruptible(file.connection)
            return {each.id: _rebuild_one(file, each, progress) if each.has_raw_events else None for each in known}
    finally:
        file.close()


def _check(path: Path, recording: int | str | None, progress: Progress) -> int | None:
    """Returns the number of the recording that was asked for.

    Raises NotFound; DataError for a damaged file, or if no recording has raw events.
    """
    with reader.reading(path) as connection:
        only = None if recording is None else reader.find(connection, path, recording).id
        progress.make_interruptible(connection)
        safe_open.check_for_changes(connection, path)
        _check_raw_events(reader.find_all(connection, path, only), path, only)
        return only


def _check_raw_events(recordings: list[Recording], path: Path, only: int | None) -> None:
    """Raises DataError if none of these recordings has raw events. only: the one that was asked for."""
    if recordings and not any(each.has_raw_events for each in recordings):
        which = str(path) if only is None else f"recording {only} of {path}"
        message = f"{which} has no raw events (forks, exits and frees), so its processes can't be rebuilt"
        raise DataError(message, f"webpf verify {argv.file_word(path)}")


def _rebuild_one(file: RecordingFile, recording: Recording, progress: Progress) -> int:
    db, recording_id = file.db, recording.id
    writer = RecordingWriter(file, recording_id)
    pairing = event_reader.make_pairing(recording)
    moved: list[tuple[str, int, int]] = []
    commands: dict[int, int | None] = {}  # ids of command lines, by the ids of events that are not written yet
    with db.atomic():
        db.execute("DELETE FROM processes WHERE recording_id = ?", [recording_id])
        stored = event_reader.read_with_progress(db.conn, recording_id, progress)
        for number, (event_id, owner, command_id, event) in enumerate(stored, 1):
            commands[event_id] = command_id
            [process_id] = pairing.feed([event], event_id)
            if process_id != owner:
                moved.append((TABLES[type(event)], event_id, process_id))
            if number % _BATCH == 0:
                writer.write_processes(pairing.take_changed(), pairing.take_links(), commands)
                commands.clear()
                for id in pairing.take_forgotten():
                    writer.forget_process(id)
        writer.write_processes(pairing.take_changed(), pairing.take_links(), commands)
        for table, event_id, process_id in moved:
            db.execute(f"UPDATE {table} SET process_id = nullif(?, 0) WHERE id = ?", [process_id, event_id])
        _quote_again(db.conn, recording_id)
        count = db.execute("SELECT count(*) FROM processes WHERE recording_id = ?", [recording_id]).fetchone()
    return int(count[0])


def _quote_again(connection: sqlite3.Connection, recording_id: int) -> None:
    """Makes the column args of the recording's command lines anew from argv."""
    sql = "SELECT id, argv, argv_bytes, args FROM commands WHERE recording_id = ?"
    for id, raw, argv_bytes, args in connection.execute(sql, [recording_id]):
        right = args_of(raw, argv_bytes)
        if right != args:
            connection.execute("UPDATE commands SET args = ? WHERE id = ?", [right, id])
