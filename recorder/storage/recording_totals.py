"""Counts the processes of a recording for its summary."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from .sql_macros import expand


@dataclass(frozen=True)
class Totals:
    """Numbers of processes in a recording, without kernel threads.

    cpu_unknown: exited processes whose CPU time is unknown, because the kernel reports it later, when it frees them.
    longest: (comm, pid, lifetime_ns) of the exited process that lived longest.
    """

    processes: int
    exited: int
    running: int
    lost: int
    failed: int
    cpu_unknown: int
    longest: tuple[str, int, int] | None


def count_totals(connection: sqlite3.Connection, recording_id: int) -> Totals:
    """Counts the processes of a recording, without kernel threads."""
    exited = running = lost = failed = cpu_unknown = 0
    for state, count, unsuccessful, without_cpu in connection.execute(
        expand(
            "SELECT state, count(*), total(status <> 0), total(cpu_ns IS NULL) FROM processes"
            " WHERE recording_id = ? AND is_counted!(processes) GROUP BY state"
        ),
        [recording_id],
    ):
        exited += count if state == "exited" else 0
        running += count if state == "running" else 0
        lost += count if state == "lost" else 0
        failed += int(unsuccessful)
        cpu_unknown += int(without_cpu) if state == "exited" else 0
    longest = connection.execute(
        expand(
            "SELECT comm, pid, lifetime_ns FROM processes WHERE recording_id = ? AND is_counted!(processes)"
            " AND lifetime_ns IS NOT NULL ORDER BY lifetime_ns DESC LIMIT 1"
        ),
        [recording_id],
    ).fetchone()
    return Totals(exited + running + lost, exited, running, lost, failed, cpu_unknown, longest)
