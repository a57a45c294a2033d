"""The processes of a recording for reports: their parents, names and outcomes, and which of them a report covers."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from ..model.events import escape_bytes
from ..model.ordering import parents_first
from ..model.recording import Recording
from ..output import command_label
from ..storage.sql_macros import expand
from .costs import COLUMNS, NO_COSTS, Costs


@dataclass(frozen=True)
class Node:
    """A process. start_ns and end_ns are in Unix ns. None: not known, or (end_ns) it still runs.

    line: its latest command line as command_label.command_line() shows it. command: a digest of its arguments, which is
    the same for the same arguments.
    """

    id: int
    parent_id: int | None
    pid: int
    line: str
    start_ns: int
    end_ns: int | None
    cpu_ns: int | None
    state: str
    exit_code: int | None = None
    signal: int | None = None
    is_old: bool = False  # it started before the recording
    has_run: bool = True  # it executed a program
    title: str = "?"  # its command line, or for some programs what it did (see command_label.short_title)
    activity: str = "?"  # what it did, in words that are the same for the same work
    directory: str | None = None  # in which its latest program was started
    program: str = "?"  # the name of its program; for an interpreter, with the script
    command: bytes = b""
    costs: Costs = NO_COSTS

    @property
    def outcome(self) -> str:
        """How it ended, in the words of outcome()."""
        return outcome(self.exit_code, self.signal, self.state)

    @property
    def lifetime_ns(self) -> int | None:
        """The time from start to end, in ns; None while it runs, or if the end is not known."""
        return None if self.end_ns is None else self.end_ns - self.start_ns


_STARTED = """SELECT p.id FROM recordings AS r JOIN processes AS p ON p.recording_id = r.id
    WHERE r.id = :recording AND p.start_ns >= r.started_ns"""
_ALL = expand(f"WITH reported (id) AS ({_STARTED} AND is_counted!(p))")
# Of a scope, those that are in it; but between them and the command can be others.
_OF_COMMAND = expand(f"""WITH RECURSIVE family (id) AS (
    {_STARTED} AND (p.id = :command OR option!(r, cgroup))
    UNION
    SELECT child.id FROM family JOIN processes AS child ON child.parent_id = family.id
),
reported (id) AS (SELECT p.id FROM family JOIN processes AS p ON p.id = family.id WHERE is_counted!(p))""")


def reported(command: int | None) -> str:
    """Returns SQL, a WITH clause: the table `reported` has the ids of the processes that a report covers.

    These are the command (see command_id()) and its descendants; without a command, or with --own-cgroup, all that
    started in the recording. The SQL takes :recording and :command.
    """
    return _ALL if command is None else _OF_COMMAND


OWN_PEAK = """CASE
    WHEN p.max_rss_kib > coalesce(p.carried_rss_kib, 0)
    THEN p.max_rss_kib
END"""
"""SQL: peak memory of a process p in KiB; NULL if it isn't higher than the peak that an exec carried over.

Then the peak of the program itself isn't known.
"""

DIRECTORY = """(SELECT coalesce(d.path, e.cwd_device || ':' || e.cwd_inode) FROM programs AS e
    LEFT JOIN working_directories AS d
        ON d.recording_id = e.recording_id AND d.device = e.cwd_device AND d.inode = e.cwd_inode
    WHERE e.process_id = p.id ORDER BY e.id DESC LIMIT 1)"""
"""SQL: the working directory of a process p when its last program started. NULL in recordings of older versions."""


def read(connection: sqlite3.Connection, recording: int, with_directories: bool = False) -> Iterator[Node]:
    """Yields the processes of a recording except kernel threads, parents before children, else in order of start.

    with_directories: with their working directories and digests of their arguments. parent_id is None if the parent
    isn't among the processes, or if a damaged file makes processes ancestors of each other.
    """
    known: set[int] = set()
    sql = f"""SELECT p.id, p.parent_id, p.pid, p.start_ns, p.end_ns, p.cpu_ns, p.exit_code, p.signal, p.state,
            p.start_ns < r.started_ns, p.execs > 0, c.argv, p.comm,
            {DIRECTORY if with_directories else "NULL"}, {COLUMNS}
        FROM processes AS p JOIN recordings AS r ON r.id = p.recording_id
        LEFT JOIN commands AS c ON c.id = p.command_id
        WHERE p.recording_id = ? AND is_counted!(p) ORDER BY p.start_ns, p.id"""
    rows = parents_first(connection.execute(expand(sql), [recording]), itemgetter(0), itemgetter(1))
    for row in rows:
        id, above = row[:2]
        parent = above if above in known else None
        known.add(id)
        yield _node(row, parent, with_directories)


def _node(row: Sequence[Any], parent: int | None, with_directories: bool) -> Node:
    """Returns the node of a row that read() selects."""
    id, _, pid, start, end, cpu, exit_code, signal, state, is_old, has_run, argv, comm, directory, *costs = row
    return Node(
        id,
        parent,
        pid,
        command_label.command_line(argv, comm),
        start,
        end,
        cpu,
        state,
        exit_code,
        signal,
        bool(is_old),
        bool(has_run),
        command_label.short_title(argv, comm),
        command_label.activity(argv, comm),
        escape_bytes(directory),
        command_label.program(argv, comm),
        _digest(argv, comm) if with_directories else b"",
        Costs(*costs),
    )


def _digest(argv: bytes | None, comm: str | None) -> bytes:
    """Returns a short digest of arguments, which can be long: a report only needs to know which are the same."""
    return hashlib.blake2b(argv or (comm or "").encode("utf-8", "surrogatepass"), digest_size=16).digest()


def read_reported(
    connection: sqlite3.Connection, recording: int, command: int | None, with_directories: bool = True
) -> list[Node]:
    """Returns the processes that a report covers. command: see command_id(). with_directories: see read()."""
    values = {"recording": recording, "command": command}
    ids = {id for (id,) in connection.execute(f"{reported(command)} SELECT id FROM reported", values)}
    return [node for node in read(connection, recording, with_directories) if node.id in ids]


def command_id(connection: sqlite3.Connection, recording: Recording) -> int | None:
    """Returns the id of the recorded command, which the recorder itself started; None if there was none."""
    sql = expand("SELECT command!(r, id) FROM recordings AS r WHERE r.id = ?")
    (found,) = connection.execute(sql, [recording.id]).fetchone()
    return None if found is None else int(found)


def begin_ns(connection: sqlite3.Connection, recording: Recording) -> int:
    """Returns the start of the command, or else of the recording, in Unix ns. Reports and timelines count from it."""
    sql = expand("SELECT begin_ns!(r) FROM recordings AS r WHERE r.id = ?")
    return int(connection.execute(sql, [recording.id]).fetchone()[0])


def outcome(exit_code: int | None, signal: int | None, state: str) -> str:
    """Returns how a process ended, such as `exit 0` or `signal 9`, or its state: `running` or `lost`."""
    if signal is not None:
        return f"signal {signal}"
    return state if exit_code is None else f"exit {exit_code}"
