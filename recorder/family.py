"""Processes of a recording as reports look at them: who started whom, as what, and how it ended."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Node:
    """A process. Times in ns, None: not known, or (end_ns) still to come. is_old: it was alive before the recording."""

    id: int
    parent_id: int | None
    pid: int
    line: str
    start_ns: int
    end_ns: int | None
    cpu_ns: int | None
    outcome: str  # exit 0, signal 9, running, lost
    is_old: bool

    @property
    def lifetime_ns(self) -> int | None:
        """From start to end."""
        return None if self.end_ns is None else self.end_ns - self.start_ns

    @property
    def program(self) -> str:
        """Name of the program: the command line's first word, without its folder."""
        return self.line.partition(" ")[0].rpartition("/")[2]


def read(connection: sqlite3.Connection, recording: int) -> Iterator[Node]:
    """The processes of a recording but kernel threads, parents before their children (in the order of their ids)."""
    sql = """SELECT p.id, p.parent_id, p.pid, coalesce(p.args, p.comm, '?'), p.start_ns, p.end_ns, p.cpu_ns,
            p.exit_code, p.signal, p.state, p.start_ns < r.started_ns
        FROM processes AS p JOIN recordings AS r ON r.id = p.recording_id
        WHERE p.recording_id = ? AND p.kernel IS NOT 1 ORDER BY p.id"""
    for id, above, pid, line, start, end, cpu, exit_code, signal, state, is_old in connection.execute(sql, [recording]):
        yield Node(id, above, pid, line, start, end, cpu, outcome(exit_code, signal, state), bool(is_old))


def command_id(connection: sqlite3.Connection, recording: int) -> int | None:
    """Row of the command that was recorded, which is what the recorder itself started; None if there was none."""
    sql = """SELECT min(p.id) FROM recordings AS r
        JOIN processes AS p ON p.recording_id = r.id AND p.ppid = r.recorder_pid AND p.start_ns >= r.started_ns
        WHERE r.id = ? AND json_extract(r.options, '$.of') = 'command'"""
    found: int | None = connection.execute(sql, [recording]).fetchone()[0]
    return found


def outcome(exit_code: int | None, signal: int | None, state: str) -> str:
    """How a process ended, in two words; or its state."""
    if signal is not None:
        return f"signal {signal}"
    return state if exit_code is None else f"exit {exit_code}"


def shortened(line: str, width: int | None) -> str:
    """A command line without the folder of its program, cut to so many characters."""
    program, space, arguments = line.partition(" ")
    short = program.rpartition("/")[2] + space + arguments
    return short if width is None or len(short) <= width else short[: max(width - 3, 1)] + "..."
