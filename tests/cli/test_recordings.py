"""`webpf recordings`: what was recorded, how it ended, how large it is; a chain is one line."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support import MS, T0, Recorder, exec_, exit_, fork, make_recording, seen

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]


def change(db: Path, sql: str) -> None:
    """Changes rows."""
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute(sql)


def listed(webpf: Webpf, *arguments: str) -> list[dict[str, Any]]:
    """Returns the rows."""
    answer = webpf("recordings", "--format", "json", *arguments)
    assert answer.returncode == 0, answer.stderr
    rows: list[dict[str, Any]] = json.loads(answer.stdout)
    return rows


def of_command(db: Path, status: int) -> None:
    """Makes a recording of a command that ends with this status. support.py's recorder has pid 1."""
    make_recording(db, [fork(50, 5), exec_(50, 5, 6), exit_(50, 5, 9, status)], end_ms=2000)
    change(
        db,
        """UPDATE recordings SET command = '/opt/webpf record --name x -- make -s ''a b''',
        options = json_set(options, '$.of', 'command') WHERE id = (SELECT max(id) FROM recordings)""",
    )


@pytest.mark.parametrize(
    ("status", "code", "signal", "outcome", "shown"),
    [(0, 0, None, "ok", "exit 0"), (768, 3, None, "failed", "exit 3"), (11, None, 11, "signalled", "SIGSEGV")],
)
def test_a_command(
    status: int, code: int | None, signal: int | None, outcome: str, shown: str, tmp_path: Path, webpf: Webpf
) -> None:
    of_command(tmp_path / "webpf.db", status)
    (row,) = listed(webpf)
    assert (row["command"], row["exit_code"], row["signal"], row["outcome"]) == ("make -s 'a b'", code, signal, outcome)
    assert (row["started_ns"], row["seconds"]) == (T0, 2.0)
    assert (row["size_bytes"], row["size_is_exact"]) == ((tmp_path / "webpf.db").stat().st_size, 1)
    line = webpf("recordings").stdout.splitlines()[2]
    assert shown in line and "make -s 'a b'" in line and "2.00 s" in line and "~" not in line
    change(tmp_path / "webpf.db", "UPDATE recordings SET status = 'interrupted'")
    assert "interrupted" in webpf("recordings").stdout


def test_sizes_are_shares_of_the_file(tmp_path: Path, webpf: Webpf) -> None:
    db = tmp_path / "webpf.db"
    for count in (20, 4000):
        pids = range(1000, 1000 + count)
        make_recording(db, [each for pid in pids for each in (fork(pid, 1), exit_(pid, 1, 2))], batch=5000)
    small, large = (row["size_bytes"] for row in listed(webpf))
    whole = db.stat().st_size
    assert small + large <= whole < small + large + 10
    assert 100 < large / small < 300, "there are 200 times as many processes"
    assert {row["size_is_exact"] for row in listed(webpf)} == {0}
    assert "~" in webpf("recordings").stdout


@pytest.fixture
def chained(tmp_path: Path) -> Path:
    """A file with a recording, a chain of three segments, and another recording between two of these."""
    db = tmp_path / "webpf.db"
    make_recording(db, [fork(7, 1)], name="alone")
    for segment in (1, 2, 0, 3):
        # Process 30 lives on, so that it is in each segment; each has a process of its own.
        make_recording(db, [seen(30, -2000), fork(100 + segment, 10)], end_ms=1000)
        change(
            db,
            f"""UPDATE recordings SET started_ns = started_ns + {segment} * {1000 * MS},
            ended_ns = ended_ns + {segment} * {1000 * MS}, forks_lost = {segment},
            chain = iif({segment}, 2, NULL), segment = iif({segment}, {segment}, NULL)
            WHERE id = (SELECT max(id) FROM recordings)""",
        )
        change(
            db,
            f"""UPDATE processes SET start_ns = start_ns + {segment} * {1000 * MS} WHERE pid = {100 + segment}""",
        )
    return db


def test_a_chain_is_one_line(chained: Path, webpf: Webpf) -> None:
    alone, chain, between = listed(webpf)
    assert (alone["name"], alone["segments"], alone["chain"]) == ("alone", 1, None)
    assert (chain["id"], chain["chain"], chain["segments"]) == (5, 2, 3)
    assert (chain["started_ns"], chain["seconds"]) == (T0 + 1000 * MS, 3.0)
    assert (chain["processes"], chain["lost"]) == (4, 6), "process 30 counts once"
    assert (between["id"], between["segments"]) == (4, 1)
    assert [row["id"] for row in listed(webpf, "--segments")] == [1, 2, 3, 4, 5]
    assert [row["segments"] for row in listed(webpf, "--recording", "3")] == [1]
    header, _, *lines = webpf("recordings").stdout.splitlines()
    assert header.split().index("segments") == header.split().index("command") - 1
    assert lines[-1] == "3 rows"


@pytest.mark.kernel
def test_while_it_is_recorded(start_recorder: Callable[..., Recorder], webpf: Webpf, tmp_path: Path) -> None:
    start_recorder("--name", "now")
    (row,) = listed(webpf)
    assert (row["status"], row["name"], row["outcome"]) == ("recording", "now", None)
    files = [tmp_path / "webpf.db", tmp_path / "webpf.db-wal"]
    assert 0 < row["size_bytes"] <= sum(each.stat().st_size for each in files)
    assert "recording" in webpf("recordings").stdout.splitlines()[2]
