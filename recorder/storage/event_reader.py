"""Reads the raw events of a recording from its file."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterator

from ..model.events import Event
from ..model.pairing import Pairing
from ..model.recording import Recording
from ..progress import Progress, report_rows
from .columns import TABLES


def read_events(connection: sqlite3.Connection, recording_id: int) -> Iterator[tuple[int, int, Event]]:
    """Yields the events in order: the event's id, the id of its process (0: none), and the event."""

    def read_table(kind: type[Event], table: str) -> Iterator[tuple[int, int, Event]]:
        columns = ", ".join(kind._fields)
        sql = f"SELECT id, coalesce(process_id, 0), {columns} FROM {table} WHERE recording_id = ? ORDER BY id"
        for event_id, owner, *fields in connection.execute(sql, [recording_id]):
            yield event_id, owner, kind(*fields)

    return heapq.merge(*(read_table(kind, table) for kind, table in TABLES.items()), key=lambda each: each[0])


def read_with_progress(
    connection: sqlite3.Connection, recording_id: int, progress: Progress
) -> Iterator[tuple[int, int, Event]]:
    """As read_events(), and reports the progress to `progress`. Raises progress's Interrupted."""
    total = 0
    for table in TABLES.values():
        sql = f"SELECT count(*) FROM {table} WHERE recording_id = ?"
        total += connection.execute(sql, [recording_id]).fetchone()[0]
    return report_rows(read_events(connection, recording_id), progress, total)


def make_pairing(recording: Recording) -> Pairing:
    """Returns a Pairing with the settings that the recorder of this recording used."""
    # Older recorders didn't store `filtered`, but these were the only filters that they had.
    filters = ("users", "names", "cgroup")
    was_filtered = recording.options.get("filtered", any(recording.options.get(name) for name in filters))
    return Pairing(is_filtered=bool(was_filtered))
