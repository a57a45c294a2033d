"""Reads the raw events of a recording from its file."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from ..model.events import Event
from ..model.pairing import Pairing
from ..model.recording import Recording
from ..progress import Progress, report_rows
from . import command_ids, environment_ids
from .event_rows import TABLES


class StoredEvent(NamedTuple):
    """An event in a file. owner: id of its process, 0 if it has none. command_id: None without a command line."""

    id: int
    owner: int
    command_id: int | None
    event: Event


def read_events(connection: sqlite3.Connection, recording_id: int) -> Iterator[StoredEvent]:
    """Yields the events in order."""
    return heapq.merge(*(_read_table(connection, kind, recording_id) for kind in TABLES), key=lambda each: each.id)


def _read_table(connection: sqlite3.Connection, kind: type[Event], recording_id: int) -> Iterator[StoredEvent]:
    source, command_id = f"{TABLES[kind]} AS e", "NULL"
    if kind in command_ids.KINDS:
        source, command_id = f"{source} LEFT JOIN commands AS c ON c.id = e.command_id", "e.command_id"
    fields = ", ".join(
        f"{'c' if name in command_ids.FIELDS else 'e'}.{name}"
        for name in kind._fields
        if name != environment_ids.FIELD  # processes don't follow from it
    )
    sql = f"SELECT e.id, coalesce(e.process_id, 0), {command_id}, {fields} FROM {source} WHERE e.recording_id = ?"
    for event_id, owner, command, *values in connection.execute(f"{sql} ORDER BY e.id", [recording_id]):
        yield StoredEvent(event_id, owner, command, kind(*values))


def read_with_progress(connection: sqlite3.Connection, recording_id: int, progress: Progress) -> Iterator[StoredEvent]:
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
