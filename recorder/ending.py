"""What a recorded command came to: time, CPU, memory, failures, and what it left running. Reads; says it in lines."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

from . import activity
from .family import FAMILY, command_id, outcome, shortened
from .terminal import duration

_SHOWN = 3  # of each list
_WIDTH = 50  # characters of a command line

_PROCESS = """,
process AS MATERIALIZED (
    SELECT p.*, coalesce(p.args, p.comm, '?') AS line, family.id = :command AS is_command,
        (SELECT max(carried_rss_kib) FROM programs WHERE process_id = p.id) AS carried_rss_kib,
        NOT EXISTS (SELECT 1 FROM processes AS child WHERE child.parent_id = p.id) AS is_leaf
    FROM family JOIN processes AS p ON p.id = family.id
)
"""


def lines(connection: sqlite3.Connection, recording: int) -> Iterator[str]:
    """A report of a recording of a command, line by line. Nothing, if the command isn't in it (its fork was lost)."""

    number = command_id(connection, recording)
    if number is None:
        return

    def rows(sql: str) -> list[dict[str, Any]]:
        cursor = connection.execute(
            FAMILY + _PROCESS + sql, {"recording": recording, "command": number, "most": _SHOWN}
        )
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    (command,) = rows("SELECT * FROM process WHERE is_command")
    (total,) = rows("""SELECT count(*) AS processes, sum(cpu_ns) AS cpu_ns,
        sum(status <> 0 AND NOT is_command) AS failed, sum(state = 'running' AND NOT is_command) AS running
        FROM process""")
    yield _whole(command, total)
    slowest = rows("""SELECT * FROM process WHERE is_leaf AND NOT is_command AND lifetime_ns > 0
        ORDER BY lifetime_ns DESC, id LIMIT :most""")
    yield from _listed("slowest", [f"{_short(row)} {duration(row['lifetime_ns'] / 1e9)}" for row in slowest])
    busiest = rows("SELECT * FROM process WHERE cpu_ns ORDER BY cpu_ns DESC, id LIMIT :most")
    yield from _listed("most CPU", [f"{_short(row)} {duration(row['cpu_ns'] / 1e9)}" for row in busiest])
    # No more than what its old image had: then its own peak isn't known. Of the command, that was the recorder.
    largest = rows("""SELECT * FROM process WHERE max_rss_kib > coalesce(carried_rss_kib, 0)
        ORDER BY max_rss_kib DESC, id LIMIT :most""")
    yield from _listed("most memory", [f"{_short(row)} {row['max_rss_kib'] / 1024:,.0f} MiB" for row in largest])
    failed = rows("SELECT * FROM process WHERE status <> 0 AND NOT is_command ORDER BY end_ns, id LIMIT :most")
    if failed:
        yield from _listed(f"failed: {total['failed']:,}, first", [f"{_short(row)} ({_how(row)})" for row in failed])
    running = rows("SELECT * FROM process WHERE state = 'running' AND NOT is_command ORDER BY start_ns, id LIMIT :most")
    if running:
        yield from _listed(
            f"STILL RUNNING: {total['running']:,}", [f"{_short(row)} (pid {row['pid']})" for row in running]
        )


def _how(row: dict[str, Any]) -> str:
    return outcome(row["exit_code"], row["signal"], row["state"])


def _whole(command: dict[str, Any], total: dict[str, Any]) -> str:
    number = total["processes"]
    parts = [f"{_short(command)}: {_how(command)}"]
    wall_ns = command["lifetime_ns"]
    if wall_ns:
        parts[0] += f" after {duration(wall_ns / 1e9)}"
    parts.append(f"{number:,} process{'' if number == 1 else 'es'}")
    if total["cpu_ns"]:
        busy = f" ({total['cpu_ns'] / wall_ns:.1f} cores busy)" if wall_ns else ""
        parts.append(f"CPU {duration(total['cpu_ns'] / 1e9)}{busy}")
    return "; ".join(parts)


def _listed(title: str, texts: list[str]) -> Iterator[str]:
    if texts:
        yield f"{title}: {'; '.join(texts)}"


def _short(row: dict[str, Any]) -> str:
    return shortened(activity.title(row["argv"], str(row["line"])), _WIDTH)
