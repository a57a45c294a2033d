"""The views process_list and event_list, read by SQLite alone; times as Python's datetime writes them."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from support import at, exec_, exit_, fork, free, make_recording, seen

from webpf.model.events import Event

EVENTS: list[Event] = [
    seen(1, -1000, ppid=0),
    fork(100, 1),
    exec_(100, 1, 2, b"/bin/echo\0a b\0", "echo"),
    fork(200, 2, kernel=1),
    fork(101, 3, ppid=100, parent_ms=1),
    exit_(101, 3, 4.25, status=9),
    exit_(100, 1, 5, status=256, comm="echo"),
    free(100, 1, 6, cpu_ms=0.5, status=256),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A recording of EVENTS."""
    make_recording(tmp_path / "webpf.db", EVENTS)
    return tmp_path / "webpf.db"


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def moment(milliseconds: float, offset_s: int = 0) -> str:
    """Returns a time of the test's events as text, in a zone with this offset from UTC."""
    zone = timezone(timedelta(seconds=offset_s))
    return datetime.fromtimestamp(at(milliseconds) / 1e9, zone).isoformat(" ", "milliseconds")


def test_process_list(path: Path) -> None:
    sql = """SELECT pid, command, started, ended, lifetime_ms, cpu_ms, outcome, exit_code, signal_name, parent
        FROM process_list ORDER BY id"""
    killed = signal.Signals(9).name.removeprefix("SIG")
    assert rows(path, sql) == [
        (1, "/sbin/init", moment(-1000), None, None, None, "running", None, None, None),
        (100, "/bin/echo 'a b'", moment(1), moment(5), 4.0, 0.5, "failed", 1, None, "init"),
        (101, None, moment(3), moment(4.25), 1.25, None, "signalled", None, killed, "echo"),
    ]


def test_event_list(path: Path) -> None:
    assert rows(path, "SELECT time, kind, pid, command, status FROM event_list ORDER BY time_ns") == [
        (moment(-1000), "start", 1, None, None),
        (moment(1), "start", 100, None, None),
        (moment(2), "exec", 100, "/bin/echo 'a b'", None),
        (moment(3), "start", 101, None, None),
        (moment(4.25), "exit", 101, None, 9),
        (moment(5), "exit", 100, None, 256),
        (moment(6), "free", 100, None, None),
    ]


@pytest.mark.parametrize("offset_s", [7200, -1800, -12600, 45900, 0])
def test_times_are_local_to_the_recorded_machine(path: Path, offset_s: int) -> None:
    execute(path, f"UPDATE recordings SET utc_offset_s = {offset_s}")
    assert rows(path, "SELECT started, ended FROM process_list WHERE pid = 100") == [
        (moment(1, offset_s), moment(5, offset_s))
    ]
    assert rows(path, "SELECT time FROM event_list WHERE kind = 'exec'") == [(moment(2, offset_s),)]


@pytest.mark.parametrize("view", ["process_list", "event_list"])
def test_they_need_no_raw_events(path: Path, view: str) -> None:
    before = rows(path, f"SELECT * FROM {view}")
    execute(path, *(f"DELETE FROM {table}" for table in ("forks", "exits", "frees", "snapshot", "vanished", "usage")))
    assert len(before) > 2
    assert rows(path, f"SELECT * FROM {view}") == before
