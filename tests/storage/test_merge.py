"""webpf merge: all rows are kept, with new numbers."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from story import BUILD, run
from support import Recorder, fork, make_recording

from webpf.analysis import saved_queries
from webpf.storage import reader, verify

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Three files: with two recordings, with an empty recording, and with one recording."""
    make_recording(tmp_path / "a.db", BUILD, name="first")
    make_recording(tmp_path / "a.db", [fork(100, 0)])
    make_recording(tmp_path / "b.db", [])
    make_recording(tmp_path / "c.db", BUILD, name="last")
    return [tmp_path / f"{name}.db" for name in "abc"]


def rows(db: Path, table: str, recording: int) -> list[tuple[Any, ...]]:
    """Returns the rows without the columns of ids and numbers."""
    with closing(sqlite3.connect(db)) as connection:
        column = "id" if table == "recordings" else "recording_id"
        cursor = connection.execute(f"SELECT * FROM {table} WHERE {column} = ? ORDER BY 1", [recording])
        names = [each[0] for each in cursor.description]
        kept = [
            at
            for at, name in enumerate(names)
            if name not in ("id", "recording_id", "process_id", "parent_id", "command_id", "environment_id", "first_id")
        ]
        return [tuple(row[at] for at in kept) for row in cursor]


def test_all_rows_are_merged(files: list[Path], webpf: Webpf, tmp_path: Path) -> None:
    ended = webpf("merge", *files, "-o", "all.db")
    assert (ended.returncode, ended.stdout) == (0, "")
    assert ended.stderr.splitlines()[0].endswith("a.db: now recording 1, 2 of all.db")
    merged = tmp_path / "all.db"
    assert not [finding for finding in verify.verify(merged) if finding.problems]
    assert webpf("rebuild", "--db", "all.db").returncode == 0
    with closing(sqlite3.connect(merged)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    tables = [name for name in tables if not name.startswith(("sqlite_", "_sqlite"))]
    assert len(tables) == 16
    for file, number, new in ((files[0], 1, 1), (files[0], 2, 2), (files[1], 1, 3), (files[2], 1, 4)):
        for table in tables:
            assert rows(merged, table, new) == rows(file, table, number), (table, new)
    assert merged.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.db", "all.db", "b.db", "c.db"]


@pytest.mark.parametrize("name", saved_queries.names())
def test_queries_return_the_same(name: str, files: list[Path], webpf: Webpf, tmp_path: Path) -> None:
    webpf("merge", *files, "-o", "all.db")
    parameters = {"pid": "102"} if name in ("execs", "ancestors") else {"against": "4"} if name == "compare" else {}
    before = run(files[2], name, **(parameters | ({"against": "1"} if name == "compare" else {})))
    after = run(tmp_path / "all.db", name, recording="4", **parameters)
    ids = ("id", "of_id", "parent_id", "process_id")
    assert [{k: v for k, v in row.items() if k not in ids} for row in after] == [
        {k: v for k, v in row.items() if k not in ids} for row in before
    ]


def test_bad_input(files: list[Path], webpf: Webpf, tmp_path: Path) -> None:
    (tmp_path / "odd.db").write_text("odd")
    (tmp_path / "there.db").write_text("mine")
    for arguments, code in (
        (["a.db", "nothing.db", "-o", "x.db"], 66),
        (["a.db", "odd.db", "-o", "x.db"], 65),
        (["a.db", "./a.db", "-o", "x.db"], 64),
        (["a.db", "b.db", "-o", "there.db"], 64),
        (["a.db", "b.db"], 64),
        (["-o", "x.db"], 64),
        (["a.db", "b.db", "-o", "no/x.db"], 73),
    ):
        ended = webpf("merge", *arguments)
        assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (code, "", 1), ended
    assert (tmp_path / "there.db").read_text() == "mine"
    assert not (tmp_path / "x.db").exists()
    assert webpf("merge", "a.db", "b.db", "-o", "there.db", "--force").returncode == 0
    with reader.reading(tmp_path / "there.db") as connection:
        assert len(reader.recordings(connection)) == 3


@pytest.mark.kernel
def test_a_recording_in_progress(files: list[Path], webpf: Webpf, start_recorder: Callable[..., Recorder]) -> None:
    recorder = start_recorder()
    ended = webpf("merge", "a.db", recorder.db, "-o", "x.db")
    assert (ended.returncode, "goes on" in ended.stderr) == (64, True)
