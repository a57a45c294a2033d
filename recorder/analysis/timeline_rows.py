"""Rows of processes as a timeline sends them: for bars, and for what it lists."""

from __future__ import annotations

import sqlite3

from ..output import command_label
from ..storage import reader
from .timeline_view import LAST, OUTCOME, Row, number_of

ARGS = 300
"""The most characters of a title, and of the command line of a bar."""

BAR = f"""processes.id, parent_id, pid, ppid, comm, uid, argv, substr(coalesce(args, ''), 1, :args) AS args,
    exit_code, signal, core_dumped, max_rss_kib, cpu_ns / 1e6 AS cpu_ms, user_ns / 1e6 AS user_ms,
    system_ns / 1e6 AS system_ms, run_delay_ns / 1e6 AS run_delay_ms, read_bytes, write_bytes,
    {OUTCOME} AS outcome, start_ns, {LAST} AS last_ns"""
"""SQL with macros: columns of processes and commands AS c. :args: the most characters of a command line."""
ENTRY = f"processes.id, pid, comm, argv, exit_code, signal, {OUTCOME} AS outcome, start_ns, {LAST} AS last_ns"
"""The same for an entry of a list."""
WITH_COMMANDS = "processes LEFT JOIN commands AS c ON c.id = processes.command_id"
"""SQL to go on after FROM."""


def read(cursor: sqlite3.Cursor, begin: int) -> list[Row]:
    """Returns rows whose columns begin with BAR or ENTRY: with a title, and times in ms from `begin` (Unix ns)."""
    rows = list(reader.named_rows(cursor))
    for row in rows:
        row["outcome"] = number_of(row["outcome"])
        row["title"] = command_label.short_title(row.pop("argv"), row["comm"])[:ARGS]
        row["start_ms"], row["end_ms"] = ((row.pop(name) - begin) / 1e6 for name in ("start_ns", "last_ns"))
    return rows
