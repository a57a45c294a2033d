"""Rebuilding processes from raw events gives the same rows, for any events, and after any damage to the processes."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import A_MIXED_LOT, exec_, exit_, fork, free, make_recording, recording_values, seen, vanished

from webpf.errors import DataError, NotFound, StorageError
from webpf.host import liveness, procfs
from webpf.model.events import Event
from webpf.storage import rebuild
from webpf.storage.command_ids import CommandIds
from webpf.storage.event_rows import TABLES, make_event_rows
from webpf.storage.recording_file import RecordingFile

Rows: TypeAlias = dict[str, list[tuple[Any, ...]]]


@contextmanager
def opened(db: Path) -> Iterator[sqlite3.Connection]:
    """A connection that commits its changes."""
    connection = sqlite3.connect(db)
    try:
        with connection:
            yield connection
    finally:
        connection.close()


def rows(db: Path) -> Rows:
    """Returns all columns of the processes and of their command lines, and the process of each event."""
    with opened(db) as connection:
        owners = {
            table: connection.execute(f"SELECT id, process_id FROM {table} ORDER BY id").fetchall()
            for table in TABLES.values()
        }
        whole = ("processes", "commands")
        return owners | {name: connection.execute(f"SELECT * FROM {name} ORDER BY id").fetchall() for name in whole}


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A file with one recording, written in small batches."""
    path = tmp_path / "webpf.db"
    make_recording(path, A_MIXED_LOT, batch=2)
    return path


def test_the_rows_are_the_same(db: Path) -> None:
    before = rows(db)
    assert rebuild.rebuild(db) == {1: 9}
    assert rows(db) == before
    assert len(before["processes"]) == 9


def test_a_start_that_is_known_from_a_child_is_the_same(tmp_path: Path) -> None:
    """The parent was alive before and after the recording; the fork of its child has its exact start."""
    db = tmp_path / "webpf.db"
    make_recording(db, [seen(1, -5000), fork(100, 0, ppid=1, parent_ms=-4997)], batch=1)
    before = rows(db)
    rebuild.rebuild(db)
    assert rows(db) == before


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM processes",
        "DELETE FROM processes WHERE id % 2",
        "UPDATE processes SET pid = pid + 1, start_ns = 0, comm = 'x', state = 'lost', status = NULL",
        "UPDATE processes SET command_id = NULL, parent_id = NULL, end_ns = NULL, cpu_ns = 5",
        "UPDATE processes SET command_id = 1",
        "UPDATE commands SET args = 'other'",
        "UPDATE commands SET args = NULL",
        "UPDATE exits SET process_id = 1",
        "UPDATE forks SET process_id = 12345",
        "UPDATE frees SET process_id = NULL",
        "UPDATE frees SET process_id = 1",
        "UPDATE vanished SET process_id = 1",
        "INSERT INTO processes (id, recording_id, pid, start_ns, state) VALUES (999999, 1, 5, 0, 'running')",
    ],
)
def test_damage_is_repaired(db: Path, damage: str) -> None:
    before = rows(db)
    with opened(db) as connection:
        connection.execute(damage)
    assert rows(db) != before
    rebuild.rebuild(db)
    assert rows(db) == before


def test_a_rebuilt_file_is_one_sound_plain_file(db: Path) -> None:
    rebuild.rebuild(db)
    assert [path.name for path in db.parent.iterdir()] == ["webpf.db"]
    with opened(db) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_one_recording_of_two(db: Path) -> None:
    make_recording(db, A_MIXED_LOT, batch=2)
    before = rows(db)
    with opened(db) as connection:
        connection.execute("DELETE FROM processes")
    assert rebuild.rebuild(db, 2) == {2: 9}
    with opened(db) as connection:
        assert connection.execute("SELECT DISTINCT recording_id FROM processes").fetchall() == [(2,)]
    assert rebuild.rebuild(db) == {1: 9, 2: 9}
    assert rows(db) == before


def test_an_empty_recording(tmp_path: Path) -> None:
    db = tmp_path / "webpf.db"
    make_recording(db, [])
    assert rebuild.rebuild(db) == {1: 0}


def test_an_unknown_recording(db: Path) -> None:
    with pytest.raises(NotFound, match=r"webpf\.db has no recording 7"):
        rebuild.rebuild(db, 7)


def test_a_file_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        rebuild.rebuild(tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_a_recording(tmp_path: Path) -> None:
    db = tmp_path / "notes.db"
    db.write_text("some notes\n" * 20)
    with pytest.raises(DataError):
        rebuild.rebuild(db)
    assert db.read_text() == "some notes\n" * 20


def in_progress() -> dict[str, object]:
    """A recording whose recorder is this process."""
    own = procfs.read_stat(os.getpid())
    assert own is not None
    return recording_values() | {
        "boot_id": liveness.boot_id(), "recorder_pid": os.getpid(), "recorder_start_ns": own.start_ns
    }  # fmt: skip


def test_a_recording_in_progress_is_refused(db: Path) -> None:
    recorder = RecordingFile(db)
    writer = recorder.begin(in_progress())
    first_id = writer.reserve_ids(1)
    writer.write(make_event_rows([fork(100, 0)], first_id, [first_id], CommandIds()), [], 0)
    before = rows(db)
    with pytest.raises(StorageError, match="recording 2 goes on: end it first"):
        rebuild.rebuild(db, 2)
    with pytest.raises(StorageError, match="recording 2 goes on: end it first"):
        rebuild.rebuild(db)
    assert rows(db) == before
    assert rebuild.rebuild(db, 1) == {1: 9}
    writer.finish("complete", 5)
    recorder.close()
    assert rebuild.rebuild(db, 2) == {2: 1}


def test_a_recording_that_was_broken_off_can_be_rebuilt(db: Path) -> None:
    with opened(db) as connection:
        before = rows(db)
        connection.execute("UPDATE recordings SET status = 'recording', ended_ns = NULL")
        connection.execute("DELETE FROM processes")
    assert rebuild.rebuild(db) == {1: 9}
    assert rows(db) == before
    with opened(db) as connection:
        assert connection.execute("SELECT status FROM recordings").fetchall() == [("interrupted",)]


def test_a_failure_changes_nothing(db: Path) -> None:
    """The last process can't be written, so the processes written before it are rolled back."""
    before = rows(db)
    with opened(db) as connection:
        connection.execute(
            "CREATE TRIGGER disk_full BEFORE INSERT ON processes WHEN NEW.comm = 'late'"
            " BEGIN SELECT raise(ABORT, 'no room'); END"
        )
    with pytest.raises(StorageError, match="no room"):
        rebuild.rebuild(db)
    assert rows(db) == before


def test_a_failure_in_one_recording_changes_none(db: Path) -> None:
    make_recording(db, [fork(100, 0, comm="late")])
    with opened(db) as connection:
        connection.execute("DELETE FROM processes WHERE recording_id = 1")
        connection.execute(
            "CREATE TRIGGER disk_full BEFORE INSERT ON processes WHEN NEW.recording_id = 2"
            " BEGIN SELECT raise(ABORT, 'no room'); END"
        )
    before = rows(db)
    with pytest.raises(StorageError, match="no room"):
        rebuild.rebuild(db)
    assert rows(db) == before


PID = st.integers(1, 3)
# Starts rounded to 10 ms as in /proc, and exact starts within the same tick.
START = st.sampled_from([-50, -47, 0, 1, 2])
MS = st.integers(0, 100)
FOUND: st.SearchStrategy[Event] = st.builds(
    seen, PID, st.sampled_from([-50, 0]), PID, argv=st.sampled_from([None, b"found\0"])
)
ANY_EVENT: st.SearchStrategy[Event] = st.one_of(
    FOUND,
    st.builds(fork, PID, START, PID, START, kernel=st.integers(0, 1)),
    st.builds(exec_, PID, START, MS, st.sampled_from([b"", b"a\0", b"\xff b\0"])),
    st.builds(lambda *values: exec_(*values)._replace(argv=None, argv_bytes=9), PID, START, MS),
    st.builds(exit_, PID, START, MS, st.integers(0, 300)),
    st.builds(free, PID, START, MS, MS, st.integers(0, 300)),
    st.builds(vanished, PID, START, MS),
)


@settings(max_examples=120)
@given(st.lists(FOUND, max_size=3), st.lists(ANY_EVENT, min_size=20, max_size=40), st.integers(1, 20))
def test_any_events_in_any_batches_give_the_same_rows(found: list[Event], later: list[Event], batch: int) -> None:
    """Including events that no kernel would report."""
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder) / "webpf.db"
        make_recording(db, found + later, batch=batch)
        before = rows(db)
        rebuild.rebuild(db)
        assert rows(db) == before
