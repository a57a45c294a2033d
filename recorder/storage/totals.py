"""What a recording holds, in a few numbers: for the line at its end."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from .sql_macros import expand


@dataclass(frozen=True)
class Totals:
    """What a recording holds, for its summary, without the kernel's own threads.

    cpu_unknown: how many exited without the kernel saying what CPU time they used (it does so when it frees them).
    longest: (comm, pid, lifetime_ns) of an exited process.
    """

    processes: int
    exited: int
    running: int
    lost: int
    failed: int
    cpu_unknown: int
    longest: tuple[str, int, int] | None


def of(connection: sqlite3.Connection, recording_id: int) -> Totals:
    """Counts a recording's processes, without the kernel's own threads."""
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
