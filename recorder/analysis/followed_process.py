"""Reads processes that start or have ended from a file that grows, with what `watch` and `top` show of them."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import replace
from typing import NamedTuple

from ..model.scope import Scope
from ..storage.scope_filters import Filters
from ..storage.sql_macros import expand

_COLUMNS = """
SELECT p.id, p.recording_id, p.pid, p.ppid, parent.comm, p.uid, p.start_ns, p.end_ns, p.state, p.comm,
    c.args, p.exit_code, p.signal, p.core_dumped, p.outcome, p.cpu_ns, p.max_rss_kib,
    p.run_delay_ns, p.freed_ns, g.path, g.unit, g.container, {ends}, {starts}
FROM {source}
LEFT JOIN processes AS parent ON parent.id = p.parent_id
LEFT JOIN commands AS c ON c.id = p.command_id
LEFT JOIN cgroup_paths AS g ON g.recording_id = p.recording_id AND g.cgroup_id = p.cgroup_id
WHERE is_counted!(p) AND {condition}
ORDER BY p.id"""
FIRST = ("processes AS p", "p.recording_id = :recording AND (p.state = 'running' OR p.end_ns >= :since)")
"""The index processes_by_time has all that this must know of a row; it doesn't read the rows that it skips."""

NEW = ("processes AS p", "p.id > :last AND +p.recording_id = :recording")
"""The + keeps SQLite from reading the whole recording by its index: there are few rows with higher ids."""

AGAIN = ("json_each(:ids) AS j CROSS JOIN processes AS p ON p.id = j.value", "(p.state <> 'running' OR :with_alive)")


class FollowedProcess(NamedTuple):
    """A process that starts or has ended. Times in Unix ns. None: unknown, or not yet.

    is_shown: whether it is in the scope, once it has ended. is_start_shown: whether it is, as far as its start tells.
    """

    id: int
    recording: int
    pid: int
    ppid: int | None
    parent: str | None
    uid: int | None
    start_ns: int
    end_ns: int | None
    state: str
    comm: str | None
    args: str | None
    exit_code: int | None
    signal: int | None
    core_dumped: int | None
    outcome: str
    cpu_ns: int | None
    max_rss_kib: int | None
    run_delay_ns: int | None
    freed_ns: int | None
    cgroup: str | bytes | None
    unit: str | None
    container: str | None
    is_shown: int | None
    is_start_shown: int | None

    @property
    def command(self) -> str:
        """Its command line, or else its name in brackets."""
        return self.args or f"[{self.comm or '?'}]"


class RowReader:
    """Reads rows, and says of each whether it is in a scope."""

    def __init__(self, scope: Scope) -> None:
        at_start = replace(scope, failed=False, exit_codes=(), signals=(), min_lifetime_ns=None)
        self._ends, self._starts = Filters(scope, "main"), Filters(at_start, "main", "start")

    def prepare(self, connection: sqlite3.Connection) -> None:
        """Adds to a connection what the conditions need."""
        self._ends.add_functions(connection)

    def read(self, connection: sqlite3.Connection, what: tuple[str, str], **values: object) -> list[FollowedProcess]:
        """Returns rows in the order of their ids. what: FIRST, NEW or AGAIN, with its values."""
        sql = _COLUMNS.format(source=what[0], condition=what[1], ends=self._ends.sql, starts=self._starts.sql)
        values = {"now_ns": time.time_ns(), **self._ends.values, **self._starts.values, **values}
        return list(map(FollowedProcess._make, connection.execute(expand(sql), values)))
