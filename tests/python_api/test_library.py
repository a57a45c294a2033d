"""webpf as a library: the examples in its documentation work, results equal the command line's, imports are lazy."""

from __future__ import annotations

import doctest
import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from story import BUILD
from support import PROCESSES, PROJECT, make_recording, webpf_command

import webpf


@pytest.fixture
def db(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with two recordings of the story BUILD, in the current folder."""
    file = tmp_path / "webpf.db"
    make_recording(file, BUILD, name="before")
    make_recording(file, BUILD, name="after")
    monkeypatch.chdir(tmp_path)
    return file


def test_the_examples_in_the_documentation(db: Path) -> None:
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("UPDATE recordings SET host = 'here'")
    page = PROJECT / "docs" / "python.md"
    failed, tried = doctest.testfile(str(page), module_relative=False, optionflags=doctest.REPORT_ONLY_FIRST_FAILURE)
    assert not failed
    assert tried > 10


@pytest.mark.parametrize("name", ["lifetimes", "summary", "tree", "concurrency"])
def test_queries_equal_those_of_the_command_line(db: Path, name: str) -> None:
    """Which adds the times as text."""
    rows = webpf.open(db).recording("before").query(name)
    shown = subprocess.check_output([*webpf_command(), "query", name, "webpf.db:1", "--format", "json"])
    assert rows == [{key: row[key] for key in rows[0]} for row in json.loads(shown)]


def test_processes_are_the_rows_of_the_table(db: Path) -> None:
    with closing(sqlite3.connect(db)) as connection:
        connection.row_factory = sqlite3.Row
        sql = f"SELECT * FROM {PROCESSES} WHERE recording_id = 1 ORDER BY id"
        rows = [dict(row) for row in connection.execute(sql)]
    assert [row.pop("command_id") for row in rows].count(None) < len(rows)
    assert list(webpf.open(db).recording(1).processes()) == rows


def test_exports_equal_those_of_the_command_line(db: Path, tmp_path: Path) -> None:
    recording = webpf.open(str(db)).recording(1)
    path = recording.export(tmp_path / "here.ndjson", "ndjson")
    assert path.read_bytes() == subprocess.check_output([*webpf_command(), "export", "webpf.db:1", "--to", "ndjson"])
    with pytest.raises(webpf.WebpfError, match="already exists"):
        recording.export(path, "ndjson")
    with pytest.raises(webpf.WebpfError, match="there is no format 'xml'"):
        recording.export("there", "xml")


def test_groups_of_runs_are_compared_as_on_the_command_line(db: Path) -> None:
    names = [("base", 1), ("base", 2), ("base", 3), ("pr", 1), ("pr", 2), ("pr", 3)]
    for name, _ in names[2:]:
        make_recording(db, BUILD, name=name)
    with closing(sqlite3.connect(db)) as connection, connection:
        for id, (name, run) in enumerate(names, 1):
            connection.execute(
                "UPDATE recordings SET name = ?1, run_group = ?1, run = ?2 WHERE id = ?3", [name, run, id]
            )
    comparison = webpf.open(db).diff("base", "pr")
    shown = json.loads(subprocess.check_output([*webpf_command(), "diff", "base", "pr", "--format", "json"]))
    for side, numbers in ((comparison.before, [1, 2, 3]), (comparison.after, [4, 5, 6])):
        assert [each.recording.id for each in side.runs] == numbers
        assert shown["before" if side is comparison.before else "after"]["recordings"] == numbers


def test_imports_are_lazy() -> None:
    code = "import sys; before = set(sys.modules); import webpf; print(*sorted(set(sys.modules) - before))"
    found = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert set(found.split()) == {"webpf", "webpf.version"}


def test_attributes() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nosuch'"):
        _ = webpf.nosuch
    assert {"open", "File", "Recording", "WebpfError", "__version__"} <= set(webpf.__all__)
    assert all(hasattr(webpf, name) for name in webpf.__all__)
