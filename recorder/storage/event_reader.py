"""The raw facts of a recording, read back from its file."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterator

from ..model.events import Event
from ..model.pairing import Pairing
from ..model.recording import Recording
from ..progress import Work, counted
from .columns import TABLES


def read(connection: sqlite3.Connection, recording_id: int) -> Iterator[tuple[int, int, Event]]:
    """The facts in order: id, the id of the process it was given to (0: none), and the fact."""

    def of(kind: type[Event], table: str) -> Iterator[tuple[int, int, Event]]:
        columns = ", ".join(kind._fields)
        sql = f"SELECT id, coalesce(process_id, 0), {columns} FROM {table} WHERE recording_id = ? ORDER BY id"
        for fact_id, owner, *fields in connection.execute(sql, [recording_id]):
            yield fact_id, owner, kind(*fields)

    return heapq.merge(*(of(kind, table) for kind, table in TABLES.items()), key=lambda fact: fact[0])


def watched(connection: sqlite3.Connection, recording_id: int, work: Work) -> Iterator[tuple[int, int, Event]]:
    """The same, while it is told how many of them are through."""
    total = 0
    for table in TABLES.values():
        sql = f"SELECT count(*) FROM {table} WHERE recording_id = ?"
        total += connection.execute(sql, [recording_id]).fetchone()[0]
    return counted(read(connection, recording_id), work, total)


def pairing_of(recording: Recording) -> Pairing:
    """What pairs the events of a recording as its recorder did."""
    # Recorders of before don't say whether they filtered, but have had just these filters.
    filters = ("users", "names", "cgroup")
    was_filtered = recording.options.get("filtered", any(recording.options.get(name) for name in filters))
    return Pairing(is_filtered=bool(was_filtered))
