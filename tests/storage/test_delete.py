"""webpf delete and webpf vacuum: whole recordings go, all others stay as they are, and the room comes back."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from story import parent_of_many
from support import A_MIXED_LOT, T0, Machine, make_recording, recording_values

from webpf.capture import recording_end
from webpf.capture.recording_session import Session
from webpf.host import liveness, procfs
from webpf.model.event_source import Counts, MemorySource
from webpf.model.events import Event
from webpf.progress import Interrupted, NoProgress
from webpf.storage import delete as deleting
from webpf.storage import deletion, free_pages
from webpf.storage.recording_file import RecordingFile

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A file with three recordings, the second of which is large, in the current folder of the commands."""
    path = tmp_path / "webpf.db"
    make_recording(path, A_MIXED_LOT)
    make_recording(path, parent_of_many(3000), batch=1000)
    make_recording(path, A_MIXED_LOT)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO incidents VALUES (2, 10, 20, 'full', 'no room', 3)")
        connection.execute("INSERT INTO cgroup_paths (recording_id, cgroup_id, path) VALUES (2, 2, '/a'), (3, 2, '/a')")
    return path


def query(db: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(db)) as connection:
        return connection.execute(sql).fetchall()


def rows(db: Path, *without: int) -> dict[str, list[tuple[Any, ...]]]:
    """Returns all rows of all tables, without those of some recordings."""
    left_out = ", ".join(map(str, without or (0,)))
    tables = [name for (name,) in query(db, "SELECT name FROM sqlite_schema WHERE type = 'table'")]
    key = {"recordings": "id"}
    sql = "SELECT * FROM {} WHERE {} NOT IN ({})"
    return {table: query(db, sql.format(table, key.get(table, "recording_id"), left_out)) for table in tables}


def one_line(ended: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """Checks the exit code and the one line on stderr."""
    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (code, "", 1), ended
    assert all(word in ended.stderr for word in words), ended.stderr


def is_sound(db: Path, webpf: Webpf) -> bool:
    """Whether SQLite and webpf find no problem."""
    return query(db, "PRAGMA foreign_key_check") == [] and webpf("verify", db).returncode == 0


def test_one_recording(db: Path, webpf: Webpf) -> None:
    kept, size = rows(db, 2), db.stat().st_size
    number = sum(len(found) for table, found in rows(db, 1, 3).items() if table not in SMALL)
    one_line(webpf("delete", db, "--recording", "2"), 0, f"recording 2 deleted, {number:,} rows", " before, ", " now")
    assert rows(db) == kept
    assert is_sound(db, webpf)
    assert query(db, "PRAGMA freelist_count") == [(0,)]
    assert db.stat().st_size < 0.4 * size
    assert [path.name for path in db.parent.iterdir()] == [db.name]


SMALL = ("recordings", "fact_blocks", "incidents", "cgroup_paths", "working_directories")


def test_several_and_all(db: Path, webpf: Webpf) -> None:
    one_line(webpf("delete", f"{db}:1", "--recording", "3"), 0, "recordings 1, 3 deleted")
    assert [number for number, *_ in rows(db)["recordings"]] == [2] and is_sound(db, webpf)
    one_line(webpf("delete", db, "--recording", "2"), 0, "recording 2 deleted")
    assert not any(rows(db).values())
    make_recording(db, A_MIXED_LOT)
    assert is_sound(db, webpf)


def test_what_ended_before_a_time(db: Path, webpf: Webpf) -> None:
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("UPDATE recordings SET ended_ns = ? WHERE id = 3", [T0 + 86400 * 10**9])
    one_line(webpf("delete", db, "--before", "2023-11-01"), 66, f"no recording of {db} had ended by then")
    one_line(webpf("delete", db, "--before", "2023-11-15T10:00:00+00:00"), 0, "recordings 1, 2 deleted")
    assert is_sound(db, webpf)
    one_line(webpf("delete", db, "--before", "-7d"), 0, "recording 3 deleted")


def test_every_reference_is_right_after_each_step(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another connection sees only whole transactions. Some parents have a higher id than their child."""
    with closing(sqlite3.connect(db)) as connection, connection:
        sql = "UPDATE processes SET parent_id = id + 4 WHERE recording_id = 2 AND pid BETWEEN 1000 AND 3000"
        connection.execute(sql)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    monkeypatch.setattr(deletion, "STEP", 400)
    with closing(sqlite3.connect(db)) as connection, closing(sqlite3.connect(db)) as reader:
        steps = 0
        for _ in deletion.delete(connection, 2):
            assert reader.execute("PRAGMA foreign_key_check").fetchall() == []
            steps += 1
    assert steps > 50


class InterruptedAfter(NoProgress):
    """Raises Interrupted at a call of report()."""

    def __init__(self, calls: int) -> None:
        self._left = calls

    def report(self, done: int, total: int) -> None:
        self._left -= 1
        if self._left == 0:
            raise Interrupted("the deletion", 2)


@pytest.mark.parametrize("calls", [1, 2, 12, 25, 40])
def test_another_run_ends_what_was_interrupted(
    calls: int, db: Path, webpf: Webpf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "STEP", 500)
    kept = rows(db, 2)
    with pytest.raises(Interrupted):
        deleting.delete(db, [2], progress=InterruptedAfter(calls))
    assert query(db, "PRAGMA foreign_key_check") == []
    answer = webpf("verify", db)
    assert (answer.returncode, "it is being deleted" in answer.stdout) == (0, True), answer
    one_line(webpf("delete", db, "--recording", "1"), 0, "recordings 1, 2 deleted")
    assert rows(db) == rows(db, 1)
    assert [row[0] for row in rows(db)["recordings"]] == [3]
    assert rows(db)["processes"] == [row for row in kept["processes"] if row[1] == 3]
    assert is_sound(db, webpf)


def test_rows_outside_of_the_blocks_go_too(db: Path, webpf: Webpf) -> None:
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("UPDATE fact_blocks SET size = 100 WHERE recording_id = 2")
    one_line(webpf("delete", db, "--recording", "2"), 0, "recording 2 deleted")
    assert is_sound(db, webpf)


@contextmanager
def recording(db: Path) -> Iterator[Callable[[list[Event]], None]]:
    """Records into the file, in this process. Yields what adds events; ends the recording."""
    own = procfs.read_stat(os.getpid())
    assert own is not None
    mine = {"recorder_pid": os.getpid(), "recorder_start_ns": own.start_ns, "boot_id": liveness.boot_id()}
    file = RecordingFile(db)
    try:
        source = MemorySource([], 3, Counts((1501, 1501, 1500, 1500)))
        session = Session(source, file.begin(recording_values() | mine), Machine())
        yield session.add_events
        recording_end.finish(session)
    finally:
        file.close()


def test_while_a_recording_goes_on_and_a_reader_reads(db: Path, webpf: Webpf) -> None:
    """The reader sees all that it began with; the room comes back when it has ended."""
    kept, size = rows(db, 2), db.stat().st_size
    events = parent_of_many(1500)
    with recording(db) as add:
        add(events[:3000])
        one_line(webpf("delete", db, "--recording", "4"), 74, f"recording 4 of {db} goes on")
        with closing(sqlite3.connect(db)) as reader:
            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM processes WHERE recording_id = 2").fetchone() == (3001,)
            one_line(webpf("delete", db, "--recording", "2"), 0, "recording 2 deleted")
            add(events[3000:])
            assert reader.execute("SELECT count(*) FROM processes WHERE recording_id = 2").fetchone() == (3001,)
        one_line(webpf("vacuum", db), 0, "somebody records into it, so only free pages were given back")
    assert rows(db, 4) == kept
    assert is_sound(db, webpf)
    assert db.stat().st_size < 0.8 * size


def test_vacuum(db: Path, webpf: Webpf) -> None:
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        connection.execute("PRAGMA auto_vacuum = NONE")
        connection.execute("VACUUM")
    size = db.stat().st_size
    assert webpf("delete", db, "--recording", "2").returncode == 0
    assert db.stat().st_size == size, "such a file can't give pages back by itself"
    kept = rows(db)
    one_line(webpf("vacuum", db), 0, " before, ", " now")
    assert db.stat().st_size < 0.4 * size
    assert (rows(db), query(db, "PRAGMA auto_vacuum")) == (kept, [(2,)])
    assert is_sound(db, webpf)


def make_chain(db: Path, segments: int) -> None:
    """Makes recordings of a file the segments of one chain."""
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("UPDATE recordings SET chain = 1, segment = id WHERE id <= ?", [segments])


def test_a_chain_keeps_its_middle(db: Path, webpf: Webpf) -> None:
    make_chain(db, 3)
    ended = webpf("delete", db, "--recording", "2")
    one_line(
        ended, 64, "recording 2 is in the middle of a chain: delete those before it too", "--recording 1 --recording 2"
    )
    one_line(webpf("delete", db, "--recording", "1", "--recording", "2"), 0, "recordings 1, 2 deleted")
    assert query(db, "SELECT id, chain, segment FROM recordings") == [(3, 1, 3)]
    assert is_sound(db, webpf)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 64, "nothing says what to delete"),
        (("--before", "-7d", "--recording", "1"), 64, "can't be used together"),
        (("--before", "soon"), 64, "--before takes a time"),
        (("--before", "25:00"), 64, "webpf delete --before 03:00"),
        (("--before", "-soon"), 64, "--before takes a time"),
        (("--before", "-7x"), 64, "--before takes a time"),
        (("--recording", "9"), 66, "has no recording 9"),
    ],
)
def test_wrong_calls(db: Path, webpf: Webpf, arguments: tuple[str, ...], code: int, words: str) -> None:
    before = db.read_bytes()
    one_line(webpf("delete", db, *arguments), code, words, "try: ")
    assert db.read_bytes() == before


def test_a_damaged_file_is_refused(db: Path, webpf: Webpf) -> None:
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("ALTER TABLE forks DROP COLUMN euid")
    before = db.read_bytes()
    one_line(webpf("delete", db, "--recording", "1"), 65, str(db))
    one_line(webpf("vacuum", db), 65, str(db))
    assert db.read_bytes() == before


def test_pages_come_back_in_steps(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free_pages, "_PAGES", 10)
    with closing(sqlite3.connect(db)) as connection:
        list(deletion.delete(connection, 2))
        free = free_pages.count(connection)
        left = list(free_pages.give_back(connection))
        assert free > 30 and left == sorted(left, reverse=True) and left[-1] == 0
