"""webpf compact: it drops forks, exits and frees, gives the room back, and leaves everything else as it is."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support import A_MIXED_LOT, Machine, exec_, exit_, fork, free, make_recording, recording_values

from webpf.capture import recording_end
from webpf.capture.recording_session import Session
from webpf.host import liveness, procfs
from webpf.model.event_source import Counts, MemorySource
from webpf.model.events import Event
from webpf.progress import Interrupted, NoProgress
from webpf.storage import compact as compacting
from webpf.storage import free_pages
from webpf.storage.recording_file import RecordingFile

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]
OPTIONAL = ("forks", "exits", "frees")


def storm(processes: int) -> list[Event]:
    """Events of a parent with this many children."""
    found: list[Event] = [fork(100, 0), exec_(100, 0, 1)]
    for number in range(processes):
        found += [fork(1000 + number, number, ppid=100, parent_ms=0), exit_(1000 + number, number, number + 1)]
        found += [free(1000 + number, number, number + 2)]
    return found


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A file with two recordings, in the current folder of the commands."""
    path = tmp_path / "webpf.db"
    make_recording(path, A_MIXED_LOT)
    make_recording(path, storm(3000), batch=1000)
    return path


def query(db: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(db)) as connection:
        return connection.execute(sql).fetchall()


def others(db: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Returns all rows of the tables and views that keep theirs."""
    tables = [name for (name,) in query(db, "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')")]
    return {table: query(db, f"SELECT * FROM {table}") for table in tables if table not in (*OPTIONAL, "recordings")}


def counts(db: Path, recording: int) -> list[int]:
    return [query(db, f"SELECT count(*) FROM {table} WHERE recording_id = {recording}")[0][0] for table in OPTIONAL]


def one_line(ended: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """Checks the exit code and the one line on stderr."""
    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (code, "", 1), ended
    assert all(word in ended.stderr for word in words), ended.stderr


def test_all_recordings(db: Path, webpf: Webpf) -> None:
    before, size = others(db), db.stat().st_size
    dropped = sum(counts(db, 1) + counts(db, 2))
    assert dropped == 5 + 3 + 3 + 3 * 3000 + 1
    one_line(webpf("compact", db), 0, f"{db}: {dropped:,} raw events dropped; ", " before, ", " now")
    assert counts(db, 1) == counts(db, 2) == [0, 0, 0]
    assert others(db) == before
    assert db.stat().st_size < 0.65 * size
    assert query(db, "PRAGMA freelist_count") == [(0,)]
    assert query(db, "PRAGMA integrity_check") == [("ok",)]
    assert [path.name for path in db.parent.iterdir()] == [db.name]
    answer = webpf("verify", db)
    assert (answer.returncode, answer.stdout.count("not checked: ")) == (0, 2), answer
    one_line(webpf("rebuild", db), 65, f"{db} has no raw events")
    one_line(webpf("compact", db), 0, "0 raw events dropped")


def test_one_recording(db: Path, webpf: Webpf) -> None:
    kept = counts(db, 2)
    one_line(webpf("compact", f"{db}:1"), 0, f"recording 1 of {db}: 11 raw events dropped")
    assert (counts(db, 1), counts(db, 2)) == ([0, 0, 0], kept)
    assert query(db, "SELECT id, json_extract(options, '$.events') FROM recordings") == [(1, "none"), (2, None)]
    assert webpf("verify", db).stdout.count("not checked: ") == 1
    answer = webpf("rebuild", db)
    assert (answer.returncode, "recording 1: unchanged" in answer.stderr) == (0, True)


def test_while_another_recording_goes_on(db: Path, webpf: Webpf) -> None:
    """A recorder in this process writes to the file before and after."""
    own = procfs.read_stat(os.getpid())
    assert own is not None
    mine = {"recorder_pid": os.getpid(), "recorder_start_ns": own.start_ns, "boot_id": liveness.boot_id()}
    file = RecordingFile(db)
    try:
        events = storm(10)
        session = Session(
            MemorySource([], 3, Counts((11, 1, 10, 10))),
            file.begin(recording_values() | mine),
            Machine(),
        )
        session.add_events(events[:15])
        one_line(webpf("compact", f"{db}:3"), 74, f"recording 3 of {db} goes on")
        one_line(webpf("compact", db), 0, "raw events dropped", "; recording 3 goes on, so it is unchanged")
        assert counts(db, 1) == counts(db, 2) == [0, 0, 0]
        session.add_events(events[15:])
        recording_end.finish(session)
    finally:
        file.close()
    assert counts(db, 3) == [11, 10, 10]
    answer = webpf("verify", db)
    assert (answer.returncode, answer.stdout.count("not checked: ")) == (0, 2), answer


class InterruptedAfter(NoProgress):
    """Raises Interrupted at a call of report()."""

    def __init__(self, calls: int) -> None:
        self._left = calls

    def report(self, done: int, total: int) -> None:
        self._left -= 1
        if self._left == 0:
            raise Interrupted("the compaction", 2)


@pytest.mark.parametrize("calls", [1, 4, 9, 12])
def test_another_run_ends_what_was_interrupted(
    calls: int, db: Path, webpf: Webpf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compacting, "_STEP", 1000)
    monkeypatch.setattr(free_pages, "_PAGES", 10)
    before = others(db)
    with pytest.raises(Interrupted):
        compacting.compact(db, progress=InterruptedAfter(calls))
    assert others(db) == before
    rest = sum(counts(db, 1) + counts(db, 2))
    answer = webpf("verify", db)
    assert (answer.returncode, "run it again" in answer.stdout) == ((65, True) if rest else (0, False)), answer
    one_line(webpf("compact", db), 0, f"{rest:,} raw events dropped")
    assert query(db, "PRAGMA freelist_count") == [(0,)]
    assert webpf("verify", db).returncode == 0
    assert others(db) == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE recordings SET options = '[]' WHERE id = 1",
        "UPDATE recordings SET options = '{' WHERE id = 2",
        "ALTER TABLE forks DROP COLUMN euid",
        "CREATE TRIGGER other AFTER DELETE ON forks BEGIN DELETE FROM processes; END",
    ],
)
def test_damaged_files_are_refused(statement: str, db: Path, webpf: Webpf) -> None:
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute(statement)
    before = db.read_bytes()
    one_line(webpf("compact", db), 65, str(db))
    assert db.read_bytes() == before


def test_wrong_calls(db: Path, tmp_path: Path, webpf: Webpf) -> None:
    one_line(webpf("compact", f"{db}:9"), 66, "has no recording 9")
    one_line(webpf("compact", tmp_path / "none.db"), 66, "none.db")
    assert not (tmp_path / "none.db").exists()


def test_a_file_that_cannot_shrink_is_compacted_too(db: Path, webpf: Webpf) -> None:
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        connection.execute("PRAGMA auto_vacuum = NONE")
        connection.execute("VACUUM")
    size = db.stat().st_size
    one_line(webpf("compact", db), 0, "9,012 raw events dropped")
    assert db.stat().st_size == size
    assert webpf("verify", db).returncode == 0
