"""Rare columns of raw events are NULL where they say nothing new, and pairing still has the same result."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from support import Machine, exit_, fork, free, recording_values

from webpf.capture.recording_session import Session
from webpf.model.event_source import MemorySource
from webpf.model.events import Event, Exit, Fork
from webpf.storage.rebuild import rebuild
from webpf.storage.recording_file import RecordingFile
from webpf.storage.verify import verify

SIGKILL = 9


def forked(pid: int, execs: int = 0, begun: int = 0) -> Fork:
    return fork(pid, pid, uid=1000)._replace(execs=execs, begun=begun)


def ended(pid: int, uid: int = 1000, begun: int = 0, status: int = 0) -> Exit:
    return exit_(pid, pid, pid + 0.1, status, comm="new name")._replace(uid=uid, begun=begun)


def test_sessions_logins_and_pids_in_other_namespaces(tmp_path: Path) -> None:
    """At an exit, both are written if one of them has changed: then no loginuid means that nobody is logged in."""
    path = tmp_path / "w.db"
    file = RecordingFile(path)
    session = Session(MemorySource([]), file.begin(recording_values()), Machine())
    before: dict[int, tuple[int, int | None]] = {100: (50, 1000), 101: (50, 1000), 102: (50, None), 103: (50, 1000)}
    after: dict[int, tuple[int, int | None]] = {100: (50, 1000), 101: (101, 1000), 102: (50, 7), 103: (50, None)}
    inside = {100: 100, 101: 1, 102: 102, 103: 2}
    begun: list[Event] = [
        forked(pid)._replace(ns_pid=inside[pid], sid=sid, loginuid=login) for pid, (sid, login) in before.items()
    ]
    events: list[Event] = [
        *begun,
        *(ended(pid)._replace(sid=sid, loginuid=login) for pid, (sid, login) in after.items()),
    ]
    events.append(fork(104, 104))  # as in an older stream
    session.add_events(events)
    file.close()
    assert values_of(path, "SELECT pid, ns_pid FROM forks ORDER BY id") == [
        (100, None), (101, 1), (102, None), (103, 2), (104, None),
    ]  # fmt: skip
    assert values_of(path, "SELECT pid, uid, sid, loginuid FROM exits ORDER BY id") == [
        (100, None, None, None), (101, 1000, 101, 1000), (102, 1000, 50, 7), (103, 1000, 50, None),
    ]  # fmt: skip
    assert values_of(path, "SELECT pid, ns_pid, sid, loginuid FROM processes ORDER BY pid") == [
        *((pid, inside[pid], *after[pid]) for pid in after), (104, None, None, None),
    ]  # fmt: skip
    assert [problem for finding in verify(path) for problem in finding.problems if "pairing" in problem] == []


FORKS: dict[int, tuple[int, int]] = {100: (2, 2), 101: (0, 0), 102: (0, 3), 103: (0, 0), 104: (1, 4)}
"""execs and begun by pid."""

EXITS: dict[int, tuple[int, int, int]] = {
    100: (1000, 2, 0),  # nothing new
    101: (0, 0, 0),  # another user
    102: (1000, 4, SIGKILL),  # by an exec that failed late: the name is not of what it ran
    103: (1000, 0, 0),
    104: (1000, 4, SIGKILL),  # not by an exec
}
"""uid, begun and status by pid."""


def values_of(path: Path, sql: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(path) as connection:
        return connection.execute(sql).fetchall()


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_values_that_say_nothing_new_are_left_out(tmp_path: Path, batch: int) -> None:
    path = tmp_path / "w.db"
    file = RecordingFile(path)
    session = Session(MemorySource([]), file.begin(recording_values()), Machine())
    events: list[Event] = [
        *(forked(pid, *numbers) for pid, numbers in FORKS.items()),
        *(ended(pid, *rest) for pid, rest in EXITS.items()),
        *(free(pid, pid, pid + 0.2, status=EXITS[pid][2]) for pid in EXITS),
    ]
    for at in range(0, len(events), batch):
        session.add_events(events[at : at + batch])
    assert session.writer.written == (5, 0, 5, 5)
    file.close()
    assert values_of(path, "SELECT pid, execs, begun FROM forks ORDER BY id") == [
        (100, 2, 2), (101, None, None), (102, 0, 3), (103, None, None), (104, 1, 4),
    ]  # fmt: skip
    assert values_of(path, "SELECT pid, uid, begun, status FROM exits ORDER BY id") == [
        (100, None, None, 0), (101, 0, 0, 0), (102, 1000, 4, SIGKILL), (103, None, None, 0), (104, 1000, 4, SIGKILL),
    ]  # fmt: skip
    processes = "SELECT pid, uid, execs, comm, cpu_ns IS NULL FROM processes ORDER BY pid"
    assert values_of(path, processes) == [
        (100, 1000, 2, "new name", 0),
        (101, 0, 0, "new name", 0),
        (102, 1000, 0, "sh", 0),
        (103, 1000, 0, "new name", 0),
        (104, 1000, 1, "new name", 0),
    ]
    everything = "SELECT * FROM processes ORDER BY id"
    rows = values_of(path, everything)
    assert [problem for finding in verify(path) for problem in finding.problems if "pairing" in problem] == []
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE recordings SET status = 'interrupted'")
    rebuild(path)
    assert values_of(path, everything) == rows
