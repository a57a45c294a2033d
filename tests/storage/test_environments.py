"""Kept environment variables in the file: each set once, whatever happens to the file."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from damage import change
from support import A_MIXED_LOT, exec_, exit_, fork, free, make_recording

from webpf.model.environment import Variable
from webpf.model.events import Event, Exec
from webpf.storage import compact, environment_ids, merge, rebuild
from webpf.storage.verify import verify

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]

KEPT = """SELECT e.time_ns, v.name, v.state, v.value FROM program_environments AS k
JOIN programs AS e ON e.id = k.id AND e.recording_id = k.recording_id
JOIN environment_variables AS v ON v.environment_id = k.environment_id AND v.recording_id = k.recording_id
WHERE k.recording_id = ? ORDER BY k.id, v.name"""


def rows(db: Path, sql: str, *values: object) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(db)) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        return connection.execute(sql, values).fetchall()


def problems(db: Path) -> list[str]:
    return [problem for finding in verify(db) for problem in finding.problems]


def expected(events: list[Event]) -> list[tuple[Any, ...]]:
    """Returns the rows of KEPT for these events."""
    execs = [event for event in events if isinstance(event, Exec) and event.environment is not None]
    return [(event.time_ns, *variable) for event in execs for variable in event.environment or ()]


@pytest.mark.parametrize("batch", [1, 3, 1000])
def test_each_environment_is_written_once(tmp_path: Path, batch: int) -> None:
    """The recording's own, even if another recording in the file has the same."""
    db = tmp_path / "webpf.db"
    for number in (1, 2):
        make_recording(db, A_MIXED_LOT, batch=batch)
        assert rows(db, KEPT, number) == expected(A_MIXED_LOT)
    assert rows(db, "SELECT count(*), count(DISTINCT environment_id) FROM program_environments") == [(6, 4)]
    assert rows(db, "SELECT count(*) FROM environment_variables") == [(8,)]
    assert problems(db) == []


def test_they_survive(tmp_path: Path, webpf: Webpf) -> None:
    """Merge, rebuild and compact; a file of the same schema is not changed by upgrade."""
    db, merged = tmp_path / "webpf.db", tmp_path / "merged.db"
    make_recording(db, [fork(100, 0)])
    make_recording(db, A_MIXED_LOT)
    merge.merge([db], merged)
    rebuild.rebuild(merged)
    compact.compact(merged)
    assert webpf("upgrade", merged).returncode == 0
    assert rows(merged, KEPT, 2) == expected(A_MIXED_LOT)
    assert rows(merged, KEPT, 1) == []
    assert problems(merged) == []


def test_merged_files_keep_their_own(tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.db" for name in "ab"]
    others: list[Event] = [fork(5, 0), exec_(5, 0, 1)._replace(environment=(Variable("A", "set", "other"),))]
    for path, events in zip(paths, (A_MIXED_LOT, others), strict=True):
        make_recording(path, events)
    merge.merge(paths, tmp_path / "merged.db")
    assert rows(tmp_path / "merged.db", KEPT, 1) == expected(A_MIXED_LOT)
    assert rows(tmp_path / "merged.db", KEPT, 2) == expected(others)
    assert problems(tmp_path / "merged.db") == []


def test_a_limit_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was forgotten is written again with another id, and is right in every row."""
    monkeypatch.setattr(environment_ids, "_KNOWN_BYTES", 20_000)
    events: list[Event] = [
        exec_(pid, pid, pid + 1)._replace(environment=(Variable("A", "set", str(pid % 60)),)) for pid in range(100, 300)
    ]
    db = tmp_path / "webpf.db"
    make_recording(db, events, batch=50)
    [(sets,)] = rows(db, "SELECT count(DISTINCT environment_id) FROM environment_variables")
    assert 60 < sets <= 200
    assert rows(db, KEPT, 1) == expected(events)
    assert problems(db) == []


def test_a_large_build(tmp_path: Path) -> None:
    """The same long PATH costs a few bytes for each program."""
    sizes: list[int] = []
    for environment in (None, (Variable("PATH", "set", "/usr/bin:" * 200), Variable("LANG", "set", "C"))):
        events: list[Event] = []
        for pid in range(1000, 6000):
            events += [fork(pid, pid), exec_(pid, pid, pid + 1)._replace(environment=environment)]
            events += [exit_(pid, pid, pid + 2), free(pid, pid, pid + 3)]
        db = tmp_path / f"{len(sizes)}.db"
        make_recording(db, events, batch=1000)
        sizes.append(db.stat().st_size)
    assert 0 < (sizes[1] - sizes[0]) / 5000 < 16


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE program_environments SET id = 70000 WHERE id = 5", "a row of programs that doesn't exist"),
        ("UPDATE program_environments SET environment_id = 6", "3 rows refer to an environment without variables"),
        ("UPDATE environment_variables SET recording_id = 2", "3 rows refer to an environment without variables"),
        ("UPDATE environment_variables SET value = NULL", "of 2 rows, the state doesn't fit the value"),
        ("UPDATE environment_variables SET state = 'set'", "of 2 rows, the state doesn't fit the value"),
        ("UPDATE program_environments SET recording_id = 2", "3 rows are of execs of another recording"),
    ],
)
def test_verify_finds_what_is_wrong(tmp_path: Path, statement: str, problem: str) -> None:
    db = tmp_path / "webpf.db"
    make_recording(db, A_MIXED_LOT)
    make_recording(db, [])
    change(db, statement)
    assert any(problem in each for each in problems(db)), problems(db)
