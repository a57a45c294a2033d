"""Malicious names of real processes in a real recording: every command shows them, and they do nothing."""

from __future__ import annotations

import asyncio
import csv
import ctypes
import io
import json
import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import PROCESSES, Recorder, fork, make_recording, recording_values, webpf_command

from webpf.analysis import saved_queries
from webpf.storage.recording_file import RecordingFile

Webpf = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., Recorder]
Query = Callable[..., list[dict[str, Any]]]

HARM = b"=1+1\x1b[31m\x1b]0;t\x07\r\n\t\"'`<script>alert(1)';DROP TABLE processes;--\xc2\x9b2J\xe2\x80\xae\xff%s$(id)|"
NAME = b"=1\x1b[2J<b>\n\"'\xff"  # a process name has at most 15 bytes
FILE = HARM.replace(b"/", b"")
ACTED_ON = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
FORMULA = ("=", "+", "-", "@", "\t", "\r")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """The folder of this module's recording."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture(scope="module")
def pids(folder: Path) -> dict[str, int]:
    """A recording of two processes: one renamed itself maliciously, one has such a name, path and arguments."""
    program = os.fsencode(folder) + b"/" + FILE
    shutil.copy(b"/bin/false", program)
    variable = "@1+1\x1b[2J\u202e"
    options = [b"--name", HARM, b"--env", variable.encode(), b"--env", b"HARM"]
    recorder = Recorder(folder / "webpf.db", options)  # type: ignore[arg-type]
    recorder.wait_until_recording()
    renamed = os.fork()
    if renamed == 0:
        ctypes.CDLL(None).prctl(15, NAME, 0, 0, 0)
        os._exit(3)
    os.waitpid(renamed, 0)
    called = os.posix_spawn(program, [HARM, b"-x", HARM, b"@SUM(A1)"], {b"HARM": HARM, variable.encode(): b"=1"})
    os.waitpid(called, 0)
    code, errors = recorder.end()
    assert code == 0
    assert not ACTED_ON.search(errors), errors
    return {"renamed": renamed, "called": called}


def commands() -> list[list[str]]:
    """Returns every command that shows a recording."""
    shown = []
    for name in saved_queries.names():
        needed = ["-p", "pid=PID"] if any(each.required for each in saved_queries.load(name).parameters) else []
        shown.append(["query", name, *needed])
    return [*shown, ["recordings"]]


@pytest.mark.kernel
@pytest.mark.parametrize("format", ["table", "csv", "json", "ndjson"])
@pytest.mark.parametrize("command", commands(), ids=lambda command: command[-1] if len(command) < 3 else command[1])
def test_every_command_and_format(command: list[str], format: str, folder: Path, pids: dict[str, int]) -> None:
    arguments = [word.replace("PID", str(pids["called"])) for word in command]
    answer = subprocess.run(
        [*webpf_command(), *arguments, "--format", format, "--db", folder / "webpf.db"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert not ACTED_ON.search(answer.stdout + answer.stderr)
    if format == "csv":
        header, *cells = csv.reader(io.StringIO(answer.stdout))
        assert len(cells) == len(answer.stdout.splitlines()) - 1, "a line a row"
        assert cells or command[1] in (
            "compare",
            "crashes",
            "duplicates",
            "exec_chains",
            "orphans",
            "signals",
            "zombies",
        )
        assert all(len(row) == len(header) for row in cells)
        for row in cells:
            for cell in row:
                assert not cell.startswith(FORMULA) or re.fullmatch(r"-[0-9.e+-]+", cell)
        if command[-1] == "lifetimes":
            [named] = [dict(zip(header, row, strict=True)) for row in cells if row[0] == str(pids["renamed"])]
            assert named["comm"].startswith("'=1\\x1b[2J<b>\\n")
    elif format != "table":
        rows = json.loads(answer.stdout if format == "json" else "[" + ",".join(answer.stdout.splitlines()) + "]")
        if command[-1] == "lifetimes":
            [comm] = [row["comm"] for row in rows if row["pid"] == pids["renamed"]]
            assert comm == NAME[:15].decode("utf-8", "backslashreplace"), "exact"
        if command == ["recordings"]:
            assert [row["name"] for row in rows] == [HARM.decode("utf-8", "backslashreplace")]


@pytest.mark.kernel
def test_names_are_stored_unchanged(folder: Path, pids: dict[str, int], query: Query) -> None:
    """SQL in a name has not dropped a table."""
    db = folder / "webpf.db"
    rows = query(f"SELECT * FROM {PROCESSES} WHERE pid = ? AND ppid = ?", pids["called"], os.getpid(), db=db)
    assert [row["argv"] for row in rows] == [b"\0".join([HARM, b"-x", HARM, b"@SUM(A1)", b""])]
    assert rows[0]["filename"] == os.fsencode(folder) + b"/" + FILE
    assert not ACTED_ON.search(rows[0]["args"])
    assert "\n" not in rows[0]["args"]


@pytest.mark.kernel
def test_rebuild_and_doctor(folder: Path, pids: dict[str, int], webpf: Webpf) -> None:
    for arguments in (["rebuild", "--db", folder / "webpf.db"], ["doctor", "--db", folder / "webpf.db"]):
        answer = webpf(*arguments)
        assert answer.returncode == 0
        assert not ACTED_ON.search(answer.stdout + answer.stderr)


@pytest.mark.kernel
def test_a_stream(pids: dict[str, int], folder: Path) -> None:
    program = os.fsencode(folder) + b"/" + FILE
    command = [*webpf_command(), "stream"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stderr.readline()
        pid = os.posix_spawn(program, [HARM, b"-x", HARM], {})
        os.waitpid(pid, 0)
        seen = set()
        for line in process.stdout:
            assert line.isascii() and not ACTED_ON.search(line.decode())
            event = json.loads(line)
            if event["pid"] == pid:
                seen.add(event["event"])
                if event["event"] == "E":
                    break
        process.terminate()
    assert {"X", "E"} <= seen


@pytest.mark.kernel
def test_datasette_escapes_html_in_names(folder: Path, pids: dict[str, int]) -> None:
    """In tables, rows and results of queries, as a browser gets them."""
    datasette = pytest.importorskip("datasette.app")

    async def pages() -> list[str]:
        shown = datasette.Datasette([str(folder / "webpf.db")])
        await shown.invoke_startup()
        paths = [
            f"/webpf/processes?pid={pids['called']}",
            f"/webpf/processes?pid={pids['renamed']}",
            f"/webpf/programs?pid={pids['called']}",
            "/webpf/recordings",
            "/webpf/recordings/1",
            f"/webpf?sql=select+comm,args,filename+from+processes+join+commands+on+commands.id=command_id+where+pid={pids['called']}",
        ]
        answers = [await shown.client.get(path, follow_redirects=True) for path in paths]
        assert [answer.status_code for answer in answers] == [200] * len(paths)
        return [answer.text for answer in answers]

    texts = asyncio.run(pages())
    for text in texts:
        assert "<script>alert" not in text
        assert "<b>\n" not in text
    assert any("&lt;script&gt;alert" in text for text in texts)


# Other texts that are shown, or come from the command line; these tests need no kernel.


@pytest.mark.parametrize(
    "name", ["a b.db", "a?mode=ro.db", "a#b%20.db", 'it\'s "x".db', "\x1b[31m\n.db", ":memory:", "\udcff.db"], ids=ascii
)
def test_paths_of_files(name: str, tmp_path: Path, webpf: Webpf) -> None:
    """Files with any name can be used, and no message has the escape sequences of their names."""
    db = tmp_path / name
    missing = webpf("query", "lifetimes", "--db", db)
    assert missing.returncode == 66
    assert len(missing.stderr.splitlines()) == 1
    assert not ACTED_ON.search(missing.stderr)
    make_recording(db, [fork(100, 1)])
    assert [path.name for path in tmp_path.iterdir()] == [name]
    answer = webpf("query", "lifetimes", "--db", db, "--format", "json")
    assert [row["pid"] for row in json.loads(answer.stdout)] == [100]


@pytest.mark.parametrize("option", ["--recording", "-p", "--format", "--db"])
def test_values_of_options(option: str, tmp_path: Path, webpf: Webpf) -> None:
    make_recording(tmp_path / "webpf.db", [fork(100, 1)])
    harm = os.fsdecode(HARM)
    for value in (harm, f"pid={harm}", f"{harm}=1"):
        answer = webpf("query", "execs", "-p", "pid=1", option, value)
        assert answer.returncode in (64, 65, 66)
        assert len(answer.stderr.splitlines()) == 1
        assert not ACTED_ON.search(answer.stdout + answer.stderr)


def test_sql_in_a_text_is_text(tmp_path: Path) -> None:
    """A value is passed to SQLite as a parameter, never as part of a statement."""
    name = "'); DROP TABLE forks;--"
    make_recording(tmp_path / "webpf.db", [fork(100, 1, comm=name)], name=name)
    connection = sqlite3.connect(tmp_path / "webpf.db")
    assert connection.execute("SELECT comm FROM forks").fetchall() == [(name,)]
    connection.close()


def test_cgroups_of_any_bytes(tmp_path: Path) -> None:
    """Users who can create cgroups can give them any names: the recorder goes on."""
    make_recording(tmp_path / "webpf.db", [fork(100, 1)])
    file = RecordingFile(tmp_path / "webpf.db")
    writer = file.begin(recording_values(name="\udcff"))
    writer.write_cgroups({7: "/a\udcff\x1b"})
    assert list(file.db.query("SELECT path FROM cgroup_paths WHERE recording_id = 2")) == [{"path": b"/a\xff\x1b"}]
    assert file.db.execute("SELECT name FROM recordings WHERE id = 2").fetchone() == ("\\xff",)
    file.close()
