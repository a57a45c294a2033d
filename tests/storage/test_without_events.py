"""Recordings without raw events (--events none): the same processes, a smaller file, and honest checks."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fates import NotFreed, repeated_if_not_freed
from streams import HEAD, as_bytes, counts, kinds, replay
from support import A_MIXED_LOT, exec_, exit_, fork, free

from webpf.analysis import saved_queries
from webpf.model.events import Event

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]

STREAM = as_bytes(HEAD, A_MIXED_LOT, counts(kinds(A_MIXED_LOT)))
OPTIONAL = ("forks", "exits", "frees")


def rows(db: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(db)) as connection:
        return connection.execute(sql).fetchall()


def change(db: Path, *statements: str) -> None:
    with closing(sqlite3.connect(db)) as connection, connection:
        for statement in statements:
            assert connection.execute(statement).rowcount, statement


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with recordings of the same events, with and without raw events. Tests only read it."""
    folder = tmp_path_factory.mktemp("made")
    for kept in ("all", "none"):
        done = replay(STREAM, folder / f"{kept}.db", "--events", kept)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def both(made: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The same, for a test that may change them."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "all.db", tmp_path / "none.db"


def test_only_forks_exits_and_frees_are_left_out(both: tuple[Path, Path]) -> None:
    whole, small = both
    tables = [name for (name,) in rows(whole, "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')")]
    assert {"processes", "programs", "commands", "snapshot", "vanished", "usage", "event_list"} <= {*tables}
    for table in tables:
        found = rows(small, f"SELECT * FROM {table}")
        if table in OPTIONAL:
            assert found == [] != rows(whole, f"SELECT * FROM {table}")
        elif table != "recordings":
            assert found == rows(whole, f"SELECT * FROM {table}"), table
    written = "SELECT forks_attempted, forks_written, execs_written, exits_written, frees_written, lost FROM recordings"
    assert rows(small, written) == rows(whole, written) == [(5, 5, 3, 3, 3, 0)]
    kept = "SELECT json_extract(options, '$.events') FROM recordings"
    assert (rows(whole, kept), rows(small, kept)) == ([("all",)], [("none",)])


def test_readers_show_the_same(both: tuple[Path, Path], webpf: Webpf) -> None:
    whole, small = both
    for command in ("report", "tree"):
        shown = [webpf(command, path) for path in both]
        assert shown[0].returncode == 0, shown[0].stderr
        assert shown[1].stdout == shown[0].stdout.replace(str(whole), str(small))
    for form in ("csv", "otlp", "perfetto"):
        written = [path.with_suffix(f".{form}") for path in both]
        for path, output in zip(both, written, strict=True):
            assert webpf("export", path, "--to", form, "-o", output).returncode == 0
        assert written[0].read_bytes() == written[1].read_bytes(), form


@pytest.mark.parametrize("name", [name for name in saved_queries.names() if name != "compare"])
def test_saved_queries_have_the_same_rows(name: str, both: tuple[Path, Path]) -> None:
    query = saved_queries.load(name)
    values = saved_queries.bind(query, {"pid": "101"} if name in ("execs", "ancestors") else {})
    found = []
    for path in both:
        with closing(sqlite3.connect(path)) as connection:
            found.append(connection.execute(query.sql, values).fetchall())
    assert found[0] == found[1]


def test_verify_says_what_it_does_not_check(both: tuple[Path, Path], webpf: Webpf) -> None:
    answer = webpf("verify", both[1])
    assert answer.returncode == 0, answer
    assert answer.stdout.splitlines() == [
        "ok     the file",
        "ok     recording 1: complete, 9 processes and 3 programs; no event was lost",
        "       not checked: whether forks, exits and frees were paired right: it has no raw events",
    ]
    for path, is_partial in zip(both, (False, True), strict=True):
        document = json.loads(webpf("verify", path, "--format", "json").stdout)
        assert [bool(each["not_checked"]) for each in document["findings"]] == [False, is_partial]


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        (
            "DELETE FROM programs WHERE id = (SELECT max(id) FROM programs)",
            "execs: the table has 2, but 3 were written",
        ),
        ("DELETE FROM processes WHERE id > 4", "but 5 forks were seen"),
        ("UPDATE processes SET end_ns = 1", "9 have an end, but only 3 exits were seen"),
        ("UPDATE processes SET freed_ns = 1", "9 were freed, but only 3 frees were seen"),
        ("UPDATE processes SET command_id = NULL WHERE id = 4", "1 rows don't follow from their programs"),
        ("UPDATE processes SET carried_rss_kib = 7 WHERE id = 4", "1 rows don't follow from their programs"),
        ("UPDATE processes SET execs = 0 WHERE id = 4", "1 rows don't follow from their programs"),
        ("UPDATE recordings SET exits_lost = 1", "exits: 3 attempted is not 3 written and 1 lost"),
        ("INSERT INTO exits SELECT * FROM source.exits", "exits: the table has 3, but webpf compact should"),
    ],
)
def test_problems_are_found(statement: str, reason: str, both: tuple[Path, Path], webpf: Webpf) -> None:
    whole, small = both
    with closing(sqlite3.connect(small, isolation_level=None)) as connection:
        connection.execute("ATTACH ? AS source", [str(whole)])
        assert connection.execute(statement).rowcount
    answer = webpf("verify", small)
    assert (answer.returncode, "WRONG" in answer.stdout) == (65, True), answer
    assert reason in answer.stdout
    assert "rebuild" not in answer.stderr


def test_rebuild_refuses_in_one_line(both: tuple[Path, Path], webpf: Webpf) -> None:
    small = both[1]
    before = small.read_bytes()
    for arguments, which in (([], ""), (["--recording", "1"], "recording 1 of ")):
        answer = webpf("rebuild", small, *arguments)
        assert (answer.returncode, answer.stdout, len(answer.stderr.splitlines())) == (65, "", 1), answer
        assert f"{which}{small} has no raw events" in answer.stderr
    assert small.read_bytes() == before


def test_rebuild_leaves_out_recordings_without_raw_events(both: tuple[Path, Path], webpf: Webpf) -> None:
    whole = both[0]
    assert replay(STREAM, whole, "--events", "none").returncode == 0
    before = rows(whole, "SELECT * FROM processes ORDER BY id")
    change(whole, "UPDATE processes SET comm = 'x' WHERE recording_id = 1")
    answer = webpf("rebuild", whole)
    assert answer.returncode == 0
    assert answer.stderr.splitlines() == [
        "webpf: recording 1: 9 processes rebuilt",
        "webpf: recording 2: unchanged, it has no raw events",
    ]
    assert rows(whole, "SELECT * FROM processes ORDER BY id") == before


def test_a_merged_recording_stays_without_raw_events(both: tuple[Path, Path], tmp_path: Path, webpf: Webpf) -> None:
    assert webpf("merge", *both, "-o", tmp_path / "merged.db").returncode == 0
    answer = webpf("verify", tmp_path / "merged.db")
    assert (answer.returncode, answer.stdout.count("not checked")) == (0, 1), answer


def test_a_stream_with_doubled_lines_is_sound(tmp_path: Path, webpf: Webpf) -> None:
    lines = [line + b"\n" for line in as_bytes(A_MIXED_LOT).splitlines() for _ in range(2)]
    for number in (1, 2):
        done = replay(as_bytes(HEAD) + b"".join(lines), tmp_path / "twice.db", *["--events", "none"] * (number - 1))
        assert done.returncode == 65, "it has no counts at its end"
    answer = webpf("verify", tmp_path / "twice.db")
    assert answer.returncode == 0, answer.stdout


def test_the_file_is_smaller(tmp_path: Path) -> None:
    """A storm of processes without programs of their own; the parent runs on."""
    storm: list[Event] = [fork(100, 0), exec_(100, 0, 1)]
    for number in range(3000):
        storm += [fork(1000 + number, number, ppid=100, parent_ms=0), exit_(1000 + number, number, number + 1)]
        storm += [free(1000 + number, number, number + 2)]
    stream = as_bytes(HEAD, storm, counts(kinds(storm)))
    for kept in ("all", "none"):
        assert replay(stream, tmp_path / f"{kept}.db", "--events", kept).returncode == 0
    assert (tmp_path / "none.db").stat().st_size < 0.65 * (tmp_path / "all.db").stat().st_size


@pytest.mark.kernel
@repeated_if_not_freed
def test_a_command_is_recorded_without_raw_events(tmp_path: Path, webpf: Webpf) -> None:
    db = tmp_path / "webpf.db"
    db.unlink(missing_ok=True)
    answer = webpf("record", "--events", "none", "--db", db, "--", "sh", "-c", "(exit 7); cat /dev/null; exit 3")
    assert answer.returncode == 3, answer
    assert "complete" in answer.stderr
    if rows(db, "SELECT 1 FROM processes WHERE state = 'exited' AND cpu_ns IS NULL"):
        raise NotFreed
    sql = "SELECT comm, exit_code, execs, cpu_ns > 0, end_ns >= start_ns FROM processes WHERE parent_id OR execs"
    assert sorted(rows(db, f"{sql} ORDER BY start_ns")) == [
        ("cat", 0, 1, 1, 1), ("sh", 3, 1, 1, 1), ("sh", 7, 0, 1, 1)
    ]  # fmt: skip
    assert rows(db, "SELECT count(*) FROM programs") == [(2,)]
    assert [rows(db, f"SELECT count(*) FROM {table}") for table in OPTIONAL] == [[(0,)]] * 3
    assert rows(db, "SELECT forks_written, exits_written FROM recordings") == [(3, 3)]
    assert webpf("verify", db).returncode == 0
