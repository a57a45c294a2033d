"""Files whose writer was killed while SQLite changed them: the change is taken back, what was committed is there."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from datasette.app import Datasette
from support import NOBODY, as_nobody, make_recording

from webpf.errors import DataError
from webpf.host.invocation import sudo_command
from webpf.storage import reader
from webpf.storage.recording_file import RecordingFile
from webpf.storage.verify import verify
from webpf.web import databases

CALLS = "pwrite64,fdatasync,fsync,ftruncate,unlink"
"""The system calls with which SQLite changes files; pages of a log are written with pwrite64 too."""

WRITER = """
import sys
from pathlib import Path
from support import exit_, fork, make_recording
events = [event for n in range(5) for event in (fork(100 + n, n), exit_(100 + n, n, n + 5))]
make_recording(Path(sys.argv[1]), events, batch=100)
"""
NEW_NOW = "is empty: nothing has been recorded in it yet"

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="no strace, which kills the writer")


def write(db: Path, *options: str) -> int:
    """Lets another process write a recording under strace, with these options; returns its exit code."""
    folders = os.pathsep.join(path for path in sys.path if path)
    line = ["strace", "-f", "-qq", "-e", f"trace={CALLS}", *options, sys.executable, "-c", WRITER, str(db)]
    return subprocess.run(line, env=os.environ | {"PYTHONPATH": folders}, check=False).returncode


def kill_before(call: tuple[str, int], db: Path) -> None:
    """Lets another process write a recording, and kills it before a system call: its name, and the how-manieth."""
    name, number = call
    code = write(db, "-o", "/dev/null", "-e", f"inject={name}:signal=KILL:when={number}")
    assert code == -signal.SIGKILL


def calls(folder: Path) -> list[tuple[str, int]]:
    """Returns the system calls of a writer that isn't killed, in their order."""
    assert write(folder / "counted.db", "-o", str(folder / "calls")) == 0
    found = re.findall(r"^\d+ +(\w+)\(", (folder / "calls").read_text(), re.MULTILINE)
    return [(name, found[: place + 1].count(name)) for place, name in enumerate(found)]


def as_sqlite_says(db: Path, folder: Path) -> tuple[int, int] | None:
    """Returns how many recordings and processes SQLite finds in a copy that it may change; None without tables."""
    for file in db.parent.glob(db.name + "*"):
        shutil.copy(file, folder)
    with closing(sqlite3.connect(folder / db.name)) as connection:
        if not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            return None
        sql = "SELECT (SELECT count(*) FROM recordings), (SELECT count(*) FROM processes)"
        return tuple(connection.execute(sql).fetchone())


def as_webpf_says(db: Path) -> tuple[int, int] | None:
    """Returns the same from webpf, after `verify` found no problem; None if it says that nothing was recorded yet."""
    try:
        with reader.reading(db) as connection:
            found = (
                len(reader.recordings(connection)),
                connection.execute("SELECT count(*) FROM processes").fetchone()[0],
            )
    except DataError as error:
        assert error.message == f"{db} {NEW_NOW}"
        return None
    assert [problem for finding in verify(db) for problem in finding.problems] == []
    return found


def test_killed_before_any_change_to_the_file(tmp_path: Path) -> None:
    """Of the writes, which write page after page, it tries each 24th, and of what waits for the disk each second."""
    steps = {"pwrite64": 24, "fdatasync": 2}
    answers = set()
    for call in calls(tmp_path):
        if call[1] % steps.get(call[0], 1):
            continue
        folder, copy = tmp_path / f"{call}", tmp_path / f"{call}-copy"
        folder.mkdir()
        copy.mkdir()
        kill_before(call, folder / "webpf.db")
        expected = as_sqlite_says(folder / "webpf.db", copy)
        assert as_webpf_says(folder / "webpf.db") == expected, call
        answers.add(expected)
        make_recording(folder / "webpf.db", [])  # it can be recorded into all the same
    assert answers >= {None, (0, 0), (1, 5)}


@pytest.fixture
def half_changed(tmp_path: Path) -> Iterator[Path]:
    """A recording file whose writer was killed when it was about to remove its last journal.

    Everybody may enter the folder, which they can't do with pytest's, and read the file.
    """
    removals = [call for call in calls(tmp_path) if call[0] == "unlink"]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        db = Path(folder, "webpf.db")
        kill_before(removals[-1], db)
        db.chmod(0o644)
        assert Path(f"{db}-journal").stat().st_size
        yield db


def give_to_nobody(db: Path) -> None:
    for file in (db, Path(f"{db}-journal")):
        os.chown(file, NOBODY, NOBODY)


def refusal(db: Path) -> tuple[str, str]:
    with pytest.raises(DataError) as caught, reader.reading(db):
        pass
    return caught.value.message.replace(str(db), "DB"), caught.value.hint.replace(str(db), "DB")


KILLED = "DB can't be read: a process was killed while it changed it, and undoing that needs to write: "


@pytest.mark.skipif(os.geteuid() != 0, reason="not root")
def test_who_may_not_write_is_told_who_can(half_changed: Path) -> None:
    with as_nobody():
        assert refusal(half_changed) == (KILLED + "it is uid 0's", sudo_command())
    give_to_nobody(half_changed)
    with as_nobody():
        assert refusal(half_changed) == (KILLED + "permission denied", "cp DB DB-journal ~")


@pytest.mark.skipif(os.geteuid() != 0, reason="not root")
def test_root_changes_nothing_in_another_users_file(half_changed: Path) -> None:
    """A journal can name a further file, which SQLite removes: root's, if root reads it."""
    give_to_nobody(half_changed)
    before = {file: file.read_bytes() for file in half_changed.parent.iterdir()}
    message, hint = refusal(half_changed)
    assert message == KILLED + f"it is uid {NOBODY}'s"
    assert hint.startswith(f"sudo -u '#{NOBODY}' ")
    assert {file: file.read_bytes() for file in half_changed.parent.iterdir()} == before
    half_changed.parent.chmod(0o777)
    with as_nobody():
        assert as_webpf_says(half_changed) == (1, 5)


def test_datasette_shows_it(half_changed: Path) -> None:
    """Its own connections may not write either."""
    assert databases.names_with_recordings(Datasette([str(half_changed)])) == ["webpf"]
    assert as_sqlite_says(half_changed, Path(tempfile.mkdtemp(dir=half_changed.parent))) == (1, 5)


def test_a_file_without_tables_is_new(tmp_path: Path) -> None:
    """SQLite has written its first page, and nothing else."""
    db = tmp_path / "webpf.db"
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    assert db.stat().st_size
    assert refusal(db)[0] == f"DB {NEW_NOW}"
    RecordingFile(db).close()
    assert as_webpf_says(db) == (0, 0)
