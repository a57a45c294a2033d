"""Makes the processes of a recording again from its raw facts, as after a pairing bug was mended."""

from __future__ import annotations

from pathlib import Path

from ..errors import StorageError
from ..model import argv
from ..model.recording import GOING_ON, Recording
from ..progress import UNWATCHED, Work
from . import event_reader, opening, reader, soundness
from .columns import TABLES
from .recording_file import Store
from .recording_writer import RecordingWriter

_BATCH = 10_000


def rebuild(path: Path, recording: int | str | None = None, work: Work = UNWATCHED) -> dict[int, int]:
    """Rebuilds one recording, or all that the file holds; returns how many processes each then has.

    All in one transaction: if anything fails, the file is as before. Raises NotFound for a recording that isn't
    there, StorageError for one that is still being written, and work's Interrupted.
    """
    only = _check(path, recording, work)
    store = Store(path)
    try:
        store.db.conn.text_factory = opening.decoded
        store.mark_interrupted()
        known = [each for each in reader.recordings(store.db.conn) if only in (None, each.id)]
        for each in known:
            if each.status == GOING_ON:
                raise StorageError(
                    f"recording {each.id} goes on: end it first", f"webpf recordings {argv.file_word(path)}"
                )
        with store.writing(), store.db.atomic():
            work.watch(store.db.conn)
            return {each.id: _rebuild_one(store, each, work) for each in known}
    finally:
        store.close()


def _check(path: Path, recording: int | str | None, work: Work) -> int | None:
    """The number of the recording that is named. Raises NotFound, and DataError for a file that is damaged.

    Such a file is left as it is, for whatever can still be read of it.
    """
    with reader.reading(path) as connection:
        only = None if recording is None else reader.find(connection, path, recording).id
        work.watch(connection)
        opening.check_for_writing(connection, path)
        for problem in soundness.damage(connection):
            raise opening.damaged(path, problem)
        return only


def _rebuild_one(store: Store, recording: Recording, work: Work) -> int:
    db, recording_id = store.db, recording.id
    writer = RecordingWriter(store, recording_id)
    pairing = event_reader.pairing_of(recording)
    moved: list[tuple[str, int, int]] = []
    with db.atomic():
        db.execute("DELETE FROM processes WHERE recording_id = ?", [recording_id])
        for number, (fact_id, owner, event) in enumerate(event_reader.watched(db.conn, recording_id, work), 1):
            [process_id] = pairing.feed([event], fact_id)
            if process_id != owner:
                moved.append((TABLES[type(event)], fact_id, process_id))
            if number % _BATCH == 0:
                writer.write_processes(pairing.take_changed(), pairing.take_links())
                for id in pairing.take_forgotten():
                    writer.forget(id)
        writer.write_processes(pairing.take_changed(), pairing.take_links())
        for table, fact_id, process_id in moved:
            db.execute(f"UPDATE {table} SET process_id = nullif(?, 0) WHERE id = ?", [process_id, fact_id])
        count = db.execute("SELECT count(*) FROM processes WHERE recording_id = ?", [recording_id]).fetchone()
    return int(count[0])
