"""The SQL that `webpf query NAME --sql` prints returns the same rows in plain SQLite: sqlite3 module and program."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from story import BUILD, needed
from support import PROJECT, make_recording

from webpf.analysis import saved_queries

NAMES = saved_queries.names()
Webpf = Callable[..., "subprocess.CompletedProcess[str]"]
Rows = list[tuple[Any, ...]]


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings: a part of the story, and the whole story."""
    path = tmp_path_factory.mktemp("sql") / "webpf.db"
    make_recording(path, BUILD[:20])
    make_recording(path, BUILD)
    return path


def by_webpf(db: Path, name: str, arguments: dict[str, str]) -> Rows:
    with saved_queries.run(db, saved_queries.load(name), arguments) as result:
        return list(result.rows)


def by_module(db: Path, script: str, arguments: dict[str, str]) -> Rows:
    """Runs the SQL in a plain connection. Parameters that are not set are NULL there, as in the program sqlite3."""
    values = dict.fromkeys(re.findall(r":(\w+)", script)) | arguments
    with closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as connection:
        return connection.execute(script, values).fetchall()


def by_program(db: Path, script: str, arguments: dict[str, str]) -> Rows:
    """Runs the SQL in the program sqlite3, which prints each value as an SQL literal."""
    settings = [word for key, value in arguments.items() for word in ("-cmd", f".parameter set :{key} {value}")]
    command = ["sqlite3", *settings, "-cmd", ".mode quote", "-cmd", r'.separator "," "\036"', str(db)]
    answer = subprocess.run(command, input=script, capture_output=True, text=True, check=True)
    assert answer.stderr == ""
    with closing(sqlite3.connect(":memory:")) as connection:
        return [connection.execute(f"SELECT {row}").fetchone() for row in answer.stdout.split("\x1e")[:-1]]


@pytest.mark.parametrize("name", NAMES)
def test_sqlite_alone_gives_the_same_rows(db: Path, name: str) -> None:
    query, arguments = saved_queries.load(name), needed(name, "101")
    rows = by_webpf(db, name, arguments)
    assert rows
    assert by_module(db, query.script, arguments) == rows
    if shutil.which("sqlite3"):
        assert by_program(db, query.script, arguments) == rows


@pytest.mark.kernel
def test_sqlite_alone_gives_the_same_rows_of_a_real_recording(tmp_path: Path, webpf: Webpf) -> None:
    command = "for i in 1 2 3; do sh -c 'exit 3'; env true; done; sh -c 'kill -SEGV $$'; exit 0"
    for _ in range(2):
        assert webpf("record", "--", "sh", "-c", command).returncode == 0
    db = tmp_path / "webpf.db"
    with closing(sqlite3.connect(db)) as connection:
        [pid] = connection.execute("SELECT pid FROM processes WHERE comm = 'true' ORDER BY id DESC LIMIT 1").fetchone()
    filled = set()
    for name in NAMES:
        query, arguments = saved_queries.load(name), needed(name, str(pid))
        rows = by_webpf(db, name, arguments)
        filled |= {name} if rows else set()
        assert by_module(db, query.script, arguments) == rows
        if shutil.which("sqlite3"):
            assert by_program(db, query.script, arguments) == rows
    assert {"failures", "crashes", "exec_chains", "ancestors", "timeline", "concurrency", "compare"} <= filled


@pytest.mark.parametrize("name", NAMES)
def test_webpf_prints_it_with_its_head_and_without_a_file(webpf: Webpf, tmp_path: Path, name: str) -> None:
    """The head is the head of the query's file; the rest is the statement that webpf itself runs."""
    answer = webpf("query", name, "--sql")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []
    source = (PROJECT / "queries" / f"{name}.sql").read_text(encoding="utf-8")
    head = re.match(r"(?:--.*\n)+", source)
    assert head is not None
    assert answer.stdout.startswith(head[0])
    assert answer.stdout.removeprefix(head[0]) == f"{saved_queries.load(name).sql};\n"
    assert "!(" not in re.sub("--.*", "", answer.stdout)


def test_it_needs_a_name(webpf: Webpf) -> None:
    answer = webpf("query", "--sql")
    assert answer.returncode == 64
    assert answer.stderr.startswith("webpf: --sql needs the name of a query; try: ")
    assert webpf("query", "nosuch", "--sql").stderr == webpf("query", "nosuch").stderr != ""
