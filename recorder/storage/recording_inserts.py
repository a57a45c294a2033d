"""The statements that insert the rows of a recording. Its number is in their text: binding it would take time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

from . import environment_ids
from .event_rows import EventRows, command_insert, event_inserts
from .process_rows import ProcessInserts
from .write_batch import Batch

_COPY_COMMAND = """INSERT INTO commands (id, filename, args, argv, argv_bytes, recording_id)
SELECT ?, filename, args, argv, argv_bytes, ? FROM commands WHERE id = ?"""
_COPY_CGROUP = """INSERT OR IGNORE INTO cgroup_paths (recording_id, cgroup_id, path, unit, container, pod)
SELECT ?, cgroup_id, path, unit, container, pod FROM cgroup_paths WHERE recording_id = ? AND cgroup_id = ?"""


class RecordingInserts:
    """Inserts rows of the recording with this number, in a transaction of the caller."""

    def __init__(self, recording_id: int) -> None:
        self.recording_id = recording_id
        self.processes = ProcessInserts(recording_id)
        self._commands = command_insert(recording_id)
        self._events = event_inserts(recording_id)
        self._environments, self._variables = environment_ids.inserts(recording_id)

    def insert(self, connection: sqlite3.Connection, batch: Batch) -> None:
        """Inserts the rows of a batch."""
        self._commands(connection, batch.events.commands)
        self._insert_events(connection, batch.events)
        self._environments(connection, batch.events.environments)
        self._variables(connection, batch.events.variables)
        self.processes.write(connection, batch.processes)

    def _insert_events(self, connection: sqlite3.Connection, events: EventRows) -> None:
        for inserts, rows in zip(self._events, (events.plain, events.full), strict=True):
            for kind, values in rows.items():
                inserts[kind](connection, values)

    def copy_commands(self, connection: sqlite3.Connection, ids: Mapping[int, int]) -> None:
        """Copies command lines of another recording. ids: the new ids, by the ids there."""
        rows = [(copy, self.recording_id, original) for original, copy in ids.items()]
        connection.executemany(_COPY_COMMAND, rows)

    def copy_cgroups(self, connection: sqlite3.Connection, before: int, ids: Iterable[int]) -> None:
        """Copies the paths of these cgroups from the recording `before`."""
        connection.executemany(_COPY_CGROUP, [(self.recording_id, before, cgroup_id) for cgroup_id in ids])
