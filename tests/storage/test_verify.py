"""webpf verify: it reports no problem in a correct file, and a reason for each kind of damage."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support import A_MIXED_LOT, at, fork, make_recording, recording_values

from webpf.model.event_source import Counts
from webpf.storage.recording_file import RecordingFile

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A file with two recordings, written in small batches."""
    path = tmp_path / "webpf.db"
    make_recording(path, A_MIXED_LOT, batch=3)
    make_recording(path, A_MIXED_LOT, batch=100)
    return path


def change(db: Path, *statements: str) -> None:
    """Damages a file."""
    connection = sqlite3.connect(db)
    with connection:
        for statement in statements:
            assert connection.execute(statement).rowcount, statement
    connection.close()


def test_a_correct_file(db: Path, webpf: Webpf) -> None:
    answer = webpf("verify", db)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout.splitlines() == [
        "ok     the file",
        "ok     recording 1: complete, 9 processes from 14 events; no event was lost",
        "ok     recording 2: complete, 9 processes from 14 events; no event was lost",
    ]


def test_lost_events_are_no_problem_of_the_file(tmp_path: Path, webpf: Webpf) -> None:
    db = tmp_path / "webpf.db"
    make_recording(db, [fork(100, 0), fork(101, 1)], counts=Counts((5, 1, 0, 0), (3, 1, 0, 0)))
    answer = webpf("verify", db)
    assert answer.returncode == 0
    assert "4 events were lost, so counts are a lower bound" in answer.stdout


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("DELETE FROM forks WHERE id = 15", "forks: the table has 4, but 5 were written"),
        ("UPDATE recordings SET execs_lost = 1 WHERE id = 1", "execs: 3 attempted is not 3 written and 1 lost"),
        ("UPDATE recordings SET exits_attempted = NULL WHERE id = 1", "exits: None attempted is not 3 written"),
        (
            "UPDATE forks SET recording_id = 2 WHERE id = 15",
            "forks: 1 rows have ids that don't belong to this recording",
        ),
        ("UPDATE exits SET process_id = 4 WHERE id = 8", "pairing: 1 events refer to the wrong process"),
        ("UPDATE frees SET process_id = NULL WHERE id = 11", "pairing: 1 events refer to the wrong process"),
        ("UPDATE processes SET comm = 'other' WHERE id = 10", "1 rows of processes don't follow from the events"),
        ("UPDATE processes SET command_id = 5 WHERE id = 1", "the first has id 1"),
        ("UPDATE commands SET args = 'x' WHERE id = 5", "commands: of 1 rows, args is not argv, quoted"),
        ("UPDATE commands SET argv = X'00' WHERE id = 5", "commands: of 1 rows, args is not argv, quoted"),
        (
            "UPDATE commands SET recording_id = 2 WHERE id = 5",
            "commands: 1 rows have ids that don't belong to this recording",
        ),
        (
            "UPDATE programs SET command_id = (SELECT max(id) FROM commands) WHERE id = 5",
            "programs: 1 rows refer to command lines of another recording",
        ),
        ("DELETE FROM commands WHERE id = 5", "refers to a row of commands that doesn't exist"),
        ("UPDATE processes SET cpu_ns = NULL WHERE id = 15", "the first has id 15"),
        ("UPDATE processes SET recording_id = 2 WHERE id = 7", "8 rows of processes, but 9 processes in the events"),
        (
            "UPDATE processes SET recording_id = 3 - recording_id WHERE id IN (10, 28)",
            "recording 1: complete, 9 processes from 14 events; no event was lost\n"
            "       pairing: 1 rows of processes don't follow from the events",
        ),
        ("DELETE FROM processes WHERE id = 7", "refers to a row of processes that doesn't exist"),
        ("UPDATE processes SET parent_id = 999 WHERE id = 7", "refers to a row of processes that doesn't exist"),
    ],
)
def test_every_problem_is_reported(statement: str, reason: str, db: Path, webpf: Webpf) -> None:
    change(db, statement)
    answer = webpf("verify", db)
    assert answer.returncode == 65
    assert reason in answer.stdout
    assert answer.stderr.count("\n") == 1
    assert "is not what it should be" in answer.stderr


def test_a_rebuild_repairs_the_pairing(db: Path, webpf: Webpf) -> None:
    change(db, "UPDATE processes SET comm = 'other'", "DELETE FROM processes WHERE id = 10")
    change(
        db, "UPDATE vanished SET process_id = 1", "UPDATE exits SET process_id = 1", "UPDATE forks SET process_id = 1"
    )
    answer = webpf("verify", db)
    assert answer.returncode == 65
    assert answer.stderr.endswith(f" webpf rebuild --db {db}\n")
    assert webpf("rebuild", "--db", db).returncode == 0
    assert webpf("verify", db).returncode == 0


def test_a_broken_page(db: Path, webpf: Webpf) -> None:
    """SQLite's own check reports it."""
    connection = sqlite3.connect(db)
    [page] = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'programs_of_process'").fetchone()
    connection.close()
    with db.open("r+b") as file:
        file.seek((page - 1) * 4096 + 3)
        file.write(b"\0\1")
    answer = webpf("verify", db)
    assert answer.returncode == 65
    assert "SQLite: " in answer.stdout or "can't be read" in answer.stderr


def test_an_interrupted_recording(tmp_path: Path, webpf: Webpf) -> None:
    """Its counts in the file may be a second old, which is no problem. But the events that they count must exist."""
    db = tmp_path / "webpf.db"
    file = RecordingFile(db)
    writer = file.begin(recording_values())
    writer.write_counts(Counts((7, 0, 0, 0), (0, 0, 0, 0)), at(1))
    file.close()
    answer = webpf("verify", db)
    assert answer.returncode == 0
    assert "interrupted, 0 processes from 0 events; what is after its last commit is missing" in answer.stdout
    change(db, "UPDATE recordings SET forks_written = 2")
    assert "forks: the table has 0, but at least 2 were written" in webpf("verify", db).stdout


def test_files_that_can_not_be_verified(tmp_path: Path, webpf: Webpf) -> None:
    assert webpf("verify", "nowhere.db").returncode == 66
    (tmp_path / "text").write_text("no database")
    assert webpf("verify", "text").returncode == 65
