"""The environment variables of each process's latest program, as far as `--env` kept them, for exports."""

from __future__ import annotations

import sqlite3

from ..model.bounded_cache import MIB, BoundedCache
from ..model.environment import SET, UNKNOWN
from ..model.events import escape_bytes
from ..output.command_label import cut

_VALUE_CHARACTERS, _ALL_CHARACTERS = 4096, 16384  # of one value, and of all values of a process
_CACHE_BYTES = 4 * MIB

_LATEST = """SELECT environment_id FROM program_environments
WHERE id = (SELECT max(id) FROM programs WHERE process_id = ?)"""
_VARIABLES = "SELECT name, state, value FROM environment_variables WHERE environment_id = ? ORDER BY name"


class ProcessEnvironments:
    """Reads the environments of the processes of a recording. It costs one statement if the recording has none."""

    def __init__(self, connection: sqlite3.Connection, recording_id: int) -> None:
        self._connection = connection
        sql = "SELECT EXISTS (SELECT 1 FROM program_environments WHERE recording_id = ?)"
        self._has_any = bool(connection.execute(sql, [recording_id]).fetchone()[0])
        self._variables = BoundedCache(self._read, _CACHE_BYTES)

    def of_process(self, process_id: int) -> tuple[dict[str, str], list[str]]:
        """Returns the variables that are set, long values cut, and the names of those of which nothing is known.

        Both are in the order of the names.
        """
        if not self._has_any:
            return {}, []
        found = self._connection.execute(_LATEST, [process_id]).fetchone()
        variables = () if found is None else self._variables[found[0]]
        room, values = _ALL_CHARACTERS, {}
        for name, state, value in variables:
            if state == SET:
                values[name] = cut(value or "", min(_VALUE_CHARACTERS, room))
                room = max(room - len(values[name]), 1)
        return values, [name for name, state, _ in variables if state == UNKNOWN]

    def _read(self, environment_id: int) -> tuple[tuple[str, str, str | None], ...]:
        rows = self._connection.execute(_VARIABLES, [environment_id])
        return tuple((name, state, escape_bytes(value)) for name, state, value in rows)
