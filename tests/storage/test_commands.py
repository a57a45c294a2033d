"""Command lines are written once in a recording, whatever the limits of the recorder's memory are."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support import A_MIXED_LOT, exec_, exit_, fork, free, make_recording, seen, with_commands

from webpf.model.events import Event, Exec, Seen
from webpf.storage import command_ids, merge
from webpf.storage.verify import verify

Query = Callable[..., list[dict[str, Any]]]


def lines(db: Path, table: str) -> list[tuple[Any, ...]]:
    """Returns the command line of each row, read by SQLite alone."""
    with closing(sqlite3.connect(db)) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        sql = f"SELECT filename, argv, argv_bytes FROM {with_commands(table)} ORDER BY id"
        return connection.execute(sql).fetchall()


def life(pid: int, *argvs: bytes) -> list[Event]:
    """Returns the events of a process that executes these programs, one after the other."""
    start = pid * 20
    execs = [exec_(pid, start, start + number, argv) for number, argv in enumerate(argvs, 1)]
    return [fork(pid, start), *execs, exit_(pid, start, start + 15), free(pid, start, start + 16)]


@pytest.mark.parametrize("batch", [1, 3, 1000])
def test_events_have_their_command_lines(tmp_path: Path, batch: int) -> None:
    db = tmp_path / "webpf.db"
    make_recording(db, A_MIXED_LOT, batch=batch)
    for table, kind in (("programs", Exec), ("snapshot", Seen)):
        expected = [(e.filename, e.argv, e.argv_bytes) for e in A_MIXED_LOT if isinstance(e, kind)]
        assert lines(db, table) == expected
    assert [finding.problems for finding in verify(db)] == [(), ()]


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_a_command_line_is_written_once(tmp_path: Path, query: Query, batch: int) -> None:
    """Different ones differ in any of filename, argv and length; text is not the same as bytes."""
    same = [exec_(100, 0, 1), exec_(100, 0, 2)._replace(time_ns=5), exec_(100, 0, 3)]
    others = [
        exec_(100, 0, 4)._replace(filename="/usr/bin/true"),
        exec_(100, 0, 5)._replace(filename=b"/bin/true\xff"),
        exec_(100, 0, 6, argv_bytes=70),
        exec_(100, 0, 7)._replace(argv=None),
        exec_(100, 0, 8)._replace(argv=b""),
    ]
    make_recording(
        tmp_path / "webpf.db", [seen(1, -5000, argv=b"/bin/true\0"), fork(100, 0), *same, *others], batch=batch
    )
    assert [row["id"] for row in query("SELECT id FROM commands ORDER BY id")] == [1, 6, 7, 8, 9, 10]
    executed = query("SELECT command_id FROM programs ORDER BY id")
    assert [row["command_id"] for row in executed] == [1, 1, 1, 6, 7, 8, 9, 10]
    assert query("SELECT command_id FROM processes ORDER BY id") == [{"command_id": 1}, {"command_id": 10}]


def test_each_recording_has_its_own(tmp_path: Path, query: Query) -> None:
    for _ in range(2):
        make_recording(tmp_path / "webpf.db", life(100, b"/bin/true\0"))
    assert [row["recording_id"] for row in query("SELECT recording_id FROM commands ORDER BY id")] == [1, 2]
    sql = """SELECT count(*) AS n FROM programs AS e JOIN commands AS c
        ON c.id = e.command_id AND c.recording_id = e.recording_id"""
    assert query(sql) == [{"n": 2}]
    merge.merge([tmp_path / "webpf.db"], tmp_path / "merged.db")
    assert lines(tmp_path / "merged.db", "programs") == lines(tmp_path / "webpf.db", "programs")


def test_without_a_command_line(tmp_path: Path, query: Query) -> None:
    """A process that runs its parent's program, and a thread of the kernel; but an unreadable path is not nothing."""
    unreadable = seen(3, -40)._replace(filename=None)
    make_recording(tmp_path / "webpf.db", [seen(2, -50, argv=None, kernel=1), unreadable, fork(100, 0)])
    assert [row["command_id"] for row in query("SELECT command_id FROM processes ORDER BY id")] == [None, 2, None]
    assert lines(tmp_path / "webpf.db", "snapshot") == [(None, None, None), (None, b"/sbin/init\0", 11)]


def test_a_limit_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, query: Query) -> None:
    """What was forgotten is written again with another id, and is right in every row."""
    monkeypatch.setattr(command_ids, "_KNOWN_BYTES", 20_000)
    argvs = [b"/bin/echo\0%d\0" % (number % 100) for number in range(300)]
    events = [event for pid, argv in enumerate(argvs, 100) for event in life(pid, b"/bin/sh\0", argv)]
    db = tmp_path / "webpf.db"
    make_recording(db, events, batch=50)
    written = query("SELECT count(*) AS n, count(DISTINCT argv) AS different FROM commands")[0]
    assert written["different"] == 101 < written["n"] <= 310
    assert [argv for _, argv, _ in lines(db, "processes")] == argvs
    assert [argv for _, argv, _ in lines(db, "programs")] == [each for argv in argvs for each in (b"/bin/sh\0", argv)]
    assert [finding.problems for finding in verify(db)] == [(), ()]
