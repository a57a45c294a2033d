"""Processes of a recording as reports look at them: their parents, names and outcomes."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter

from ..model.events import escape_bytes
from ..model.ordering import parents_first
from ..model.recording import Recording
from ..output import command_label
from ..storage.sql_macros import expand


@dataclass(frozen=True)
class Node:
    """A process. start_ns and end_ns are Unix ns; None: not known, or (end_ns) still to come.

    line: its latest command line as command_label.command_line() shows it. command: the same for the same arguments.
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
    is_old: bool = False  # it was alive before the recording
    has_run: bool = True  # a program of its own
    title: str = "?"  # its command line, or what it did if that says more
    activity: str = "?"  # what it did, normalised
    directory: str | None = None  # the directory that its latest program was started in
    program: str = "?"  # its name; of an interpreter with the script
    command: bytes = b""

    @property
    def outcome(self) -> str:
        """How it ended, as outcome() says it."""
        return outcome(self.exit_code, self.signal, self.state)

    @property
    def lifetime_ns(self) -> int | None:
        """From start to end."""
        return None if self.end_ns is None else self.end_ns - self.start_ns


# Its command and all descendants; or all that was started in it, if it is of no command, or of a cgroup.
REPORTED = expand(
    """WITH RECURSIVE reported (id) AS (
    SELECT p.id FROM recordings AS r JOIN processes AS p ON p.recording_id = r.id
    WHERE r.id = :recording AND is_counted!(p) AND p.start_ns >= r.started_ns
        AND (p.id = :command OR :command IS NULL OR option!(r, cgroup))
    UNION
    SELECT child.id FROM reported JOIN processes AS child ON child.parent_id = reported.id WHERE :command IS NOT NULL
)
"""
)
"""Of a recording, the processes that a report is about; takes :recording and :command (see command_id())."""

OWN_PEAK = """CASE
    WHEN p.max_rss_kib > coalesce((SELECT max(carried_rss_kib) FROM programs WHERE process_id = p.id), 0)
    THEN p.max_rss_kib
END"""
"""Peak memory of a process p in KiB; NULL if it is no more than what an old image left: then its own isn't known."""

# As it was when the last program started; in what an older webpf recorded it is not known.
_DIRECTORY = """(SELECT coalesce(d.path, e.cwd_device || ':' || e.cwd_inode) FROM programs AS e
    LEFT JOIN working_directories AS d
        ON d.recording_id = e.recording_id AND d.device = e.cwd_device AND d.inode = e.cwd_inode
    WHERE e.process_id = p.id ORDER BY e.id DESC LIMIT 1)"""


def read(connection: sqlite3.Connection, recording: int, with_directories: bool = False) -> Iterator[Node]:
    """The processes of a recording but kernel threads, parents before their children, else in order of their starts.

    with_directories: in which directories they worked, too. A parent that isn't among them is left out, and one in
    a ring (a damaged file may have some).
    """
    known: set[int] = set()
    sql = f"""SELECT p.id, p.parent_id, p.pid, p.start_ns, p.end_ns, p.cpu_ns, p.exit_code, p.signal, p.state,
            p.start_ns < r.started_ns, p.execs > 0, p.argv, p.comm,
            {_DIRECTORY if with_directories else "NULL"}
        FROM processes AS p JOIN recordings AS r ON r.id = p.recording_id
        WHERE p.recording_id = ? AND is_counted!(p) ORDER BY p.start_ns, p.id"""
    rows = parents_first(connection.execute(expand(sql), [recording]), itemgetter(0), itemgetter(1))
    for id, above, pid, start, end, cpu, exit_code, signal, state, is_old, has_run, argv, comm, directory in rows:
        line, title = command_label.command_line(argv, comm), command_label.short_title(argv, comm)
        command = _digest(argv, comm) if with_directories else b""
        parent = above if above in known else None
        known.add(id)
        ending = (end, cpu, state, exit_code, signal)
        flags, program = (bool(is_old), bool(has_run)), command_label.program(argv, comm)
        activity = command_label.activity(argv, comm)
        yield Node(
            id, parent, pid, line, start, *ending, *flags, title, activity, escape_bytes(directory), program, command
        )


def _digest(argv: bytes | None, comm: str | None) -> bytes:
    """In place of arguments, which can be long, where it matters only whether they are the same."""
    return hashlib.blake2b(argv or (comm or "").encode("utf-8", "surrogatepass"), digest_size=16).digest()


def read_reported(connection: sqlite3.Connection, recording: int, command: int | None) -> list[Node]:
    """The processes that a report of this recording is about, with their places. command: see command_id()."""
    wanted = connection.execute(f"{REPORTED} SELECT id FROM reported", {"recording": recording, "command": command})
    ids = {id for (id,) in wanted}
    return [node for node in read(connection, recording, with_directories=True) if node.id in ids]


def command_id(connection: sqlite3.Connection, recording: Recording) -> int | None:
    """Row of the command that was recorded, which is what the recorder itself started; None if there was none."""
    sql = expand("SELECT command!(r, id) FROM recordings AS r WHERE r.id = ?")
    (found,) = connection.execute(sql, [recording.id]).fetchone()
    return None if found is None else int(found)


def begin_ns(connection: sqlite3.Connection, recording: Recording) -> int:
    """Unix ns from which the times in reports and pictures count: where the command began, or else the recording."""
    sql = expand("SELECT begin_ns!(r) FROM recordings AS r WHERE r.id = ?")
    return int(connection.execute(sql, [recording.id]).fetchone()[0])


def outcome(exit_code: int | None, signal: int | None, state: str) -> str:
    """How a process ended, as `exit 0` or `signal 9`; or its state, `running` or `lost`."""
    if signal is not None:
        return f"signal {signal}"
    return state if exit_code is None else f"exit {exit_code}"
